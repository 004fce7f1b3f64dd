"""Golden values of plans/molmo-7b.yaml: three warm-ups, four passes, roots of sizes"""

import math
from fractions import Fraction
from pathlib import Path

import pytest

from curriculum.compile import compile_file
from curriculum.plan import Plan

FILE = Path(__file__).parents[2] / "plans" / "molmo-7b.yaml"


@pytest.fixture(scope="module")
def plan() -> Plan:
    found = compile_file(FILE)
    assert found.plan is not None, found.findings
    return found.plan


def test_four_passes_over_the_captions_and_30_000_steps(plan: Plan) -> None:
    caption, tasks = plan.stages
    assert (caption.steps, tasks.steps) == (22_250, 30_000)
    assert caption.budget.tokens == 4 * 712_000 * 2304 == caption.steps * 128 * 2304
    assert tasks.budget.tokens == 30_000 * 256 * 2304
    assert not any(start.carries_state for start in tasks.init.values())


def test_each_module_has_its_own_warm_up(plan: Plan) -> None:
    caption, tasks = plan.stages
    assert caption.at(100).lr == pytest.approx(
        {"projector": 1e-4, "vit": 3e-7, "llm": 1e-6}, rel=1e-12
    )
    assert caption.at(200).lr["projector"] == 2e-4
    peak = caption.at(2000).lr
    assert (peak["vit"], peak["llm"]) == (6e-6, 2e-5)
    cosine = (1 + math.cos(math.pi * 1800 / (22_250 - 200))) / 2
    assert peak["projector"] == pytest.approx(2e-5 + 1.8e-4 * cosine, rel=1e-12)
    assert caption.at(22_250).lr == {"projector": 2e-5, "vit": 6e-7, "llm": 2e-6}
    assert tasks.at(200).lr == {"projector": 5e-6, "vit": 5e-6, "llm": 1e-5}
    assert tasks.at(30_000).lr == {"projector": 5e-7, "vit": 5e-7, "llm": 1e-6}


def test_groups_share_by_rate_and_inside_by_the_root_of_size(plan: Plan) -> None:
    shares = plan.stage("tasks").mixture.end_shares()
    groups = {name: share for name, share in shares.items() if "/" not in name}
    assert groups == {"demo": Fraction(15, 100), "aux": Fraction(1, 2), "pointing": Fraction(7, 20)}
    sizes = {"ask-anything": 73_000, "cap": 50_000, "cap-qa": 165_000, "point-explanations": 29_000}
    roots = sum(math.sqrt(size) for size in sizes.values())
    for name, size in sizes.items():
        exact = 0.15 * math.sqrt(size) / roots
        assert float(shares[f"demo/{name}"]) == pytest.approx(exact, rel=1e-9), name
    # 10,000 stand in place of all 200,000 and 100,000, 20,000 in place of all 157,070.
    capped = [shares[f"aux/{name}"] for name in ("dv-qa", "figure-qa", "plot-qa")]
    assert capped[1] == capped[0]
    assert float(capped[2] / capped[0]) == pytest.approx(math.sqrt(2), rel=1e-9)


def test_words_are_added_and_logits_kept_small(plan: Plan) -> None:
    caption = plan.stage("caption")
    assert caption.lifecycle.sizes == {"llm": {"vocab": 152_192}}
    assert caption.at(0).loss == {"next_token": 1.0, "z_loss": 1e-4}
    assert (caption.seed, plan.stage("tasks").seed, plan.seed) == (95_818, 50_189, 6198)
