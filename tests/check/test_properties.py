import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from curriculum.batch import Batch, BatchPiece
from curriculum.check import properties
from curriculum.check.properties import broken_properties
from curriculum.check.rules import broken_rules
from curriculum.check.step_properties import CHAIN, STEP, Point
from curriculum.compile import compile_file, compile_text
from curriculum.curve import Curve, Piece
from curriculum.errors import Severity
from curriculum.plan import Plan, Stage
from small_plan import SMALL
from strategies import Tree, plans, text_of

PLANS = Path(__file__).parents[2] / "plans"


def small_plan() -> Plan:
    plan = compile_text(SMALL).plan
    assert plan is not None
    return plan


def with_second(plan: Plan, second: Stage) -> Plan:
    return replace(plan, stages=(plan.stages[0], second))


class Late(Batch):
    """A batch whose marks are a step too late."""

    __slots__ = ()

    def step_at_tokens(self, tokens: int) -> int:
        return Batch.step_at_tokens(self, tokens) + 1


def codes(plan: Plan) -> set[str]:
    return {f.rule for f in broken_properties(plan, max_examples=60)}


def test_every_property_holds_of_the_full_plan_in_seconds() -> None:
    plan = compile_file(PLANS / "kimi-vl.yaml").plan
    assert plan is not None
    started = time.monotonic()
    assert broken_properties(plan) == ()
    assert time.monotonic() - started < 20  # 1.4 s on two quiet cores


@given(plans())
@settings(max_examples=25, suppress_health_check=list(HealthCheck))
def test_check_finds_no_error_in_any_valid_plan(tree: Tree) -> None:
    compiled = compile_text(text_of(tree))
    assert all(finding.severity is Severity.INFO for finding in compiled.findings)
    assert compiled.plan is not None
    assert broken_properties(compiled.plan, max_examples=15) == ()
    for finding in broken_rules(compiled.plan):
        assert finding.span is not None


# Each property with a plan that breaks it


def test_steps_that_do_not_add_up() -> None:
    plan = small_plan()
    stage = plan.stage("second")
    # A second piece that claims a step's tokens more than the first left.
    broken = Batch((*stage.batch.pieces, BatchPiece(100, 8, 256, 101 * 2048, 800)))
    found = broken_properties(with_second(plan, replace(stage, batch=broken)))
    first = next(f for f in found if f.rule == "steps-add-up")
    assert first.message == (
        "stage `second`, step 99 (at 202,752 tokens): 4,096 tokens, not 8 x 256"
    )
    assert str(first.span) == "plan.yaml:27:3"
    assert first.severity is Severity.ERROR


def test_marks_that_are_not_first_steps() -> None:
    plan = small_plan()
    stage = plan.stage("second")
    found = broken_properties(with_second(plan, replace(stage, batch=Late(stage.batch.pieces))))
    message = next(f.message for f in found if f.rule == "marks-are-first-steps")
    assert message.endswith("and the one before starts after it too")


def test_shares_that_do_not_fit_the_batch() -> None:
    plan = small_plan()
    stage = plan.stage("second")
    found = codes(with_second(plan, replace(stage, mixture=plan.stage("first").mixture)))
    assert {"shares-sum-to-one", "draws-stay-within-one"} & found


def test_a_rate_that_turns_back() -> None:
    plan = small_plan()
    stage = plan.stage("second")
    curve = stage.lr["llm"]
    assert curve is not None
    piece = curve.pieces[0]
    object.__setattr__(piece, "_b", 5e-3)  # the float is no longer the exact end
    found = broken_properties(with_second(plan, stage))
    message = next(f.message for f in found if f.rule == "rates-run-smoothly")
    assert message.startswith("stage `second`, step 0 (at 0 tokens): the LR of `llm` ")


def test_what_fails_beside_others_is_told_also_where_it_is_not_found_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All properties are asked at the same points first: what fails there is never lost."""

    stage = small_plan().stages[1]
    first = properties.Counterexample(Point(stage, 7, 0), "it fails here")

    def fails(point: Point) -> str | None:
        return "it fails here" if point.step == 7 else None

    def searched(prop: object, *more: object) -> properties.Counterexample | None:
        return None if prop is fails else first

    monkeypatch.setattr(properties, "STEP", (fails,))
    monkeypatch.setattr(properties, "_falsified", searched)
    (finding,) = broken_properties(small_plan())
    assert finding.rule == "fails"
    assert "stage `second`, step 7 " in finding.message


def test_a_clock_that_does_not_go_on() -> None:
    plan = small_plan()
    stage = plan.stage("second")
    ride = replace(stage.rides["llm"], tokens_before=999_999)
    found = broken_properties(with_second(plan, replace(stage, rides={"llm": ride})))
    assert [f.message for f in found if f.rule == "clocks-go-on"] == [
        "stage `second`: schedule `main` begins at 999,999 tokens, `first` left it at 1,000,000"
    ]


def test_a_rate_that_does_not_go_on() -> None:
    plan = small_plan()
    stage = plan.stage("second")
    curve = stage.lr["llm"]
    assert curve is not None
    a = curve.pieces[0]
    moved = Curve((Piece(a.shape, a.unit, a.first_step, a.start - 9, a.end, a.a, a.b),))
    found = codes(with_second(plan, replace(stage, lr={"llm": moved})))
    assert "clocks-go-on" in found


def test_a_digest_that_is_not_that_of_all_steps() -> None:
    plan = small_plan()
    stage = plan.stage("second")
    found = broken_properties(with_second(plan, replace(stage, digest="0" * 64)))
    assert {f.rule for f in found} == {"locks-come-back"}


# How they run


def test_the_same_examples_every_time_and_others_with_a_seed() -> None:
    plan = small_plan()
    stage = plan.stage("second")
    broken = Batch((*stage.batch.pieces, BatchPiece(100, 8, 256, 101 * 2048, 800)))
    wrong = with_second(plan, replace(stage, batch=broken))
    assert broken_properties(wrong) == broken_properties(wrong)
    assert broken_properties(wrong, 300, seed=7) == broken_properties(wrong, 300, seed=7)


def test_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    broken_properties(small_plan(), max_examples=5)
    assert os.listdir(tmp_path) == []


def test_a_plan_without_a_known_stage_has_no_steps_to_look_at() -> None:
    plan = compile_text(SMALL.replace("tokens: 1M", "tokens: unknown")).plan
    assert plan is not None
    assert plan.stages == ()
    assert broken_properties(plan) == ()


def test_properties_are_sentences() -> None:
    for prop in (*STEP, *CHAIN):
        assert prop.__doc__
        assert prop.__doc__.rstrip().endswith(".")
