"""Golden values of plans/kimi-k2.5.yaml and of the three variants of its ablation"""

from math import log
from pathlib import Path

import pytest

from curriculum.compile import compile_file
from curriculum.paths import path_tokens
from curriculum.plan import Plan
from curriculum.usage import tokens_asked

PLANS = Path(__file__).parents[2] / "plans"
VARIANTS = {"inject-0": (0, 0.1), "inject-50": (111_760, 0.2), "inject-80": (178_816, 0.5)}
B, T = 10**9, 10**12


def compiled(name: str) -> Plan:
    found = compile_file(PLANS / f"{name}.yaml")
    assert found.plan is not None, found.findings
    assert found.findings == ()
    return found.plan


@pytest.fixture(scope="module")
def plan() -> Plan:
    return compiled("kimi-k2.5")


def test_every_stage_has_its_steps_and_tokens(plan: Plan) -> None:
    assert {s.name: (s.steps, s.budget.tokens) for s in plan.stages} == {
        "vit": (59_605, T),
        "bridge": (597, 10 * B),
        "joint": (223_518, 15 * T),
        "mid-32k": (7451, 500 * B),
        "mid-256k": (2981, 200 * B),
    }
    sizes = {s.name: (s.at(0).seq_len, s.at(0).tokens_per_step) for s in plan.stages}
    assert sizes == {
        "vit": (4096, 2**24), "bridge": (4096, 2**24), "joint": (4096, 2**26),
        "mid-32k": (32_768, 2**26), "mid-256k": (262_144, 2**26),
    }  # fmt: skip


def test_each_module_comes_from_where_it_was_made(plan: Plan) -> None:
    assert {s.name: s.parents for s in plan.stages} == {
        "vit": ("moonlight", "siglip"),
        "bridge": ("k2", "vit"),
        "joint": ("k2", "bridge", "vit"),
        "mid-32k": ("joint",),
        "mid-256k": ("mid-32k",),
    }
    assert [s.train for s in plan.stages[:3]] == [
        ("vit",), ("projector",), ("llm", "projector", "vit"),
    ]  # fmt: skip
    assert [s.at(0).loss for s in plan.stages[:2]] == [{"caption": 1.0}, {"next_token": 1.0}]


def test_what_the_llm_has_read_begins_with_k2(plan: Plan) -> None:
    assert path_tokens(plan, asked=True)["mid-256k"] == 15_500 * B + 15_700 * B


def test_no_learning_rate_is_known(plan: Plan) -> None:
    for stage in plan.stages:
        for step in (0, stage.steps // 2, stage.steps):
            assert set(stage.at(step).lr.values()) == {None}
    assert not plan.is_executable


@pytest.mark.parametrize("name", VARIANTS)
def test_all_three_variants_read_as_much_of_vision_and_of_text(name: str) -> None:
    begin, share = VARIANTS[name]
    variant = compiled(f"kimi-k2.5-{name}")
    joint = variant.stage("joint")
    assert joint.steps == 223_520
    assert joint.tokens == joint.budget.tokens == 223_520 * 2**26
    assert joint.at(begin).ratios == {"vision": share, "text": 1 - share}
    if begin:
        assert joint.at(begin - 1).ratios == {"vision": 0.0, "text": 1.0}
    asked = tokens_asked(variant)
    assert asked["joint"]["vision"] == 22_352 * 2**26 == 1_500_017_328_128
    assert asked["joint"]["text"] == 9 * 22_352 * 2**26
    assert asked["mid-256k"]["vision"] == 22_352 * 2**26 + 70 * B


def test_the_variants_differ_in_the_joint_stage_alone(plan: Plan) -> None:
    """As they compile: what follows it has the same mixture, steps and batch."""
    for name in VARIANTS:
        variant = compiled(f"kimi-k2.5-{name}")
        for stage in ("vit", "bridge", "mid-32k", "mid-256k"):
            mine, base = variant.stage(stage), plan.stage(stage)
            assert (mine.mixture, mine.batch, mine.rope) == (base.mixture, base.batch, base.rope)


def test_yarn_grows_with_the_context(plan: Plan) -> None:
    factors = [s.rope["llm"].attention_factor for s in plan.stages if "llm" in s.rope]
    assert factors == [1.0, 1.0, 0.1 * log(8) + 1, 0.1 * log(64) + 1]
    assert {s.rope["llm"].base for s in plan.stages if "llm" in s.rope} == {50_000}
