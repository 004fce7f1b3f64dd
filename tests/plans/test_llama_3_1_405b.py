"""Golden values of plans/llama-3.1-405b.yaml"""

from fractions import Fraction
from math import cos, pi
from pathlib import Path

import pytest

from curriculum.compile import compile_file
from curriculum.plan import Plan

FILE = Path(__file__).parents[2] / "plans" / "llama-3.1-405b.yaml"
B, T, MI = 10**9, 10**12, 2**20
LONG = ("long-16k", "long-32k", "long-48k", "long-64k", "long-96k", "long-128k")


@pytest.fixture(scope="module")
def plan() -> Plan:
    found = compile_file(FILE)
    assert found.plan is not None, found.findings
    assert found.findings == ()
    return found.plan


def test_every_stage_has_its_steps(plan: Plan) -> None:
    long = dict(zip(LONG, (7749, 7749, 7689, 7749, 7872, 8941), strict=True))
    assert {s.name: s.steps for s in plan.stages} == {"pretrain": 1_053_243, **long, "anneal": 3}
    assert sum(s.steps for s in plan.stages) == 1_100_995


def test_15_6T_tokens_of_which_800B_lengthen_the_context(plan: Plan) -> None:
    asked = {s.name: s.budget.tokens for s in plan.stages}
    assert sum(asked.values()) == 156 * T // 10
    assert sum(asked[name] for name in LONG) == 800 * B
    assert asked["anneal"] == 40_000_000


def test_the_batch_doubles_at_252M_with_the_context_and_at_2_87T(plan: Plan) -> None:
    stage = plan.stage("pretrain")
    steps = (60, 61, 342_161, 342_162)
    assert [(stage.at(s).batch_seqs, stage.at(s).seq_len) for s in steps] == [
        (1024, 4096),
        (1024, 8192),
        (1024, 8192),
        (2048, 8192),
    ]
    assert [stage.at(s).tokens_per_step for s in (60, 61, 342_162)] == [4 * MI, 8 * MI, 16 * MI]
    assert stage.at(60).tokens < 252_000_000 <= stage.at(61).tokens
    assert stage.at(342_161).tokens < 287 * T // 100 <= stage.at(342_162).tokens


def test_one_cosine_runs_on_through_the_longer_contexts(plan: Plan) -> None:
    stage = plan.stage("pretrain")
    assert [stage.at(s).lr["llm"] for s in (0, 4000, 8000)] == [0, 4e-5, 8e-5]
    left = stage.at(stage.steps).lr["llm"]
    share = (1_053_243 - 8000) / (1_200_000 - 8000)
    cosine = 8e-7 + (8e-5 - 8e-7) * (1 + cos(pi * share)) / 2
    assert left == pytest.approx(cosine, rel=1e-6)  # its clock stands where the asked tokens end
    assert plan.stage("long-16k").at(0).lr["llm"] == left
    assert plan.stage("long-128k").at(8941).lr["llm"] == pytest.approx(2.1405632691e-6, rel=1e-9)


def test_the_contexts_grow_to_128k(plan: Plan) -> None:
    found = [plan.stage(name).at(0) for name in LONG]
    assert [now.seq_len // 1024 for now in found] == [16, 32, 48, 64, 96, 128]
    assert [now.batch_seqs for now in found] == [1024, 512, 344, 256, 168, 128]
    assert found[-1].tokens_per_step == 16 * MI
    assert {now.rope["llm"].base for now in found} == {500_000}
    assert plan.stage("pretrain").at(0).rope["llm"].scaling is None
    assert {plan.stage(name).target_seq_len for name in LONG} == {131_072}


def test_the_longer_contexts_end_at_gates_and_nothing_else_does(plan: Plan) -> None:
    gated = {stage.name: stage.gate for stage in plan.stages if stage.gate is not None}
    assert tuple(gated) == LONG
    assert {(gate.least, gate.most) for gate in gated.values()} == {(None, None)}
    assert (
        gated["long-16k"].when == "short-context tests have recovered and needles are found at 16Ki"
    )


def test_the_anneal_is_three_steps_to_0(plan: Plan) -> None:
    anneal = plan.stage("anneal")
    peak = anneal.at(0).lr["llm"]
    assert peak is not None
    assert peak == plan.stage("long-128k").at(8941).lr["llm"]
    left = [1 - Fraction(s * 16 * MI, 40_000_000) for s in (1, 2)]
    found = [anneal.at(s).lr["llm"] for s in (1, 2, 3)]
    assert found[:2] == pytest.approx([peak * float(x) for x in left], rel=1e-12)
    assert found[2] == 0


def test_the_last_three_steps_are_averaged(plan: Plan) -> None:
    (polyak,) = plan.composed
    shares = polyak.averages["llm"]
    assert [(s.start.stage, s.weight) for s in shares] == [("anneal", Fraction(1, 3))] * 3


def test_the_domains_are_those_of_the_final_mixture(plan: Plan) -> None:
    ratios = plan.stage("pretrain").at(0).ratios
    named = {name: ratios[name] for name in ("general", "reasoning", "code", "multilingual")}
    assert named == {"general": 0.5, "reasoning": 0.25, "code": 0.17, "multilingual": 0.08}
