"""The batch of every step: pieces of constant sequences and context, in exact integers"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field


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
class Batch:
    """The pieces of one stage, the first at step 0."""

    pieces: tuple[BatchPiece, ...]
    _first_steps: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        assert self.pieces
        assert self.pieces[0].first_step == 0
        object.__setattr__(self, "_first_steps", tuple(p.first_step for p in self.pieces))

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
        at = steps.start
        while at < steps.stop:
            piece = self.piece_at(at)
            index = bisect_right(self._first_steps, piece.first_step)
            end = self._first_steps[index] if index < len(self._first_steps) else steps.stop
            end = min(end, steps.stop)
            first, per_step = self.tokens_before(at), piece.tokens_per_step
            tokens += range(first, first + (end - at) * per_step, per_step)
            at = end
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

    def breaks(self) -> tuple[int, ...]:
        """Return the steps at which pieces begin."""
        return self._first_steps


def lay_out(entries: Iterable[tuple[int, int, int | None]]) -> Batch:
    """Lay out `(batch_seqs, seq_len, until_tokens)` entries; the last `until_tokens` is None.

    An entry ends at the first step that starts at or after its mark; entries that hold no step
    vanish. Marks do not fall.
    """
    pieces: list[BatchPiece] = []
    step = tokens = seqs = 0
    for batch_seqs, seq_len, until_tokens in entries:
        if until_tokens is not None and until_tokens <= tokens:
            continue
        pieces.append(BatchPiece(step, batch_seqs, seq_len, tokens, seqs))
        if until_tokens is None:
            break
        steps = -((tokens - until_tokens) // (batch_seqs * seq_len))
        step += steps
        tokens += steps * batch_seqs * seq_len
        seqs += steps * batch_seqs
    return Batch(tuple(pieces))
