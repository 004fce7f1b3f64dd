"""Sequences and context of every step of a stage, as it says them or as they were left"""

from typing import NamedTuple

from curriculum.batch import BatchPiece
from curriculum.compile_ramp import Climb, Sides, climb_of, start_of
from curriculum.compile_size import context_of, kept_seqs, seqs_of
from curriculum.compile_state import Kept, State
from curriculum.errors import Span
from curriculum.spec import BatchSpec, Quantity, RampSpec, StageSpec
from curriculum.units import LARGEST, rounded_in_words


class Entry(NamedTuple):
    """Sequences of a piece of the batch, at its start if it is a ramp; context; and its mark."""

    batch_seqs: int
    seq_len: int
    until: Quantity | None
    span: Span
    climb: Climb | None = None


def entries_of(state: State, spec: StageSpec, kept: Kept | None) -> list[Entry] | None:
    """Return the pieces of the batch, each up to its mark; None where one was refused."""
    left = _left_piece(kept) if kept else None
    if spec.batch is None:
        assert left is not None
        return [Entry(left.batch_seqs, left.seq_len, None, spec.span)]
    seq_len = _first_context(state, spec, left)
    entries: list[Entry] = []
    for piece in spec.batch:
        if piece.seq_len is not None:
            seq_len = context_of(state, piece.seq_len)
        if seq_len is None:
            return None
        sides = Sides(left, _last_seqs(entries[-1]) if entries else None)
        entry = _entry(state, piece, seq_len, sides)
        if entry is None or not _can_be_counted(state, entry):
            return None
        entries.append(entry)
    last = entries[-1]
    if last.climb is not None:
        entries.append(Entry(last.climb.last_seqs, last.seq_len, None, last.span))
    return entries


def _can_be_counted(state: State, entry: Entry) -> bool:
    """Hold that a step has fewer tokens than a plan can count, however it came by its sizes."""
    seqs = max(entry.batch_seqs, _last_seqs(entry))
    if seqs * entry.seq_len < LARGEST:
        return True
    state.report(
        "step-too-large",
        f"{seqs:,} sequences of {entry.seq_len:,} are {rounded_in_words(seqs * entry.seq_len)} "
        "tokens a step, more than a plan can count (below 1e18)",
        entry.span,
        "make the batch or its `seq_len` smaller",
    )
    return False


def _last_seqs(entry: Entry) -> int:
    return entry.climb.last_seqs if entry.climb else entry.batch_seqs


def _first_context(state: State, spec: StageSpec, left: BatchPiece | None) -> int | None:
    """Return the context that the batch begins with, unless its first piece says its own."""
    assert spec.batch is not None
    if spec.seq_len is None:
        return left.seq_len if left else None
    if spec.batch[0].seq_len is not None:
        state.report(
            "said-twice",
            f"no piece of the batch reads the `seq_len` of stage `{spec.name.text}`: "
            "the first says its own",
            spec.seq_len.span,
            "keep one of them",
        )
        return None
    return context_of(state, spec.seq_len)


def _left_piece(kept: Kept) -> BatchPiece:
    draft, step = kept
    return draft.batch.piece_at(min(step, draft.steps - 1))


def _entry(state: State, piece: BatchSpec, seq_len: int, sides: Sides) -> Entry | None:
    match piece.size:
        case None:
            seqs = kept_seqs(state, piece.unit, piece.span, seq_len, sides.left)
            return None if seqs is None else Entry(seqs, seq_len, piece.until, piece.span)
        case RampSpec() as ramp:
            start, place = start_of(state, piece.unit, ramp, seq_len, sides)
            climb = climb_of(state, piece.unit, ramp, start, seq_len)
            if start is None or climb is None:
                return None
            return Entry(start, seq_len, piece.until, place, climb)
        case size:
            seqs = seqs_of(state, piece.unit, size, seq_len)
            return None if seqs is None else Entry(seqs, seq_len, piece.until, size.span)
