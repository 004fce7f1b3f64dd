"""What is the same at every step of a stage, compared: starts, modules, optimizers, seeds, data"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

from curriculum.diff.drawn import first_read
from curriculum.diff.values import Change, Value
from curriculum.lock_json import fixed_json, source_json
from curriculum.lock_rope import rope_json
from curriculum.models.counted_shape import DESCRIPTIVE
from curriculum.models.shapes import Shape
from curriculum.objective import LossRule
from curriculum.plan import OutsideStage, Plan, Source, Stage, Start


class Pair(NamedTuple):
    """A stage in two plans, and how all stages of the first are called in the second."""

    a: Plan
    b: Plan
    one: Stage
    other: Stage
    names: Mapping[str, str]


def fixed_changes(pair: Pair) -> Iterator[Change]:
    """Tell all that differs from step 0 on, and sources that differ from where they are read."""
    one, other = pair.one, pair.other
    yield from starts_differ(pair)
    yield from _shapes_differ(pair)
    if pair.a.seed != pair.b.seed:
        yield Change("seed of the plan", 0, pair.a.seed, pair.b.seed)
    if one.seed != other.seed:
        yield Change("seed", 0, one.seed, other.seed)
    if one.own_seed != other.own_seed:
        words = {True: "anew", False: "on from the ancestors"}
        yield Change("reads its sources", 0, words[one.own_seed], words[other.own_seed])
    if one.train != other.train:
        yield Change("trains", 0, ", ".join(one.train), ", ".join(other.train))
    if one.count != other.count:
        yield Change("counts", 0, one.count, other.count)
    if one.packing != other.packing:
        yield Change("packing", 0, one.packing, other.packing)
    yield from _ropes_differ(one, other)
    yield from _rules_differ(one, other)
    yield from _optimizers_differ(one, other)
    yield from _lifecycles_differ(one, other)
    yield from _sources_differ(pair)


def starts_differ(pair: Pair) -> Iterator[Change]:
    """Tell modules that come from elsewhere, are added or gone, or carry another state along."""
    for module in sorted(pair.one.init.keys() | pair.other.init.keys()):
        before, after = pair.one.init.get(module), pair.other.init.get(module)
        if before is None or after is None:
            is_same = False
        else:
            is_same = is_same_start(pair.a, pair.b, pair.names, before, after)
        if not is_same:
            yield Change(f"start of {module}", 0, _start_words(before), _start_words(after))
        elif before and after and before.carries_state != after.carries_state:
            words = {True: "carried", False: "fresh"}
            was, now = words[before.carries_state], words[after.carries_state]
            yield Change(f"optimizer state of {module}", 0, was, now)


def is_same_start(a: Plan, b: Plan, names: Mapping[str, str], before: Start, after: Start) -> bool:
    """Say whether two starts are one point; whether the same lies before it is not asked.

    `names` says how the stages of `a` are called in `b`.
    """
    if before.stage is None or after.stage is None:
        return before.stage is after.stage
    if before.stage in names:
        return names[before.stage] == after.stage and before.step == after.step
    one, other = _outside(a, before), _outside(b, after)
    if one is None or other is None:
        return False
    mine, its = one.checkpoint, other.checkpoint
    is_one = one.name == other.name or (mine.path is not None and mine.path == its.path)
    return is_one and mine.stand_in == its.stand_in


def _outside(plan: Plan, start: Start) -> OutsideStage | None:
    return next((stage for stage in plan.outside if stage.name == start.stage), None)


def _start_words(start: Start | None) -> str | None:
    if start is None:
        return None
    return "new" if start.stage is None else f"{start.stage}@{start.step}"


# Shapes


def shapes_of(pair: Pair) -> Iterator[tuple[str, Shape, Shape]]:
    """Go through the modules that both have, with their shapes."""
    for module in pair.one.init:
        if module in pair.other.init:
            shapes = (
                pair.a.shape_of(pair.one, module),
                pair.b.shape_of(pair.other, module),
            )
            yield module, *shapes


def is_compatible(pair: Pair) -> bool:
    """Say whether checkpoints of the stage hold what it needs now: the same tensors.

    A stage that reshapes a module of its parent in another way than before begins anew; what lies
    before it can be read.
    """
    for module, one, other in shapes_of(pair):
        if one == other or (one.kind == other.kind and _tensors(one) == _tensors(other)):
            continue
        is_reshaped_here = module in pair.one.lifecycle.rows or module in pair.other.lifecycle.rows
        if not is_reshaped_here or pair.a.modules[module].shape != pair.b.modules[module].shape:
            return False
    return True


def _tensors(shape: Shape) -> object:
    """Return what a checkpoint holds of a module, or all that is known of its sizes."""
    known = {key: value for key, value in _fields(shape).items() if key not in DESCRIPTIVE}
    return shape.weights() or known


def _shapes_differ(pair: Pair) -> Iterator[Change]:
    for module, one, other in shapes_of(pair):
        if one == other:
            continue
        if type(one) is not type(other) or one.kind != other.kind:
            yield Change(f"shape of {module}", 0, _shape_words(one), _shape_words(other))
            continue
        mine, its = _fields(one), _fields(other)
        for name in mine:
            if mine[name] != its[name]:
                yield Change(f"{name} of {module}", 0, _value(mine[name]), _value(its[name]))


def _fields(shape: Any) -> dict[str, object]:
    return asdict(shape)  # each kind of shape is a dataclass, their common face is not


def _shape_words(shape: Shape) -> str:
    return f"{shape.kind}, {shape.num_params():,} parameters"


# Values


def _ropes_differ(one: Stage, other: Stage) -> Iterator[Change]:
    for target in sorted(one.rope.keys() | other.rope.keys()):
        before, after = one.rope.get(target), other.rope.get(target)
        if before == after:
            continue
        was, now = ("none" if r is None else rope_json(r) for r in (before, after))
        bases = [r.base if r else None for r in (before, after)]
        if bases[0] != bases[1] and bases[0] is not None and bases[1] is not None:
            yield Change(f"RoPE base of {target}", 0, _number(bases[0]), _number(bases[1]))
            if before and after and before.scaling == after.scaling:
                continue
        yield Change(f"RoPE of {target}", 0, _value(was or "none"), _value(now or "none"))


def _rules_differ(one: Stage, other: Stage) -> Iterator[Change]:
    plain = LossRule()
    for term in sorted(one.loss.keys() & other.loss.keys()):
        before = one.loss_rules.get(term, plain)
        after = other.loss_rules.get(term, plain)
        if before != after:
            was, now = (f"over {rule.over}, reduce {rule.reduce}" for rule in (before, after))
            yield Change(f"loss {term}", 0, was, now)


def _optimizers_differ(one: Stage, other: Stage) -> Iterator[Change]:
    for target in sorted(one.optimizer.keys() | other.optimizer.keys()):
        before, after = one.optimizer.get(target), other.optimizer.get(target)
        if before is None or after is None or before.kind != after.kind:
            was, now = (None if rule is None else rule.kind for rule in (before, after))
            yield Change(f"optimizer of {target}", 0, was, now)
            continue
        for name in sorted((before.values.keys() | after.values.keys()) - before.curves.keys()):
            if name in after.curves:
                continue  # one of them has a curve: told as such
            mine, its = before.values.get(name), after.values.get(name)
            if mine != its or type(mine) is not type(its):
                yield Change(f"{name} of {target}", 0, _value(mine), _value(its))


def _lifecycles_differ(one: Stage, other: Stage) -> Iterator[Change]:
    if one.lifecycle == other.lifecycle:
        return
    mine, its = (fixed_json(stage).get("lifecycle", {}) for stage in (one, other))
    for name in sorted(mine.keys() | its.keys()):
        if name != "sizes" and mine.get(name) != its.get(name):  # sizes: told as shapes
            yield Change(name, 0, _value(mine.get(name)), _value(its.get(name)))


# Sources


RUNS = ("modality", "holdout", "of", "part", "min_tokens", "max_tokens")
"""What of a source decides what is read; its size, its cap and its images are counted with."""


def _sources_differ(pair: Pair) -> Iterator[Change]:
    both = set(pair.one.mixture.sources) & set(pair.other.mixture.sources)
    for name in sorted(both):
        mine, its = pair.a.sources[name], pair.b.sources[name]
        if mine == its:
            continue
        before, after = _said(mine), _said(its)
        reads = [first_read(stage.mixture, name) for stage in (pair.one, pair.other)]
        known = [step for step in reads if step is not None]
        for key in RUNS:
            if known and before.get(key) != after.get(key):
                was, now = _value(before.get(key)), _value(after.get(key))
                yield Change(f"{key} of {name}", min(known), was, now)


def _said(source: Source) -> dict[str, object]:
    return source_json(source, with_path=False)


def _number(value: object) -> Value:
    number = float(value)  # type: ignore[arg-type]
    return int(number) if number.is_integer() else number


def _value(value: object) -> Value:
    """Return a value as a number or as words."""
    if value is None or isinstance(value, str) or type(value) in (int, float):
        return value  # type: ignore[return-value]
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_value(inner)}" for key, inner in sorted(value.items()))
    if isinstance(value, list | tuple):
        return ", ".join(str(_value(inner)) for inner in value)
    return str(value)
