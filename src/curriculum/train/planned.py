"""What a plan wants of an optimizer: values by part, and updates that its state has seen

    stage.optimizer, shapes' weights ------planned_values--> {kind, values, parts} == optimizer
    init, train, carry of all ancestors --planned_state_steps--> by module ------- == state_steps

Written from the plan alone, and not by what makes the groups, so that a fault there is seen here.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from curriculum.models.shapes import part_of
from curriculum.models.vlm import is_matrix
from curriculum.plan import Plan, Stage
from curriculum.train.groups import Value, hash_values
from curriculum.train.ledger import LedgerLine

Values = list[dict[str, Any]]
"""What `groups.read_values` gives: `{kind, values, parts}`."""

_OF_KIND = {
    "muon": ("update_rms", "weight_decay", "momentum", "nesterov", "ns_steps", "clip_norm"),
    "adamw": ("beta1", "beta2", "eps", "weight_decay", "clip_norm"),
    "ademamix": ("beta1", "beta2", "beta3", "alpha", "eps", "weight_decay", "clip_norm"),
}


def optimizer_differences(planned: Values, line: LedgerLine) -> Iterator[tuple[str, str]]:
    """Compare the values in force with `planned_values`: all of them where the line has them."""
    told = False
    if line.optimizer is not None:
        for words in _value_differences(planned, line.optimizer):
            told = True
            yield f"optimizer {words}", words
    due = hash_values(planned)
    if not told and line.optimizer_hash != due:
        words = f"other values in the optimizer: hash {line.optimizer_hash}, planned {due}"
        yield "optimizer", words


@dataclass(frozen=True, slots=True)
class PlannedRules:
    """Which rule and kind each trained part of a stage has, to ask for the values of any step."""

    stage: Stage
    parts: frozenset[tuple[str, str, str]]  # a part, the target of its rule, the kind

    @property
    def change(self) -> bool:
        """Whether values run along curves."""
        return any(rule.curves for rule in self.stage.optimizer.values())

    def at(self, step: int) -> Values:
        """Return what the optimizer must hold at a step, as `groups.read_values` writes it."""
        rules = self.stage.at(step).optimizer
        found: dict[str, tuple[str, dict[str, Value], set[str]]] = {}
        for part, target, kind in sorted(self.parts):
            values = _values_of(rules[target], kind)
            key = json.dumps([kind, values], sort_keys=True)
            found.setdefault(key, (kind, values, set()))[2].add(part)
        return [
            {"kind": kind, "values": values, "parts": sorted(parts)}
            for _, (kind, values, parts) in sorted(found.items())
        ]


def planned_values(plan: Plan, stage: Stage, step: int = 0) -> Values:
    """Return what the optimizer of a stage must hold at a step."""
    return planned_rules(plan, stage).at(step)


def planned_rules(plan: Plan, stage: Stage) -> PlannedRules:
    """Find the rule and the kind of every trained part from the shapes' weights."""
    found = set()
    for module in sorted(stage.init):
        shape = plan.shape_of(stage, module)
        for name, size in shape.weights().items():
            part = f"{module}/{part_of(shape.kind, name)}"
            if not _trains(stage, part):
                continue
            target = part if part in stage.optimizer else module
            kind = stage.optimizer[target].kind
            if kind == "muon" and not is_matrix(shape.kind, name, torch.empty(size, device="meta")):
                kind = "adamw"
            found.add((part, target, kind))
    return PlannedRules(stage, frozenset(found))


def planned_state_steps(plan: Plan, stage: Stage) -> dict[str, list[int]]:
    """Return, per trained module, the updates that its state has seen before the stage's step 0."""
    found = {}
    for module in stage.init:
        parts = [f"{module}/{part}" for part in plan.parts_of(stage, module)]
        trained = [part for part in parts if _trains(stage, part)]
        if trained:
            found[module] = sorted({_carried(plan, stage, part) for part in trained})
    return found


def _carried(plan: Plan, stage: Stage, part: str) -> int:
    """Updates of the state that a part brings along into a stage."""
    if part in stage.lifecycle.fresh:
        return 0
    start = stage.init[part.partition("/")[0]]
    if start.stage is None or not start.carries_state or not plan.has_stage(start.stage):
        return 0
    parent = plan.stage(start.stage)
    if _trains(parent, part):
        return _carried(plan, parent, part) + start.step
    module = part.partition("/")[0]
    trains_another = any(target.partition("/")[0] == module for target in parent.train)
    # A module that a stage freezes keeps what it carried; a part of a trained one lets go of it.
    return 0 if trains_another else _carried(plan, parent, part)


def _trains(stage: Stage, part: str) -> bool:
    return part in stage.train or part.partition("/")[0] in stage.train


def _values_of(rule: Mapping[str, Value], kind: str) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for name in _OF_KIND[kind]:
        value = rule[name]
        match name:
            case "nesterov":
                values[name] = bool(value)
            case "ns_steps":
                values[name] = int(value or 0)
            case _:
                values[name] = None if value is None else float(value)
    return values


def _value_differences(planned: Values, measured: Values) -> Iterator[str]:
    """Sentences, each with the parts that it holds for."""
    due, found = _by_part(planned), _by_part(measured)
    told: dict[str, list[str]] = {}
    for part, kind in sorted(due.keys() | found.keys()):
        if (part, kind) not in found:
            told.setdefault(f"no {kind} where planned", []).append(part)
        elif (part, kind) not in due:
            told.setdefault(f"{kind} that is not planned", []).append(part)
        else:
            is_now, planned_now = found[part, kind], due[part, kind]
            for name in sorted(is_now.keys() | planned_now.keys()):
                if is_now.get(name) != planned_now.get(name):
                    words = f"{is_now.get(name)!r}, planned {planned_now.get(name)!r}"
                    told.setdefault(f"{name} of {kind} is {words}", []).append(part)
    for words, parts in told.items():
        yield f"{words}: {', '.join(parts)}"


def _by_part(values: Values) -> dict[tuple[str, str], Mapping[str, Value]]:
    return {(part, entry["kind"]): entry["values"] for entry in values for part in entry["parts"]}
