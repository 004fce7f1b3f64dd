"""Exact polynomials in Newton's form: what the shares of a mixture are, step by step"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import comb, factorial, lcm


@dataclass(frozen=True, slots=True)
class Polynomial:
    """An exact polynomial in j, as integer Newton coefficients over one denominator."""

    numerators: tuple[int, ...]
    denominator: int

    def value(self, j: int) -> float:
        """Return the value at j, correctly rounded.

        >>> Polynomial((1, 2), 10).value(3)
        0.7
        """
        numerators = self.numerators
        if len(numerators) == 1:
            return numerators[0] / self.denominator
        total = numerators[0] + numerators[1] * j
        for k in range(2, len(numerators)):
            total += numerators[k] * comb(j, k)
        return total / self.denominator

    def exact(self, j: int) -> Fraction:
        """Return the exact value at j.

        >>> Polynomial((1, 2), 10).exact(3)
        Fraction(7, 10)
        """
        total = sum(c * comb(j, k) for k, c in enumerate(self.numerators))
        return Fraction(total, self.denominator)

    def sum_before(self, j: int) -> Fraction:
        """Return the exact sum over 0 <= u < j.

        >>> Polynomial((1, 2), 10).sum_before(3)
        Fraction(9, 10)
        """
        total = sum(c * comb(j, k + 1) for k, c in enumerate(self.numerators))
        return Fraction(total, self.denominator)

    def part(self, steps: int, whole: int) -> Fraction:
        """Return this share of what the first `steps` steps read, each as much; of `whole` in all.

        Where the share is constant, steps need not be alike.

        >>> Polynomial((1, 2), 10).part(3, 24), Polynomial((1,), 2).part(3, 25)
        (Fraction(36, 5), Fraction(25, 2))
        """
        if len(self.numerators) == 1:
            return Fraction(self.numerators[0] * whole, self.denominator)
        return self.sum_before(steps) * whole / steps if steps else Fraction(0)

    def moved(self, start: int, stride: int, unit: int) -> "Polynomial":
        """Return the polynomial of i that this is at j = (start + i * stride) / unit, exactly.

        >>> Polynomial((1, 2), 10).moved(3, 1, 1)
        Polynomial(numerators=(7, 2), denominator=10)
        >>> Polynomial((1, 2), 10).moved(1, 3, 2)
        Polynomial(numerators=(4, 6), denominator=20)
        """
        degree = len(self.numerators) - 1
        if degree == 0 or (start, stride) == (0, unit):
            return self
        if degree == 1:  # most of all
            c0, c1 = self.numerators
            return Polynomial((c0 * unit + c1 * start, c1 * stride), self.denominator * unit)
        row = [self._scaled_at(start + i * stride, unit) for i in range(degree + 1)]
        numerators = []
        while row:
            numerators.append(row[0])
            row = [right - left for left, right in itertools.pairwise(row)]
        return Polynomial(tuple(numerators), self.denominator * factorial(degree) * unit**degree)

    def _scaled_at(self, x: int, unit: int) -> int:
        """The numerator at j = x / unit, times degree! unit^degree; comb(j, k) is a product."""
        degree = len(self.numerators) - 1
        total, product = 0, 1
        for k, c in enumerate(self.numerators):
            total += c * product * unit ** (degree - k) * (factorial(degree) // factorial(k))
            product *= x - k * unit
        return total

    def coefficients(self) -> tuple[Fraction, ...]:
        """Return the Newton coefficients as fractions."""
        return tuple(Fraction(c, self.denominator) for c in self.numerators)


def newton(samples: Sequence[Fraction]) -> Polynomial:
    """Return the polynomial of least degree through its values at 0, 1, 2, ...

    Source: Newton's forward differences, p(j) = sum_k D^k p(0) C(j, k).

    >>> newton([Fraction(1, 2), Fraction(1), Fraction(3, 2)])
    Polynomial(numerators=(1, 1), denominator=2)
    """
    if len(samples) == 1:
        return Polynomial((samples[0].numerator,), samples[0].denominator)
    coefficients: list[Fraction] = []
    row = list(samples)
    while row:
        coefficients.append(row[0])
        row = [right - left for left, right in itertools.pairwise(row)]
    while len(coefficients) > 1 and coefficients[-1] == 0:
        coefficients.pop()
    denominator = lcm(*(c.denominator for c in coefficients))
    return Polynomial(tuple(int(c * denominator) for c in coefficients), denominator)
