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
            case DenseDecoderShape():
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
    """Probe one attention, forward and backward."""
    of_q, of_k = CROSS_LENGTHS if mask == "cross" else (LENGTHS, LENGTHS)
    generator = torch.Generator().manual_seed(7)
    sizes = ((of_q, dims[0]), (of_k, dims[0]), (of_k, dims[1]), (of_q, dims[1]))
    q, k, v, seed = (
        torch.randn((sum(lengths), NUM_HEADS, width), generator=generator).to(dtype)
        for lengths, width in sizes
    )
    scale = dims[0] ** -0.5
    a, b, c = (x.to(device).requires_grad_() for x in (q, k, v))
    starts, starts_k = (_starts(lengths, device) for lengths in (of_q, of_k))
    longest, longest_k = max(of_q) + _SLACK, max(of_k) + _SLACK
    if mask == "cross":
        out = packed_attention(
            a, b, c, starts, longest, causal=False, scale=scale,
            cu_seqlens_k=starts_k, max_seqlen_k=longest_k,
        )  # fmt: skip
    else:
        out = packed_attention(a, b, c, starts, longest, causal=mask == "causal", scale=scale)
    ours = [out, *torch.autograd.grad(out, (a, b, c), seed.to(device))]
    right = _reference(q, k, v, seed, (of_q, of_k), mask == "causal", scale)
    errors = tuple(
        float((mine.detach().cpu().double() - due).norm() / due.norm())
        for mine, due in zip(ours, right, strict=True)
    )
    return Probe(*dims, dtype, mask, describe_backend(device, dtype, *dims), errors)


def _starts(lengths: Sequence[int], device: torch.device) -> Tensor:
    return torch.tensor([0, *accumulate(lengths)], dtype=torch.int32, device=device)


def _reference(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    seed: Tensor,
    lengths: tuple[Sequence[int], Sequence[int]],
    causal: bool,
    scale: float,
) -> list[Tensor]:
    """Return output and gradients, document by document, the scores written out in float64."""
    a, b, c = (x.double().requires_grad_() for x in (q, k, v))
    parts = []
    splits = (x.split(list(n)) for x, n in ((a, lengths[0]), (b, lengths[1]), (c, lengths[1])))
    for queries, keys, values in zip(*splits, strict=True):
        scores = torch.einsum("qhd,khd->hqk", queries, keys) * scale
        if causal:
            above = torch.ones(scores.shape[1:], dtype=torch.bool).triu(1)
            scores = scores.masked_fill(above, -torch.inf)
        parts.append(torch.einsum("hqk,khd->qhd", scores.softmax(-1), values))
    out = torch.cat(parts)
    grads = torch.autograd.grad(out, (a, b, c), seed.double())
    return [out.detach(), *grads]
