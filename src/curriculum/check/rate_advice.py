"""Advice about learning rates: what nobody does wrong, and somebody may want to know"""

from collections.abc import Iterator
from fractions import Fraction

from curriculum.check.clock_rules import is_zero
from curriculum.curve import Curve
from curriculum.errors import Diagnostic, Severity
from curriculum.plan import Plan

WASTED = Fraction(1, 100)
"""Of a stage's tokens, what a first step that changes no weights may read without a word."""


def first_steps_learn(plan: Plan) -> Iterator[Diagnostic]:
    """The first step of a short stage changes weights: a warm-up from 0 reads 0 at step 0.

    Told where that step is at least 1% of the stage.
    """
    for stage in plan.stages:
        idle = [target for target, curve in stage.lr.items() if _begins_at_zero(curve)]
        share = Fraction(stage.at(0).tokens_per_step, stage.tokens)
        if idle and stage.steps > 1 and share >= WASTED:
            names = ", ".join(f"`{target}`" for target in idle)
            yield Diagnostic(
                "first-steps-learn",
                f"step 0 of stage `{stage.name}` is {float(share * 100):.3g}% of its tokens, and "
                f"changes nothing of {names}: a warm-up from 0 reads 0 there",
                plan.place(f"stages.{stage.name}.lr.{idle[0]}"),
                "start the warm-up above 0, or make the batch smaller",
                Severity.INFO,
            )


def _begins_at_zero(curve: Curve | None) -> bool:
    return curve is not None and not is_zero(curve) and curve.at(0, 0) == 0
