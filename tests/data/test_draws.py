"""Draws against a brute-force check of every prefix, and against themselves."""

from fractions import Fraction
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curriculum.data.draws import (
    Draws,
    ShareSegment,
    compile_draws,
    ideal_before,
    order,
)

NAMES = ["web", "code", "a-rare", "captions", "zz", "books"]


def share_at(segment: ShareSegment, source: int, step: int) -> Fraction:
    """The share by the definition of its Newton coefficients, with products instead of comb."""
    total, binomial = Fraction(0), Fraction(1)
    for k, c in enumerate(segment.shares[source]):
        total += c * binomial
        binomial = binomial * (step - segment.first_step - k) / (k + 1)
    return total


def newton(values: list[Fraction]) -> tuple[Fraction, ...]:
    """The Newton coefficients of the polynomial through values at 0, 1, 2, ..."""
    heads = []
    while values:
        heads.append(values[0])
        values = [b - a for a, b in pairwise(values)]
    return tuple(heads)


@st.composite
def mixtures(draw: st.DrawFn, size: int) -> list[Fraction]:
    """Shares that sum to 1, zeros and sources of one in a thousand among them."""
    weights = draw(
        st.lists(st.sampled_from([0, 1, 2, 3, 7, 50, 1000]), min_size=size, max_size=size).filter(
            any
        )
    )
    return [Fraction(w, sum(weights)) for w in weights]


@st.composite
def stages(draw: st.DrawFn) -> tuple[list[str], list[ShareSegment]]:
    """Constant stretches, ramps, and products of two ramps (a ramped group in a ramped group)."""
    size = draw(st.integers(1, 6))
    segments, first = [], 0
    for _ in range(draw(st.integers(1, 4))):
        steps = draw(st.integers(1, 60))
        ends = [draw(mixtures(size)) for _ in range(draw(st.sampled_from([1, 2, 3])))]
        ramp = [Fraction(j, steps) for j in range(5)]
        shares: tuple[tuple[Fraction, ...], ...]
        if len(ends) == 1:
            shares = tuple((share,) for share in ends[0])
        elif len(ends) == 2:
            shares = tuple((a, (b - a) / steps) for a, b in zip(*ends, strict=True))
        else:
            one, two, three = ends
            shares = tuple(
                newton([(1 - p) * ((1 - p) * a + p * b) + p * c for p in ramp])
                for a, b, c in zip(one, two, three, strict=True)
            )
        batch = draw(st.sampled_from([1, 2, 3, 16, 64, 1000]))
        segments.append(ShareSegment(first, first + steps, batch, shares))
        first += steps
    return draw(st.permutations(NAMES))[:size], segments


def check_every_prefix(names: list[str], segments: list[ShareSegment], draws: Draws) -> None:
    ideal = dict.fromkeys(names, Fraction(0))
    drawn = dict.fromkeys(names, 0)
    steps = draws.each(0, draws.steps)
    for segment in segments:
        for step in range(segment.first_step, segment.end_step):
            counts = dict(zip(draws.names, next(steps), strict=True))
            assert draws.before(step) == drawn
            assert draws.counts(step) == counts
            assert sum(counts.values()) == segment.batch_seqs
            assert min(counts.values()) >= 0
            for i, name in enumerate(names):
                ideal[name] += segment.batch_seqs * share_at(segment, i, step)
                drawn[name] += counts[name]
                assert abs(drawn[name] - ideal[name]) < 1
                assert ideal_before(segments, i, step + 1) == ideal[name]
    assert draws.before(draws.steps) == drawn
    assert not list(steps)


@settings(max_examples=150, deadline=None)
@given(stages())
def test_every_prefix_is_within_one_sequence_of_the_ideal(
    stage: tuple[list[str], list[ShareSegment]],
) -> None:
    names, segments = stage
    check_every_prefix(names, segments, compile_draws(names, segments))


@settings(max_examples=30, deadline=None)
@given(stages(), st.randoms(use_true_random=False))
def test_the_order_in_which_sources_are_written_changes_nothing(
    stage: tuple[list[str], list[ShareSegment]], random: Random
) -> None:
    names, segments = stage
    order_of = list(range(len(names)))
    random.shuffle(order_of)
    moved = [
        ShareSegment(s.first_step, s.end_step, s.batch_seqs, tuple(s.shares[i] for i in order_of))
        for s in segments
    ]
    one, other = (
        compile_draws(names, segments),
        compile_draws([names[i] for i in order_of], moved),
    )
    assert list(one.each(0, one.steps)) == list(other.each(0, other.steps))


@settings(max_examples=30, deadline=None)
@given(stages(), st.data())
def test_a_range_may_begin_and_end_anywhere(
    stage: tuple[list[str], list[ShareSegment]], data: st.DataObject
) -> None:
    draws = compile_draws(*stage)
    end = data.draw(st.integers(0, draws.steps))
    first = data.draw(st.integers(0, end))
    whole = list(draws.each(0, draws.steps))
    assert list(draws.each(first, end)) == whole[first:end]


def test_a_source_far_below_one_row_per_step_is_read_over_chunk_borders() -> None:
    rare = Fraction(1, 7001)
    segments = [ShareSegment(0, 15_000, 1, ((1 - rare,), (rare,)))]
    draws = compile_draws(["common", "rare"], segments)
    rows = [counts[1] for counts in draws.each(0, 15_000)]
    for step in range(0, 15_001, 500):
        assert abs(sum(rows[:step]) - rare * step) < 1
        assert draws.before(step)["rare"] == sum(rows[:step])
    assert sum(rows) in (2, 3)


def test_sources_that_retire_one_by_one_keep_the_bound() -> None:
    """The case in which drawing the largest deficit first falls behind by the harmonic number."""
    size = 24
    names = [f"s{i:02}" for i in range(size)]
    segments = [
        ShareSegment(
            k,
            k + 1,
            1,
            tuple((Fraction(1, size - k) if i >= k else Fraction(0),) for i in range(size)),
        )
        for k in range(size)
    ]
    check_every_prefix(names, segments, compile_draws(names, segments))


def test_the_memory_is_one_bit_per_source_and_step() -> None:
    segments = [ShareSegment(0, 10_000, 4096, tuple((Fraction(1, 6),) for _ in range(6)))]
    assert len(compile_draws(NAMES, segments)._bits) <= 10_000 * 6 // 8 + 2


@pytest.mark.parametrize(
    ("segments", "message"),
    [
        ([], "begin at step 0"),
        ([ShareSegment(1, 2, 1, ((Fraction(1),),))], "begin at step 0"),
        ([ShareSegment(0, 2, 1, ((Fraction(51, 50),),))], "steps 0 to 2: the shares do not sum"),
        ([ShareSegment(0, 2, 0, ((Fraction(1),),))], "at least one step and one sequence"),
        ([ShareSegment(0, 2, 1, ())], "0 shares for 1 sources"),
        (
            [
                ShareSegment(0, 2, 1, ((Fraction(1),),)),
                ShareSegment(3, 4, 1, ((Fraction(1),),)),
            ],
            "no segment begins at step 2",
        ),
    ],
)
def test_what_is_not_a_stage_is_refused(segments: list[ShareSegment], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compile_draws(["web"], segments)


def test_a_share_below_zero_is_refused() -> None:
    falls = ShareSegment(
        0, 9, 4, ((Fraction(1, 2), Fraction(-1, 8)), (Fraction(1, 2), Fraction(1, 8)))
    )
    with pytest.raises(ValueError, match="falls below 0"):
        compile_draws(["a", "b"], [falls])


def test_steps_outside_the_stage_are_refused() -> None:
    draws = compile_draws(["web"], [ShareSegment(0, 3, 2, ((Fraction(1),),))])
    for call in (lambda: draws.counts(3), lambda: draws.before(-1), lambda: next(draws.each(0, 4))):
        with pytest.raises(IndexError, match="stage of 3 steps"):
            call()


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), st.integers(0, 30), min_size=1), st.data())
def test_the_order_within_a_step_is_even(counts: dict[str, int], data: st.DataObject) -> None:
    row = order(counts)
    assert {name: row.count(name) for name in counts} == counts
    assert row == order(dict(reversed(counts.items())))
    start = data.draw(st.integers(0, len(row)))
    end = data.draw(st.integers(start, len(row)))
    for name, count in counts.items():
        # Any slice, a rank's or a micro-batch's, holds about its share.
        ideal = Fraction(count * (end - start), max(1, len(row)))
        assert abs(row[start:end].count(name) - ideal) < len(counts) + 1
