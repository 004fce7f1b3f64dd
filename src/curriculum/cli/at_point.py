"""What `STAGE@MARK` names: a step of a stage, or the end of what has no steps here"""

from curriculum.composed import ComposedStage
from curriculum.errors import CurriculumError, ValueProblem, did_you_mean
from curriculum.marks import step_at_mark
from curriculum.paths import path_tokens, points_on_path
from curriculum.plan import OutsideStage, Plan, Stage
from curriculum.short_forms import short_length
from curriculum.units import Amount, count_in_words, parse_mark

AtStep = tuple[Stage, int]


def point_of(plan: Plan, point: str) -> AtStep | OutsideStage | ComposedStage:
    """Return the step of a stage, or the stage without steps, that `STAGE@MARK` names.

    Raises `CurriculumError`.
    """
    name, mark = _parts(point)
    given = _without_steps(plan, name)
    if given is not None and mark in ("", "end"):
        return given
    return step_of(plan, point)


def step_of(plan: Plan, point: str) -> AtStep:
    """Return the stage and step that `STAGE@MARK` names; raises `CurriculumError`."""
    name, mark = _parts(point)
    match _without_steps(plan, name):
        case ComposedStage():
            raise CurriculumError(
                f"stage `{name}` only composes and has no steps: all of it is `{name}@end`"
            )
        case OutsideStage():
            raise CurriculumError(
                f"`{name}` is an outside checkpoint: it was over before this plan begins and has "
                f"no steps here; what is known of it is `{name}@end`"
            )
    for unknown in plan.unknown:
        if unknown.name == name:
            missing = ", ".join(unknown.missing)
            raise CurriculumError(f"stage `{name}` has no steps yet: unknown are {missing}")
    if not plan.has_stage(name):
        known = [stage.name for stage in (*plan.all_stages, *plan.outside)]
        raise CurriculumError(f"no stage `{name}` in this plan; {did_you_mean(name, known)}")
    stage = plan.stage(name)
    if mark in ("", "end"):
        return stage, stage.steps
    try:
        amount = parse_mark(mark)
    except ValueProblem as problem:
        raise CurriculumError(
            f"{problem}; {problem.help}" if problem.help else str(problem)
        ) from None
    step = step_at_mark(stage, amount)
    first = stage.batch.piece_at(0).tokens_per_step
    if amount.unit == "tokens" and 0 < amount.value < min(first, stage.budget.tokens):
        raise CurriculumError(
            f"the mark `{mark}` is less than a step of {short_length(first)} tokens; "
            f"did you mean `{name}@step {int(amount.value)}`?"
        )
    if step is None:
        raise CurriculumError("a mark is in tokens, `step N`, `N seqs` or a share")
    if step > stage.steps:
        raise CurriculumError(_past_the_end(plan, stage, mark, amount))
    return stage, step


def _parts(point: str) -> tuple[str, str]:
    name, _, mark = point.partition("@")
    return name, mark.strip()


def _without_steps(plan: Plan, name: str) -> OutsideStage | ComposedStage | None:
    outside = next((outside for outside in plan.outside if outside.name == name), None)
    return outside or plan.composed_stage(name)


def _past_the_end(plan: Plan, stage: Stage, mark: str, amount: Amount) -> str:
    """Say how long a stage is, and what the mark is where it was counted along the path."""
    tokens = count_in_words(stage.budget.tokens)
    words = (
        f"`{mark}` lies past the end of `{stage.name}`, which is {tokens} tokens long "
        f"({stage.steps:,} steps)"
    )
    path = path_tokens(plan, asked=True)[stage.name]
    if amount.unit != "tokens" or path is None or path == stage.budget.tokens:
        return words
    points = points_on_path(plan, stage.name, int(amount.value))
    if not points:
        return f"{words}; its path, with all it starts from, is {count_in_words(path)} long"
    named = " or ".join(f"`{name}@{count_in_words(inside)}`" for name, inside in points)
    return f"{words}; {mark} of its path is {named}"
