"""Property tests of a team's own plans, with pytest and hypothesis: strategies and assertions

    PLAN = plan_of("plans/mine.yaml")

    def test_it_holds():                       # rules, claims, properties: as `curriculum check`
        assert_plan_holds(PLAN)

    @given(steps(PLAN))                        # any step of any stage
    def test_no_rate_is_high(now):
        assert all(rate <= 3e-3 for rate in now.lr.values())

What hypothesis draws is a `Now`: all that the plan says of one step. docs/testing.md tells more.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from curriculum.check import points
from curriculum.check.allowing import outcome_of
from curriculum.check.claim_rules import claims_hold
from curriculum.check.properties import MAX_EXAMPLES, broken_properties
from curriculum.compile import compile_file
from curriculum.errors import Diagnostic, FindingsError, Severity
from curriculum.findings import SEVERITIES, in_order, text_of
from curriculum.lock import read_lock
from curriculum.plan import Claim, Now, Plan

__all__ = [
    "assert_claims",
    "assert_plan_holds",
    "changes",
    "handovers",
    "plan_of",
    "steps",
]


def plan_of(path: str | Path, **settings: object) -> Plan:
    """Return the plan of a file, or of a lock (`*.json`).

    `settings` are keys to replace, as by `--set`: `plan_of(path, seed=3)`, and with dots
    `plan_of(path, **{"stages.joint.tokens": "1T"})`. Raises `FindingsError` where it does not
    compile: its text says where and why. What compiles may still break rules: `assert_plan_holds`.
    """
    path = Path(path)
    if path.suffix == ".json":
        if settings:
            raise ValueError(f"{path}: is a lock; settings change plan files, not locks")
        return read_lock(path.read_text(encoding="utf-8"), str(path))
    compiled = compile_file(path, [f"{key}={value}" for key, value in settings.items()])
    if compiled.plan is None:
        raise FindingsError(compiled.findings)
    return compiled.plan


def steps(plan: Plan, *stages: str) -> SearchStrategy[Now]:
    """Draw a step of the stages that are named, of all without a name.

    Often one where something changes, or beside it; what fails shrinks to an early step of an
    early stage. Raises `ValueError` where there is no such stage.
    """
    return points.moments(_only(plan, stages))


def changes(plan: Plan, *stages: str) -> SearchStrategy[Now]:
    """Draw a step at which a piece begins: of a rate, a weight, a setting, a ratio or the batch."""
    return st.sampled_from(points.turning_points(_only(plan, stages)))


def handovers(plan: Plan) -> SearchStrategy[tuple[Now, Now]]:
    """Draw two stages of which one goes on from the other: as it was left, and the first step.

    Raises `ValueError` where no stage goes on from another.
    """
    found = points.handovers(plan)
    if not found:
        raise ValueError(f"no stage of plan `{plan.name}` goes on from another")
    return st.sampled_from(found)


def assert_plan_holds(
    plan: Plan,
    *,
    fail_on: str = "error",
    max_examples: int = MAX_EXAMPLES,
    seed: int | None = None,
) -> None:
    """Fail where `curriculum check` would: rules, claims, and the properties of every plan.

    `fail_on` is `error`, `warning` or `info`. What the plan allows fails nothing. Without a `seed`
    the examples are the same on every machine.
    """
    __tracebackhide__ = True
    least = SEVERITIES.index(Severity(fail_on))
    found = [
        *outcome_of(plan, advises=True).findings,
        *broken_properties(plan, max_examples, seed),
    ]
    _require_none(f for f in found if SEVERITIES.index(f.severity) >= least)


def assert_claims(plan: Plan, *claims: str) -> None:
    """Fail where a claim does not hold, as one of `require` would be; it is proved, not sampled.

    A claim that cannot be decided, because what it asks for is unknown, fails too.
    """
    __tracebackhide__ = True
    _require_none(claims_hold(replace(plan, claims=tuple(Claim(text) for text in claims))))


def _only(plan: Plan, stages: tuple[str, ...]) -> Plan:
    known = [stage.name for stage in plan.stages]
    if missing := [name for name in stages if name not in known]:
        raise ValueError(f"plan `{plan.name}` has no stage `{missing[0]}`, but: {', '.join(known)}")
    if not known:
        raise ValueError(f"plan `{plan.name}` has no stage whose steps are known")
    kept = tuple(stage for stage in plan.stages if not stages or stage.name in stages)
    return replace(plan, stages=kept)


def _require_none(findings: Iterable[Diagnostic]) -> None:
    __tracebackhide__ = True
    if told := text_of(in_order(findings)):
        raise AssertionError(f"the plan does not hold:\n{told}")
