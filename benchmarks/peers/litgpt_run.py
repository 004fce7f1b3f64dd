"""litgpt's pretraining loop on a Llama, in rounds: one of the peers of cpu.py, in its environment

`litgpt.pretrain.setup`, which always compiles the model (the driver switches dynamo off where that
is not wanted), with a data module that reads the rows. litgpt cannot keep documents of a row apart:
there attention crosses them, as its users have it.
"""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import litgpt.pretrain
import numpy as np
import torch
from litgpt.args import EvalArgs, TrainArgs
from litgpt.config import Config
from litgpt.data import DataModule
from safetensors.torch import load_file

from peers.rounds import Gate, asked

PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed", "all-bf16": "bf16-true"}


class Rows(torch.utils.data.Dataset[torch.Tensor]):
    """Rows [T + 1]: what is read, and behind it what is predicted, one place to the right."""

    def __init__(self, folder: Path) -> None:
        self.tokens = np.load(folder / "tokens.npy", mmap_mode="r")
        self.targets = np.load(folder / "targets.npy", mmap_mode="r")

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, row: int) -> torch.Tensor:
        return torch.from_numpy(np.append(self.tokens[row], self.targets[row, -1:]))


class World(DataModule):
    """The rows in their order, whatever the seed."""

    def __init__(self, folder: Path, gate: Gate) -> None:
        self.rows, self.gate, self.batch = Rows(folder), gate, 1

    def connect(self, tokenizer: Any = None, batch_size: int = 1, max_seq_length: int = 1) -> None:
        self.batch = batch_size

    def train_dataloader(self) -> Any:
        return torch.utils.data.DataLoader(self.rows, self.batch)

    def val_dataloader(self) -> Any:
        return torch.utils.data.DataLoader(torch.utils.data.Subset(self.rows, [0]), 1)


class Behind(torch.optim.AdamW):
    """Torch's fused AdamW, with the gate behind each of its steps."""

    gate: Gate

    def step(self, closure: Any = None) -> Any:
        done = torch.optim.AdamW.step(self, closure)
        self.gate.step_done()
        return done


def weights_of(found: dict[str, torch.Tensor], num_layers: int) -> dict[str, torch.Tensor]:
    """Rename a Llama's weights as litgpt has them: queries, keys and values joined."""
    names = {
        "transformer.wte.weight": "model.embed_tokens.weight",
        "transformer.ln_f.weight": "model.norm.weight",
        "lm_head.weight": "lm_head.weight",
    }
    joined = {}
    for layer in range(num_layers):
        at, of = f"transformer.h.{layer}.", f"model.layers.{layer}."
        names |= {
            at + "norm_1.weight": of + "input_layernorm.weight",
            at + "norm_2.weight": of + "post_attention_layernorm.weight",
            at + "attn.proj.weight": of + "self_attn.o_proj.weight",
            at + "mlp.fc_1.weight": of + "mlp.gate_proj.weight",
            at + "mlp.fc_2.weight": of + "mlp.up_proj.weight",
            at + "mlp.proj.weight": of + "mlp.down_proj.weight",
        }
        parts = [found[f"{of}self_attn.{name}_proj.weight"] for name in "qkv"]
        joined[at + "attn.qkv.weight"] = torch.cat(parts)
    return {**{ours: found[theirs] for ours, theirs in names.items()}, **joined}


def main() -> None:
    want = asked()
    folder, shape = Path(want["folder"]), want["shape"]
    torch.set_num_threads(want["threads"])
    heads, width = shape["num_heads"], shape["hidden"] // shape["num_heads"]
    config = Config(
        name="llama",
        block_size=shape["seq_len"],
        vocab_size=shape["vocab"],
        padded_vocab_size=shape["vocab"],
        n_layer=shape["num_layers"],
        n_head=heads,
        n_query_groups=heads,
        n_embd=shape["hidden"],
        head_size=width,
        intermediate_size=shape["ffn_dim"],
        rotary_percentage=1.0,
        rope_base=10_000,
        parallel_residual=False,
        bias=False,
        norm_class_name="RMSNorm",
        norm_eps=1e-5,
        mlp_class_name="LLaMAMLP",
    )
    losses: list[torch.Tensor] = []

    def taken() -> list[float]:
        found = [loss.item() for loss in losses]
        losses.clear()
        return found

    names = ("litgpt", "lightning", "torch")
    gate = Gate(want["steps"], taken, {"versions": {name: version(name) for name in names}})
    entropy = litgpt.pretrain.chunked_cross_entropy

    def kept(logits: torch.Tensor, targets: torch.Tensor, **said: Any) -> torch.Tensor:
        loss = entropy(logits, targets, **said)
        if loss.requires_grad and not loss.is_meta:  # litgpt counts its FLOPs on meta tensors
            losses.append(loss.detach())
        return loss

    def initialise(fabric: Any, model: Any, n_layer: int, n_embd: int) -> None:
        model.load_state_dict(weights_of(load_file(folder / "init.safetensors"), n_layer))

    def optimizer(_: Any, params: Any, **__: Any) -> torch.optim.Optimizer:
        made = Behind(
            params, lr=shape["lr"], betas=(0.9, 0.95), eps=1e-8, weight_decay=0.0, fused=True
        )
        made.gate = gate
        return made

    litgpt.pretrain.chunked_cross_entropy = kept
    litgpt.pretrain.initialize_weights = initialise
    litgpt.pretrain.instantiate_torch_optimizer = optimizer  # litgpt fuses on CUDA alone
    steps = want["rounds"] * want["steps"]
    litgpt.pretrain.setup(
        "llama",
        config,
        out_dir=Path(want["scratch"]) / "litgpt",
        precision=PRECISIONS[want["precision"]],
        data=World(folder, gate),
        train=TrainArgs(
            save_interval=None,
            log_interval=1_000_000,
            global_batch_size=shape["batch_seqs"],
            micro_batch_size=shape["batch_seqs"],
            max_tokens=steps * shape["batch_seqs"] * shape["seq_len"],
            max_norm=1.0,
            min_lr=shape["lr"],
            lr_warmup_steps=0,
        ),
        eval=EvalArgs(interval=1_000_000, max_iters=1, final_validation=False),
        devices=1,
        logger_name="csv",
        seed=0,
    )


if __name__ == "__main__":
    main()
