"""Golden values of plans/internvl2.5-8b.yaml, its 78B overlay and plans/internvl3-8b.yaml"""

from fractions import Fraction
from pathlib import Path

import pytest

from curriculum.compile import compile_file
from curriculum.plan import Plan

PLANS = Path(__file__).parents[2] / "plans"


def read(name: str) -> Plan:
    found = compile_file(PLANS / f"{name}.yaml")
    assert found.plan is not None, found.findings
    return found.plan


@pytest.fixture(scope="module")
def small() -> Plan:
    return read("internvl2.5-8b")


@pytest.fixture(scope="module")
def large() -> Plan:
    return read("internvl2.5-78b")


def test_the_three_scripts_of_the_8b(small: Plan) -> None:
    found = {s.name: (s.steps, s.at(0).batch_seqs, s.train) for s in small.stages}
    assert found == {
        "mlp-warmup": (100_000, 512, ("projector",)),
        "vit-incremental": (100_000, 1024, ("projector", "vit")),
        "tuning": (5500, 512, ("llm", "projector", "vit")),
    }
    assert {s.at(0).seq_len for s in small.stages} == {16_384}
    assert sum(s.budget.tokens for s in small.stages) == 305_500 * 512 * 16_384
    assert {m for s in small.stages for m in s.init if s.init[m].carries_state} == set()


def test_every_script_warms_up_to_its_rate_and_ends_at_0(small: Plan) -> None:
    first, second, last = small.stages
    assert first.at(100).lr == {"projector": 2e-4}
    assert second.at(100).lr == {"projector": 1e-5, "vit": 1e-5}
    assert set(last.at(165).lr.values()) == {4e-5}  # 3 % of 5500
    assert {rate for s in small.stages for rate in s.at(s.steps).lr.values()} == {0.0}
    half = first.at(50_050).lr["projector"]
    assert half == pytest.approx(1e-4, rel=1e-12)
    drop_paths = [s.at(0).settings["vit.drop_path"] for s in small.stages]
    assert drop_paths == [0.0, 0.1, 0.1]


def test_a_sample_weighs_by_the_root_of_its_length(small: Plan) -> None:
    rules = {s.loss_rules["next_token"] for s in small.stages}
    assert {(rule.over, rule.reduce) for rule in rules} == {("answers", "sqrt")}


def test_the_78b_skips_stage_1_5(large: Plan) -> None:
    first, last = large.stages
    assert (first.name, last.name) == ("mlp-warmup", "tuning")
    assert last.parents == ("mlp-warmup",)
    assert set(last.at(165).lr.values()) == {2e-5}
    assert last.at(0).settings["vit.drop_path"] == 0.4
    assert large.modules["vit"].preset == "internvit-6b-448"
    assert large.modules["llm"].preset == "qwen2.5-72b"
    assert first.rope["llm"].scaling is None
    assert [p.path for p in large.provenance if p.kind == "conflict"] == ["stages.mlp-warmup.steps"]


def test_internvl3_reads_three_multimodal_tokens_for_one_of_text() -> None:
    plan = read("internvl3-8b")
    (native,) = plan.stages
    assert (native.budget.tokens, native.steps) == (200 * 10**9, 23_842)
    assert native.mixture.end_shares() == {
        "language": Fraction(1, 4),
        "multimodal": Fraction(3, 4),
    }
    rule = native.loss_rules["next_token"]
    assert (rule.over, rule.reduce) == ("text", "sqrt")
    assert set(native.at(0).lr.values()) == {None}
