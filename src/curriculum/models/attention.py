"""Packed attention: many documents in one row, none sees another; one op, two routes

    q [T, H, K]  | doc a | doc b      | doc c |      cu_seqlens_q  [0, 5, 16, 23]
    k [S, H, K]  | doc a | doc b      | doc c |      cu_seqlens_k  the same, unless keys are others'

T query and S key positions, H heads, K length of a query and key, V of a value, D documents. The op
is opaque to torch.compile: any packing gives the same graph. On a CPU documents run through torch's
own flash kernel, those of equal length together; on CUDA through xformers (attention_cuda.py),
which a CPU never imports.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


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
    out, _ = _forward(q, k, v, cu_seqlens, keys, max_seqlen, longest, causal, scale)
    return out


def describe_backend(device: torch.device, dtype: torch.dtype, qk_dim: int, v_dim: int) -> str:
    """Say which kernel `packed_attention` runs for such tensors, and why.

    >>> describe_backend(torch.device("cpu"), torch.float32, 48, 32)
    "cpu: torch's flash kernel (xformers has none for a cpu); values padded 32 -> 48"
    """
    if device.type != "cuda":
        width = max(qk_dim, v_dim)
        padded = f"; values padded {v_dim} -> {width}" if v_dim < width else ""
        return f"{device.type}: torch's flash kernel (xformers has none for a cpu){padded}"
    from curriculum.models import attention_cuda

    return attention_cuda.describe(dtype, qk_dim, v_dim)


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
    (q, k, v), v_dim = _padded(q, k, v), v.shape[-1]
    out = q.new_zeros(q.shape)
    lse = q.new_zeros(q.shape[:2], dtype=_lse_dtype(q.dtype))
    for a, b in _groups(cu_q, cu_k):
        part, part_lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            a.take(q), b.take(k), b.take(v), 0.0, causal, scale=scale
        )
        a.put(out, part)
        a.put(lse.unsqueeze(-1), part_lse.unsqueeze(-1))
    return out[..., :v_dim].contiguous(), lse


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
    qk_dim, v_dim = q.shape[-1], v.shape[-1]
    q, k, v = _padded(q, k, v)
    grad, out = (functional.pad(x, (0, q.shape[-1] - v_dim)) for x in (grad, out))
    grads = tuple(torch.zeros_like(x, memory_format=torch.contiguous_format) for x in (q, k, v))
    for a, b in _groups(cu_q, cu_k):
        parts = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
            a.take(grad),
            a.take(q),
            b.take(k),
            b.take(v),
            a.take(out),
            a.take(lse.unsqueeze(-1)).squeeze(-1),
            0.0,
            causal,
            scale=scale,
        )
        for group, whole, part in zip((a, b, b), grads, parts, strict=True):
            group.put(whole, part)
    dq, dk, dv = grads
    return (
        dq[..., :qk_dim].contiguous(),
        dk[..., :qk_dim].contiguous(),
        dv[..., :v_dim].contiguous(),
    )


class _Group:
    """Documents of equal length: a view of them where they are neighbours, else their rows."""

    __slots__ = ("begin", "count", "length", "rows")

    def __init__(self, starts: list[int], length: int) -> None:
        self.begin, self.count, self.length = starts[0], len(starts), length
        self.rows: Tensor | None = None
        if starts != list(range(self.begin, self.begin + self.count * length, length)):
            self.rows = (torch.tensor(starts).unsqueeze(1) + torch.arange(length)).flatten()

    def take(self, x: Tensor) -> Tensor:
        """Rows of [T, H, K] as this group's [count, H, length, K]."""
        if self.rows is None:
            rows = x.narrow(0, self.begin, self.count * self.length)
        else:
            rows = x.index_select(0, self.rows)
        return rows.unflatten(0, (self.count, self.length)).transpose(1, 2)

    def put(self, x: Tensor, part: Tensor) -> None:
        """Write [count, H, length, K] to this group's rows of [T, H, K]."""
        if self.rows is None:
            self.take(x).copy_(part)
        else:
            x.index_copy_(0, self.rows, part.transpose(1, 2).flatten(0, 1))


def _groups(cu_q: Tensor, cu_k: Tensor) -> Iterator[tuple[_Group, _Group]]:
    """Documents by their numbers of queries and keys, empty ones left out: one kernel call each."""
    starts_q, starts_k = cu_q.tolist(), cu_k.tolist()
    found: dict[tuple[int, int], tuple[list[int], list[int]]] = {}
    ends = zip(starts_q, starts_q[1:], starts_k, starts_k[1:], strict=False)
    for start_q, end_q, start_k, end_k in ends:
        lengths = end_q - start_q, end_k - start_k
        if all(lengths):
            of_q, of_k = found.setdefault(lengths, ([], []))
            of_q.append(start_q)
            of_k.append(start_k)
    for (len_q, len_k), (of_q, of_k) in found.items():
        yield _Group(of_q, len_q), _Group(of_k, len_k)


def _padded(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, ...]:
    """All three at one width (the kernel's demand), their last dimension contiguous."""
    width = max(q.shape[-1], v.shape[-1])
    wide = (functional.pad(x, (0, width - x.shape[-1])) for x in (q, k, v))
    return tuple(x if x.stride(-1) == 1 else x.contiguous() for x in wide)


def _lse_dtype(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


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
    from curriculum.models import attention_cuda

    return attention_cuda.forward(q, k, v, cu_q, cu_k, max_q, max_k, causal, scale)


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
    from curriculum.models import attention_cuda

    return attention_cuda.backward(grad, q, k, v, out, lse, cu_q, cu_k, max_q, max_k, causal, scale)


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
        from curriculum.models import attention_cuda

        size = attention_cuda.lse_size(q.dtype, tuple(q.shape), v.shape[-1], len(cu_q) - 1, max_q)
        return out, q.new_empty(size, dtype=torch.float32)
    return out, q.new_empty(q.shape[:2], dtype=_lse_dtype(q.dtype))


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
