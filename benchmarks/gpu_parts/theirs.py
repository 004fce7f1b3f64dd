"""transformers on the same shape and the same rows, in the same run; Liger and torchtitan too

Each is a plain loop around the library's own model: autocast in bf16 over fp32 weights, torch's
fused AdamW, the gradient clipped at 1, the model compiled where a GPU is there, attention by

    flex             transformers' FlexAttention: documents apart, by their positions
    sdpa             torch's flash kernel: attention crosses the documents of a row, more work
    sdpa + Liger     the same with Liger's kernels for norms, RoPE, SwiGLU and the loss
    torchtitan       torchtitan's Llama with sdpa, compiled block by block

so the quickest of them is what a user of transformers, or of torchtitan, gets.
"""

import importlib.util
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from gpu_parts.attention import sync

if TYPE_CHECKING:
    import torch

    from curriculum.data.packed import Packed
    from curriculum.models.dense_shape import DenseDecoderShape
    from curriculum.models.shapes import DecoderShape, Shape

Loss = Callable[["torch.Tensor", "torch.Tensor", "torch.Tensor"], "torch.Tensor"]
"""Tokens, labels and positions [rows, T] to the mean loss."""


def variants(shape: "Shape", device: str) -> list[str]:
    """Return what can be run of a shape here; no variant: transformers is not importable."""
    from curriculum.models.dense_shape import DenseDecoderShape
    from curriculum.models.shapes import DecoderShape

    if not isinstance(shape, DecoderShape | DenseDecoderShape):
        return []
    found = []
    if is_here("transformers"):
        found += ["flex", "sdpa"] if device == "cuda" else ["sdpa"]  # flex: no backward on a CPU
        if is_here("liger_kernel") and device == "cuda" and isinstance(shape, DenseDecoderShape):
            found.append("sdpa + Liger")
    if is_here("torchtitan") and isinstance(shape, DenseDecoderShape):
        found.append("torchtitan")
    return found


def is_here(package: str) -> bool:
    """Whether a package can be found."""
    return importlib.util.find_spec(package) is not None


def time_variant(
    variant: str,
    shape: "Shape",
    batches: "Sequence[Sequence[Packed]]",
    device: "torch.device",
    *,
    compiles: bool,
    recompute: bool,
) -> dict[str, Any]:
    """Do a step for each item of `batches`, two of them warm-ups; seconds of one in the middle."""
    with _kernels_of(variant):
        return _timed(variant, shape, batches, device, compiles, recompute)


def _timed(
    variant: str,
    shape: "Shape",
    batches: "Sequence[Sequence[Packed]]",
    device: "torch.device",
    compiles: bool,
    recompute: bool,
) -> dict[str, Any]:
    import torch

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    model, loss_of = _built(variant, shape, batches[0][0].seq_len, device, compiles, recompute)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True
    )
    spent, total = [], torch.zeros(())
    for parts in batches:
        sync(device)
        began_s = time.perf_counter()
        optimizer.zero_grad()
        for tokens, labels, positions in _tensors(parts, device):
            with torch.autocast(device.type, torch.bfloat16):
                total = loss_of(tokens, labels, positions) / len(parts)
            total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        sync(device)
        spent.append(time.perf_counter() - began_s)
    is_cuda = device.type == "cuda"
    return {
        "variant": variant,
        "step_s": median(spent[2:] or spent),
        "loss": float(total.detach()) * len(batches[-1]),
        "memory_bytes": torch.cuda.max_memory_allocated(device) if is_cuda else None,
    }


@contextmanager
def _kernels_of(variant: str) -> Iterator[None]:
    """Put Liger's kernels into transformers' Llama for a while, where a variant has them."""
    if not variant.endswith("Liger"):
        yield
        return
    from liger_kernel.transformers import apply_liger_kernel_to_llama
    from transformers.models.llama import modeling_llama

    before, forward = dict(vars(modeling_llama)), modeling_llama.LlamaForCausalLM.forward
    apply_liger_kernel_to_llama()
    try:
        yield
    finally:
        vars(modeling_llama).update(before)
        modeling_llama.LlamaForCausalLM.forward = forward


def _tensors(
    parts: "Sequence[Packed]", device: "torch.device"
) -> "Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]":
    """Tokens, labels (where their tokens stand) and positions of each micro-batch, [rows, T]."""
    import torch

    for packed in parts:
        rows = (len(packed.sources), packed.seq_len)
        labels = np.full(len(packed.targets), -100, dtype=np.int64)
        labels[1:] = packed.targets[:-1]
        arrays = (packed.tokens, labels, packed.positions)
        tokens, moved, positions = (
            torch.from_numpy(np.ascontiguousarray(x)).reshape(rows).to(device) for x in arrays
        )
        yield tokens, moved, positions


def _built(
    variant: str,
    shape: Any,
    seq_len: int,
    device: "torch.device",
    compiles: bool,
    recompute: bool,
) -> "tuple[torch.nn.Module, Loss]":
    import torch
    from torch.nn import functional

    if variant == "torchtitan":
        model = titan(shape, seq_len, device)
        if compiles:
            for layer in model.layers.values():
                layer.compile(fullgraph=True)

        def titan_loss(
            tokens: torch.Tensor, labels: torch.Tensor, positions: torch.Tensor
        ) -> torch.Tensor:
            logits = model(tokens)[:, :-1].flatten(0, 1)
            return functional.cross_entropy(logits.float(), labels[:, 1:].flatten())

        return model, titan_loss
    made = transformers_model(shape, "flex_attention" if variant == "flex" else "sdpa")
    model = made.to(device).train()
    if recompute:
        name = "activation_checkpointing_enable"  # what 5.23 calls it
        getattr(model, name, model.gradient_checkpointing_enable)({"use_reentrant": False})
    run = torch.compile(model) if compiles else model

    def loss(tokens: torch.Tensor, labels: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        apart = {"position_ids": positions} if variant == "flex" else {}
        found: torch.Tensor = run(input_ids=tokens, labels=labels, **apart).loss
        return found

    return model, loss


def transformers_model(shape: "DenseDecoderShape | DecoderShape", attention: str) -> Any:
    """Build a Llama, or a DeepSeek-V3, of one of our shapes."""
    import transformers

    from curriculum.models.dense_shape import DenseDecoderShape

    common: dict[str, Any] = {
        "vocab_size": shape.vocab,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.ffn_dim,
        "num_hidden_layers": shape.num_layers,
        "num_attention_heads": shape.num_heads,
        "max_position_embeddings": shape.max_positions,
        "rms_norm_eps": shape.rms_eps,
        "tie_word_embeddings": shape.tied_embeddings,
        "rope_parameters": {"rope_type": "default", "rope_theta": 500_000.0},
        "use_cache": False,
        "attn_implementation": attention,
    }
    if isinstance(shape, DenseDecoderShape):
        config = transformers.LlamaConfig(
            **common, num_key_value_heads=shape.num_kv_heads, head_dim=shape.head_dim
        )
        return transformers.LlamaForCausalLM(config)
    config = transformers.DeepseekV3Config(
        **common,
        num_key_value_heads=shape.num_heads,
        moe_intermediate_size=shape.expert_dim,
        n_shared_experts=shape.num_shared_experts,
        n_routed_experts=shape.num_experts,
        n_group=1,
        topk_group=1,
        routed_scaling_factor=shape.routed_scaling,
        kv_lora_rank=shape.kv_lora_rank,
        q_lora_rank=shape.q_lora_rank,
        qk_rope_head_dim=shape.qk_rope_head_dim,
        v_head_dim=shape.v_head_dim,
        qk_nope_head_dim=shape.qk_nope_head_dim,
        num_experts_per_tok=shape.top_k,
        first_k_dense_replace=shape.num_dense_layers,
        norm_topk_prob=True,
        experts_implementation="grouped_mm",
    )
    return transformers.DeepseekV3ForCausalLM(config)


def titan(shape: "DenseDecoderShape", seq_len: int, device: "torch.device") -> Any:
    """Build the Llama of torchtitan 0.2 in one of our shapes; its head is a matrix of its own."""
    import torch
    from torchtitan.models.llama3 import Transformer, TransformerModelArgs

    arguments = TransformerModelArgs(
        dim=shape.hidden,
        n_layers=shape.num_layers,
        n_heads=shape.num_heads,
        n_kv_heads=shape.num_kv_heads,
        vocab_size=shape.vocab,
        multiple_of=shape.ffn_dim,  # its own rule gives 8/3 of the width, rounded up to this
        norm_eps=shape.rms_eps,
        rope_theta=500_000.0,
        max_seq_len=seq_len,
    )
    model = Transformer(arguments).to(device)
    with torch.no_grad():
        model.init_weights(buffer_device=device)
    return model.train()
