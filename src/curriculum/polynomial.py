"""Exact polynomials in the step: integer Newton coefficients over one denominator"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import comb, lcm


@dataclass(frozen=True, slots=True)
class Polynomial:
    """An exact polynomial in j: sum_k numerators[k] C(j, k) / denominator."""

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

    def coefficients(self) -> tuple[Fraction, ...]:
        """Return the Newton coefficients as fractions."""
        return tuple(Fraction(c, self.denominator) for c in self.numerators)


def through(samples: Sequence[Fraction]) -> Polynomial:
    """Return the polynomial of least degree with these values at j = 0, 1, ...

    >>> through([Fraction(1, 10), Fraction(3, 10), Fraction(1, 2)])
    Polynomial(numerators=(1, 2), denominator=10)
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
