"""The public strategies and assertions, and the example of their page"""

import re
import runpy
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, find, given, settings

from curriculum import testing
from curriculum.cli.main import run
from curriculum.errors import FindingsError
from curriculum.plan import Now, Plan
from curriculum.testing import (
    assert_claims,
    assert_plan_holds,
    changes,
    handovers,
    plan_of,
    steps,
)
from small_plan import SMALL, small

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "testing.md"
EXAMPLE = ROOT / "docs" / "testing" / "test_plans.py"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "plan.yaml"
    path.write_text(SMALL)
    return path


@pytest.fixture
def plan(file: Path) -> Plan:
    return plan_of(file)


def test_a_plan_of_a_file_with_other_values_and_of_a_lock(file: Path) -> None:
    plan = plan_of(file, seed=7, **{"stages.first.tokens": "2M"})
    assert (plan.seed, plan.stage("first").budget.tokens) == (7, 2_000_000)
    assert run(["plan", str(file), "-o", "plan.lock.json"]) == 0
    assert plan_of("plan.lock.json") == plan_of(file)
    with pytest.raises(ValueError, match="is a lock; settings change plan files, not locks"):
        plan_of("plan.lock.json", seed=7)


def test_a_plan_that_does_not_compile_says_where(file: Path) -> None:
    with pytest.raises(FindingsError, match=r"plan.yaml:2:7: error\[wrong-value\]: "):
        plan_of(wrong(file))


def wrong(file: Path) -> Path:
    file.write_text(small(("seed: 1", "seed: -1")))
    return file


def test_what_fails_is_an_early_step_of_an_early_stage(plan: Plan) -> None:
    tokens = plan.stage("first").at(100).tokens
    now = find(steps(plan), lambda now: now.tokens >= tokens)
    assert (now.stage.name, now.step) == ("first", 100)
    assert repr(now) == f"<step 100 of stage first, at {tokens:,} tokens>"


@settings(suppress_health_check=list(HealthCheck), max_examples=30)
@given(now=steps(testing.plan_of(ROOT / "plans" / "kimi-vl.yaml"), "joint"))
def test_only_the_stages_that_are_named(now: Now) -> None:
    assert now.stage.name == "joint"
    assert 0 <= now.step < now.stage.steps


def test_a_stage_that_there_is_not(plan: Plan) -> None:
    with pytest.raises(ValueError, match="plan `small` has no stage `third`, but: first, second"):
        steps(plan, "third")


def test_changes_are_the_steps_at_which_pieces_begin(plan: Plan) -> None:
    for now in (find(changes(plan, name), lambda _: True) for name in ("first", "second")):
        assert now.step == 0
    stage = plan.stage("first")
    (curve,) = stage.lr.values()
    assert curve is not None
    wanted = {step for step in curve.breaks() if 0 < step < stage.steps}
    assert wanted
    for step in wanted:
        assert find(changes(plan, "first"), partial(_is_at, step)).step == step


def _is_at(step: int, now: Now) -> bool:
    return now.step == step


def test_a_handover_is_what_was_left_and_what_goes_on(plan: Plan) -> None:
    before, after = find(handovers(plan), lambda _: True)
    assert (before.stage.name, before.step) == ("first", plan.stage("first").steps)
    assert (after.stage.name, after.step) == ("second", 0)
    alone = plan_of(ROOT / "plans" / "pythia-1b.yaml")
    assert not any(stage.parents for stage in alone.stages)
    with pytest.raises(ValueError, match="no stage of plan `pythia-1b` goes on from another"):
        handovers(alone)


def test_a_plan_holds_or_the_findings_are_the_message(file: Path) -> None:
    assert_plan_holds(plan_of(file), fail_on="warning", max_examples=20)
    capped = plan_of(file, **{"sources.web.tokens": "1M"})
    assert_plan_holds(capped, max_examples=20, seed=3)
    with pytest.raises(AssertionError, match=r"info\[repeated-sources-are-capped\]: "):
        assert_plan_holds(capped, fail_on="info", max_examples=20)


def test_a_claim_holds_or_the_step_is_named(plan: Plan) -> None:
    assert_claims(plan, "lr.llm <= 1", "batch.seqs >= 1")
    with pytest.raises(AssertionError, match=r"the plan does not hold:\nerror\[claims-hold\]: "):
        assert_claims(plan, "lr.llm >= 0", "lr.llm <= 1e-9")
    with pytest.raises(AssertionError, match="claim-path"):
        assert_claims(plan, "lr.nobody <= 1")
    with pytest.raises(AssertionError, match="claim-syntax"):
        assert_claims(plan, "lr.llm <=")


def test_every_name_is_told_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for name in testing.__all__:
        assert f"`{name}(" in page, name
        assert getattr(testing, name).__doc__


def test_the_page_shows_its_example_and_what_a_failure_says() -> None:
    page = PAGE.read_text(encoding="utf-8")
    (python,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert python == EXAMPLE.read_text(encoding="utf-8")
    (console,) = re.findall(r"```console\n(.*?)```", page, re.DOTALL)
    plan = plan_of(ROOT / "plans" / "kimi-vl.yaml")
    with pytest.raises(AssertionError) as failed:
        assert_claims(plan, "mix.multimodal <= 30%")
    first = str(failed.value).splitlines()[1]
    assert first in console
    now = find(steps(plan, "joint"), lambda now: now.shares["multimodal"] > 0.3)
    assert f"now={now!r}" in console


@pytest.mark.parametrize(
    "name", re.findall(r"^def (test_\w+)", EXAMPLE.read_text(encoding="utf-8"), re.MULTILINE)
)
def test_the_example_runs(name: str) -> None:
    runpy.run_path(str(EXAMPLE))[name]()
