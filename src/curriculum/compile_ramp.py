"""The ramps of a batch: their ends are whole levels apart, or they are refused"""

from typing import NamedTuple

from curriculum.batch import MOST_LEVELS, BatchPiece
from curriculum.compile_size import kept_seqs, seqs_of
from curriculum.compile_state import State
from curriculum.errors import Span
from curriculum.spec import Quantity, RampSpec, Word


class Climb(NamedTuple):
    """Where a ramp goes, in levels of `by_seqs`, and the place that says so."""

    last_seqs: int
    by_seqs: int
    is_linear: bool
    span: Span


class Sides(NamedTuple):
    """What a ramp may start from: what the ancestor left, and what the piece before ended with."""

    left: BatchPiece | None
    seqs: int | None


def start_of(
    state: State, unit: str, ramp: RampSpec, seq_len: int, sides: Sides
) -> tuple[int | None, Span]:
    """Return the sequences that a ramp starts with, and the place that says so."""
    match ramp.start:
        case Quantity() as said:
            return seqs_of(state, unit, said, seq_len), said.span
        case Word(span=span):
            return kept_seqs(state, unit, span, seq_len, sides.left), span
    if sides.seqs is None:
        state.report(
            "missing-key",
            "the first ramp of a batch says where it starts",
            ramp.span,
            "add `from: 3072`, or `from: current` for what the ancestor left",
        )
    return sides.seqs, ramp.span


def climb_of(
    state: State, unit: str, ramp: RampSpec, start: int | None, seq_len: int
) -> Climb | None:
    """Return where a ramp goes; None where its ends are no whole levels apart."""
    end = seqs_of(state, unit, ramp.end, seq_len)
    by = seqs_of(state, unit, ramp.level, seq_len)
    if start is None or end is None or by is None:
        return None
    if start == end:
        state.report(
            "ramp",
            f"this ramp starts and ends at {start:,} sequences",
            ramp.end.span,
            f"write `{unit}: {ramp.end.amount}` without a ramp",
        )
        return None
    levels = abs(end - start) // by + 1
    if not _on_levels(state, ramp, start, end, by) or not _can_hold(state, ramp, levels):
        return None
    return Climb(end, by, ramp.is_linear, ramp.level.span)


def _on_levels(state: State, ramp: RampSpec, start: int, end: int, by: int) -> bool:
    """Hold that levels reach both ends: nobody trains at a size other than the plan says."""
    place = ramp.start.span if ramp.start else ramp.span
    ends = ((start, place), (end, ramp.end.span)) if ramp.is_linear else ((end, ramp.end.span),)
    base = 0 if ramp.is_linear else start
    for seqs, span in ends:
        if (seqs - base) % by == 0:
            continue
        below = base + (seqs - base) // by * by
        near = " or ".join(f"{n:,}" for n in (below, below + by) if n > 0)
        what = f"{seqs:,} sequences are no multiple of {by:,}"
        if not ramp.is_linear:
            what = f"increments of {by:,} sequences from {base:,} do not reach {seqs:,}"
        state.report("ramp", what, span, f"write {near} sequences, or other levels")
        return False
    return True


def _can_hold(state: State, ramp: RampSpec, levels: int) -> bool:
    """Hold that the plan's ramps have no more levels than it can hold."""
    state.ramp_levels += levels
    most = state.ramp_levels
    if most <= MOST_LEVELS:
        return True
    state.report(
        "ramp-levels",
        f"the ramps so far have {most:,} levels, those of a plan have at most {MOST_LEVELS:,}",
        ramp.level.span,
        "make the levels larger",
    )
    return False
