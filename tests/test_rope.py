from decimal import Decimal, getcontext
from fractions import Fraction
from math import pi

import pytest

from curriculum.rope import Rope

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
