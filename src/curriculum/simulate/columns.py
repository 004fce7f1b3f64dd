"""Columns of the timeline: made of runs of steps, constant ones never evaluated step by step"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import polars as pl

from curriculum.polynomial import Polynomial

Part = list[float] | tuple[float, int]
"""Some rows of a column: their values, or one value and how many rows have it."""

_FEW_PARTS = 64  # a series of equal values is quick to fill and slow to begin


def polynomial_rows(polynomial: Polynomial, first_step: int, steps: Sequence[int]) -> Part:
    """Return the values of a polynomial of `step - first_step` at some steps."""
    numerators = polynomial.numerators
    if not any(numerators[1:]):
        return polynomial.value(0), len(steps)
    if len(numerators) == 2:
        # `Polynomial.value`, written out: a table has a column of them for every linear share.
        a, b, denominator = *numerators, polynomial.denominator
        return [(a + b * (step - first_step)) / denominator for step in steps]
    return [polynomial.value(step - first_step) for step in steps]


def cut_rows(steps: Sequence[int], breaks: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield the index ranges of `steps` (sorted) between the breaks, those that hold a step."""
    cuts = sorted({0, len(steps), *(bisect_left(steps, b) for b in breaks)})
    yield from pairwise(cuts)


def joined(name: str, parts: Sequence[Part], dtype: type[pl.DataType] = pl.Float64) -> pl.Series:
    """Return a column of its parts: a few as they are, the many of a ramp as one list."""
    if len(parts) <= _FEW_PARTS:
        return pl.concat([_part(part, dtype) for part in parts]).alias(name)
    rows: list[float] = []
    for part in parts:
        rows += [part[0]] * part[1] if isinstance(part, tuple) else part
    return pl.Series(name, rows, dtype=dtype)


def _part(part: Part, dtype: type[pl.DataType]) -> pl.Series:
    return same("", *part, dtype) if isinstance(part, tuple) else pl.Series(part, dtype=dtype)


def same(
    name: str, value: float | str | None, rows: int, dtype: type[pl.DataType] = pl.Float64
) -> pl.Series:
    """Return a column of one value."""
    return pl.repeat(value, rows, dtype=dtype, eager=True).alias(name)
