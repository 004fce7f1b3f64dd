"""Hugging Face's Trainer on a Llama, in rounds: one of the peers of cpu.py, in its own environment

`transformers.Trainer` with `LlamaForCausalLM`: sdpa attention, torch's fused AdamW, a constant
rate, nothing logged, saved or evaluated. Documents that share a row are kept apart by their
positions, as transformers does it.
"""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainerCallback, TrainingArguments

from peers.rounds import Gate, asked


class Rows(torch.utils.data.Dataset[dict[str, Any]]):
    """The rows of a world; labels are moved by the model, so they stand where their tokens do."""

    def __init__(self, folder: Path) -> None:
        names = ("tokens", "targets", "positions")
        self.arrays = [np.load(folder / f"{name}.npy", mmap_mode="r") for name in names]
        starts = (self.arrays[2] == 0).sum(axis=1)
        self.is_packed = bool((starts > 1).any())

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, row: int) -> dict[str, Any]:
        tokens, targets, positions = (array[row].astype(np.int64) for array in self.arrays)
        found = {"input_ids": tokens, "labels": np.append(-100, targets[:-1])}
        return {**found, "position_ids": positions} if self.is_packed else found


def model_of(shape: dict[str, Any], folder: Path, dtype: torch.dtype) -> LlamaForCausalLM:
    """Build the Llama of a world, with its weights of step 0."""
    config = LlamaConfig(
        hidden_size=shape["hidden"],
        num_hidden_layers=shape["num_layers"],
        num_attention_heads=shape["num_heads"],
        num_key_value_heads=shape["num_heads"],
        intermediate_size=shape["ffn_dim"],
        vocab_size=shape["vocab"],
        max_position_embeddings=shape["seq_len"],
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        tie_word_embeddings=False,
        use_cache=False,
        attn_implementation="sdpa",
    )
    model = LlamaForCausalLM(config)
    model.load_state_dict(load_file(folder / "init.safetensors"))
    return model.to(dtype)


class Rounds(TrainerCallback):
    """Stands behind every step."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.gate.step_done()


def main() -> None:
    want = asked()
    folder, shape = Path(want["folder"]), want["shape"]
    torch.set_num_threads(want["threads"])
    precision = want["precision"]
    arguments = TrainingArguments(
        output_dir=str(Path(want["scratch"]) / "hf"),
        use_cpu=True,
        bf16=precision == "bf16",
        torch_compile=want["compile"],
        per_device_train_batch_size=shape["batch_seqs"],
        max_steps=want["rounds"] * want["steps"],
        train_sampling_strategy="sequential",
        optim="adamw_torch_fused",
        learning_rate=shape["lr"],
        lr_scheduler_type="constant",
        adam_beta1=0.9,
        adam_beta2=0.95,
        adam_epsilon=1e-8,
        weight_decay=0.0,
        max_grad_norm=1.0,
        logging_strategy="no",
        save_strategy="no",
        eval_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
        remove_unused_columns=False,
        seed=0,
    )
    model = model_of(shape, folder, torch.bfloat16 if precision == "all-bf16" else torch.float32)
    losses: list[torch.Tensor] = []

    def taken() -> list[float]:
        found = [loss.item() for loss in losses]
        losses.clear()
        return found

    names = ("transformers", "accelerate", "torch")
    gate = Gate(want["steps"], taken, {"versions": {name: version(name) for name in names}})
    rows = Rows(folder)
    trainer = Trainer(model, arguments, train_dataset=rows, callbacks=[Rounds(gate)])
    step = trainer.training_step

    def kept(*args: Any, **kwargs: Any) -> torch.Tensor:
        loss = step(*args, **kwargs)
        losses.append(loss.detach())
        return loss

    trainer.training_step = kept
    trainer.train()


if __name__ == "__main__":
    main()
