"""Groups of parameters that share an LR target and a rule, and the values in force

    stage.train, stage.lr, stage.optimizer + parameters --groups_of--> Group(target, kind, settings)
    groups --read_values--> ledger                  (what the update reads, not what was asked for)

A rule of kind `muon` updates what `is_matrix` names a matrix; every other parameter under it
(norms, biases, embeddings, heads, learned positions) is AdamW's, with the rule's own betas, epsilon
and weight decay. Weight decay reaches norm gains too (arXiv 2502.16982, appendix D).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

from torch import nn

from curriculum.models.shapes import part_of
from curriculum.models.vlm import is_matrix
from curriculum.plan import OptimizerRule, Stage
from curriculum.train.muon import MuonRule

Value = float | int | bool | None
"""One number of an optimizer; None where nothing limits the gradient's norm."""


@dataclass(frozen=True, slots=True)
class Group:
    """Parameters that share an LR target and a rule.

    `names` are `module/parameter`. `settings` is all that the update reads: `lr` (the one in
    force), `clip_norm`, and `muon` (a MuonRule) or what torch's own parameter group of AdamW holds.
    """

    target: str
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
        rule = stage.optimizer[rule_name]
        chosen = tuple(params[name] for name in names)
        settings = muon_settings(rule) if kind == "muon" else adamw_settings(rule, chosen)
        groups.append(Group(target, kind, tuple(names), chosen, settings))
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


def muon_settings(rule: OptimizerRule) -> dict[str, Any]:
    """Return all that an update of matrices reads."""
    muon = MuonRule(
        update_rms=_number(rule, "update_rms"),
        weight_decay=_number(rule, "weight_decay"),
        momentum=_number(rule, "momentum"),
        nesterov=bool(rule.values["nesterov"]),
        ns_steps=int(_number(rule, "ns_steps")),
    )
    return {"lr": 0.0, "clip_norm": rule.values["clip_norm"], "muon": muon}


def adamw_settings(rule: OptimizerRule, params: tuple[nn.Parameter, ...]) -> dict[str, Any]:
    """Return torch's parameter group; no value is left to torch's defaults."""
    return {
        "params": list(params),
        "lr": 0.0,
        "betas": (_number(rule, "beta1"), _number(rule, "beta2")),
        "eps": _number(rule, "eps"),
        "weight_decay": _number(rule, "weight_decay"),
        "clip_norm": rule.values["clip_norm"],
    }


def _values_in_force(group: Group) -> dict[str, Value]:
    if group.kind == "muon":
        return {**asdict(group.muon), "clip_norm": group.clip_norm}
    settings = group.settings
    beta1, beta2 = settings["betas"]
    return {
        "beta1": beta1,
        "beta2": beta2,
        "eps": settings["eps"],
        "weight_decay": settings["weight_decay"],
        "clip_norm": group.clip_norm,
    }


def _number(rule: OptimizerRule, name: str) -> float:
    value = rule.values[name]
    assert value is not None, f"{rule.kind}: {name} has no value"
    return float(value)
