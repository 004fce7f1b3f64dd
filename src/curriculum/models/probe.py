"""Is the attention of this machine right? Every backend against a reference in float64

A probe runs `packed_attention` forward and backward on a small packing with empty documents, and
compares it with softmax(scale q k') v written out per document, in float64 on the CPU, from the
same numbers that the dtype holds.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from curriculum.models.attention import describe_backend, packed_attention
from curriculum.models.dense_shape import DenseDecoderShape
from curriculum.models.grouped_moe_shape import GroupedMoeShape
from curriculum.models.shapes import CaptionerShape, DecoderShape, Shape, TextTowerShape, VitShape

TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 1e-2, torch.float16: 2e-3}
"""Of ||ours - reference|| / ||reference||, of the output and of each gradient."""

LENGTHS = (5, 0, 130, 64, 1, 0, 257, 0)
"""Documents that attend to themselves; some are empty, and so is the last."""

CROSS_LENGTHS = ((3, 0, 40, 17, 1), (6, 5, 33, 128, 7))
"""Queries of documents that look at keys of their own, and those keys."""

MASKS = ("causal", "full", "cross")
NUM_HEADS = 4
_SLACK = 7  # `max_seqlen` may be more than the longest document


@dataclass(frozen=True, slots=True)
class Probe:
    """What one backend made of one packing: relative errors of the output and of each gradient."""

    qk_dim: int
    v_dim: int
    dtype: torch.dtype
    mask: str
    backend: str
    errors: tuple[float, ...]  # out, dq, dk, dv

    @property
    def is_right(self) -> bool:
        """Whether every error is under the dtype's tolerance; NaN is not."""
        return all(error < TOLERANCE[self.dtype] for error in self.errors)


def head_sizes(shapes: Iterable[Shape]) -> list[tuple[int, int]]:
    """Return the lengths of a query and of a value of every attention in some modules."""
    found: set[tuple[int, int]] = set()
    for shape in shapes:
        match shape:
            case DecoderShape():
                found.add((shape.qk_head_dim, shape.v_head_dim))
            case DenseDecoderShape() | GroupedMoeShape():
                found.add((shape.head_dim, shape.head_dim))
            case VitShape() | CaptionerShape():
                found.add((shape.hidden // shape.num_heads,) * 2)
            case TextTowerShape():
                # The second is that of the pooling of images.
                found |= {(n // shape.num_heads,) * 2 for n in (shape.hidden, shape.vit_hidden)}
    return sorted(found)


def probes(
    device: torch.device, sizes: Sequence[tuple[int, int]], dtypes: Sequence[torch.dtype]
) -> Iterator[Probe]:
    """Probe every head size, dtype and mask; RuntimeError where the device has no kernel."""
    for qk_dim, v_dim in sizes:
        for dtype in dtypes:
            for mask in MASKS:
                yield probe(device, dtype, (qk_dim, v_dim), mask)


def probe(device: torch.device, dtype: torch.dtype, dims: tuple[int, int], mask: str) -> Probe:
    """Probe one attention, forward and backward; RuntimeError where its kernel cannot run."""
    backend = describe_backend(device, dtype, *dims)
    case = _Inputs.drawn(dtype, dims, mask)
    try:
        ours = case.answers(device)
    except RuntimeError:
        raise
    except Exception as error:  # a kernel that is compiled when it is called raises what it likes
        raise RuntimeError(f"{backend}: {type(error).__name__}: {error}") from error
    errors = tuple(
        float((mine.cpu().double() - due).norm() / due.norm())
        for mine, due in zip(ours, case.reference(), strict=True)
    )
    return Probe(*dims, dtype, mask, backend, errors)


def repeats(device: torch.device, dtype: torch.dtype, dims: tuple[int, int], mask: str) -> bool:
    """Whether output and gradients have the same bits when they are computed again."""
    case = _Inputs.drawn(dtype, dims, mask)
    first, second = case.answers(device), case.answers(device)
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@dataclass(frozen=True, slots=True)
class _Inputs:
    """One attention to compute, on the CPU, and the gradient of its output."""

    q: Tensor
    k: Tensor
    v: Tensor
    grad: Tensor
    lengths: tuple[Sequence[int], Sequence[int]]  # of queries, of keys
    mask: str

    @staticmethod
    def drawn(dtype: torch.dtype, dims: tuple[int, int], mask: str) -> "_Inputs":
        of_q, of_k = CROSS_LENGTHS if mask == "cross" else (LENGTHS, LENGTHS)
        generator = torch.Generator().manual_seed(7)
        sizes = ((of_q, dims[0]), (of_k, dims[0]), (of_k, dims[1]), (of_q, dims[1]))
        q, k, v, grad = (
            torch.randn((sum(lengths), NUM_HEADS, width), generator=generator).to(dtype)
            for lengths, width in sizes
        )
        return _Inputs(q, k, v, grad, (of_q, of_k), mask)

    @property
    def scale(self) -> float:
        return self.q.shape[-1] ** -0.5

    def answers(self, device: torch.device) -> list[Tensor]:
        """Return the device's output and gradients."""
        a, b, c = (x.to(device).requires_grad_() for x in (self.q, self.k, self.v))
        starts, starts_k = (_starts(lengths, device) for lengths in self.lengths)
        longest, longest_k = (max(lengths) + _SLACK for lengths in self.lengths)
        if self.mask == "cross":
            out = packed_attention(
                a, b, c, starts, longest, causal=False, scale=self.scale,
                cu_seqlens_k=starts_k, max_seqlen_k=longest_k,
            )  # fmt: skip
        else:
            is_causal = self.mask == "causal"
            out = packed_attention(a, b, c, starts, longest, causal=is_causal, scale=self.scale)
        return [out.detach(), *torch.autograd.grad(out, (a, b, c), self.grad.to(device))]

    def reference(self) -> list[Tensor]:
        """Return the same document by document, the scores written out in float64."""
        a, b, c = (x.double().requires_grad_() for x in (self.q, self.k, self.v))
        of_q, of_k = self.lengths
        parts = []
        splits = (x.split(list(n)) for x, n in ((a, of_q), (b, of_k), (c, of_k)))
        for queries, keys, values in zip(*splits, strict=True):
            scores = torch.einsum("qhd,khd->hqk", queries, keys) * self.scale
            if self.mask == "causal":
                above = torch.ones(scores.shape[1:], dtype=torch.bool).triu(1)
                scores = scores.masked_fill(above, -torch.inf)
            parts.append(torch.einsum("hqk,khd->qhd", scores.softmax(-1), values))
        out = torch.cat(parts)
        return [out.detach(), *torch.autograd.grad(out, (a, b, c), self.grad.double())]


def _starts(lengths: Sequence[int], device: torch.device) -> Tensor:
    return torch.tensor([0, *accumulate(lengths)], dtype=torch.int32, device=device)
