"""A comparison as the values that JSON has"""

from typing import Any

from curriculum.diff.compare import PlanDiff, StageDiff
from curriculum.diff.executed import Touched
from curriculum.diff.numbers import Number, stage_numbers
from curriculum.diff.values import Change, Fact, Place
from curriculum.plan import Plan


def diff_json(diff: PlanDiff) -> dict[str, Any]:
    """Return a comparison; steps and tokens are integers, what nobody knows is null."""
    numbers = stage_numbers(diff)
    return {
        "a": _plan_json(diff.a),
        "b": _plan_json(diff.b),
        "class": str(diff.kind),
        "place": place_json(diff.place),
        "stages": [_stage_json(one, numbers(one)) for one in diff.stages],
        "facts": [_fact_json(fact) for fact in diff.facts],
    }


def place_json(place: Place | None) -> dict[str, Any] | None:
    """Return a place; null where there is none."""
    return None if place is None else {"stage": place.stage, "step": place.step}


def touched_json(place: Place, found: Touched | None) -> dict[str, Any]:
    """Return whether everything before a step is the same, and the first step that is not."""
    return {
        **(place_json(place) or {}),
        "is_untouched": found is None,
        "first": None if found is None else place_json(found.place),
        "changes": [] if found is None else [_change_json(c) for c in found.stage.first_changes],
    }


def _plan_json(plan: Plan) -> dict[str, Any]:
    return {"plan": plan.name, "digest": plan.digest}


def _stage_json(one: StageDiff, numbers: list[Number]) -> dict[str, Any]:
    return {
        "name": one.name,
        "was": one.was,
        "fate": one.fate,
        "class": str(one.kind),
        "place": place_json(one.place),
        "step": one.step,
        "changes": [_change_json(change) for change in one.changes],
        "numbers": [number._asdict() for number in numbers],
        "facts": [_fact_json(fact) for fact in one.facts],
    }


def _change_json(change: Change) -> dict[str, Any]:
    return {
        "what": change.what,
        "step": change.step,
        "before": change.before,
        "after": change.after,
        "is_certain": change.is_certain,
    }


def _fact_json(fact: Fact) -> dict[str, Any]:
    return {
        "what": fact.what,
        "before": fact.before,
        "after": fact.after,
        "class": str(fact.kind),
    }
