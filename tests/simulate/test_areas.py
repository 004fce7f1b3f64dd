from pathlib import Path
from typing import get_args

import pytest

from curriculum.compile import compile_file
from curriculum.errors import CurriculumError
from curriculum.plan import Plan
from curriculum.simulate.areas import MIXED, MOST_AREAS, UNTAGGED, By, areas, named
from curriculum.simulate.timeline import outline
from simulate.plans import full_plan
from small import right

PLANS = Path(__file__).parents[2] / "plans"


def published(name: str) -> Plan:
    return right(compile_file(PLANS / f"{name}.yaml"))


@pytest.mark.parametrize("by", get_args(By))
@pytest.mark.parametrize("name", ["smollm3-3b", "marin-8b"])
def test_areas_sum_to_1_in_every_step(name: str, by: By) -> None:
    plan = published(name)
    table = outline(plan, 30)
    found = areas(plan, table, by)
    for stage in plan.stages:
        columns = [area.shares[stage.name] for area in found if stage.name in area.shares]
        sums = [sum(row) for row in zip(*columns, strict=True)]
        assert sums == pytest.approx([1.0] * table.filter(stage=stage.name).height)


def test_groups_are_the_tops_of_the_trees_and_pieces_are_no_groups() -> None:
    plan = published("kimi-vl")
    found = {area.name: area for area in areas(plan, outline(plan, 30), "group")}
    assert set(found["multimodal"].shares) == {"joint", "cooldown"}
    assert found["multimodal"].shares["joint"][0] == 0
    assert found["multimodal"].largest == pytest.approx(0.4)
    assert (found["text"].kind, found["multimodal"].kind) == ("text", "image-text")
    assert found["short"].kind == MIXED
    pieces = published("minimax-text-01")
    groups = {area.name for area in areas(pieces, outline(pieces, 30), "group")}
    assert not any(name.startswith("piece") for name in groups)
    assert {"long", "medium", "short"} <= groups


def test_sources_with_the_same_tags_are_one_area() -> None:
    plan = published("smollm3-3b")
    found = {area.name: area for area in areas(plan, outline(plan, 30), "tag")}
    assert set(found) == {"code", "instruct", "math", "multilingual, web", "web", UNTAGGED}
    assert set(found[UNTAGGED].shares) == {"reasoning", "sft"}
    assert found["code"].shares["stable"][0] == pytest.approx(0.13, abs=0.005)


def test_a_plan_without_tags_is_not_drawn_by_them() -> None:
    plan = full_plan()
    with pytest.raises(CurriculumError) as refused:
        areas(plan, outline(plan, 20), "tag")
    assert str(refused.value) == ("no source of `kimi-vl` has tags: draw it by group or by source")


def test_of_many_areas_the_largest_are_named() -> None:
    plan = published("smollm3-3b")
    found = areas(plan, outline(plan, 30), "source")
    shown = named(found)
    assert len(shown) == MOST_AREAS < len(found)
    least = min(area.largest for area in shown)
    assert all(area.largest <= least for area in found if area not in shown)


def test_areas_stand_in_the_order_of_the_plan() -> None:
    plan = full_plan()
    found = [area.name for area in areas(plan, outline(plan, 30), "source")]
    assert found == [name for name in plan.sources if name in found]
    assert found != sorted(found)
