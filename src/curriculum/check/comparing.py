"""Where a relation between two forms first fails, on a run of steps

    left  =  n1 / d1                           sign of left - right
    right =  n2 / d2                         = sign of (n1 d2 - n2 d1) d1 d2

Without curves that is a polynomial in the step, decided exactly. With them, what remains when the
same has cancelled is evaluated: between two steps a curve lies between its values there, and where
that does not decide, the run is cut in two, down to single steps. Nothing is sampled.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from curriculum.check import polynomials
from curriculum.check.forms import Atom, Form, Terms, negated, product, summed
from curriculum.check.polynomials import Poly
from curriculum.claims import Order

TOLERANCE = Fraction(1, 10**12)
"""Curve values closer than this part of what is compared are equal: floats, as in the audit."""

MAX_CUTS = 20_000
"""Evaluations that a relation may cost on one run before it counts as undecided."""

HOLDS: Mapping[Order, tuple[int, ...]] = {
    "<=": (-1, 0), "<": (-1,), ">=": (0, 1), ">": (1,), "==": (0,), "!=": (-1, 1),
}  # fmt: skip
"""The signs of left - right with which each comparison holds."""


class Undecided(Exception):
    """More cuts than anybody wants to wait for."""


class DividesByZero(Exception):
    """A divisor is 0 at `step` of the run."""

    def __init__(self, step: int) -> None:
        self.step = step
        Exception.__init__(self, step)


def first_failure(
    atoms: Sequence[Atom], left: Form, order: Order, right: Form, steps: int
) -> int | None:
    """Return the first step of the run at which a relation does not hold; None if none.

    Raises `DividesByZero` and `Undecided`.
    """
    for side in (left, right):
        _require_divisor(atoms, side.under, steps)
    one, other = product(left.over, right.under), product(right.over, left.under)
    for divisor in (left.under, right.under):
        if set(divisor) != {()} or len(divisor[()]) > 1:
            one, other = product(one, divisor), product(other, divisor)
        elif divisor[()][0] < 0:
            one, other = negated(one), negated(other)
    signs = HOLDS[order]
    difference = summed(one, other, -1)
    if not (left.is_curve or right.is_curve):
        poly = difference.get((), polynomials.ZERO)
        return polynomials.first_failure(poly, lambda s: s in signs, steps)
    compared = _Compared(atoms, difference, [*one.items(), *other.items()], TOLERANCE)
    return compared.first_failure(signs, steps)


def _require_divisor(atoms: Sequence[Atom], terms: Terms, steps: int) -> None:
    if set(terms) == {()}:
        zero = polynomials.first_failure(terms[()], bool, steps)
    elif terms:
        compared = _Compared(atoms, terms, list(terms.items()), Fraction(0))
        zero = compared.first_failure(HOLDS["!="], steps)
    else:
        zero = 0
    if zero is not None:
        raise DividesByZero(zero)


@dataclass(slots=True)
class _Compared:
    """Terms whose sum is compared with 0; `parts` before they cancelled say what is small."""

    atoms: Sequence[Atom]
    terms: Terms
    parts: Sequence[tuple[tuple[int, ...], Poly]]
    tolerance: Fraction
    cuts: int = 0

    def first_failure(self, signs: tuple[int, ...], steps: int) -> int | None:
        """Look from left to right, in halves where the whole does not decide."""
        turns = {poly: polynomials.turns(poly, steps) for poly in self._curved()}
        waiting = [(0, steps - 1)]
        while waiting:
            start, end = waiting.pop()
            self.cuts += 1
            if self.cuts > MAX_CUTS:
                raise Undecided
            possible = self._signs(start, end, turns)
            if not possible & set(signs):
                return start
            if possible <= set(signs):
                continue
            middle = (start + end) // 2
            waiting += [(middle + 1, end), (start, middle)]
        return None

    def _signs(self, start: int, end: int, turns: Mapping[Poly, list[int]]) -> set[int]:
        """Return the signs that may occur; at a single step there is one."""
        low = high = Fraction(0)
        for key, poly in self.terms.items():
            least, most = self._between(key, poly, start, end, turns)
            low, high = low + least, high + most
        sizes = [self._between(key, poly, start, end, turns) for key, poly in self.parts]
        at_most = sum((max(abs(lo), abs(hi)) for lo, hi in sizes), Fraction(0)) * self.tolerance
        if low > at_most or high < -at_most:  # most of all: `at_least` is no more than that
            return {polynomials.sign(low)}
        at_least = sum((_least(lo, hi) for lo, hi in sizes), Fraction(0)) * self.tolerance
        possible = set()
        if low < -at_least:
            possible.add(-1)
        if high > at_least:
            possible.add(1)
        if low <= at_most and high >= -at_most:
            possible.add(0)
        return possible

    def _between(
        self,
        key: tuple[int, ...],
        poly: Poly,
        start: int,
        end: int,
        turns: Mapping[Poly, list[int]],
    ) -> tuple[Fraction, Fraction]:
        at = turns[poly] if len(poly) > 2 else ()
        low, high = polynomials.extremes(poly, start, end, at)
        for number in key:
            least, most = self.atoms[number].between(start, end)
            ends = (low * least, low * most, high * least, high * most)
            low, high = min(ends), max(ends)
        return low, high

    def _curved(self) -> set[Poly]:
        """Return the polynomials that may turn: not a constant, and no line."""
        polys = (*self.terms.values(), *(poly for _, poly in self.parts))
        return {poly for poly in polys if len(poly) > 2}


def _least(low: Fraction, high: Fraction) -> Fraction:
    """Return the least size between two numbers."""
    return Fraction(0) if low <= 0 <= high else min(abs(low), abs(high))
