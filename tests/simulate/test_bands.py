import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.compile import compile_file
from curriculum.simulate.bands import bands, is_to_scale, side_by_side, widths
from simulate.plans import full_plan, laptop_plan
from small import right


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


def test_bands_say_what_a_stage_starts_from_beside_the_one_before_it() -> None:
    plans = Path(__file__).parents[2] / "plans"
    seed = bands(right(compile_file(plans / "kimi-vl.yaml")), 0)
    notes = {band.stage: (band.note, band.follows) for band in seed}
    assert notes["text"] == ("", True)
    assert notes["vit-coca"] == ("from tiny-lm, siglip", False)
    assert notes["vit-align"] == notes["joint"] == ("and from text", True)
    assert notes["cooldown"] == ("", True)
    outside = bands(right(compile_file(plans / "kimi-k2.5.yaml")), 0)
    assert outside[0].note == "from moonlight, siglip"
    assert outside[0].follows
    gated = bands(right(compile_file(plans / "llama-3.1-405b.yaml")), 0)
    assert [band.stage for band in gated if band.waits] == [
        f"long-{size}k" for size in (16, 32, 48, 64, 96, 128)
    ]
