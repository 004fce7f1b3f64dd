"""Whether what a run has done stays as it was: the first executed step that another plan changes"""

from collections.abc import Mapping
from dataclasses import dataclass

from curriculum.composed import ComposedStage
from curriculum.diff.compare import PlanDiff, StageDiff
from curriculum.diff.values import Place
from curriculum.paths import in_order
from curriculum.plan import Plan


@dataclass(frozen=True, slots=True)
class Touched:
    """The first step that was executed and would be another; `done` steps of its stage were."""

    stage: StageDiff
    place: Place
    done: int


def touched(diff: PlanDiff, executed: Mapping[str, int], by_name: bool = False) -> Touched | None:
    """Return the first executed step that differs, in the order of the stages; None where none is.

    `executed` says how many steps of each stage of `diff.a` were done; a stage that only composes
    has one. With `by_name` a stage under another name is another one: what a run has done lies
    under the name that it had.
    """
    for one in diff.stages:
        done = 0 if one.was is None else executed.get(one.was, 0)
        if not done or one.was is None:
            continue
        if by_name and one.fate == "renamed":
            return Touched(one, Place(one.was, 0), done)
        if one.step is not None and one.step < done:
            return Touched(one, Place(one.was, one.step), done)
    return None


def executed_before(plan: Plan, place: Place) -> dict[str, int]:
    """Return what was done when a run that does all stages in order stands at a place.

    Raises KeyError where the plan has no such stage.
    """
    done: dict[str, int] = {}
    for stage in in_order(plan):
        if stage.name == place.stage:
            return {**done, stage.name: place.step}
        done[stage.name] = 1 if isinstance(stage, ComposedStage) else stage.steps
    raise KeyError(place.stage)
