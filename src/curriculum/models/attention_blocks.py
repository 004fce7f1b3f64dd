"""Packed attention in bf16 on a CPU: plain products over blocks of queries

    queries [a, b) of every document at once:   scores [N, b - a, S] --softmax--> p --> out

N documents times heads, S keys that these queries see. Torch's flash kernel for CPUs has its
products in small pieces, which costs most for short documents; here they are as large as memory
that stays in a cache allows. Scores and what is summed over blocks are float32, as there. Causal
documents of like length go together, padded with zeros at their ends, which none of their queries
sees; the others where their lengths are equal. The backward pass makes the scores again.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from curriculum.models.packing import Packing

ALIKE = 64
"""Lengths of causal documents are rounded up to multiples of this: few groups, and short tails."""

SCORES_AT_ONCE = 3 << 19
"""Scores that are held together, 6 MiB of them: more leave the cache, fewer are small products."""


# Autocast reaches into operators of ours, and would make the scores bf16 in the forward pass alone.
_as_written = torch.autocast("cpu", enabled=False)


@_as_written  # type: ignore[untyped-decorator]
def forward(q: Tensor, k: Tensor, v: Tensor, packing: Packing) -> tuple[Tensor, Tensor]:
    """Output [T, H, V] and log-sums [T, H]; a document without keys gives zeros."""
    out = q.new_zeros(*q.shape[:2], v.shape[-1])
    lse = q.new_zeros(q.shape[:2], dtype=torch.float32)
    for of_q, of_k in _groups(packing):
        queries, keys, values = of_q.take(q), of_k.take(k), of_k.take(v)
        part = queries.new_empty(*queries.shape[:2], v.shape[-1])
        part_lse = queries.new_empty(queries.shape[:2], dtype=torch.float32)
        wide = keys.float()
        for at, seen in _blocks(queries, keys, packing.causal):
            scores = _scores(queries, wide, at, seen, packing)
            p = scores.softmax(-1)
            # log sum exp from what is there: the largest score, and the share that is its own.
            part_lse[:, at] = scores.amax(-1) - p.amax(-1).log_()
            part[:, at] = p.to(q.dtype) @ values[:, :seen]
        of_q.put(out, part)
        of_q.put(lse.unsqueeze(-1), part_lse.unsqueeze(-1))
    return out, lse


@_as_written  # type: ignore[untyped-decorator]
def backward(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, packing: Packing
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of q, k and v from that of the output."""
    dq, dk, dv = (torch.zeros_like(x, memory_format=torch.contiguous_format) for x in (q, k, v))
    for of_q, of_k in _groups(packing):
        # Rows that pad a document have gradient 0, so they add nothing anywhere.
        queries, seed = of_q.take(q), of_q.take(grad)
        keys, values = of_k.take(k), of_k.take(v)
        own = (seed.float() * of_q.take(out)).sum(-1, keepdim=True)
        by_q = torch.empty_like(queries)
        by_k, by_v = (torch.zeros_like(x, dtype=torch.float32) for x in (keys, values))
        wide = keys.float()
        for at, seen in _blocks(queries, keys, packing.causal):
            p = _scores(queries, wide, at, seen, packing).softmax(-1)
            by_v[:, :seen] += p.to(q.dtype).mT @ seed[:, at]
            by_p = (seed[:, at] @ values[:, :seen].mT).float()
            by_scores = by_p.sub_(own[:, at]).mul_(p).to(q.dtype)
            by_q[:, at] = (by_scores @ keys[:, :seen]) * packing.scale
            by_k[:, :seen] += by_scores.mT @ queries[:, at]
        of_q.put(dq, by_q)
        of_k.put(dk, by_k.mul_(packing.scale).to(k.dtype))
        of_k.put(dv, by_v.to(v.dtype))
    return dq, dk, dv


def _blocks(queries: Tensor, keys: Tensor, causal: bool) -> Iterator[tuple[slice, int]]:
    """Blocks of queries, and how many keys each of them sees."""
    num, length, num_keys = len(queries), queries.shape[1], keys.shape[1]
    size = min(128, max(16, SCORES_AT_ONCE // (num * num_keys) // 16 * 16))
    for start in range(0, length, size):
        end = min(start + size, length)
        yield slice(start, end), end if causal else num_keys


def _scores(queries: Tensor, wide: Tensor, at: slice, seen: int, packing: Packing) -> Tensor:
    """Scores [N, block, seen] in float32; a causal query does not see what comes after it."""
    scores = (queries[:, at].float() * packing.scale) @ wide[:, :seen].mT
    if packing.causal:
        size = seen - at.start
        scores[:, :, at.start :] += torch.full((size, size), -torch.inf).triu_(1)
    return scores


@dataclass(frozen=True, slots=True)
class _Group:
    """Documents that are computed together: their rows [count, length], and one more for padding.

    Where they are neighbours of one length they are a view of [T, H, K], beginning at `begin`.
    """

    begin: int | None
    rows: Tensor  # [count, length] int64; T where a document is padded
    docs: tuple[int, int]

    def take(self, x: Tensor) -> Tensor:
        """Rows of [T, H, K] as [count * H, length, K]."""
        if self.begin is not None:
            found = x.narrow(0, self.begin, self.rows.numel())
        else:
            found = functional.pad(x, (0, 0, 0, 0, 0, 1)).index_select(0, self.rows.flatten())
        return found.unflatten(0, self.docs).transpose(1, 2).flatten(0, 1)

    def put(self, x: Tensor, part: Tensor) -> None:
        """Write [count * H, length, K], or without K's, to this group's rows of [T, H, K]."""
        part = part.unflatten(0, (self.docs[0], -1)).transpose(1, 2).flatten(0, 1)
        if self.begin is not None:
            x.narrow(0, self.begin, len(part)).copy_(part)
            return
        rows = self.rows.flatten()
        kept = (rows < len(x)).nonzero().squeeze(1)
        x.index_copy_(0, rows[kept], part.index_select(0, kept))


def _groups(packing: Packing) -> Iterator[tuple[_Group, _Group]]:
    """Documents that go together, empty ones left out: the queries of each, and their keys."""
    starts_q, starts_k = packing.cu_q.tolist(), packing.cu_k.tolist()
    found: dict[tuple[int, int], list[tuple[int, int, int, int]]] = {}
    ends = zip(starts_q, starts_q[1:], starts_k, starts_k[1:], strict=False)
    for start_q, end_q, start_k, end_k in ends:
        if end_q == start_q or end_k == start_k:
            continue
        lengths = end_q - start_q, end_k - start_k
        if packing.causal:
            lengths = (-(-lengths[0] // ALIKE) * ALIKE,) * 2
        found.setdefault(lengths, []).append((start_q, end_q, start_k, end_k))
    for (len_q, len_k), documents in found.items():
        of_q = _group([(a, b) for a, b, _, _ in documents], len_q, starts_q[-1])
        if packing.causal:
            yield of_q, of_q
        else:
            yield of_q, _group([(a, b) for _, _, a, b in documents], len_k, starts_k[-1])


def _group(spans: list[tuple[int, int]], length: int, total: int) -> _Group:
    first, shortest = spans[0][0], min(end - start for start, end in spans)
    longest = max(end - start for start, end in spans)
    if shortest == longest and len(spans) > 1:
        length = longest  # nothing is padded
    starts = torch.tensor([start for start, _ in spans]).unsqueeze(1)
    ends = torch.tensor([end for _, end in spans]).unsqueeze(1)
    rows = starts + torch.arange(length)
    rows = rows.where(rows < ends, total)
    neighbours = [(first + i * length, first + (i + 1) * length) for i in range(len(spans))]
    return _Group(first if spans == neighbours else None, rows, (len(spans), length))
