from decimal import Decimal, getcontext
from fractions import Fraction
from math import cos, pi

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.rope import Rope, first_negative_distance, ropes_by_layer
from curriculum.rope_scaling import DynamicNtk, Linear, Llama3, Yarn

getcontext().prec = 40


@pytest.mark.parametrize("base", [10_000, 50_000, 800_000])
@pytest.mark.parametrize("head_dim", [2, 64, 128])
def test_speeds_are_powers_of_the_base(base: int, head_dim: int) -> None:
    speeds = Rope(Fraction(base)).inv_freq(head_dim)
    assert len(speeds) == head_dim // 2
    assert speeds[0] == 1.0
    for i, speed in enumerate(speeds):
        exact = Decimal(base) ** (Decimal(-2 * i) / head_dim)
        assert speed == pytest.approx(float(exact), rel=1e-15)


def test_the_slowest_pair_of_kimi_vls_bases() -> None:
    low, high = Rope(Fraction(50_000)), Rope(Fraction(800_000))
    assert round(low.longest_wavelength_tokens(64)) == 224_030
    assert round(high.longest_wavelength_tokens(64)) == 3_286_989
    exact = 2 * Decimal(pi) * Decimal(50_000) ** (Decimal(62) / 64)
    assert low.longest_wavelength_tokens(64) == pytest.approx(float(exact), rel=1e-14)


def test_a_larger_base_turns_every_pair_but_the_first_slower() -> None:
    low, high = (Rope(Fraction(b)).inv_freq(64) for b in (50_000, 800_000))
    assert low[0] == high[0]
    assert all(h < b for b, h in zip(low[1:], high[1:], strict=True))
    assert Rope(Fraction(50_000)) == Rope(Fraction("5e4"))


def test_what_turns_nothing_has_no_speed() -> None:
    assert Rope(None).inv_freq(8) == [0.0] * 4
    assert Rope(None).attention_factor == 1.0


def test_the_context_goes_only_where_a_formula_reads_it() -> None:
    dynamic = Rope(Fraction(10_000), DynamicNtk(Fraction(2), 4096))
    assert dynamic.reads_context
    longer = dynamic.at_context(8192)
    assert longer != dynamic
    assert longer.inv_freq(64)[-1] < dynamic.at_context(4096).inv_freq(64)[-1]
    plain = Rope(Fraction(10_000))
    assert not plain.reads_context
    assert plain.at_context(8192) is plain


def test_a_part_says_its_own_and_the_rest_follows_the_module() -> None:
    far, near = Rope(Fraction(5_000_000)), Rope(Fraction(10_000))
    parts = {"full": (0, 2), "sliding": (1, 3)}
    both = {"llm/full": far, "llm/sliding": near}
    assert ropes_by_layer(both, "llm", range(4), parts) == {0: far, 1: near, 2: far, 3: near}
    one = {"llm": near, "llm/full": far}
    assert ropes_by_layer(one, "llm", range(4), parts) == {0: far, 1: near, 2: far, 3: near}
    assert ropes_by_layer({"llm/full": far}, "llm", range(4), parts)[1] is None
    # A layer that never turns stays out, whatever its part says.
    assert ropes_by_layer(one, "llm", (0, 1), parts) == {0: far, 1: near}


@pytest.mark.parametrize(
    ("rope", "head_dim", "distance"),
    [
        (Rope(Fraction(50_000)), 128, 5_306),
        (Rope(Fraction(100_000)), 128, 7_757),
        (Rope(Fraction(500_000)), 128, 18_438),
        (Rope(Fraction(500_000)), 64, 9_937),
        (Rope(Fraction(600_000)), 64, 5_148),  # a larger base that reaches less far
        (Rope(Fraction(1_000_000)), 64, 6_235),
        (
            Rope(Fraction(10_000), Yarn(Fraction(40), 4096, Fraction(32), Fraction(1))),
            64,
            4_119,  # DeepSeek-V3
        ),
        (
            Rope(Fraction(500_000), Llama3(Fraction(8), Fraction(1), Fraction(4), 8192)),
            128,
            85_133,  # Llama 3.1
        ),
    ],
)
def test_the_first_distance_that_attention_cannot_tell(
    rope: Rope, head_dim: int, distance: int
) -> None:
    assert first_negative_distance(rope.inv_freq(head_dim)) == distance


def test_no_distance_is_found_below_the_limit() -> None:
    assert first_negative_distance(Rope(Fraction(10_000)).inv_freq(64), limit=725) is None
    assert first_negative_distance(Rope(Fraction(10_000)).inv_freq(64), limit=726) == 725


@given(
    base=st.floats(2, 1e9),
    pairs=st.integers(2, 64),
    factor=st.integers(1, 64),
    limit=st.integers(1, 3000),
)
def test_no_distance_is_skipped(base: float, pairs: int, factor: int, limit: int) -> None:
    scaling = Linear(Fraction(factor))
    speeds = Rope(Fraction(base), scaling).inv_freq(2 * pairs)
    sums = ((m, sum(cos(m * speed) for speed in speeds)) for m in range(1, limit))
    first = next((m for m, total in sums if total < 0), None)
    assert first_negative_distance(speeds, limit) == first
