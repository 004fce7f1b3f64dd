import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from curriculum.compile import compile_file
from curriculum.plan import Plan
from curriculum.simulate.stage_table import table_of_stages
from curriculum.simulate.summary import lr_range, summary
from curriculum.simulate.timeline import timeline
from simulate.plans import full_plan, laptop_plan
from small import right


def test_the_summary_is_json_and_adds_up() -> None:
    plan = full_plan()
    said: dict[str, Any] = json.loads(json.dumps(summary(plan), allow_nan=False))
    assert said["totals"]["asked_tokens"] == 9_600_000_000_000
    assert said["totals"]["steps"] == 292_067
    by_name = {stage["name"]: stage for stage in said["stages"]}
    assert by_name["text"]["batch_seqs"] == {"first": 2048, "last": 4096}
    assert by_name["long-128k"]["seq_len"] == {"first": 131_072, "last": 131_072}
    assert by_name["vit-coca"]["flops"]["captioner"] is None
    assert by_name["vit-coca"]["multimodal_share"] == {"first": 1.0, "last": 1.0}
    assert by_name["joint"]["multimodal_share"]["first"] == 0
    assert by_name["cooldown"]["rope_base"] == {"llm": 50_000.0}


def test_the_peak_is_the_largest_value_of_the_column() -> None:
    plan = laptop_plan()
    for stage in plan.stages:
        table = timeline(plan, stages=[stage.name])
        for module, values in lr_range(stage).items():
            column = table[f"lr.{module}"]
            assert values == {"first": column[0], "peak": column.max(), "last": column[-1]}


@pytest.mark.parametrize("plan", [full_plan(), laptop_plan()], ids=["full", "laptop"])
def test_the_table_has_a_line_per_stage_and_at_most_100_columns(plan: Plan) -> None:
    lines = table_of_stages(plan).splitlines()
    assert max(len(line) for line in lines) <= 100
    assert [line.split()[0] for line in lines[1:8]] == [stage.name for stage in plan.stages]
    assert lines[8].split()[:3] == [
        "in", "all", f"{sum(stage.steps for stage in plan.stages):,}",
    ]  # fmt: skip
    assert lines[9].startswith("FLOPs: 6 N_active")
    assert lines[-1] == "not text: share of tokens from sources of images or video"


@pytest.mark.parametrize("width", [60, 80])
def test_a_narrow_terminal_has_its_columns_below_the_line(width: int) -> None:
    lines = table_of_stages(full_plan(), width).splitlines()
    assert max(len(line) for line in lines) <= width
    text = " ".join(" ".join(lines).split())
    assert "not text 0% > 40%, FLOPs" in text
    assert "not text ," not in text  # of the sum there is no share


def test_a_plan_of_text_alone_has_no_column_of_what_is_not() -> None:
    plan = full_plan()
    lines = table_of_stages(replace(plan, stages=plan.stages[:1])).splitlines()
    assert "not text" not in " ".join(lines)
    assert not any(line.startswith("in all") for line in lines)  # one stage is all


def test_flops_that_are_not_all_known_say_so_like_the_screen() -> None:
    lines = table_of_stages(full_plan()).splitlines()
    coca = next(line for line in lines if line.startswith("vit-coca"))
    assert coca.endswith("+")
    assert lines[8].endswith("+")
    assert "e+" not in " ".join(lines)


def test_what_is_composed_and_rates_that_differ_are_in_the_table() -> None:
    plans = Path(__file__).parents[2] / "plans"
    lines = table_of_stages(right(compile_file(plans / "olmo2-7b.yaml"))).splitlines()
    assert "soup       llm: average of seed-42, seed-42069, seed-666" in lines
    lines = table_of_stages(right(compile_file(plans / "molmo-7b.yaml"))).splitlines()
    assert "        LR of projector, vit: 0 > 5e-6 > 5e-7" in lines


def test_the_longest_name_is_whole() -> None:
    plan = laptop_plan()
    name = "a-stage-with-a-name-that-no-table-of-numbers-has-room-for"
    text = table_of_stages(replace(plan, stages=(replace(plan.stages[0], name=name),)))
    assert name in text.splitlines()
    assert max(map(len, text.splitlines())) <= 100
