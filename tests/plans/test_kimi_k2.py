"""Golden values of plans/kimi-k2.yaml"""

from pathlib import Path

import pytest

from curriculum.compile import compile_file
from curriculum.plan import Plan

FILE = Path(__file__).parents[2] / "plans" / "kimi-k2.yaml"
B, T = 10**9, 10**12


@pytest.fixture(scope="module")
def plan() -> Plan:
    found = compile_file(FILE)
    assert found.plan is not None, found.findings
    assert found.findings == ()
    return found.plan


def test_every_stage_has_its_steps_and_tokens(plan: Plan) -> None:
    assert {s.name: (s.steps, s.budget.tokens) for s in plan.stages} == {
        "pretrain": (230_968, 15_500 * B),
        "annealing": (5961, 400 * B),
        "long-32k": (895, 60 * B),
    }


def test_67M_tokens_a_step_throughout(plan: Plan) -> None:
    found = [(s.at(0).seq_len, s.at(0).batch_seqs) for s in plan.stages]
    assert found == [(4096, 16_384), (4096, 16_384), (32_768, 2048)]
    assert {s.at(0).tokens_per_step for s in plan.stages} == {67_108_864}


def test_the_learning_rate_is_warm_up_plateau_and_two_decays(plan: Plan) -> None:
    pretrain, annealing, long = plan.stages
    assert [pretrain.at(s).lr["llm"] for s in (0, 250, 500, 149_011)] == [0.0, 1e-4, 2e-4, 2e-4]
    assert pretrain.at(149_011).tokens < 10 * T <= pretrain.at(149_012).tokens
    middle = pretrain.batch.step_at_tokens(12_750 * B)
    assert pretrain.at(middle).lr["llm"] == pytest.approx(1.1e-4, rel=1e-4)
    assert pretrain.at(230_968).lr == annealing.at(0).lr == {"llm": 2e-5}
    assert annealing.at(5961).lr == long.at(0).lr
    assert long.rides["llm"].tokens_before == 400 * B
    assert long.at(895).lr == {"llm": 7e-6}


def test_the_optimizer_is_muon_with_clipped_queries_and_keys(plan: Plan) -> None:
    for stage in plan.stages:
        values = stage.at(0).optimizer
        assert stage.optimizer_of("llm/attention").kind == "muon"
        assert stage.optimizer_of("llm/head").kind == "adamw"
        assert values["llm"]["qk_clip"] == 100.0
        assert {rule["weight_decay"] for rule in values.values()} == {0.1}


def test_yarn_prepares_32K_for_128K(plan: Plan) -> None:
    long = plan.stage("long-32k")
    assert long.target_seq_len == 131_072
    rope = long.rope["llm"]
    plain, scaled = plan.stage("annealing").rope["llm"].inv_freq(64), rope.inv_freq(64)
    ratios = [a / b for a, b in zip(plain, scaled, strict=True)]
    # Both betas are 1: one pair stands between those that are kept and those 32 times slower.
    assert sorted(set(ratios))[0] == 1.0
    assert max(ratios) == pytest.approx(32.0, rel=1e-12)
    assert ratios == sorted(ratios)
    assert ratios.index(max(ratios)) == sum(r < 1.5 for r in ratios)
