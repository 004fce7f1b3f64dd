"""A claim's side on a run of steps: polynomials in the step and in curves

Shares, batches, amounts and linear pieces are polynomials in the step j = step - first, exact. What
is left (a cosine, a root) is an atom: a piece of a curve with its height taken out, which rises or
falls all along; a piece that is another one times a number is that one's atom times the number.
Sides that are the same then cancel as symbols (`comparing.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import isqrt, log
from typing import NamedTuple

from curriculum.batch import Batch
from curriculum.check import polynomials
from curriculum.check.polynomials import Poly
from curriculum.curve import Piece

_HAVE_HEIGHT = ("linear", "cosine", "sqrt", "exponential", "rsqrt", "inverse", "power")
"""Shapes whose values grow with their ends: a and b times 2 are all values times 2."""

_PRODUCTS = ("exponential", "rsqrt", "inverse", "half_life")
"""Shapes whose error in the last place is one of the value, not of the ends."""


class Clock(NamedTuple):
    """What a piece reads at a step of the run: it begins at `first` and moves by `per_step`.

    Where the run has batches of several sizes, `batch` is what tells its tokens, and `first` the
    step that the run begins with.
    """

    first: int
    per_step: int
    batch: Batch | None = None

    @property
    def stands(self) -> bool:
        return self.batch is None and self.per_step == 0

    def at(self, j: int) -> int:
        """Return the position at a step of the run, in the unit of the piece."""
        if self.batch is not None:
            return self.batch.tokens_before(self.first + j)
        return self.first + j * self.per_step


class Atom(NamedTuple):
    """A piece of a curve over a run, on its clock."""

    piece: Piece
    clock: "Clock"

    def at(self, j: int) -> Fraction:
        """Return the value at a step of the run, as the plan gives it."""
        return Fraction(self.piece.value(self.clock.at(j)))

    def between(self, start: int, end: int) -> tuple[Fraction, Fraction]:
        """Return what all values from one step to another lie between.

        The shapes rise or fall all along; their floats do so up to a few units in the last place
        (cos, log and pow of the C library), which are added on both sides.
        """
        ends = self.at(start), self.at(end)
        if start == end or self.clock.stands:
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


class Form(NamedTuple):
    """A quotient of polynomials in j and atoms; `is_curve` where floats are behind it."""

    over: Terms
    under: Terms
    is_curve: bool = False


@dataclass(slots=True)
class Atoms:
    """The atoms of one run, each once."""

    found: list[Atom]

    def form(self, piece: Piece, clock: Clock, steps: int) -> Form:
        """Return a piece of a curve as a form on a run of so many steps."""
        if piece.end is not None and clock.at(0) >= piece.end:
            return constant(piece.b)._replace(is_curve=True)
        if piece.shape == "constant":
            return constant(piece.a)._replace(is_curve=True)
        if piece.shape == "linear" and clock.batch is None:
            samples = [piece.exact(clock.at(j)) for j in range(min(2, steps))]
            return Form({(): polynomials.through(samples)}, _ONE, True)
        height = (piece.a or piece.b) if piece.shape in _HAVE_HEIGHT else Fraction(1)
        if height == 0:
            return Form({}, _ONE, True)
        plain = replace(piece, first_step=0, a=piece.a / height, b=piece.b / height)
        if plain.knob is not None:  # such a piece depends on no end
            plain = replace(plain, end=None, b=plain.a)
        for number, known in enumerate(self.found):
            if known.clock == clock and (factor := proportion(plain, known.piece)) is not None:
                return Form({(number,): (height * factor,)}, _ONE, True)
        self.found.append(Atom(plain, clock))
        return Form({(len(self.found) - 1,): (height,)}, _ONE, True)

    def value(self, form: Form, j: int) -> Fraction:
        """Return the value at a step of the run; raises `ZeroDivisionError`."""
        return _value(self.found, form.over, j) / _value(self.found, form.under, j)


def proportion(piece: Piece, known: Piece) -> Fraction | None:
    """Return what one piece of height 1 is times another at every position of one clock.

    None where that is no fraction. An rsqrt is sqrt(k / (x + k - start)): two of them with the same
    k - start are in the proportion of the roots of their k, wherever each of them began.

    >>> one, four = Fraction(1), Fraction(4)
    >>> early = Piece("rsqrt", "steps", 0, 0, None, one, one, knob=one)
    >>> late = Piece("rsqrt", "steps", 0, 3, None, one, one, knob=four)
    >>> proportion(late, early), late.value(8) / early.value(8)
    (Fraction(2, 1), 2.0)
    """
    if piece == known:
        return Fraction(1)
    if piece.shape != "rsqrt" or known.shape != "rsqrt" or piece.unit != known.unit:
        return None
    assert piece.knob is not None
    assert known.knob is not None
    if piece.knob - piece.start != known.knob - known.start:
        return None
    square = piece.knob / known.knob
    factor = Fraction(isqrt(square.numerator), isqrt(square.denominator))
    return factor if factor**2 == square else None


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
        over, under = summed(one.over, other.over, factor), one.under
    else:
        over = summed(product(one.over, other.under), product(other.over, one.under), factor)
        under = product(one.under, other.under)
    return Form(over, under, one.is_curve or other.is_curve)


def multiplied(one: Form, other: Form) -> Form:
    """Return one times other."""
    curve = one.is_curve or other.is_curve
    return Form(product(one.over, other.over), product(one.under, other.under), curve)


def divided(one: Form, other: Form) -> Form:
    """Return one by other; whether that is 0 is asked where the form is compared."""
    curve = one.is_curve or other.is_curve
    return Form(product(one.over, other.under), product(one.under, other.over), curve)


def summed(one: Terms, other: Terms, factor: int) -> dict[tuple[int, ...], Poly]:
    """Return one + factor other."""
    total = dict(one)
    for key, poly in other.items():
        total[key] = polynomials.plus(total.get(key, polynomials.ZERO), poly, factor)
    return {key: poly for key, poly in total.items() if poly}


def negated(terms: Terms) -> Terms:
    """Return -terms."""
    return summed({}, terms, -1)


def product(one: Terms, other: Terms) -> Terms:
    """Return one times other."""
    if other == _ONE:
        return one
    total: dict[tuple[int, ...], Poly] = {}
    for key, poly in one.items():
        for more, factor in other.items():
            both = tuple(sorted((*key, *more)))
            part = polynomials.times(poly, factor)
            total[both] = polynomials.plus(total.get(both, polynomials.ZERO), part)
    return {key: poly for key, poly in total.items() if poly}


def _value(atoms: Sequence[Atom], terms: Terms, j: int) -> Fraction:
    total = Fraction(0)
    for key, poly in terms.items():
        part = polynomials.value(poly, j)
        for number in key:
            part *= atoms[number].at(j)
        total += part
    return total
