"""Packed attention on a CPU: torch's flash kernel per document, those of equal length together

T query and S key positions, H heads, K length of a query and key, V of a value. The kernel wants
one width for all, so the narrower of them are padded with zeros. bf16 is attention_blocks.py's.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from curriculum.models import attention_blocks
from curriculum.models.packing import Packing


def forward(q: Tensor, k: Tensor, v: Tensor, packing: Packing) -> tuple[Tensor, Tensor]:
    """Output [T, H, V] and log-sums [T, H]; a document without keys gives zeros."""
    if q.dtype == torch.bfloat16:
        return attention_blocks.forward(q, k, v, packing)
    (q, k, v), v_dim = _padded(q, k, v), v.shape[-1]
    out = q.new_zeros(q.shape)
    lse = q.new_zeros(q.shape[:2], dtype=lse_dtype(q.dtype))
    for a, b in _groups(packing.cu_q, packing.cu_k):
        part, part_lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            a.take(q), b.take(k), b.take(v), 0.0, packing.causal, scale=packing.scale
        )
        a.put(out, part)
        a.put(lse.unsqueeze(-1), part_lse.unsqueeze(-1))
    return out[..., :v_dim].contiguous(), lse


def backward(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, packing: Packing
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of q, k and v from that of the output."""
    if q.dtype == torch.bfloat16:
        return attention_blocks.backward(grad, q, k, v, out, lse, packing)
    qk_dim, v_dim = q.shape[-1], v.shape[-1]
    q, k, v = _padded(q, k, v)
    grad, out = (functional.pad(x, (0, q.shape[-1] - v_dim)) for x in (grad, out))
    grads = tuple(torch.zeros_like(x, memory_format=torch.contiguous_format) for x in (q, k, v))
    for a, b in _groups(packing.cu_q, packing.cu_k):
        parts = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
            a.take(grad),
            a.take(q),
            b.take(k),
            b.take(v),
            a.take(out),
            a.take(lse.unsqueeze(-1)).squeeze(-1),
            0.0,
            packing.causal,
            scale=packing.scale,
        )
        for group, whole, part in zip((a, b, b), grads, parts, strict=True):
            group.put(whole, part)
    dq, dk, dv = grads
    return (
        dq[..., :qk_dim].contiguous(),
        dk[..., :qk_dim].contiguous(),
        dv[..., :v_dim].contiguous(),
    )


def lse_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return what log-sums are kept in."""
    return torch.float64 if dtype == torch.float64 else torch.float32


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
