from dataclasses import replace
from itertools import combinations, pairwise

import pytest

from curriculum.plan import Plan
from curriculum.simulate.areas import Area, areas
from curriculum.simulate.colours import LINES, Fill, fills
from curriculum.simulate.timeline import outline
from simulate.plans import full_plan, laptop_plan


def drawn_of(plan: Plan) -> dict[str, Fill]:
    return fills(areas(plan, outline(plan, 20), "source"))


@pytest.mark.parametrize("plan", [full_plan(), laptop_plan()], ids=["full", "laptop"])
def test_areas_are_told_apart_in_grey_by_hatch_or_lightness(plan: Plan) -> None:
    drawn = drawn_of(plan)
    assert set(drawn) == {name for s in plan.stages for name in s.mixture.sources}
    for one, other in combinations(drawn.values(), 2):
        assert one.hatch != other.hatch or abs(one.lightness - other.lightness) > 6


def test_text_lies_at_the_bottom() -> None:
    plan = full_plan()
    kinds = [plan.sources[name].modality for name in drawn_of(plan)]
    assert kinds == sorted(kinds, key=lambda kind: (kind != "text", kind))


def test_no_two_lines_have_the_same_dashes() -> None:
    assert len({dashes for _, dashes in LINES}) == len(LINES)


def test_a_kind_looks_the_same_in_every_picture() -> None:
    def hatches(plan: Plan) -> dict[str, str]:
        return {n: fill.hatch for n, fill in drawn_of(plan).items()}

    plan = full_plan()
    whole, images = hatches(plan), hatches(replace(plan, stages=(plan.stage("vit-coca"),)))
    assert set(images) < set(whole)
    assert all(whole[name][:3] == hatch[:3] for name, hatch in images.items())
    assert {hatch[:3] for hatch in images.values()} == {"///", "..."}


def text_areas(count: int) -> list[Area]:
    return [Area(f"web-{i:02}", "text", {"text": [1 / count]}) for i in range(count)]


@pytest.mark.parametrize("count", range(2, 11))
def test_text_has_no_hatch_and_neighbours_are_light_and_dark(count: int) -> None:
    found = list(fills(text_areas(count)).values())
    assert {fill.hatch for fill in found} == {""}
    steps = [abs(a.lightness - b.lightness) for a, b in pairwise(found)]
    assert min(steps) > 20
    assert all(abs(a.lightness - b.lightness) > 6 for a, b in combinations(found, 2))


def test_of_a_kind_the_first_lies_on_top_where_the_legend_begins() -> None:
    assert list(fills(text_areas(3))) == ["web-02", "web-01", "web-00"]
