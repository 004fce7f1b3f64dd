"""Golden values of plans/qwen2.5-vl-7b.yaml: Table 2, and what nobody published"""

from fractions import Fraction
from pathlib import Path

import pytest

from curriculum.compile import compile_file
from curriculum.paths import path_tokens
from curriculum.plan import Plan

FILE = Path(__file__).parents[2] / "plans" / "qwen2.5-vl-7b.yaml"


@pytest.fixture(scope="module")
def plan() -> Plan:
    found = compile_file(FILE)
    assert found.plan is not None, found.findings
    return found.plan


def test_table_2_adds_up_to_4_1T(plan: Plan) -> None:
    asked = {s.name: s.budget.tokens for s in plan.stages}
    assert asked == {"visual": 15 * 10**11, "multimodal": 2 * 10**12, "long-context": 6 * 10**11}
    assert sum(asked.values()) == 41 * 10**11
    assert path_tokens(plan, asked=True)["long-context"] == 221 * 10**11  # behind Qwen2.5's 18T


def test_every_stage_has_its_steps(plan: Plan) -> None:
    steps = {s.name: s.steps for s in plan.stages}
    assert steps == {"visual": 178_814, "multimodal": 238_419, "long-context": 71_526}
    assert {s.at(0).tokens_per_step for s in plan.stages} == {8_388_608}
    last = plan.stage("long-context").at(0)
    assert (last.seq_len, last.batch_seqs) == (32_768, 256)
    assert {s.rope["llm"].base for s in plan.stages} == {1_000_000}


def test_the_vit_begins_alone_beside_a_frozen_llm(plan: Plan) -> None:
    trained = {s.name: s.train for s in plan.stages}
    assert trained["visual"] == ("projector", "vit")
    assert trained["multimodal"] == trained["long-context"] == ("llm", "projector", "vit")
    assert plan.stage("visual").modules == ("llm", "projector", "vit")
    assert plan.stage("visual").init["vit"].is_new


def test_no_learning_rate_is_made_up(plan: Plan) -> None:
    assert not plan.is_executable
    assert {rate for s in plan.stages for rate in s.at(s.steps).lr.values()} == {None}
    unknown = {p.path for p in plan.provenance if p.kind == "unknown"}
    assert {"stages.visual.lr", "stages.multimodal.lr"} <= unknown
    assert {s.tokens for s in plan.sources.values()} == {None}
    shares = plan.stage("long-context").mixture.end_shares()
    assert shares["shorter/first-stage/ocr"] == Fraction(1, 4) * Fraction(1, 7) * Fraction(1, 3)
