"""Points that claims name: a stage, and the one step of it that a mark means"""

from curriculum.check.claim_values import Run
from curriculum.claims import Point
from curriculum.errors import ClaimProblem, did_you_mean
from curriculum.marks import step_at_mark
from curriculum.plan import Plan


def require_stage(plan: Plan, point: Point) -> None:
    """Refuse a point of a stage that has no steps. Raises `ClaimProblem`."""
    known = [*(stage.name for stage in plan.stages), *(stage.name for stage in plan.unknown)]
    if plan.composed_stage(point.stage) is not None:
        raise ClaimProblem(f"stage `{point.stage}` only composes: it has no steps", *point.place)
    if point.stage not in known:
        what = f"there is no stage `{point.stage}`"
        raise ClaimProblem(what, *point.place, did_you_mean(point.stage, known))


def run_of(plan: Plan, point: Point) -> Run:
    """Return the one step that a point with a mark names. Raises `ClaimProblem`."""
    stage = plan.stage(point.stage)
    step = stage.steps if point.mark is None else step_at_mark(stage, point.mark)
    if step is None or step > stage.steps:
        lies = "is no mark" if step is None else f"lies past the end of stage `{point.stage}`"
        what = f"`{point.mark}` {lies}"
        raise ClaimProblem(
            what, *point.place, f"it has {stage.steps:,} steps; write tokens, a step or a share"
        )
    return Run(stage, step, step + 1, step == stage.steps)
