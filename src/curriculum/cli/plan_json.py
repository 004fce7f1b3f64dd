"""A plan as the JSON document of `curriculum plan`: stages, totals, where values come from"""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from curriculum.cli.at import gate_values
from curriculum.cli.graph_json import composed_json, fate_json, outside_json, totals_json
from curriculum.cli.modules import modules_json
from curriculum.cli.rope_json import rope_values
from curriculum.compile import Compiled
from curriculum.cost import stage_flops, without_attention
from curriculum.findings import finding_json, silenced_json
from curriculum.models.shapes import Shape
from curriculum.objective import LossRule
from curriculum.paths import path_tokens
from curriculum.plan import Plan, Stage
from curriculum.screen import Figures, stage_figures

if TYPE_CHECKING:
    from curriculum.cli.against import Against


def plan_json(compiled: Compiled, changed: "Against | None") -> dict[str, Any]:
    """Return the document; `changed` is how it differs from a lock, where one was asked for."""
    plan = compiled.plan
    findings = [finding_json(d) for d in compiled.findings]
    told = {"findings": findings, "allowed": [silenced_json(one) for one in compiled.silenced]}
    if plan is None:
        return {"format": 1, "plan": None, "digest": None, "stages": [], **told}
    figures = stage_figures(plan)
    paths = path_tokens(plan)
    stages = [
        {**_stage_json(plan, stage, figures[stage.name]), "path_tokens": paths[stage.name]}
        for stage in plan.stages
    ]
    stages += [
        {
            "name": u.name, "parents": list(u.parents), "steps": None, "tokens": None,
            "asked_tokens": u.asked_tokens, "seq_len": None, "batch_seqs": None, "digest": None,
            "missing": list(u.missing),
        }
        for u in plan.unknown
    ]  # fmt: skip
    scaled = _values_json(plan, ("scaled", "kept"))
    return {
        "format": 1,
        "plan": plan.name,
        "digest": plan.digest,
        "stages": stages,
        "modules": {name: _module_json(plan, name) for name in plan.modules},
        "composed": [composed_json(c, paths[c.name]) for c in plan.composed],
        "outside": [outside_json(o) for o in plan.outside],
        "totals": totals_json(plan),
        "provenance": _values_json(plan, ("assumed", "derived", "conflict", "default", "unknown")),
        "proxy": scaled if any(scaled.values()) else None,
        "changed": [] if changed is None else changed.sentences,
        "diff": None if changed is None else changed.as_json(),
        **told,
    }


def _values_json(plan: Plan, kinds: tuple[str, ...]) -> dict[str, list[dict[str, Any]]]:
    """Return values by where they come from; `below` is what a scale has changed."""
    found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in kinds}
    for entry in plan.provenance:
        if entry.kind in found:
            file, line = (entry.span.file, entry.span.line) if entry.span else (None, None)
            below = {} if entry.below is None else {"below": entry.below}
            value = {"path": entry.path, "value": entry.value, **below, "file": file, "line": line}
            found[entry.kind].append(value)
    return found


def _module_json(plan: Plan, name: str) -> dict[str, Any]:
    module = plan.modules[name]
    return {
        "preset": module.preset,
        "kind": module.shape.kind,
        "params": module.shape.num_params(),
        "active_params": module.shape.num_active_params(),
        "experts": _experts_json(module.shape),
        "attention_in_flops": name not in without_attention(plan),
    }


def _experts_json(shape: Shape) -> dict[str, int | None] | None:
    """Return what is known of a module's experts; None where it has none, or nobody says so."""
    if getattr(shape, "num_experts", None) is None:
        return None
    names = ("num_experts", "top_k", "num_shared_experts")
    return {name: getattr(shape, name) for name in names}


def _stage_json(plan: Plan, stage: Stage, figures: Figures) -> dict[str, Any]:
    first, last = stage.batch.pieces[0], stage.batch.piece_at(stage.steps - 1)
    return {
        "name": stage.name,
        "parents": list(stage.parents),
        "init": {
            m: None if s.stage is None else {"stage": s.stage, "step": s.step}
            for m, s in stage.init.items()
        },
        "steps": stage.steps,
        "tokens": stage.tokens,
        "asked_tokens": stage.budget.tokens,
        "seq_len": {"first": first.seq_len, "last": last.seq_len},
        "batch_seqs": {"first": first.batch_seqs, "last": last.batch_seqs},
        "tokens_per_step": {"first": first.tokens_per_step, "last": last.tokens_per_step},
        "contexts": [
            {"first_step": step, "seq_len": seq_len}
            for step, seq_len in stage.batch.contexts(stage.steps)
        ],
        "ramps": [
            {
                "first_step": laid.first_step,
                "end_step": laid.end_step,
                "batch_seqs": {"first": laid.ramp.first_seqs, "last": laid.ramp.last_seqs},
                "by_seqs": laid.ramp.by_seqs,
                "levels": laid.ramp.num_levels,
                "shape": laid.ramp.shape,
            }
            for laid in stage.batch.ramps
        ],
        "layout": None if stage.layout is None else asdict(stage.layout),
        "gate": gate_values(stage),
        "lr": {
            t: {"start": lr.start, "peak": lr.peak, "end": lr.end} for t, lr in figures.lr.items()
        },
        "optimizer": _optimizer_json(stage),
        "rope": {m: rope_values(r) for m, r in stage.rope.items()},
        "target_seq_len": stage.target_seq_len,
        "train": {t: {"params": n} for t, n in figures.params.items()},
        "epochs": {name: None if x is None else float(x) for name, x in figures.epochs.items()},
        "flops": stage_flops(plan, stage),
        "count": stage.count,
        "packing": stage.packing,
        "loss": {t: asdict(stage.loss_rules.get(t, LossRule())) for t in stage.loss},
        **modules_json(plan, stage),
        **fate_json(stage),
        "digest": stage.digest,
    }


def _optimizer_json(stage: Stage) -> dict[str, dict[str, dict[str, float]]]:
    """Return the values of optimizers that run along curves, and nothing of those that do not."""
    tokens = stage.budget.tokens
    return {
        target: {
            name: {"start": curve.at(0, 0), "end": curve.at(stage.steps, tokens)}
            for name, curve in rule.curves.items()
        }
        for target, rule in stage.optimizer.items()
        if rule.curves
    }
