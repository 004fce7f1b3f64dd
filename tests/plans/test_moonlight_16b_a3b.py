"""Golden values of plans/moonlight-16b-a3b.yaml"""

from pathlib import Path

import pytest

from curriculum.compile import compile_file
from curriculum.plan import Plan

PLANS = Path(__file__).parents[2] / "plans"
B, T = 10**9, 10**12


def compiled(name: str) -> Plan:
    found = compile_file(PLANS / f"{name}.yaml")
    assert found.plan is not None, found.findings
    assert found.findings == ()
    return found.plan


@pytest.fixture(scope="module")
def plan() -> Plan:
    return compiled("moonlight-16b-a3b")


def test_every_stage_has_its_steps_and_tokens(plan: Plan) -> None:
    assert {s.name: (s.steps, s.budget.tokens) for s in plan.stages} == {
        "text": (11_921 + 149_012, 52 * T // 10),  # G9
        "cooldown": (14_902, 500 * B),
    }


def test_the_batch_doubles_at_200B(plan: Plan) -> None:
    text = plan.stage("text")
    assert text.at(2000).tokens == 33_554_432_000  # G9: "33B"
    assert [text.at(s).batch_seqs for s in (0, 11_920, 11_921)] == [2048, 2048, 4096]
    assert text.at(11_920).tokens < 200 * B <= text.at(11_921).tokens
    assert plan.stage("cooldown").at(0).tokens_per_step == 33_554_432


def test_the_checkpoint_called_1_2T_is_that_of_step_42_000(plan: Plan) -> None:
    """Its steps are counted in thousands: from 12K on with the larger batch."""
    tokens = plan.stage("text").at(42_000).tokens
    assert tokens == 11_921 * 2048 * 8192 + 30_079 * 4096 * 8192
    assert round(tokens / B, -1) == 1210


def test_the_learning_rate_has_two_peaks(plan: Plan) -> None:
    text, cooldown = plan.stages
    assert [text.at(s).lr["llm"] for s in (0, 1000, 2000)] == [0.0, 2.1e-4, 4.2e-4]
    assert text.at(text.steps).lr == cooldown.at(0).lr == {"llm": 4.2e-5}
    assert cooldown.at(50).lr["llm"] == pytest.approx(7.1e-5, rel=1e-12)
    assert cooldown.at(100).lr == {"llm": 1e-4}
    assert cooldown.at(100).tokens == 3_355_443_200
    assert cooldown.at(14_902).lr == {"llm": 0.0}
    # Linear in tokens from step 100 to what was asked for.
    tokens = 7500 * 4096 * 8192
    exact = 1e-4 * (500 * B - tokens) / (500 * B - 3_355_443_200)
    assert cooldown.at(7500).lr["llm"] == pytest.approx(exact, rel=1e-12)


def test_the_bias_rate_is_0_in_the_cooldown(plan: Plan) -> None:
    rates = [s.at(0).settings["llm/router.bias_rate"] for s in plan.stages]
    assert rates == [1e-3, 0.0]


def test_the_text_stage_of_kimi_vl_is_this_one(plan: Plan) -> None:
    here, there = plan.stage("text"), compiled("kimi-vl").stage("text")
    assert (here.batch, here.steps, here.rope) == (there.batch, there.steps, there.rope)
    assert here.loss == there.loss
    assert here.mixture.end_shares() == there.mixture.end_shares()
    for step in (0, 1, 2000, 11_921, 100_000, 160_932):
        assert here.at(step).lr == there.at(step).lr
        assert here.at(step).settings == there.at(step).settings
