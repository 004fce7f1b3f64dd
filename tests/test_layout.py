"""Layouts: every batch and context of a stage fits its ranks, or is refused with what would"""

import json
from pathlib import Path
from typing import Any

import pytest

from curriculum.cli.at import values_at
from curriculum.layout import Layout
from curriculum.lock import read_lock, write_lock
from small import BASE, compiled, plan_in, plan_of
from strategies import Tree

FITS: Tree = {"dp": 5, "micro": 2}


def base(**stage: Any) -> Tree:
    return {"base": {**BASE, **stage}}


def test_a_layout_is_in_the_plan_and_in_no_digest() -> None:
    plain, laid = plan_of(base()), plan_of(base(layout={**FITS, "tp": 2, "cp": 4}))
    stage = laid.stage("base")
    assert stage.layout == Layout(dp=5, micro=2, tp=2, cp=4)
    assert laid.digest == plain.digest
    assert "layout" not in json.loads(write_lock(plain))["stages"][0]
    assert read_lock(write_lock(laid), "x") == laid
    now = values_at(laid, stage, 3)["layout"]
    assert now is not None
    assert (now["accumulation"], now["ranks"]) == (1, 40)
    assert values_at(plain, plain.stage("base"), 3)["layout"] is None


def test_a_layout_is_kept_and_held_to_the_new_batch() -> None:
    late: Tree = {"init": "base", "keep": "base", "carry": "all", "tokens": 64_000}
    stages = {**base(layout=FITS), "late": late}
    assert plan_of(stages).stage("late").layout == Layout(dp=5, micro=2)
    (error,) = compiled({**stages, "late": {**late, "batch": {"seqs": 12}}}).errors
    assert "a batch of 12 sequences is not a multiple of dp x micro = 5 x 2 = 10" in str(error)
    assert error.help == "10 or 20 sequences fit"
    assert [related.message for related in error.related] == ["the layout"]


def test_a_stage_without_a_layout_says_none_and_nothing_is_kept_of_it() -> None:
    late: Tree = {"init": "base", "keep": "base", "carry": "all", "tokens": 64_000}
    free = {**late, "layout": "none", "batch": {"seqs": 12}}
    after = {**late, "init": "late", "keep": "late"}
    plan = plan_of({**base(layout=FITS), "late": free, "after": after})
    assert [stage.layout for stage in plan.stages] == [Layout(dp=5, micro=2), None, None]
    (error,) = compiled(base(layout="nothing")).errors
    assert (error.rule, error.message) == ("wrong-type", "`layout` is a mapping")


@pytest.mark.parametrize(
    ("stage", "message", "way_out"),
    [
        (
            {"layout": {"dp": 3, "micro": 1}},
            "a batch of 10 sequences is not a multiple of dp x micro = 3 x 1 = 3",
            "9 or 12 sequences fit",
        ),
        (
            {"layout": {**FITS, "accumulation": 2}},
            "a batch of 10 sequences is not dp x micro x accumulation = 5 x 2 x 2 = 20",
            "20 sequences fit",
        ),
        (
            {"layout": {**FITS, "cp": 3}},
            "a context of 64 is not a multiple of 2 x cp = 6",
            "60 or 66 fit",
        ),
        (
            {
                "layout": {"dp": 4, "micro": 1},
                "batch": {"seqs": {"from": 4, "to": 16, "by": 2}, "until": 9999},
            },
            "levels of 2 sequences are not a multiple of dp x micro = 4 x 1 = 4",
            "levels of 4 sequences fit",
        ),
        (
            {
                "layout": {"dp": 2, "micro": 1, "accumulation": 2},
                "batch": {"seqs": {"from": 4, "to": 16, "by": 2}, "until": 9999},
            },
            "a ramp has batches other than dp x micro x accumulation = 2 x 1 x 2 = 4",
            "say `accumulation: varies`",
        ),
        ({"layout": {"dp": 5}}, "a layout says `micro`", "layout: {dp: 192, micro: 3}"),
        ({"layout": {**FITS, "tp": 0}}, "`tp` is 1 or more", None),
        ({"layout": {**FITS, "ep": 8}}, "`layout` has no key `ep`", None),
    ],
)
def test_what_does_not_fit_is_refused(stage: Tree, message: str, way_out: str | None) -> None:
    found = compiled(base(**stage)).errors
    errors = [error for error in found if message in str(error)]
    assert errors, [str(error) for error in found]
    assert errors[0].span is not None
    assert way_out is None or errors[0].help == way_out


def test_accumulation_may_vary() -> None:
    ramp = {"from": 4, "to": 16, "by": 4}
    layout = {"dp": 2, "micro": 2, "accumulation": "varies"}
    plan = plan_of(base(layout=layout, batch={"seqs": ramp, "until": 9999}))
    assert plan.stage("base").layout == Layout(dp=2, micro=2)


def test_a_proxy_is_held_to_the_run_it_stands_for(tmp_path: Path) -> None:
    stages = base(layout=FITS, batch={"seqs": 20}, tokens=640_000)
    found = plan_in(tmp_path, "scale: {tokens: 1/4, seqs: 1/4}\n", stages)
    assert found.plan is not None, found.findings
    assert found.plan.stage("base").layout is None
    stages = base(layout={"dp": 3, "micro": 1}, batch={"seqs": 20}, tokens=640_000)
    found = plan_in(tmp_path, "scale: {tokens: 1/4, seqs: 1/4}\n", stages)
    assert "a batch of 20 sequences" in str(found.errors[0])
