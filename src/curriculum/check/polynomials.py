"""Exact polynomials in steps: where one first breaks a comparison

A polynomial is the tuple of its coefficients, p(j) = sum_k c_k j^k over the steps j = 0 .. n - 1.
Between its turns it rises or falls, so that the ends of each such part decide.
"""

import itertools
from collections.abc import Callable, Sequence
from fractions import Fraction
from math import comb

Poly = tuple[Fraction, ...]

ZERO: Poly = ()


def plus(p: Poly, q: Poly, factor: int = 1) -> Poly:
    """Return p + factor q.

    >>> plus((Fraction(1),), (Fraction(1), Fraction(2)), -1)
    (Fraction(0, 1), Fraction(-2, 1))
    """
    if not p and factor == 1:
        return q
    pairs = itertools.zip_longest(p, q, fillvalue=Fraction(0))
    return _trimmed([a + factor * b for a, b in pairs])


def times(p: Poly, q: Poly) -> Poly:
    """Return p q.

    >>> times((Fraction(1), Fraction(1)), (Fraction(-1), Fraction(1)))
    (Fraction(-1, 1), Fraction(0, 1), Fraction(1, 1))
    """
    if not p or not q:
        return ZERO
    if len(q) == 1:
        return _trimmed([a * q[0] for a in p])
    product = [Fraction(0)] * (len(p) + len(q) - 1)
    for i, a in enumerate(p):
        for k, b in enumerate(q):
            product[i + k] += a * b
    return _trimmed(product)


def value(p: Poly, j: int) -> Fraction:
    """Return p(j), exactly.

    >>> value((Fraction(1), Fraction(1, 2)), 3)
    Fraction(5, 2)
    """
    if not p:
        return Fraction(0)
    total = p[-1]
    for coefficient in p[-2::-1]:
        total = total * j + coefficient
    return total


def through(samples: Sequence[Fraction]) -> Poly:
    """Return the polynomial of least degree through the values at j = 0, 1, 2 and so on.

    >>> through([Fraction(0), Fraction(1), Fraction(4)])
    (Fraction(0, 1), Fraction(0, 1), Fraction(1, 1))
    """
    if len(samples) <= 2:  # most of all
        steps = (right - left for left, right in itertools.pairwise(samples))
        return _trimmed([*samples[:1], *steps])
    total, row = ZERO, list(samples)
    basis: Poly = (Fraction(1),)
    for k in range(len(samples)):
        total = plus(total, times(basis, (row[0],)))
        row = [right - left for left, right in itertools.pairwise(row)]
        basis = times(basis, (Fraction(-k, k + 1), Fraction(1, k + 1)))  # C(j, k + 1)
    return total


def turns(p: Poly, steps: int) -> list[int]:
    """Return the steps within 0 .. steps - 1 at which p turns from rising to falling or back.

    >>> turns((Fraction(0), Fraction(-5), Fraction(1)), 10)
    [2]
    """
    if len(p) <= 2 or steps <= 2:
        return []
    slope, last = _slope(p), steps - 2
    found: list[int] = []
    for start, end in itertools.pairwise([0, *turns(slope, steps - 1), last]):
        if sign(value(slope, start)) * sign(value(slope, end)) < 0:
            found.append(_crossing(slope, start, end))
    return found


def extremes(p: Poly, start: int, end: int, at: Sequence[int]) -> tuple[Fraction, Fraction]:
    """Return the least and the greatest value on start .. end; `at` are the turns of p."""
    if len(p) <= 1:
        constant = value(p, 0)
        return constant, constant
    found = [value(p, j) for j in (start, end, *(t for t in at if start < t < end))]
    return min(found), max(found)


def first_failure(p: Poly, holds: Callable[[int], bool], steps: int) -> int | None:
    """Return the first step at which the sign of p is not one that `holds`; None if there is none.

    `holds` takes -1, 0 or 1, and is true of neighbouring signs or of both but 0.

    >>> first_failure((Fraction(-3), Fraction(1)), lambda s: s <= 0, 10)
    4
    >>> first_failure((Fraction(-3), Fraction(1)), lambda s: s != 0, 10)
    3
    """
    if not holds(sign(value(p, 0))):
        return 0
    if len(p) <= 1:
        return None
    ends = sorted({0, *turns(p, steps), steps - 1})
    for start, end in itertools.pairwise(ends):
        first, last = sign(value(p, start)), sign(value(p, end))
        if not holds(last):
            return first_where(lambda j: not holds(sign(value(p, j))), start, end)
        if first * last < 0 and not holds(0):
            middle = _crossing(p, start, end)
            if value(p, middle) == 0:
                return middle
    return None


def first_where(true: Callable[[int], bool], start: int, end: int) -> int:
    """Return the first step behind `start` where something is true that is true from there on."""
    while end - start > 1:
        middle = (start + end) // 2
        start, end = (start, middle) if true(middle) else (middle, end)
    return end


def sign(number: Fraction) -> int:
    """Return -1, 0 or 1."""
    return (number.numerator > 0) - (number.numerator < 0)


def _crossing(p: Poly, start: int, end: int) -> int:
    """Return the first step at which the sign is no longer that at `start`."""
    first = sign(value(p, start))
    return first_where(lambda j: sign(value(p, j)) != first, start, end)


def _slope(p: Poly) -> Poly:
    """Return p(j + 1) - p(j)."""
    slope = [Fraction(0)] * (len(p) - 1)
    for power, coefficient in enumerate(p):
        for k in range(power):
            slope[k] += coefficient * comb(power, k)
    return _trimmed(slope)


def _trimmed(coefficients: list[Fraction]) -> Poly:
    while coefficients and coefficients[-1] == 0:
        coefficients.pop()
    return tuple(coefficients)
