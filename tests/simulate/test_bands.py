import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.simulate.bands import bands, is_to_scale, side_by_side, widths
from simulate.plans import full_plan, laptop_plan


@given(st.lists(st.integers(1, 10**13), min_size=1, max_size=30), st.floats(0.001, 0.5))
def test_widths_fill_the_axis_and_none_is_too_narrow(sizes: list[int], least: float) -> None:
    found = widths(sizes, least)
    assert sum(found) == pytest.approx(1)
    assert min(found) >= min(least, 1 / len(sizes)) * (1 - 1e-9)
    order = sorted(range(len(sizes)), key=sizes.__getitem__)
    assert all(found[a] <= found[b] * (1 + 1e-9) for a, b in itertools.pairwise(order))


@pytest.mark.parametrize("plan", [full_plan(), laptop_plan()], ids=["full", "laptop"])
def test_bands_lie_side_by_side(plan: object) -> None:
    from curriculum.plan import Plan

    assert isinstance(plan, Plan)
    axis = bands(plan, 0.06)
    assert axis[0].left == 0
    assert axis[-1].right == pytest.approx(1)
    for one, other in itertools.pairwise(axis):
        assert one.right == other.left
        assert one.tokens_before + one.tokens == other.tokens_before
    assert min(band.right - band.left for band in axis) == pytest.approx(0.06)
    assert not is_to_scale(axis)
    assert is_to_scale(bands(plan, 1e-6))


def test_two_roots_run_side_by_side() -> None:
    assert side_by_side(full_plan()) == (("text", "vit-coca"),)
