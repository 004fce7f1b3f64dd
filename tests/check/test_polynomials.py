from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.check.polynomials import (
    extremes,
    first_failure,
    plus,
    sign,
    through,
    times,
    turns,
    value,
)

NUMBERS = st.fractions(-5, 5, max_denominator=6)
POLYS = st.lists(NUMBERS, max_size=5).map(lambda c: plus(tuple(c), ()))
SIGNS = [(-1, 0), (-1,), (0, 1), (1,), (0,), (-1, 1)]


@given(POLYS, st.integers(1, 60), st.sampled_from(SIGNS))
def test_the_first_failure_is_that_of_trying_every_step(
    p: tuple[Fraction, ...], steps: int, signs: tuple[int, ...]
) -> None:
    tried = [j for j in range(steps) if sign(value(p, j)) not in signs]
    assert first_failure(p, lambda s: s in signs, steps) == (tried[0] if tried else None)


@given(POLYS, POLYS, st.integers(-9, 9))
def test_sums_and_products(p: tuple[Fraction, ...], q: tuple[Fraction, ...], j: int) -> None:
    assert value(plus(p, q), j) == value(p, j) + value(q, j)
    assert value(plus(p, q, -1), j) == value(p, j) - value(q, j)
    assert value(times(p, q), j) == value(p, j) * value(q, j)
    assert times(p, ()) == ()


@given(POLYS)
def test_a_polynomial_goes_through_its_values(p: tuple[Fraction, ...]) -> None:
    assert through([value(p, j) for j in range(len(p))]) == p


@given(POLYS, st.integers(1, 40), st.data())
def test_extremes_are_those_of_all_steps(
    p: tuple[Fraction, ...], steps: int, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, steps - 1))
    end = data.draw(st.integers(start, steps - 1))
    all_ = [value(p, j) for j in range(start, end + 1)]
    assert extremes(p, start, end, turns(p, steps)) == (min(all_), max(all_))


def test_a_zero_between_two_steps_is_not_met() -> None:
    p = (Fraction(-5, 2), Fraction(1))  # 0 at 2.5
    assert first_failure(p, lambda s: s != 0, 10) is None
    assert first_failure(times(p, (Fraction(-3), Fraction(1))), lambda s: s != 0, 10) == 3


@pytest.mark.parametrize("steps", [10, 10**12])
def test_it_takes_no_longer_for_more_steps(steps: int) -> None:
    p = times((Fraction(1 - steps), Fraction(1)), (Fraction(-7), Fraction(1)))
    assert first_failure(p, lambda s: s <= 0, steps) == 0
    assert first_failure(p, lambda s: s >= 0, steps) == 8
