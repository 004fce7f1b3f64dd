"""Whether what a run has done stays as it was: the first executed step that another plan changes"""

from collections.abc import Mapping
from dataclasses import dataclass

from curriculum.composed import ComposedStage
from curriculum.diff.compare import PlanDiff, StageDiff
from curriculum.diff.own import DRAWS
from curriculum.diff.values import Place
from curriculum.paths import in_order
from curriculum.plan import Plan, Stage


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
    return _touched(diff, executed, by_name, walks=False)


def touched_by_run(diff: PlanDiff, executed: Mapping[str, int]) -> Touched | None:
    """Return what `touched` does by name, but for draws that are open and were the same after all.

    Where only the draws of some executed steps are open, they are made in both plans and compared:
    what a run that goes on does anyway, and costs as much as the stage has steps.
    """
    return _touched(diff, executed, by_name=True, walks=True)


def _touched(
    diff: PlanDiff, executed: Mapping[str, int], by_name: bool, walks: bool
) -> Touched | None:
    for one in diff.stages:
        done = 0 if one.was is None else executed.get(one.was, 0)
        if not done or one.was is None:
            continue
        if by_name and one.fate == "renamed":
            return Touched(one, Place(one.was, 0), done)
        if one.step is None or one.step >= done:
            continue
        if walks and all(c.what == DRAWS for c in one.changes if c.step < done):
            before, after = diff.a.stage(one.was), diff.b.stage(one.name)
            if draws_are_equal(before, after, one.step, done):
                continue
        return Touched(one, Place(one.was, one.step), done)
    return None


def draws_are_equal(one: Stage, other: Stage, first_step: int, end_step: int) -> bool:
    """Say whether some steps draw the same from every source; sources that draw nothing are not."""
    mine, its = (
        [
            {name: count for name, count in zip(draws.names, counts, strict=True) if count}
            for counts in draws.each(first_step, end_step)
        ]
        for draws in (one.draws(), other.draws())
    )
    return mine == its


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
