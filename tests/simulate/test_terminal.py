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
    for title in ("learning rate (log", "multimodal share", "context [tokens]"):
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
    assert "        4 cooldown-v2, 1T: from ocelot, side" in drawn.splitlines()
    assert max(map(len, drawn.splitlines())) <= 60


def test_a_context_of_millions_fits_its_gutter() -> None:
    plan = full_plan()
    batch = lay_out([(1, 2**23, 2**25), (1, 2**24, None)])
    drawn = picture(replace(plan, stages=(replace(plan.stages[0], batch=batch, steps=9),)), 80)
    assert "    16Mi " in drawn


def published(name: str, width: int = 80) -> list[str]:
    plans = Path(__file__).parents[2] / "plans"
    return picture(right(compile_file(plans / f"{name}.yaml")), width).splitlines()


def test_a_row_is_labelled_by_the_value_that_reaches_it() -> None:
    lines = published("kimi-vl")
    title = next(i for i, line in enumerate(lines) if "context [tokens]" in line)
    assert [line[:9].strip() for line in lines[title + 1 : title + 5]] == [
        "131,072", "32,768", "", "8,192",
    ]  # fmt: skip
    rates = next(i for i, line in enumerate(lines) if "learning rate" in line)
    assert lines[rates + 1][:9].strip() == "1e-3"  # the peak of the plan, not of its columns
    assert lines[rates + 7][:9].strip() == "5e-6"


def test_what_never_changes_is_a_sentence() -> None:
    assert "          context: 4,096 tokens in every step" in published("marin-8b")
    assert "          learning rate: unknown" in published("internvl3-8b")


def test_the_learning_rate_is_linear_where_the_rule_says_so() -> None:
    lines = published("pythia-1b")
    title = next(i for i, line in enumerate(lines) if "learning rate (linear)" in line)
    assert lines[title + 7][:9].strip() == "0"
    asked = picture(full_plan(), 80, BLOCKS, "linear")
    assert "learning rate (linear" in asked


def test_one_path_is_not_called_drawn_one_after_the_other() -> None:
    lines = published("internvl3-8b")
    assert lines[0] == "internvl3-8b: 200B tokens, 1 stage, 23,842 steps"
    assert lines[1] == "native: from qwen2-5, internvit"
    assert "drawn one after the other" not in " ".join(published("paligemma-3b", 120))
