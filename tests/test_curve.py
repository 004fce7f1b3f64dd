import re
from dataclasses import replace
from decimal import Decimal, getcontext
from fractions import Fraction
from math import cos, e, log, pi, sqrt
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.batch import Batch
from curriculum.curve import SHAPES, ClockUnit, Curve, Piece, Shape, constant
from strategies import batches, curves

A, B = Fraction(3, 4), Fraction(1, 8)
getcontext().prec = 50


def piece(shape: Shape, a: Fraction = A, b: Fraction = B, knob: Fraction | None = None) -> Piece:
    """Return a piece that runs from 100 to 500; a power piece falls as a cube."""
    power = Fraction(3) if shape == "power" else None
    return Piece(shape, "tokens", 0, 100, 500, a, b, knob, power=power)


# Every formula against an independent computation, in 50 decimals

P = Decimal(150) / 400  # x = 250
WORKED = {
    "constant": Decimal("0.75"),
    "linear": Decimal("0.75") - Decimal("0.625") * P,
    # cos(3 pi / 8) = sqrt(2 - sqrt 2) / 2
    "cosine": Decimal("0.125") + Decimal("0.625") * (1 + (2 - Decimal(2).sqrt()).sqrt() / 2) / 2,
    "sqrt": Decimal("0.75") - Decimal("0.625") * P.sqrt(),
    "power": Decimal("0.125") + Decimal("0.625") * (1 - P) ** 3,
    "inverse": 1 / ((1 - P) / Decimal("0.75") + P / Decimal("0.125")),
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


@pytest.mark.parametrize("shape", [*WORKED, "rsqrt"])
@given(a=st.integers(1, 999), b=st.integers(1, 999))
def test_a_piece_begins_at_exactly_what_is_written(shape: Shape, a: int, b: int) -> None:
    knob = Fraction(50) if shape == "rsqrt" else None
    begins = piece(shape, Fraction(a, 1000), Fraction(b, 1000), knob)
    assert begins.value(100) == a / 1000
    assert Curve((begins,)).at(3, 100) == a / 1000
    assert Curve((begins,)).values(range(3, 4), [100]) == [a / 1000]


def test_a_cosine_from_a_published_rate_begins_at_it() -> None:
    falls = replace(piece("cosine"), a=Fraction("1.2e-4"), b=Fraction("1.2e-5"))
    assert falls.value(100) == 1.2e-4
    half = replace(falls, behind=Fraction(1, 2))
    assert half.value(100) == pytest.approx(6.6e-5, rel=1e-15)


def test_rsqrt_and_half_lives_are_their_formulas() -> None:
    rsqrt = piece("rsqrt", knob=Fraction(50))
    assert rsqrt.value(250) == 0.75 * sqrt(50 / 200) == 0.375
    halving = piece("exponential", knob=Fraction(60))
    assert halving.value(220) == 0.75 / 4
    assert halving.value(130) == pytest.approx(0.75 * 2**-0.5, rel=1e-15)


def test_every_shape_is_tested() -> None:
    assert {*WORKED, "rsqrt"} == set(SHAPES)


ENDING: list[Shape] = [
    "linear", "cosine", "sqrt", "power", "inverse", "exponential", "half_life"
]  # fmt: skip


@pytest.mark.parametrize("shape", ENDING)
def test_a_piece_begins_at_a_and_ends_exactly_at_b(shape: Shape) -> None:
    a, b = Fraction("4.2e-4"), Fraction("4.2e-5")
    power = Fraction(2) if shape == "power" else None
    whole = Piece(shape, "tokens", 0, 0, 3_000_000_000_001, a, b, power=power)
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


@pytest.mark.parametrize("shape", ENDING)
def test_what_is_left_of_a_piece_goes_on_at_its_value_and_ends_where_it_ended(shape: Shape) -> None:
    whole = piece(shape)
    left = replace(whole, start=200, end=1000, behind=whole.share(200))
    assert left.value(200) == whole.value(200)
    # A share of what is left is the same share of what was left, whatever its length.
    assert left.value(600) == pytest.approx(whole.value(350), rel=1e-14)
    assert left.value(1000) == whole.value(500)
    assert left.share(1000) == 1


@pytest.mark.parametrize("shape", [*ENDING, "rsqrt"])
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


def test_the_table_of_the_page_is_that_of_the_formulas() -> None:
    page = Path(__file__).parents[1] / "docs" / "language" / "curves.md"
    told = {}
    for line in page.read_text(encoding="utf-8").splitlines():
        if found := re.match(r"\| `(\w+)`(?: \(2\))? \|((?: [0-9.]+ \|){5})$", line):
            told[found[1]] = [float(cell) for cell in found[2].split("|")[:-1]]
    assert set(told) == set(SHAPES)
    for shape in get_args(Shape):
        a, b = (
            ("0.9", "0.99") if shape == "half_life" else ("1", "1" if shape == "constant" else ".1")
        )
        knob = Fraction(100) if shape == "rsqrt" else None
        power = Fraction(2) if shape == "power" else None
        shown = Piece(shape, "steps", 0, 0, 300, Fraction(a), Fraction(b), knob, power=power)
        if shape == "rsqrt":
            shown = replace(shown, end=None)
        assert [round(shown.value(x), 4) for x in (0, 75, 150, 225, 300)] == told[shape], shape


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
