from dataclasses import replace
from pathlib import Path

import pytest

from curriculum.batch import lay_out
from curriculum.compile import compile_file
from curriculum.plan import Plan
from curriculum.simulate.terminal import ASCII, BLOCKS, picture
from simulate.plans import full_plan, laptop_plan
from small import right


@pytest.mark.parametrize("plan", [full_plan(), laptop_plan()], ids=["full", "laptop"])
@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_no_line_is_longer_than_the_width(plan: Plan, width: int) -> None:
    drawn = picture(plan, width)
    assert max(len(line) for line in drawn.splitlines()) <= width
    for stage in plan.stages:
        assert stage.name in drawn
    for title in ("learning rate", "multimodal share", "context [tokens]"):
        assert title in drawn


def test_ascii_is_ascii_and_there_is_no_markup() -> None:
    assert picture(full_plan(), 90, ASCII).isascii()
    assert "\x1b" not in picture(full_plan(), 90, BLOCKS)


def test_the_bars_rise_where_the_values_do() -> None:
    lines = picture(full_plan(), 120).splitlines()
    title = next(i for i, line in enumerate(lines) if "context [tokens]" in line)
    top, bottom = lines[title + 1], lines[title + 4]
    assert top.startswith("  131,072")
    assert set(top.split(" ", 3)[-1].replace("|", "").strip()) == {BLOCKS[-1]}
    assert bottom[-1] == BLOCKS[-1]
    share = next(i for i, line in enumerate(lines) if "multimodal share" in line)
    floor = lines[share + 4]
    names = next(line for line in lines if "cooldown |" in line)
    assert set(floor[10 : names.index("|")]) == {" "}
    assert BLOCKS[-1] in floor[names.index("vit-coca") :]


def test_a_plan_of_text_alone_has_no_multimodal_chart() -> None:
    plan = full_plan()
    alone = replace(plan, stages=plan.stages[:1])
    drawn = picture(alone, 80)
    assert "multimodal" not in drawn
    assert "not to scale" not in drawn


def test_branches_say_where_they_start() -> None:
    plans = Path(__file__).parents[2] / "plans"
    drawn = picture(right(compile_file(plans / "olmo2-7b.yaml")), 100)
    line = "drawn one after the other: seed-42069 from stage1; seed-666 from stage1"
    assert line in drawn.splitlines()
    drawn = picture(right(compile_file(plans / "marin-8b.yaml")), 60)
    assert "        4 cooldown-v2: from ocelot, side" in drawn.splitlines()
    assert max(map(len, drawn.splitlines())) <= 60


def test_a_context_of_millions_fits_its_gutter() -> None:
    plan = full_plan()
    batch = lay_out([(1, 2**24, None)])
    drawn = picture(replace(plan, stages=(replace(plan.stages[0], batch=batch, steps=9),)), 80)
    assert "    16Mi " in drawn
