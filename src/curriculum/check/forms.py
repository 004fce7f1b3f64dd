"""What a claim's side is on a run of steps: a quotient of polynomials in the step and in curves

Shares, batches, amounts and linear pieces are polynomials in the step j = step - first, exact. What
is left (a cosine, a root) is an atom: a piece of a curve with its height taken out, which rises or
falls all along. Sides that are the same then cancel as symbols, and only what remains is evaluated:
between two steps an atom lies between its values there, and where that does not decide, the run is
cut in two, down to single steps. Nothing is sampled.

    left  =  n1 / d1                           sign of left - right
    right =  n2 / d2                         = sign of (n1 d2 - n2 d1) d1 d2
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import log

from curriculum.check import polynomials
from curriculum.check.polynomials import Poly
from curriculum.claims import Order
from curriculum.curve import Piece

TOLERANCE = Fraction(1, 10**12)
"""Curve values closer than this part of what is compared are equal: floats, as in the audit."""

MAX_CUTS = 20_000
"""Evaluations that a relation may cost on one run before it counts as undecided."""

HOLDS: Mapping[Order, tuple[int, ...]] = {
    "<=": (-1, 0), "<": (-1,), ">=": (0, 1), ">": (1,), "==": (0,), "!=": (-1, 1),
}  # fmt: skip
"""The signs of left - right with which each comparison holds."""

_HAVE_HEIGHT = ("cosine", "sqrt", "exponential", "rsqrt", "inverse", "power")

"""Shapes whose values grow with their ends: a and b times 2 are all values times 2."""

_PRODUCTS = ("exponential", "rsqrt", "inverse", "half_life")
"""Shapes whose error in the last place is one of the value, not of the ends."""


class Undecided(Exception):
    """More cuts than anybody wants to wait for."""


class DividesByZero(Exception):
    """A divisor is 0 at `step` of the run."""

    def __init__(self, step: int) -> None:
        self.step = step
        Exception.__init__(self, step)


@dataclass(frozen=True, slots=True)
class Atom:
    """A piece of a curve over a run: its clock stands at `first` and moves by `per_step`."""

    piece: Piece
    first: int
    per_step: int

    def at(self, j: int) -> Fraction:
        """Return the value at a step of the run, as the plan gives it."""
        return Fraction(self.piece.value(self.first + j * self.per_step))

    def between(self, start: int, end: int) -> tuple[Fraction, Fraction]:
        """Return what all values from one step to another lie between.

        The shapes rise or fall all along; their floats do so up to a few units in the last place
        (cos, log and pow of the C library), which are added on both sides.
        """
        ends = self.at(start), self.at(end)
        if start == end or self.per_step == 0:
            return ends[0], ends[0]
        smallest = min((abs(x) for x in ends if x), default=Fraction(1))
        noise = max(map(abs, ends)) * _growth(smallest)
        if self.piece.shape not in _PRODUCTS:
            noise += max(abs(self.piece.a), abs(self.piece.b)) * Fraction(1, 2**48)
        low, high = min(ends) - noise, max(ends) + noise
        return (max(low, Fraction(0)) if self.piece.a >= 0 and self.piece.b >= 0 else low), high


def _growth(smallest: Fraction) -> Fraction:
    """Return how much a power's exponent makes of an error in the last place."""
    return Fraction(int(8 + 8 * abs(log(float(smallest) or 1e-300))), 2**50)


Terms = Mapping[tuple[int, ...], Poly]
"""Products of atoms (by number, sorted, each as often as it stands) with their coefficients."""


@dataclass(frozen=True, slots=True)
class Form:
    """A quotient of polynomials in j and atoms; `is_curve` where floats are behind it."""

    over: Terms
    under: Terms
    is_curve: bool = False


@dataclass(slots=True)
class Atoms:
    """The atoms of one run, each once."""

    found: list[Atom]

    def form(self, piece: Piece, first: int, per_step: int, steps: int) -> Form:
        """Return a piece of a curve, or of a ratio, as a form."""
        if piece.end is not None and first >= piece.end:
            return replace(constant(piece.b), is_curve=True)
        if piece.shape == "constant":
            return replace(constant(piece.a), is_curve=True)
        if piece.shape == "linear":
            samples = [piece.exact(first + j * per_step) for j in range(min(2, steps))]
            return Form({(): polynomials.through(samples)}, _ONE, True)
        height = (piece.a or piece.b) if piece.shape in _HAVE_HEIGHT else Fraction(1)
        if height == 0:
            return Form({}, _ONE, True)
        plain = replace(piece, first_step=0, a=piece.a / height, b=piece.b / height)
        atom = Atom(plain, first, per_step if steps > 1 else 0)
        if atom not in self.found:
            self.found.append(atom)
        return Form({(self.found.index(atom),): (height,)}, _ONE, True)

    def relation_fails(self, left: Form, order: Order, right: Form, steps: int) -> int | None:
        """Return the first step of the run at which a relation does not hold; None if none.

        Raises `DividesByZero` and `Undecided`.
        """
        for side in (left, right):
            self._require_divisor(side.under, steps)
        one, other = _product(left.over, right.under), _product(right.over, left.under)
        for divisor in (left.under, right.under):
            if set(divisor) != {()} or len(divisor[()]) > 1:
                one, other = _product(one, divisor), _product(other, divisor)
            elif divisor[()][0] < 0:
                one, other = _negative(one), _negative(other)
        signs = HOLDS[order]
        difference = _sum(one, other, -1)
        if not (left.is_curve or right.is_curve):
            poly = difference.get((), polynomials.ZERO)
            return polynomials.first_failure(poly, lambda s: s in signs, steps)
        compared = _Compared(self.found, difference, [*one.items(), *other.items()], TOLERANCE)
        return compared.first_failure(signs, steps)

    def value(self, form: Form, j: int) -> Fraction:
        """Return the value at a step of the run; raises `ZeroDivisionError`."""
        return _value(self.found, form.over, j) / _value(self.found, form.under, j)

    def _require_divisor(self, terms: Terms, steps: int) -> None:
        if set(terms) == {()}:
            zero = polynomials.first_failure(terms[()], bool, steps)
        elif terms:
            compared = _Compared(self.found, terms, list(terms.items()), Fraction(0))
            zero = compared.first_failure(HOLDS["!="], steps)
        else:
            zero = 0
        if zero is not None:
            raise DividesByZero(zero)


_ONE: Terms = {(): (Fraction(1),)}


def constant(number: Fraction | int) -> Form:
    """Return a number as a form."""
    return polynomial((Fraction(number),) if number else ())


def polynomial(poly: Poly) -> Form:
    """Return an exact polynomial in the run's steps as a form."""
    return Form({(): poly} if poly else {}, _ONE)


def added(one: Form, other: Form, factor: int = 1) -> Form:
    """Return one + factor other."""
    if one.under == other.under:
        over, under = _sum(one.over, other.over, factor), one.under
    else:
        over = _sum(_product(one.over, other.under), _product(other.over, one.under), factor)
        under = _product(one.under, other.under)
    return Form(over, under, one.is_curve or other.is_curve)


def multiplied(one: Form, other: Form) -> Form:
    """Return one times other."""
    curve = one.is_curve or other.is_curve
    return Form(_product(one.over, other.over), _product(one.under, other.under), curve)


def divided(one: Form, other: Form) -> Form:
    """Return one by other; whether that is 0 is asked where the form is compared."""
    curve = one.is_curve or other.is_curve
    return Form(_product(one.over, other.under), _product(one.under, other.over), curve)


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
        turns = {poly: polynomials.turns(poly, steps) for poly in self._polys()}
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
        at_least = sum((_least(lo, hi) for lo, hi in sizes), Fraction(0)) * self.tolerance
        at_most = sum((max(abs(lo), abs(hi)) for lo, hi in sizes), Fraction(0)) * self.tolerance
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
        low, high = polynomials.extremes(poly, start, end, turns[poly])
        for number in key:
            least, most = self.atoms[number].between(start, end)
            ends = (low * least, low * most, high * least, high * most)
            low, high = min(ends), max(ends)
        return low, high

    def _polys(self) -> set[Poly]:
        return {*self.terms.values(), *(poly for _, poly in self.parts)}


def _least(low: Fraction, high: Fraction) -> Fraction:
    """Return the least size between two numbers."""
    return Fraction(0) if low <= 0 <= high else min(abs(low), abs(high))


def _sum(one: Terms, other: Terms, factor: int) -> dict[tuple[int, ...], Poly]:
    total = dict(one)
    for key, poly in other.items():
        total[key] = polynomials.plus(total.get(key, polynomials.ZERO), poly, factor)
    return {key: poly for key, poly in total.items() if poly}


def _negative(terms: Terms) -> Terms:
    return _sum({}, terms, -1)


def _product(one: Terms, other: Terms) -> Terms:
    if other == _ONE:
        return one
    total: dict[tuple[int, ...], Poly] = {}
    for key, poly in one.items():
        for more, factor in other.items():
            both = tuple(sorted((*key, *more)))
            product = polynomials.times(poly, factor)
            total[both] = polynomials.plus(total.get(both, polynomials.ZERO), product)
    return {key: poly for key, poly in total.items() if poly}


def _value(atoms: Sequence[Atom], terms: Terms, j: int) -> Fraction:
    total = Fraction(0)
    for key, poly in terms.items():
        product = polynomials.value(poly, j)
        for number in key:
            product *= atoms[number].at(j)
        total += product
    return total
