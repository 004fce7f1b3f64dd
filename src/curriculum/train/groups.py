"""Groups of parameters that share an LR target and a rule, and the values in force

    stage.train, stage.lr, stage.optimizer + parameters --groups_of--> Group(target, kind, settings)
    at(step).optimizer --set_values--> groups       (where values run along curves)
    groups --read_values--> ledger                  (what the update reads, not what was asked for)

A rule of kind `muon` updates what `is_matrix` names a matrix; every other parameter under it
(norms, biases, embeddings, heads, learned positions) is AdamW's, with the rule's own betas, epsilon
and weight decay. Weight decay reaches norm gains too (arXiv 2502.16982, appendix D).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from typing import Any

from torch import nn

from curriculum.models.shapes import part_of
from curriculum.models.vlm import is_matrix
from curriculum.plan import Stage
from curriculum.train.ademamix import AdEMAMixRule
from curriculum.train.muon import MuonRule

Value = float | int | bool | None
"""One number of an optimizer; None where nothing limits the gradient's norm."""


@dataclass(frozen=True, slots=True)
class Group:
    """Parameters that share an LR target and a rule.

    `rule` is the module or part that the plan says it of. `names` are `module/parameter`.
    `settings` is all that the update reads: `lr` (the one in force), `clip_norm`, and `muon` (a
    MuonRule), `ademamix` (an AdEMAMixRule) or what torch's own parameter group of AdamW holds.
    """

    target: str
    rule: str
    kind: str
    names: tuple[str, ...]
    params: tuple[nn.Parameter, ...]
    settings: dict[str, Any]

    @property
    def lr(self) -> float:
        return float(self.settings["lr"])

    @property
    def clip_norm(self) -> float | None:
        limit = self.settings["clip_norm"]
        return None if limit is None else float(limit)

    @property
    def muon(self) -> MuonRule:
        rule = self.settings["muon"]
        assert isinstance(rule, MuonRule)
        return rule

    @property
    def ademamix(self) -> AdEMAMixRule:
        rule = self.settings["ademamix"]
        assert isinstance(rule, AdEMAMixRule)
        return rule

    def set_values(self, values: Mapping[str, Value]) -> None:
        """Put other values in force, all but the LR."""
        self.settings.update(settings_of(self.kind, values))


def groups_of(
    params: Mapping[str, nn.Parameter], stage: Stage, kinds: Mapping[str, str]
) -> tuple[Group, ...]:
    """Sort the parameters that a stage trains; `kinds` are the modules' kinds of shape."""
    members: dict[tuple[str, str, str], list[str]] = {}
    for name, param in params.items():
        module, _, param_name = name.partition("/")
        part = f"{module}/{part_of(kinds[module], param_name)}"
        if module not in stage.train and part not in stage.train:
            continue
        target = part if part in stage.lr else module
        rule_name = part if part in stage.optimizer else module
        kind = stage.optimizer[rule_name].kind
        if kind == "muon" and not is_matrix(kinds[module], param_name, param):
            kind = "adamw"
        members.setdefault((target, rule_name, kind), []).append(name)
    groups = []
    for (target, rule_name, kind), names in members.items():
        chosen = tuple(params[name] for name in names)
        settings = {"lr": 0.0, **settings_of(kind, stage.at(0).optimizer[rule_name])}
        if kind == "adamw":
            settings["params"] = list(chosen)
        groups.append(Group(target, rule_name, kind, tuple(names), chosen, settings))
    return tuple(groups)


def read_values(groups: Sequence[Group], parts: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the values in force: `{kind, values, parts}`, the parts of one rule together.

    `parts` is the part of every parameter, by the names that groups have.
    """
    found: dict[str, tuple[str, dict[str, Value], set[str]]] = {}
    for group in groups:
        values = _values_in_force(group)
        key = json.dumps([group.kind, values], sort_keys=True)
        _, _, members = found.setdefault(key, (group.kind, values, set()))
        members |= {f"{name.partition('/')[0]}/{parts[name]}" for name in group.names}
    return [
        {"kind": kind, "values": values, "parts": sorted(members)}
        for _, (kind, values, members) in sorted(found.items())
    ]


def hash_values(values: Sequence[Mapping[str, Any]]) -> str:
    """Return 12 hexadecimal digits that stand for what `read_values` returned."""
    return sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


def settings_of(kind: str, values: Mapping[str, Value]) -> dict[str, Any]:
    """Return all that an update of a kind reads but the LR; nothing is left to torch's defaults."""

    def number(name: str) -> float:
        value = values[name]
        assert value is not None, f"{kind}: {name} has no value"
        return float(value)

    settings: dict[str, Any] = {"clip_norm": values["clip_norm"]}
    match kind:
        case "muon":
            settings["muon"] = MuonRule(
                update_rms=number("update_rms"),
                weight_decay=number("weight_decay"),
                momentum=number("momentum"),
                nesterov=bool(values["nesterov"]),
                ns_steps=int(number("ns_steps")),
            )
        case "ademamix":
            names = [field.name for field in fields(AdEMAMixRule)]
            settings["ademamix"] = AdEMAMixRule(**{name: number(name) for name in names})
        case _:
            settings["betas"] = (number("beta1"), number("beta2"))
            settings["eps"] = number("eps")
            settings["weight_decay"] = number("weight_decay")
    return settings


def _values_in_force(group: Group) -> dict[str, Value]:
    if group.kind == "muon":
        return {**asdict(group.muon), "clip_norm": group.clip_norm}
    if group.kind == "ademamix":
        return {**asdict(group.ademamix), "clip_norm": group.clip_norm}
    settings = group.settings
    beta1, beta2 = settings["betas"]
    return {
        "beta1": beta1,
        "beta2": beta2,
        "eps": settings["eps"],
        "weight_decay": settings["weight_decay"],
        "clip_norm": group.clip_norm,
    }
