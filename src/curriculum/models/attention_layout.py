"""Which packed documents a CPU computes together: groups of like length, blocks of queries

    rows [T, H, K] --take--> groups [N, L, K] --own, seen--> block [n, b, K], [n, S, K]
    rows [T, H, K] <--put--- groups [N, L, K] <--put, add--- block

T positions, H heads, N documents times heads and L positions of a group, n of them that reach a
block of b queries, S keys that these see. Causal documents whose lengths are within a factor of two
are a group, longest first and padded at their ends, so that later blocks have the first of them;
other documents are one where their lengths are equal.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import torch
from torch import Tensor

from curriculum.models.packing import Packing

BLOCKS = 64, 128
"""Queries of a block. Causal documents are computed as if as long as some of them: few sizes of
products, because each size is compiled once."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one sort, of documents that are computed together."""

    index: Tensor  # of [T H] rows, by document, head and position
    padding: Tensor  # [N, L, 1]: those that no document has
    docs: tuple[int, int]  # documents times heads, and positions of each

    def take(self, x: Tensor) -> Tensor:
        """[T, H, K] as [N, L, K]."""
        return x.reshape(-1, x.shape[-1]).index_select(0, self.index).unflatten(0, self.docs)


@dataclass(frozen=True, slots=True)
class Group:
    """Documents of like length, longest first."""

    of_q: Rows
    of_k: Rows


@dataclass(frozen=True, slots=True)
class Block:
    """Queries at the same places of many documents, and the keys before them, or all."""

    members: tuple[tuple[int, int], ...]  # group, and how many of its documents times heads
    at: slice
    num_keys: int

    def own(self, xs: Sequence[Tensor]) -> Tensor:
        """The block's rows [N, b, K] of each group's [.., L, K]."""
        return torch.cat([xs[group][:num, self.at] for group, num in self.members])

    def seen(self, xs: Sequence[Tensor]) -> Tensor:
        """What its queries see [N, S, K]."""
        return torch.cat([xs[group][:num, : self.num_keys] for group, num in self.members])

    def put(self, xs: Sequence[Tensor], part: Tensor) -> None:
        """Write the block's rows."""
        for (group, num), piece in self._pieces(part):
            xs[group][:num, self.at] = piece

    def add(self, xs: Sequence[Tensor], part: Tensor) -> None:
        """Add to what its queries see, in float32."""
        for (group, num), piece in self._pieces(part):
            xs[group][:num, : self.num_keys] += piece.float()

    def _pieces(self, part: Tensor) -> Iterator[tuple[tuple[int, int], Tensor]]:
        sizes = [num for _, num in self.members]
        return zip(self.members, part.split(sizes), strict=True)


@dataclass(frozen=True, slots=True)
class Back:
    """Where each row [T, H] is found in what the groups made, one after the other."""

    index: Tensor  # [T H]; of rows that no group has: one past the end
    shape: tuple[int, int]

    def put(self, parts: Sequence[Tensor], width: int, dtype: torch.dtype) -> Tensor:
        """[N, L, K] of every group as [T, H, K]; zeros in rows that no group has."""
        made = [part.reshape(-1, width) for part in parts]
        rows = torch.cat([*made, torch.zeros(1, width, dtype=dtype)])
        return rows.index_select(0, self.index).unflatten(0, self.shape)


@dataclass(frozen=True, slots=True)
class Layout:
    """All documents of a packing, in groups, and what is computed at once, in blocks."""

    groups: tuple[Group, ...]
    blocks: tuple[Block, ...]
    of_q: Back
    of_k: Back


def layout_of(packing: Packing, heads: int, scores_at_once: int) -> Layout:
    """Say which documents go together, and where their rows are; empty ones are left out."""
    starts = tuple(packing.cu_q.tolist()), tuple(packing.cu_k.tolist())
    return _laid_out(*starts, packing.causal, heads, scores_at_once)


@lru_cache(maxsize=16)  # of one step: all layers and both passes of each module have the same
def _laid_out(
    starts_q: tuple[int, ...], starts_k: tuple[int, ...], causal: bool, heads: int, at_once: int
) -> Layout:
    found: dict[tuple[int, int], list[tuple[int, int, int, int]]] = {}
    block = min(BLOCKS, key=lambda size: _cost(starts_q, size)) if causal else BLOCKS[-1]
    ends = zip(starts_q, starts_q[1:], starts_k, starts_k[1:], strict=False)
    for start_q, end_q, start_k, end_k in ends:
        lengths = end_q - start_q, end_k - start_k
        if all(lengths):
            alike = (_like(lengths[0]),) * 2 if causal else lengths
            found.setdefault(alike, []).append((start_q, lengths[0], start_k, lengths[1]))
    groups: list[Group] = []
    together: dict[tuple[int, int, int], list[tuple[int, int]]] = {}
    for documents in found.values():
        documents.sort(key=lambda of: -of[1])  # equal ones stay in their order
        unit = block if causal else 1
        of_q = _rows([(start, length) for start, length, _, _ in documents], heads, unit)
        of_k = of_q if causal else _rows([(at, of) for _, _, at, of in documents], heads, unit)
        for start in range(0, of_q.docs[1], block):
            num = sum(length > start for _, length, _, _ in documents)
            end = min(start + block, of_q.docs[1])
            where = start, end, end if causal else of_k.docs[1]
            together.setdefault(where, []).append((len(groups), num * heads))
        groups.append(Group(of_q, of_k))
    blocks = [
        one
        for (start, end, num_keys), members in together.items()
        for one in _cut(Block(tuple(members), slice(start, end), num_keys), at_once)
    ]
    back_q = _back([group.of_q for group in groups], starts_q[-1], heads)
    back_k = _back([group.of_k for group in groups], starts_k[-1], heads)
    return Layout(tuple(groups), tuple(blocks), back_q, back_k)


def _cost(starts: tuple[int, ...], block: int) -> int:
    """Scores of causal documents in such blocks, and what smaller products take longer."""
    blocks = (-(-(end - start) // block) for start, end in pairwise(starts))
    return sum(n * (n + 1) // 2 for n in blocks) * block * (block + 32)


def _like(length: int) -> int:
    """Return the power of two, at least 64, that a document is at most as long as."""
    return max(BLOCKS[0], 1 << (length - 1).bit_length())


def _rows(spans: list[tuple[int, int]], heads: int, unit: int) -> Rows:
    """Rows of documents (start, length), up to a multiple of `unit`; the last of each pads it."""
    length = -(-max(of for _, of in spans) // unit) * unit
    starts, lengths = torch.tensor(spans).T
    positions = torch.arange(length)
    places = (starts.unsqueeze(1) + torch.minimum(positions, lengths.unsqueeze(1) - 1)) * heads
    index = places.unsqueeze(1) + torch.arange(heads).unsqueeze(1)
    padding = (positions >= lengths.unsqueeze(1)).repeat_interleave(heads, dim=0).unsqueeze(-1)
    return Rows(index.flatten(), padding, (len(spans) * heads, length))


def _cut(block: Block, at_once: int) -> Iterator[Block]:
    """Cut a block's queries so that their scores stay in a cache."""
    start, end = block.at.start, block.at.stop
    size, num = end - start, sum(of for _, of in block.members)
    while size > 16 and size * num * block.num_keys > at_once:
        size //= 2
    for at in range(start, end, size):
        yield Block(block.members, slice(at, min(at + size, end)), block.num_keys)


def _back(groups: list[Rows], total: int, heads: int) -> Back:
    """Turn round which rows the groups took, of `total` times heads."""
    end = sum(len(rows.index) for rows in groups)
    index = torch.full((total * heads,), end)
    if groups:
        taken = torch.cat([rows.index for rows in groups])
        real = torch.cat([~rows.padding.flatten() for rows in groups])
        index[taken[real]] = torch.arange(end)[real]
    return Back(index, (total, heads))
