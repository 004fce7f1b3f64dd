"""The first step at which curves, batches and shares differ: compared piece by piece

    a  |----linear----|--------cosine-----------|        cut points of both: 5 stretches,
    b  |----linear----|--constant--|---linear---|        in each of which one piece meets one

Never a walk over steps: a plan has pieces, and a stage may have a billion steps.
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

from curriculum.batch import Batch
from curriculum.curve import Curve, Piece
from curriculum.mixture import Mixture
from curriculum.polynomial import Polynomial

PROBES = 16
"""Steps at which pieces of other forms are compared, before one says that they may differ."""

ENDLESS = 1 << 62
"""A step behind the end of every stage."""


class Differs(NamedTuple):
    """The first step that differs, or, where it is not certain, before which nothing does."""

    step: int
    is_certain: bool = True


def stretches(a: Iterable[int], b: Iterable[int], end: int = ENDLESS) -> Iterator[tuple[int, int]]:
    """Yield the steps between the cut points of two, from and to (not included), up to a step.

    >>> list(stretches((0, 5), (0, 3), 9))
    [(0, 3), (3, 5), (5, 9)]
    """
    cuts = sorted({step for steps in (a, b) for step in steps if step < end})
    yield from pairwise([*cuts, end])


def batch_differs(a: Batch, b: Batch, end: int) -> int | None:
    """Return the first step below `end` whose sequences or context differ.

    >>> from curriculum.batch import lay_out
    >>> a, b = lay_out([(2, 4, 80), (4, 4, None)]), lay_out([(2, 4, 40), (4, 4, None)])
    >>> batch_differs(a, b, 100), batch_differs(a, b, 5), batch_differs(a, a, 100)
    (5, None, None)
    """
    if a == b:
        return None
    for first, _ in stretches(a.breaks(), b.breaks(), end):
        one, other = a.piece_at(first), b.piece_at(first)
        if (one.batch_seqs, one.seq_len) != (other.batch_seqs, other.seq_len):
            return first
    return None


def curve_differs(a: Curve | None, b: Curve | None, clock: Batch, end: int) -> Differs | None:
    """Return the first step below `end` at which two curves differ.

    `clock` is a batch that both stages share before `end - 1`: it tells the tokens before a step.

    >>> from fractions import Fraction
    >>> from curriculum.batch import lay_out
    >>> def down(steps):
    ...     return Curve((Piece("cosine", "steps", 0, 0, steps, Fraction(1), Fraction(0)),))
    >>> curve_differs(down(100), down(200), lay_out([(1, 1, None)]), 100)
    Differs(step=1, is_certain=True)
    """
    if a is None or b is None:
        return None if a is b else Differs(0)
    if a == b:
        return None
    for first, until in stretches(a.breaks(), b.breaks(), end):
        found = _pieces_differ(a.piece_at(first), b.piece_at(first), clock, first, until)
        if found is not None:
            return found
    return None


def _pieces_differ(a: Piece, b: Piece, clock: Batch, first: int, until: int) -> Differs | None:
    if _reads(a) == _reads(b):
        return None
    for step in range(first, min(until, first + PROBES)):
        if _value(a, clock, step) != _value(b, clock, step):
            return Differs(step)
    if until - first <= PROBES or (_is_flat(a, clock, first) and _is_flat(b, clock, first)):
        return None
    return Differs(first + PROBES, is_certain=False)


def _value(piece: Piece, clock: Batch, step: int) -> float:
    return piece.value(clock.tokens_before(step) if piece.unit == "tokens" else step)


def _reads(piece: Piece) -> tuple[object, ...]:
    """What the values of a piece depend on: a constant and a decay without `to` have no end."""
    if piece.shape == "constant":
        return ("constant", piece.a)
    here = (piece.shape, piece.unit, piece.start, piece.a)
    if piece.knob is not None:
        return (*here, piece.knob)
    return (*here, piece.end, piece.b, piece.behind, piece.power)


def _is_flat(piece: Piece, clock: Batch, first: int) -> bool:
    """Say whether a piece has one value from a step on: a constant, or one past its end."""
    if piece.shape == "constant":
        return True
    if piece.knob is not None or piece.end is None:
        return False
    x = clock.tokens_before(first) if piece.unit == "tokens" else first
    return x >= piece.end


def shares_differ(a: Mixture, b: Mixture, end: int) -> tuple[int, tuple[str, ...]] | None:
    """Return the first step below `end` at which the shares of sources differ, and of which.

    A source that a mixture does not name has a share of 0. The answer is exact: two polynomials
    that agree at as many steps as they have coefficients are one.
    """
    if a.roots == b.roots and a.batch == b.batch:
        return None
    mine, its = ([s.first_step for s in mixture.segments] for mixture in (a, b))
    for first, until in stretches(mine, its, end):
        one, other = a.segment_at(first), b.segment_at(first)
        found: dict[str, int] = {}
        for name in sorted(one.sources.keys() | other.sources.keys()):
            step = _polynomials_differ(
                (one.sources.get(name, _NOTHING), first - one.first_step),
                (other.sources.get(name, _NOTHING), first - other.first_step),
                until - first,
            )
            if step is not None:
                found[name] = first + step
        if found:
            step = min(found.values())
            return step, tuple(name for name in found if found[name] == step)
    return None


_NOTHING = Polynomial((0,), 1)
_At = tuple[Polynomial, int]  # a polynomial, and where step 0 lies on it


def _polynomials_differ(a: _At, b: _At, steps: int) -> int | None:
    (one, i), (other, j) = a, b
    if one == other and (i == j or len(one.numerators) == 1):
        return None
    points = max(len(one.numerators), len(other.numerators))
    for step in range(min(points, steps)):
        if one.exact(i + step) != other.exact(j + step):
            return step
    return None
