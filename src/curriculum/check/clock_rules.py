"""Rules about steps and learning rates: whole steps, continuity, warm-ups"""

from collections.abc import Iterator

from curriculum.check.places import related_place
from curriculum.curve import Curve
from curriculum.errors import Diagnostic, Severity
from curriculum.plan import Plan, Stage
from curriculum.units import rounded_in_words

MIN_STEPS = 3
"""Below this a stage has no step that is neither its first nor its last."""


def budgets_become_whole_steps(plan: Plan) -> Iterator[Diagnostic]:
    """What a stage plans differs by less than a step from what it asked: upwards, or downwards
    where it says `round: down`."""
    for stage in plan.stages:
        over = stage.tokens - stage.budget.tokens
        per_step = stage.batch.piece_at(stage.steps - 1).tokens_per_step
        if stage.budget.round_down:
            over = -over
            per_step = stage.batch.piece_at(stage.steps).tokens_per_step
        if not 0 <= over < per_step:
            yield Diagnostic(
                "budgets-become-whole-steps",
                f"stage `{stage.name}` asks for {stage.budget.tokens:,} tokens and plans "
                f"{stage.tokens:,}; a step has {per_step:,}",
                plan.place(f"stages.{stage.name}.tokens"),
                "compile the plan anew: no budget gives these steps",
            )


def carried_modules_go_on_at_their_rate(plan: Plan) -> Iterator[Diagnostic]:
    """A module whose optimizer state comes along goes on at exactly the learning rate it was left
    at, starts from 0, or its ride says `jump: true`."""
    for stage in plan.stages:
        first = stage.at(0).lr
        for target, rate in first.items():
            start = stage.init[target.partition("/")[0]]
            if not start.carries_state or rate is None or rate == 0 or stage.rides[target].jump:
                continue
            left = _left_rate(plan, stage, target)
            if left is None or left[1] == rate:
                continue
            parent, before = left
            yield Diagnostic(
                "carried-modules-go-on-at-their-rate",
                f"stage `{stage.name}` carries the optimizer state of `{target}` and begins at "
                f"LR {rate:.6g}, where `{parent.name}` left it at {before:.6g}",
                plan.place(f"stages.{stage.name}.lr.{target}"),
                "begin at `from: current` or from 0, say `jump: true`, or `carry: none`",
                related=related_place(
                    plan, f"left at {before:.6g} here", f"stages.{parent.name}.lr"
                ),
            )


def rates_are_not_negative(plan: Plan) -> Iterator[Diagnostic]:
    """No learning rate and no weight of a loss falls below 0."""
    for stage in plan.stages:
        for key, curves in (("lr", stage.lr), ("loss", stage.loss)):
            for name, curve in curves.items():
                lowest = _lowest(curve)
                if lowest < 0:
                    what = "learning rate" if key == "lr" else "loss weight"
                    yield Diagnostic(
                        "rates-are-not-negative",
                        f"the {what} of `{name}` falls to {lowest:.6g} in stage `{stage.name}`",
                        plan.place(f"stages.{stage.name}.{key}.{name}"),
                        "let it end at 0 or above",
                    )


def every_trained_module_moves(plan: Plan) -> Iterator[Diagnostic]:
    """A module that a stage trains has a learning rate other than 0 at some step."""
    for stage in plan.stages:
        for target, curve in stage.lr.items():
            if curve is not None and _is_zero(curve):
                yield Diagnostic(
                    "every-trained-module-moves",
                    f"`{target}` is trained in stage `{stage.name}` at a learning rate of 0",
                    plan.place(f"stages.{stage.name}.lr.{target}"),
                    f"leave `{target}` out of `train`",
                    Severity.WARNING,
                )


def first_steps_learn(plan: Plan) -> Iterator[Diagnostic]:
    """The first step of a stage changes weights; one that warms up from 0 does not."""
    idle = [stage for stage in plan.stages if _warms_up_from_zero(stage)]
    if idle:
        names = ", ".join(f"`{stage.name}`" for stage in idle)
        yield Diagnostic(
            "first-steps-learn",
            f"a warm-up from 0 reads 0 at step 0: it changes no weights at the start of {names}",
            plan.place(f"stages.{idle[0].name}.lr"),
            severity=Severity.INFO,
        )


def stages_have_three_steps(plan: Plan) -> Iterator[Diagnostic]:
    """A stage has at least 3 steps."""
    for stage in plan.stages:
        if stage.steps < MIN_STEPS:
            per_step = rounded_in_words(stage.at(0).tokens_per_step)
            yield Diagnostic(
                "stages-have-three-steps",
                f"stage `{stage.name}` has {stage.steps} step{'s' * (stage.steps > 1)} "
                f"of {per_step} tokens",
                plan.place(f"stages.{stage.name}.tokens"),
                "ask for more tokens, or make the batch smaller",
                Severity.WARNING,
            )


def _warms_up_from_zero(stage: Stage) -> bool:
    curves = (curve for curve in stage.lr.values() if curve is not None and not _is_zero(curve))
    return stage.steps > 1 and any(curve.at(0, 0) == 0 for curve in curves)


def _is_zero(curve: Curve) -> bool:
    return all(piece.a == piece.b == 0 for piece in curve.pieces)


def _left_rate(plan: Plan, stage: Stage, target: str) -> tuple[Stage, float] | None:
    """Return the LR a target was last trained at, up the path; None where nobody knows."""
    module = target.partition("/")[0]
    start = stage.init[module]
    while start.stage is not None and plan.has_stage(start.stage):
        parent = plan.stage(start.stage)
        if target in parent.lr or module in parent.lr:
            rates = parent.at(start.step).lr
            rate = rates[target] if target in rates else rates[module]
            return None if rate is None else (parent, rate)
        start = parent.init[module]
    return None


def _lowest(curve: Curve | None) -> float:
    """Return the lowest value of a curve: every shape runs between its ends."""
    ends = [float(end) for p in curve.pieces for end in (p.a, p.b)] if curve else []
    return min(ends, default=0.0)
