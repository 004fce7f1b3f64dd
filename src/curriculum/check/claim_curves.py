"""What runs along curves of a claim's paths: learning rates, losses, scalars, optimizers' values"""

from collections.abc import Mapping
from fractions import Fraction
from typing import NamedTuple

from curriculum.claims import Path
from curriculum.curve import Curve, constant
from curriculum.errors import ClaimProblem, did_you_mean
from curriculum.plan import OptimizerRule, Plan, Stage


class Curves(NamedTuple):
    """A curve of every stage that has it; None where it is unknown."""

    by_stage: Mapping[str, Curve | None]
    missing: str


def stage_curves(plan: Plan, path: Path) -> Curves:
    """Return the curves of `lr`, `loss` and `set`. Raises `ClaimProblem`."""
    kind, name = path.names[0], ".".join(path.names[1:])
    found: dict[str, Curve | None] = {}
    known: set[str] = set()
    for stage in plan.stages:
        curves = {"lr": stage.lr, "loss": stage.loss, "set": stage.settings}[kind]
        known |= set(curves)
        module, _, part = name.partition("/")
        if name in curves:
            found[stage.name] = curves[name]
        elif kind == "lr" and module in curves and part in plan.parts_of(stage, module):
            found[stage.name] = curves[module]
    if not found:
        what = f"no stage has a value `{path.text}`"
        raise ClaimProblem(what, *path.place, did_you_mean(name, sorted(known)))
    return Curves(found, f"`{path.text}`")


def optimizer_curves(plan: Plan, path: Path) -> Curves:
    """Return a value of the optimizer of a module or part: one value is a curve that stands.

    Raises `ClaimProblem`.
    """
    _, target, name = path.names
    rules = {s.name: rule for s in plan.stages if (rule := _rule(plan, s, target)) is not None}
    if not rules:
        known = sorted({target for stage in plan.stages for target in stage.optimizer})
        message = f"no stage trains `{target}` with an optimizer"
        raise ClaimProblem(message, *path.place, did_you_mean(target, known))
    found = {stage: _value(rule, name) for stage, rule in rules.items() if _has(rule, name)}
    if not found:
        names = {key for rule in rules.values() for key in (*rule.values, *rule.curves)}
        names = {key for key in names if any(_has(rule, key) for rule in rules.values())}
        kinds = " or ".join(sorted({rule.kind for rule in rules.values()}))
        message = f"`{target}` is trained with {kinds}, which has no number `{name}`"
        raise ClaimProblem(message, *path.place, did_you_mean(name, sorted(names)))
    return Curves(found, f"`{path.text}`")


def _rule(plan: Plan, stage: Stage, target: str) -> OptimizerRule | None:
    """Return what updates a module or a part of it in a stage; None where nothing does."""
    module, _, part = target.partition("/")
    if part:
        is_trained = target in stage.train or module in stage.train
        is_trained = is_trained and part in plan.parts_of(stage, module)
    else:
        is_trained = any(name.partition("/")[0] == module for name in stage.train)
    return stage.optimizer_of(target) if is_trained else None


def _has(rule: OptimizerRule, name: str) -> bool:
    """Say whether a rule has a number of this name: a norm of `none` clips nothing, and is none."""
    if name in rule.curves:
        return True
    value = rule.values.get(name)
    is_none = value is None and (name == "clip_norm" or name not in rule.values)
    return not (is_none or isinstance(value, bool))


def _value(rule: OptimizerRule, name: str) -> Curve | None:
    if name in rule.curves:
        return rule.curves[name]
    value = rule.values[name]
    return None if value is None else constant(Fraction(str(value)))
