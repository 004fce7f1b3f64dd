"""The batch of every step: pieces of constant sequences and context, in exact integers

A ramp is many pieces that follow from six numbers: it is laid out wherever a batch is made.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

MOST_LEVELS = 100_000
"""The levels that the ramps of a plan may have: a ramp costs time and memory by its levels."""

RampShape = Literal["linear", "increments"]


@dataclass(frozen=True, slots=True)
class BatchPiece:
    """`batch_seqs` sequences of `seq_len` tokens in every step from `first_step` on."""

    first_step: int
    batch_seqs: int
    seq_len: int
    tokens_before: int
    seqs_before: int

    @property
    def tokens_per_step(self) -> int:
        return self.batch_seqs * self.seq_len


@dataclass(frozen=True, slots=True)
class Ramp:
    """`first_seqs` to `last_seqs` in levels of `by_seqs`, between two marks in tokens of the stage.

    `linear`: the line between the ends, rounded down to whole levels. `increments`: every level
    but the last gets an equal share of the ramp's tokens (Megatron-LM's `rampup_batch_size`, in
    tokens). On the way up both are the same.
    """

    shape: RampShape
    first_seqs: int
    last_seqs: int
    by_seqs: int
    seq_len: int
    from_tokens: int
    until_tokens: int

    @property
    def num_levels(self) -> int:
        return abs(self.last_seqs - self.first_seqs) // self.by_seqs + 1

    def entries(self) -> "Iterator[Entry]":
        """Yield the levels as entries that `lay_out` takes; the last ends with the ramp.

        A level begins at the first step at or after its exact mark; one whose mark comes before
        the next step holds none, and vanishes.

        >>> up = Ramp("increments", 16, 64, 16, 1, 0, 3000)
        >>> list(up.entries())
        [(16, 1, 1000), (32, 1, 2000), (48, 1, 3000), (64, 1, 3000)]
        >>> down = Ramp("linear", 64, 16, 16, 1, 0, 3000)
        >>> list(down.entries())
        [(64, 1, 1), (48, 1, 1001), (32, 1, 2001), (16, 1, 3000)]
        """
        levels, tokens = self.num_levels - 1, self.until_tokens - self.from_tokens
        by = self.by_seqs if self.last_seqs > self.first_seqs else -self.by_seqs
        falls = self.shape == "linear" and by < 0
        for k in range(levels):
            # A falling line is below level k as soon as it is past it; a rising one reaches k + 1.
            mark = k * tokens // levels + 1 if falls else -(-(k + 1) * tokens // levels)
            yield self.first_seqs + k * by, self.seq_len, self.from_tokens + mark
        yield self.last_seqs, self.seq_len, self.until_tokens


Entry = tuple[int, int, int | None]
"""Sequences in a step, context, and the mark in tokens at which they end; the last has none."""


class LaidRamp(NamedTuple):
    """A ramp, and the steps that its levels hold."""

    ramp: Ramp
    first_step: int
    end_step: int


@dataclass(frozen=True, slots=True)
class Batch:
    """The pieces of one stage, the first at step 0; `ramps` says which of them came of ramps."""

    pieces: tuple[BatchPiece, ...]
    ramps: tuple[LaidRamp, ...] = field(default=(), compare=False)
    _first_steps: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        assert self.pieces
        assert self.pieces[0].first_step == 0
        object.__setattr__(self, "_first_steps", tuple(p.first_step for p in self.pieces))

    def __hash__(self) -> int:
        # Not of every level of a ramp: that costs more than comparing the few that are alike.
        return hash((len(self.pieces), self.pieces[0], self.pieces[-1]))

    def piece_at(self, step: int) -> BatchPiece:
        """Return the piece that governs a step."""
        if len(self.pieces) == 1:
            return self.pieces[0]
        return self.pieces[bisect_right(self._first_steps, step) - 1]

    def tokens_before(self, step: int) -> int:
        """Return the tokens of all steps before this one."""
        piece = self.piece_at(step)
        return piece.tokens_before + (step - piece.first_step) * piece.tokens_per_step

    def seqs_before(self, step: int) -> int:
        """Return the sequences of all steps before this one."""
        piece = self.piece_at(step)
        return piece.seqs_before + (step - piece.first_step) * piece.batch_seqs

    def tokens_before_each(self, steps: range) -> list[int]:
        """Return `tokens_before` of consecutive steps.

        >>> lay_out([(2, 4, 8), (4, 4, None)]).tokens_before_each(range(4))
        [0, 8, 24, 40]
        """
        tokens: list[int] = []
        for at, end, piece in self.runs(steps.start, steps.stop):
            per_step = piece.tokens_per_step
            first = piece.tokens_before + (at - piece.first_step) * per_step
            tokens += range(first, first + (end - at) * per_step, per_step)
        return tokens

    def step_at_tokens(self, tokens: int) -> int:
        """Return the first step that starts at or after a mark in tokens.

        >>> lay_out([(2048, 8192, None)]).step_at_tokens(200_000_000_000)
        11921
        """
        if tokens <= 0:
            return 0
        index = bisect_right(self.pieces, tokens, key=lambda piece: piece.tokens_before) - 1
        piece = self.pieces[index]
        steps = -((piece.tokens_before - tokens) // piece.tokens_per_step)
        step = piece.first_step + steps
        if index + 1 < len(self.pieces):
            return min(step, self.pieces[index + 1].first_step)
        return step

    def step_at_seqs(self, seqs: int) -> int:
        """Return the first step before which at least `seqs` sequences were drawn."""
        index = bisect_right(self.pieces, seqs, key=lambda piece: piece.seqs_before) - 1
        piece = self.pieces[max(index, 0)]
        return piece.first_step + -((piece.seqs_before - seqs) // piece.batch_seqs)

    def tokens_at_seqs(self, seqs: int) -> int:
        """Return the tokens that the first `seqs` sequences of the stage have.

        >>> lay_out([(2, 4, 8), (4, 8, None)]).tokens_at_seqs(3)
        16
        """
        index = bisect_right(self.pieces, seqs, key=lambda piece: piece.seqs_before) - 1
        piece = self.pieces[index]
        return piece.tokens_before + (seqs - piece.seqs_before) * piece.seq_len

    def breaks(self) -> tuple[int, ...]:
        """Return the steps at which pieces begin."""
        return self._first_steps

    def runs(self, first_step: int, end_step: int) -> Iterator[tuple[int, int, BatchPiece]]:
        """Yield the steps of a range by piece: from, to (not included), and the piece.

        >>> [(a, b, p.batch_seqs) for a, b, p in lay_out([(2, 4, 8), (4, 4, None)]).runs(0, 3)]
        [(0, 1, 2), (1, 3, 4)]
        """
        at = first_step
        index = bisect_right(self._first_steps, first_step) - 1
        while at < end_step:
            piece, index = self.pieces[index], index + 1
            end = self._first_steps[index] if index < len(self.pieces) else end_step
            yield at, min(end, end_step), piece
            at = end

    def contexts(self, steps: int) -> tuple[tuple[int, int], ...]:
        """Return where the context changes within so many steps: first step and `seq_len`.

        >>> lay_out([(2, 4, 8), (4, 4, 24), (2, 8, None)]).contexts(9)
        ((0, 4), (2, 8))
        """
        changes: list[tuple[int, int]] = []
        for piece in self.pieces:
            if piece.first_step >= steps:
                break
            if not changes or changes[-1][1] != piece.seq_len:
                changes.append((piece.first_step, piece.seq_len))
        return tuple(changes)


def lay_out(entries: Iterable[Entry | Ramp]) -> Batch:
    """Lay out entries `(batch_seqs, seq_len, until_tokens)` and ramps.

    An entry ends at the first step that starts at or after its mark; entries that hold no step
    vanish. Marks do not fall. The last entry says None, and nothing follows it.
    """
    pieces: list[BatchPiece] = []
    ramps: list[LaidRamp] = []
    step = tokens = seqs = 0
    for entry in entries:
        first_step = step
        levels = entry.entries() if isinstance(entry, Ramp) else (entry,)
        for batch_seqs, seq_len, until_tokens in levels:
            if until_tokens is not None and until_tokens <= tokens:
                continue
            pieces.append(BatchPiece(step, batch_seqs, seq_len, tokens, seqs))
            if until_tokens is None:
                break
            per_step = batch_seqs * seq_len
            steps = -((tokens - until_tokens) // per_step)
            step += steps
            tokens += steps * per_step
            seqs += steps * batch_seqs
        if isinstance(entry, Ramp):
            ramps.append(LaidRamp(entry, first_step, step))
    return Batch(tuple(pieces), tuple(ramps))
