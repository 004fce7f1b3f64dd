from decimal import Decimal, getcontext
from fractions import Fraction
from math import cos, e, log, pi, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.batch import Batch
from curriculum.curve import SHAPES, ClockUnit, Curve, Piece, Shape, constant
from strategies import batches, curves

A, B = Fraction(3, 4), Fraction(1, 8)
getcontext().prec = 50


def piece(shape: Shape, a: Fraction = A, b: Fraction = B, knob: Fraction | None = None) -> Piece:
    """Return a piece that runs from 100 to 500."""
    return Piece(shape, "tokens", 0, 100, 500, a, b, knob)


# Every formula against an independent computation, in 50 decimals

P = Decimal(150) / 400  # x = 250
WORKED = {
    "constant": Decimal("0.75"),
    "linear": Decimal("0.75") - Decimal("0.625") * P,
    # cos(3 pi / 8) = sqrt(2 - sqrt 2) / 2
    "cosine": Decimal("0.125") + Decimal("0.625") * (1 + (2 - Decimal(2).sqrt()).sqrt() / 2) / 2,
    "sqrt": Decimal("0.75") - Decimal("0.625") * P.sqrt(),
    "exponential": Decimal("0.75") * (P * (Decimal(1) / 6).ln()).exp(),
    # The half-life of a factor f is ln(1/2) / ln(f); it is linear between both.
    "half_life": (
        Decimal("0.5").ln()
        / (
            (1 - P) * (Decimal("0.5").ln() / Decimal("0.75").ln())
            + P * (Decimal("0.5").ln() / Decimal("0.125").ln())
        )
    ).exp(),
}


@pytest.mark.parametrize("shape", WORKED)
def test_a_shape_is_its_formula(shape: Shape) -> None:
    assert piece(shape).value(250) == pytest.approx(float(WORKED[shape]), rel=4e-16)


def test_rsqrt_and_half_lives_are_their_formulas() -> None:
    rsqrt = piece("rsqrt", knob=Fraction(50))
    assert rsqrt.value(250) == 0.75 * sqrt(50 / 200) == 0.375
    halving = piece("exponential", knob=Fraction(60))
    assert halving.value(220) == 0.75 / 4
    assert halving.value(130) == pytest.approx(0.75 * 2**-0.5, rel=1e-15)


def test_every_shape_is_tested() -> None:
    assert {*WORKED, "rsqrt"} == set(SHAPES)


@pytest.mark.parametrize("shape", ["linear", "cosine", "sqrt", "exponential", "half_life"])
def test_a_piece_begins_at_a_and_ends_exactly_at_b(shape: Shape) -> None:
    a, b = Fraction("4.2e-4"), Fraction("4.2e-5")
    whole = Piece(shape, "tokens", 0, 0, 3_000_000_000_001, a, b)
    assert whole.value(0) == pytest.approx(4.2e-4, rel=1e-15)
    assert whole.value(3_000_000_000_001) == 4.2e-5
    assert whole.value(3_000_000_000_001 + 7) == 4.2e-5
    assert whole.value(3_000_000_000_000) == pytest.approx(4.2e-5, rel=1e-5)


def test_a_warm_up_from_0_has_0_at_step_0_and_its_peak_at_its_length() -> None:
    # Megatron and others start at 1 / warmup or reach the peak a step early or late.
    warm = Piece("linear", "steps", 0, 0, 2000, Fraction(0), Fraction("4.2e-4"))
    assert [warm.value(s) for s in (0, 1, 1000, 2000)] == [0.0, 2.1e-7, 2.1e-4, 4.2e-4]
    assert warm.value(1999) < 4.2e-4


def test_sqrt_is_the_1_sqrt_decay_and_exponential_is_geometric() -> None:
    one, zero = Fraction(1), Fraction(0)
    assert [piece("sqrt", one, zero).value(x) for x in (100, 200, 500)] == [1.0, 0.5, 0.0]
    tenth = piece("exponential", one, Fraction(1, 100))
    assert tenth.value(300) == pytest.approx(0.1, rel=1e-15)  # Megatron's would be 0.42
    assert piece("cosine", one, zero).value(200) == pytest.approx((1 + cos(pi / 4)) / 2, rel=1e-15)


def test_half_life_runs_from_one_ema_factor_to_another() -> None:
    # AdEMAMix, beta3 from .9 to .9999: linear in t_half, so beta3 = exp(ln .9 ln .9999 / mix).
    a, b = Fraction("0.9"), Fraction("0.9999")
    p = 0.25
    mix = (1 - p) * log(0.9999) + p * log(0.9)
    assert piece("half_life", a, b).value(200) == pytest.approx(
        e ** (log(0.9) * log(0.9999) / mix), rel=1e-14
    )


@pytest.mark.parametrize("shape", ["linear", "cosine", "sqrt", "exponential", "half_life", "rsqrt"])
@given(x=st.integers(100, 500), y=st.integers(100, 500))
def test_a_piece_that_falls_never_rises(shape: Shape, x: int, y: int) -> None:
    falling = piece(shape, knob=Fraction(80) if shape == "rsqrt" else None)
    assert falling.value(min(x, y)) >= falling.value(max(x, y))


@given(st.integers(0, 10**14), st.fractions(0, 1), st.fractions(0, 1))
def test_exact_values_are_the_fractions_that_floats_round(x: int, a: Fraction, b: Fraction) -> None:
    line = Piece("linear", "tokens", 0, -5, 10**14, a, b)
    exact = line.exact(x)
    assert exact == a + (b - a) * Fraction(min(x, 10**14) + 5, 10**14 + 5)
    assert line.value(x) == pytest.approx(float(exact), rel=1e-12, abs=1e-15)
    assert Piece("constant", "tokens", 0, 0, None, a, a).exact(x) == a


# Curves


@st.composite
def batch_and_curve(draw: st.DrawFn) -> tuple[Batch, int, Curve]:
    batch = draw(batches())
    steps = draw(st.integers(1, 60))
    return batch, steps, draw(curves(batch, steps))


@given(batch_and_curve(), st.data())
def test_values_of_a_range_are_those_of_each_step(
    drawn: tuple[Batch, int, Curve], data: st.DataObject
) -> None:
    batch, steps, curve = drawn
    first = data.draw(st.integers(0, steps))
    end = data.draw(st.integers(first, steps))
    values = curve.values(range(first, end), batch.tokens_before_each(range(first, end)))
    assert values == [curve.at(s, batch.tokens_before(s)) for s in range(first, end)]


@given(batch_and_curve())
def test_every_step_reads_the_piece_that_began_last(drawn: tuple[Batch, int, Curve]) -> None:
    _, steps, curve = drawn
    starts = curve.breaks()
    assert starts[0] == 0
    for step in range(steps + 1):
        began = [p for p in curve.pieces if p.first_step <= step]
        assert curve.piece_at(step) is began[-1]


@given(batch_and_curve())
def test_a_curve_is_a_value(drawn: tuple[Batch, int, Curve]) -> None:
    _, _, curve = drawn
    again = Curve(tuple(curve.pieces))
    assert again == curve
    assert hash(again) == hash(curve)
    assert eval(repr(curve), {"Curve": Curve, "Piece": Piece, "Fraction": Fraction}) == curve


@pytest.mark.parametrize("unit", ["steps", "tokens"])
def test_a_curve_switches_pieces_at_their_first_steps(unit: ClockUnit) -> None:
    up = Piece("linear", unit, 0, 0, 4, Fraction(0), Fraction(1))
    hold = Piece("constant", unit, 4, 4, None, Fraction(1), Fraction(1))
    curve = Curve((up, hold))
    assert [curve.at(s, s) for s in range(6)] == [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    assert [curve.exact(s, s) for s in (1, 5)] == [Fraction(1, 4), 1]
    assert curve.breaks() == (0, 4)
    assert not curve.is_constant()


def test_constants() -> None:
    assert constant(Fraction(1, 3)).is_constant()
    assert constant(2).values(range(3, 6), [0, 0, 0]) == [2.0, 2.0, 2.0]
    same = (constant(2).pieces[0], Piece("constant", "steps", 5, 5, None, Fraction(2), Fraction(2)))
    assert Curve(same).is_constant()
    assert constant(0).values(range(0), []) == []
