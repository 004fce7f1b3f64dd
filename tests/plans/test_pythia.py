"""Golden values of plans/pythia-6.9b.yaml and its overlays, which change preset and peak LR"""

from fractions import Fraction
from pathlib import Path

import pytest

from curriculum.compile import compile_file
from curriculum.plan import Plan
from curriculum.usage import epochs

PLANS = Path(__file__).parents[2] / "plans"
PEAKS = {"6.9b": 1.2e-4, "1b": 3e-4, "410m": 3e-4}


@pytest.fixture(scope="module", params=PEAKS)
def size(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def plan(size: str) -> Plan:
    found = compile_file(PLANS / f"pythia-{size}.yaml")
    assert found.plan is not None, found.findings
    assert found.findings == ()
    return found.plan


def test_both_runs_read_143_000_steps_of_2mi_tokens(plan: Plan) -> None:
    assert {s.name: (s.steps, s.tokens, s.status) for s in plan.stages} == {
        "standard": (143_000, 299_892_736_000, "main"),  # G1
        "deduped": (143_000, 299_892_736_000, "side"),
    }
    for stage in plan.stages:
        assert {stage.at(s).tokens_per_step for s in (0, 142_999)} == {1024 * 2048}


def test_warm_up_of_one_percent_then_a_cosine_to_a_tenth(plan: Plan, size: str) -> None:
    peak = PEAKS[size]
    for stage in plan.stages:
        lr = [stage.at(step).lr["llm"] for step in (0, 715, 1430, 72_215, 143_000)]
        assert lr == pytest.approx([0, peak / 2, peak, peak * 0.55, peak / 10], rel=1e-12)


def test_the_deduplicated_pile_is_read_one_and_a_half_times(plan: Plan) -> None:
    read = epochs(plan)
    assert read["deduped"]["pile-deduped"] == Fraction(299_892_736_000, 207 * 10**9)  # 1.449
    assert read["standard"]["pile"] == Fraction(299_892_736_000, 300 * 10**9)


def test_each_overlay_says_its_own_shape(plan: Plan, size: str) -> None:
    assert plan.modules["llm"].preset == f"pythia-{size}"
    conflicts = [(p.path, p.value) for p in plan.provenance if p.kind == "conflict"]
    expected = [("schedules.pretrain[0].to", "[3e-4, 2.5e-4]")] if size == "1b" else []
    assert conflicts == expected
