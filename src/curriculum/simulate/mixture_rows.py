"""Columns of the mixture: each source's share in a step, and what was asked of it before"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import lcm

import polars as pl

from curriculum.mixture import Segment
from curriculum.plan import Plan, Stage
from curriculum.polynomial import Polynomial
from curriculum.simulate.columns import Part, cut_rows, joined, polynomial_rows, same


def mixture_rows(
    plan: Plan,
    names: Sequence[str],
    stage: Stage,
    steps: Sequence[int],
    tokens: Sequence[int],
) -> Iterator[pl.Series]:
    """Yield the shares, then the ideal tokens; `tokens` were seen in the stage before each step."""
    segments = stage.mixture.segments
    runs = [
        (stage.mixture.segment_at(steps[low]), low, high)
        for low, high in cut_rows(steps, [segment.first_step for segment in segments])
    ]
    own = set(stage.mixture.sources)
    for name in names:
        if name not in own:
            yield same(f"ratio.{name}", 0.0, len(steps))
            continue
        shares = [
            polynomial_rows(s.sources[name], s.first_step, steps[low:high]) for s, low, high in runs
        ]
        yield joined(f"ratio.{name}", shares)
    before = ancestor_tokens(plan, stage.name)
    for name in names:
        total = before.get(name, Fraction(0))
        if name not in own:
            yield same(f"tokens.{name}", float(total), len(steps))
            continue
        totals: dict[int, Fraction] = {}
        for segment in segments:
            totals[segment.first_step] = total
            total += stage.mixture.part_of(segment, segment.sources[name])
        sums = [
            _sums(stage, s, name, totals[s.first_step], steps[low:high], tokens[low:high])
            for s, low, high in runs
        ]
        yield joined(f"tokens.{name}", sums)


def ancestor_tokens(plan: Plan, name: str) -> dict[str, Fraction]:
    """Return the exact tokens of every source that the ancestors' shares ask for."""
    totals: dict[str, Fraction] = {}
    for stage, step in plan.ancestors(name):
        for source, tokens in stage.mixture.ideal_tokens(step).items():
            totals[source] = totals.get(source, Fraction(0)) + tokens
    return totals


def _sums(
    stage: Stage,
    segment: Segment,
    name: str,
    before: Fraction,
    steps: Sequence[int],
    tokens: Sequence[int],
) -> Part:
    """Return the ideal tokens of a source before some steps of a segment, the nearest floats."""
    share, first = segment.sources[name], segment.first_step
    if len(share.numerators) > 1:
        per_step = stage.batch.piece_at(first).tokens_per_step
        return polynomial_rows(_cumulative(before, share, per_step), first, steps)
    # The batch may change in the segment: a constant share follows the tokens, not the steps.
    scale = lcm(before.denominator, share.denominator)
    factor = share.numerators[0] * (scale // share.denominator)
    base = int(before * scale) - factor * stage.batch.tokens_before(first)
    if factor == 0:
        return base / scale, len(steps)
    return [(base + factor * seen) / scale for seen in tokens]


def _cumulative(before: Fraction, share: Polynomial, per_step: int) -> Polynomial:
    """Return `before + per_step * share.sum_before(j)` as a polynomial of j, exactly.

    The sum of c_k C(u, k) over u < j is c_k C(j, k + 1): each coefficient moves up by one.
    """
    scale = lcm(before.denominator, share.denominator)
    factor = per_step * (scale // share.denominator)
    return Polynomial((int(before * scale), *(factor * c for c in share.numerators)), scale)
