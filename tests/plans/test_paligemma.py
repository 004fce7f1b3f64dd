"""Golden values of plans/paligemma-3b.yaml: one rsqrt curve, and what a token is"""

import math
from pathlib import Path

import pytest

from curriculum.compile import compile_file
from curriculum.plan import Plan

FILE = Path(__file__).parents[2] / "plans" / "paligemma-3b.yaml"


@pytest.fixture(scope="module")
def plan() -> Plan:
    found = compile_file(FILE)
    assert found.plan is not None, found.findings
    return found.plan


def test_examples_are_budgets_and_positions_are_tokens(plan: Plan) -> None:
    asked = {s.name: s.budget.tokens for s in plan.stages}
    assert asked == {
        "stage-1": 384 * 10**9,
        "stage-2-448": 76_800_000_000,
        "stage-2-896": 46_080_000_000,
    }
    assert [s.steps for s in plan.stages] == [122_071, 6104, 1221]
    assert [s.at(0).seq_len for s in plan.stages] == [256 + 128, 1024 + 512, 4096 + 512]
    assert {s.at(0).batch_seqs for s in plan.stages} == {8192}


def test_one_curve_runs_through_all_stages(plan: Plan) -> None:
    behind = 0
    for stage in plan.stages:
        for step in (0, 1, 500, stage.steps):
            exact = 2e-5 * math.sqrt(10_000 / (10_000 + behind + step))
            rates = stage.at(step).lr
            assert rates["llm"] == rates["projector"] == pytest.approx(exact, rel=1e-12)
        behind += stage.steps
    assert behind == 129_396
    assert plan.stage("stage-1").at(0).lr["llm"] == 2e-5


def test_the_image_encoder_alone_warms_up_until_it_is_on_the_curve(plan: Plan) -> None:
    first, second, third = plan.stages
    assert first.at(0).lr["vit"] == 0.0
    assert first.at(15_000).lr["vit"] == 5e-6
    assert first.at(30_000).lr == {"llm": 1e-5, "projector": 1e-5, "vit": 1e-5}
    for stage, step in ((first, 60_000), (first, 122_071), (second, 6104), (third, 1221)):
        rates = stage.at(step).lr
        assert rates["vit"] == pytest.approx(rates["llm"], rel=1e-12)


def test_nothing_is_frozen_and_images_and_words_grow(plan: Plan) -> None:
    assert {s.train for s in plan.stages} == {("llm", "projector", "vit")}
    grown = [plan.shape_of(s, "llm").num_params() for s in plan.stages]
    assert grown == [2_506_172_416 + 1152 * 2048] * 3
    rows = [s.lifecycle.sizes.get("vit", {}).get("position_rows", 16) for s in plan.stages]
    assert rows == [16, 32, 64]
