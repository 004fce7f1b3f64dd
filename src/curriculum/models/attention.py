"""Packed attention: many documents in one row, none sees another; one operator, all backends

    q [T, H, K]  | doc a | doc b      | doc c |      cu_seqlens_q  [0, 5, 16, 23]
    k [S, H, K]  | doc a | doc b      | doc c |      cu_seqlens_k  the same, unless keys are others'

T query and S key positions, H heads, K length of a query and key, V of a value, D documents. The op
is opaque to torch.compile: any packing gives the same graph. On a CPU it is attention_cpu.py, which
imports nothing more; on CUDA attention_kernels.py, with a backend that attention_choice.py takes.
"""

from typing import Any

import torch
from torch import Tensor

from curriculum.models import attention_cpu
from curriculum.models.attention_choice import asked_for
from curriculum.models.packing import Packing


def packed_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    cu_seqlens: Tensor,
    max_seqlen: int,
    *,
    causal: bool,
    scale: float,
    cu_seqlens_k: Tensor | None = None,
    max_seqlen_k: int | None = None,
) -> Tensor:
    """Attention [T, H, V] of every document over its own keys: softmax(scale q k') v.

    `cu_seqlens` [D + 1] int32 says where documents begin (and T); documents may be empty, so it can
    be padded with T to a fixed length. `max_seqlen` is at least the longest. Keys of their own (of
    an image that a caption looks at) come with `cu_seqlens_k` and `max_seqlen_k`, and no `causal`.
    A document without keys gives zeros on a CPU; do not rely on it elsewhere.
    """
    if (cu_seqlens_k is None) != (max_seqlen_k is None):
        raise ValueError("cu_seqlens_k and max_seqlen_k come together")
    if causal and cu_seqlens_k is not None:
        raise ValueError("causal attention needs keys at the positions of the queries")
    keys = cu_seqlens if cu_seqlens_k is None else cu_seqlens_k
    longest = max_seqlen if max_seqlen_k is None else max_seqlen_k
    if q.device.type == "cuda" and _is_flex():
        from curriculum.models import attention_flex

        packing = Packing(cu_seqlens, keys, max_seqlen, longest, causal, scale)
        return attention_flex.attend(q, k, v, packing)
    out, _ = _forward(q, k, v, cu_seqlens, keys, max_seqlen, longest, causal, scale)
    return out


def describe_backend(device: torch.device, dtype: torch.dtype, qk_dim: int, v_dim: int) -> str:
    """Say which kernel `packed_attention` runs for such tensors, and why.

    RuntimeError where the device has none, or not the one that is asked for.
    >>> describe_backend(torch.device("cpu"), torch.float32, 48, 32)
    "cpu: torch's flash kernel (xformers has none for a cpu); values padded 32 -> 48"
    """
    from curriculum.models.attention_found import case_of, choice_for

    return choice_for(device, dtype, qk_dim, v_dim).words(case_of(device, dtype, qk_dim, v_dim))


def _is_flex() -> bool:
    """Whether FlexAttention is asked for, which is no kernel but a graph of its own."""
    return asked_for() == "flex"


# What torch.compiler.assume_constant_result sets; calling it would import all of dynamo, a second.
_is_flex._dynamo_marked_constant = True  # type: ignore[attr-defined]


def _rows(longest: int, x: Tensor) -> int:
    """At most all rows: what `max_seqlen` may exceed, and cutlass's may not."""
    return min(longest, x.shape[0])


@torch.library.custom_op("curriculum::packed_attention", mutates_args=(), device_types="cpu")
def _forward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    cu_q: Tensor,
    cu_k: Tensor,
    max_q: int,
    max_k: int,
    causal: bool,
    scale: float,
) -> tuple[Tensor, Tensor]:
    packing = Packing(cu_q, cu_k, max_q, max_k, causal, scale)
    return attention_cpu.forward(q, k, v, packing)


@torch.library.custom_op(
    "curriculum::packed_attention_backward", mutates_args=(), device_types="cpu"
)
def _backward(
    grad: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: Tensor,
    lse: Tensor,
    cu_q: Tensor,
    cu_k: Tensor,
    max_q: int,
    max_k: int,
    causal: bool,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    packing = Packing(cu_q, cu_k, max_q, max_k, causal, scale)
    return attention_cpu.backward(grad, q, k, v, out, lse, packing)


@_forward.register_kernel("cuda")
def _forward_cuda(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    cu_q: Tensor,
    cu_k: Tensor,
    max_q: int,
    max_k: int,
    causal: bool,
    scale: float,
) -> tuple[Tensor, Tensor]:
    from curriculum.models import attention_kernels

    packing = Packing(cu_q, cu_k, _rows(max_q, q), _rows(max_k, k), causal, scale)
    return attention_kernels.forward(q, k, v, packing)


@_backward.register_kernel("cuda")
def _backward_cuda(
    grad: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: Tensor,
    lse: Tensor,
    cu_q: Tensor,
    cu_k: Tensor,
    max_q: int,
    max_k: int,
    causal: bool,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    from curriculum.models import attention_kernels

    packing = Packing(cu_q, cu_k, _rows(max_q, q), _rows(max_k, k), causal, scale)
    return attention_kernels.backward(grad, q, k, v, out, lse, packing)


@_forward.register_fake
def _forward_fake(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    cu_q: Tensor,
    cu_k: Tensor,
    max_q: int,
    max_k: int,
    causal: bool,
    scale: float,
) -> tuple[Tensor, Tensor]:
    out = q.new_empty((*q.shape[:2], v.shape[-1]))
    if q.device.type == "cuda":
        from curriculum.models import attention_kernels

        size = attention_kernels.lse_size(q, v.shape[-1], len(cu_q) - 1, _rows(max_q, q))
        return out, q.new_empty(size, dtype=torch.float32)
    return out, q.new_empty(q.shape[:2], dtype=attention_cpu.lse_dtype(q.dtype))


@_backward.register_fake
def _backward_fake(
    grad: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: Tensor,
    lse: Tensor,
    cu_q: Tensor,
    cu_k: Tensor,
    max_q: int,
    max_k: int,
    causal: bool,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    return q.new_empty(q.shape), k.new_empty(k.shape), v.new_empty(v.shape)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    q, k, v, cu_q, cu_k, *ctx.settings = inputs
    out, lse = output
    ctx.save_for_backward(q, k, v, out, lse, cu_q, cu_k)
    ctx.mark_non_differentiable(lse)


def _gradient(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    q, k, v, out, lse, cu_q, cu_k = ctx.saved_tensors
    grads = _backward(grad.contiguous(), q, k, v, out, lse, cu_q, cu_k, *ctx.settings)
    return (*grads, None, None, None, None, None, None)


torch.library.register_autograd("curriculum::packed_attention", _gradient, setup_context=_save)
