"""The values of a compiled plan as JSON and back: exact numbers as words, pieces as rows"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from fractions import Fraction
from typing import Any

from curriculum.allowances import Allowed
from curriculum.composed import ComposedStage, Share
from curriculum.curve import ClockUnit, Curve, Piece, Shape
from curriculum.gate import Gate
from curriculum.layout import Layout
from curriculum.lifecycle import Ema, Lifecycle
from curriculum.lock_batch import batch_json, read_batch
from curriculum.lock_rope import read_rope, rope_json
from curriculum.mixture import Mixture, Node
from curriculum.models.adapters import Adapter
from curriculum.models.counted_shape import DESCRIPTIVE, CountedShape, fields_of
from curriculum.models.presets import counted_shape, shape_of
from curriculum.objective import LossRule
from curriculum.plan import (
    Budget,
    Checkpoint,
    Claim,
    Module,
    OptimizerRule,
    OutsideStage,
    Plan,
    Ride,
    Source,
    Stage,
    Start,
    UnknownStage,
)
from curriculum.units import decimal_words, parse_amount, parse_exact

Json = dict[str, Any]

# To JSON


def piece_json(p: Piece) -> list[Any]:
    """Write a piece, its numbers exactly."""
    knob = None if p.knob is None else decimal_words(p.knob)
    ends = [decimal_words(p.a), decimal_words(p.b)]
    row = [p.shape, p.unit, p.first_step, p.start, p.end, *ends, knob]
    more = {"behind": p.behind or None, "power": p.power}
    said = {key: decimal_words(value) for key, value in more.items() if value is not None}
    return [*row, said] if said else row


def curve_json(curve: Curve | None) -> list[list[Any]] | None:
    """Write a curve as its pieces; None where it is unknown."""
    return None if curve is None else [piece_json(p) for p in curve.pieces]


def node_json(node: Node) -> Json:
    """Write a node of a mixture with all below it."""
    return {
        "name": node.name,
        "ratio": "rest" if node.ratio is None else curve_json(node.ratio),
        "source": node.source,
        "of": [node_json(child) for child in node.children],
        **node_extras(node),
        **({"tags": list(node.tags)} if node.tags else {}),
        **({"cut": True} if node.is_cut else {}),
    }


def node_extras(node: Node) -> Json:
    """Write what only some nodes of a mixture have."""
    of_rest = {} if node.of_rest == 1 else {"of_rest": decimal_words(node.of_rest)}
    return {**of_rest, "piece": True} if node.is_piece else of_rest


def module_json(module: Module) -> Json:
    """Write a module with its whole shape."""
    shape: Any = module.shape  # each kind of shape is a dataclass, their common face is not
    fields = asdict(shape)
    if isinstance(shape, CountedShape):
        said = [n for n in fields_of(shape.kind) if n not in DESCRIPTIVE or fields[n] is not None]
        fields = {name: fields[name] for name in said}
    return {"preset": module.preset, "kind": shape.kind, "shape": fields}


def source_json(source: Source, with_path: bool = True) -> Json:
    """Write a source; where it lies, and its tags, are no mathematics."""
    known: Json = {
        "modality": source.modality,
        "tokens": source.tokens,
        "holdout": decimal_words(source.holdout),
        "max_epochs": None if source.max_epochs is None else decimal_words(source.max_epochs),
        "image_share": None if source.image_share is None else decimal_words(source.image_share),
    }
    if source.of is not None:
        part = None if source.part is None else [decimal_words(x) for x in source.part]
        lengths = {"min_tokens": source.min_tokens, "max_tokens": source.max_tokens}
        known |= {"of": source.of, "part": part, **lengths}
    if not with_path:
        return known
    return {**known, "path": source.path, **({"tags": list(source.tags)} if source.tags else {})}


def facts_json(outside: OutsideStage) -> Json:
    """Write what is known of an outside checkpoint, where anything is: no mathematics."""
    given = outside.checkpoint
    facts: Json = {
        "tokens": given.tokens,
        "lr": {target: decimal_words(lr) for target, lr in given.lr.items()},
        "rope": {module: rope_json(rope) for module, rope in given.rope.items()},
        "seq_len": given.seq_len,
        "state": list(given.state),
    }
    return {
        key: value
        for key, value in facts.items()
        if value is not None and value != {} and value != []
    }


def composed_json(composed: ComposedStage) -> Json:
    """Write a stage that only composes, its digest left out."""
    averages = {
        module: [[s.start.stage, s.start.step, decimal_words(s.weight)] for s in shares]
        for module, shares in composed.averages.items()
    }
    return {"name": composed.name, "averages": averages, **_fate_json(composed)}


def _fate_json(stage: Stage | ComposedStage) -> Json:
    """Write what became of a stage and of those it was chosen among, where it is said."""
    fate: Json = {} if stage.status == "main" else {"status": stage.status}
    if stage.among:
        fate["among"] = {
            module: [[start.stage, start.step] for start in starts]
            for module, starts in stage.among.items()
        }
    return fate


def outside_json(plan: Plan, outside: OutsideStage) -> Json:
    """Write an outside checkpoint; fresh weights in its place come from the plan's seed."""
    return {
        "name": outside.name,
        "gives": list(outside.checkpoint.gives),
        "stand_in": outside.checkpoint.stand_in,
        "seed": plan.seed if outside.checkpoint.stand_in else None,
    }


def stage_json(stage: Stage) -> Json:
    """Write a stage, its digest left out."""
    return {
        **fixed_json(stage),
        "batch": batch_json(stage.batch),
        "lr": {t: curve_json(c) for t, c in stage.lr.items()},
        "loss": {t: curve_json(c) for t, c in stage.loss.items()},
        "set": {t: curve_json(c) for t, c in stage.settings.items()},
        "mixture": [node_json(root) for root in stage.mixture.roots],
        **extent_json(stage),
        # No mathematics, so not among what digests cover.
        **({"target_seq_len": stage.target_seq_len} if stage.target_seq_len else {}),
        **_fate_json(stage),
        **({"layout": asdict(stage.layout)} if stage.layout else {}),
        **({"gate": _gate_json(stage.gate)} if stage.gate else {}),
    }


def _gate_json(gate: Gate) -> Json:
    bounds = {"least": gate.least, "most": gate.most}
    said = {name: str(bound) for name, bound in bounds.items() if bound is not None}
    return {"when": gate.when, **said}


def fixed_json(stage: Stage) -> Json:
    """What is the same at every step of a stage; what came later stands only where it is said."""
    rules = {term: [rule.over, rule.reduce] for term, rule in stage.loss_rules.items()}
    return {
        "name": stage.name,
        "init": {m: [s.stage, s.step, s.carries_state] for m, s in stage.init.items()},
        "train": list(stage.train),
        "count": stage.count,
        "optimizer": {t: rule_json(r, curve_json) for t, r in stage.optimizer.items()},
        "rope": {m: rope_json(r) for m, r in stage.rope.items()},
        "packing": stage.packing,
        "seed": stage.seed,
        "own_seed": stage.own_seed,
        **({"loss_rules": rules} if rules else {}),
        **({"lifecycle": said} if (said := lifecycle_json(stage.lifecycle)) else {}),
    }


def lifecycle_json(lifecycle: Lifecycle) -> Json:
    """Write what is said of modules on the way, and nothing that is not."""
    known: Json = {
        "fresh": list(lifecycle.fresh),
        "sizes": {m: dict(sizes) for m, sizes in lifecycle.sizes.items()},
        "rows": dict(lifecycle.rows),
        "adapters": {m: [a.kind, a.rank, list(a.parts)] for m, a in lifecycle.adapters.items()},
        "left": dict(lifecycle.left),
        "ema": None if lifecycle.ema is None else _ema_words(lifecycle.ema),
    }
    return {key: value for key, value in known.items() if value}


def _ema_words(ema: Ema) -> str:
    return "unknown" if ema.decay is None else decimal_words(ema.decay)


def rule_json(rule: OptimizerRule, of_curve: Callable[[Curve], Any]) -> Json:
    """Write the rule of an optimizer: its values, and rows of pieces where they change."""
    curves = {name: of_curve(curve) for name, curve in rule.curves.items()}
    return {"kind": rule.kind, **rule.values, **curves}


def extent_json(stage: Stage) -> Json:
    """What only the whole of a stage has: its budget, its length, and how it rides."""
    rides = {t: _ride_json(r) for t, r in stage.rides.items()}
    budget = [stage.budget.words, stage.budget.tokens, stage.budget.round_down]
    return {"rides": rides, "steps": stage.steps, "budget": budget}


def _ride_json(r: Ride) -> list[Any]:
    at = [r.tokens_before, r.steps_before]
    row = [r.schedule, r.instance, *at, decimal_words(r.scale), r.jump]
    return row if r.with_batch is None else [*row, [r.with_batch, r.first_batch_tokens]]


def claim_json(claim: Claim) -> Json:
    """Write a claim as it was written."""
    return {"claim": claim.text, **({"because": claim.because} if claim.because else {})}


# From JSON


def read_curve(pieces: list[list[Any]] | None) -> Curve | None:
    """Read what `curve_json` wrote."""
    if pieces is None:
        return None
    return Curve(tuple(_read_piece(*row) for row in pieces))


def _read_piece(
    shape: Shape,
    unit: ClockUnit,
    first: int,
    start: int,
    end: int | None,
    a: str,
    b: str,
    knob: str | None,
    more: Mapping[str, str] | None = None,
) -> Piece:
    exact = {key: parse_exact(text) for key, text in (more or {}).items()}
    return Piece(
        shape, unit, first, start, end, parse_exact(a), parse_exact(b),
        None if knob is None else parse_exact(knob),
        exact.get("behind", Fraction(0)), exact.get("power"),
    )  # fmt: skip


def read_node(node: Json) -> Node:
    """Read what `node_json` wrote."""
    ratio = None if node["ratio"] == "rest" else read_curve(node["ratio"])
    children = tuple(read_node(child) for child in node["of"])
    of_rest = parse_exact(node.get("of_rest", "1"))
    tags, is_piece = tuple(node.get("tags", ())), node.get("piece", False)
    is_cut = node.get("cut", False)
    return Node(node["name"], ratio, node["source"], children, of_rest, is_piece, tags, is_cut)


def read_allowed(row: Json) -> Allowed:
    """Read back a finding that the plan of a lock allowed."""
    assert all(isinstance(text, str) for text in row.values())
    return Allowed(**row)


def read_claim(claim: Json) -> Claim:
    """Read what `claim_json` wrote."""
    return Claim(claim["claim"], claim.get("because"))


def read_module(name: str, module: Json) -> Module:
    """Read what `module_json` wrote."""
    preset, fields = module["preset"], module["shape"]
    if preset is None:
        return Module(name, None, counted_shape(module["kind"], fields))
    return Module(name, preset, shape_of(preset, fields))


def read_source(name: str, source: Json) -> Source:
    """Read what `source_json` wrote."""

    def exact(key: str) -> Fraction | None:
        return None if source[key] is None else parse_exact(source[key])

    part = source.get("part")
    return Source(
        name,
        source["modality"],
        source["tokens"],
        exact("holdout") or Fraction(0),
        exact("max_epochs"),
        exact("image_share"),
        source["path"],
        source.get("of"),
        (parse_exact(part[0]), parse_exact(part[1])) if part else None,
        source.get("min_tokens"),
        source.get("max_tokens"),
        tuple(source.get("tags", ())),
    )


def read_outside(name: str, outside: Json) -> OutsideStage:
    """Read what `outside_json` wrote."""
    checkpoint = Checkpoint(
        tuple(outside["gives"]),
        outside["path"],
        outside["stand_in"],
        outside.get("tokens"),
        {target: parse_exact(lr) for target, lr in outside.get("lr", {}).items()},
        {module: read_rope(rope) for module, rope in outside.get("rope", {}).items()},
        outside.get("seq_len"),
        tuple(outside.get("state", ())),
    )
    return OutsideStage(name, checkpoint)


def read_composed(composed: Json) -> ComposedStage:
    """Read what `composed_json` wrote."""
    averages = {
        module: tuple(Share(Start(stage, step), parse_exact(part)) for stage, step, part in rows)
        for module, rows in composed["averages"].items()
    }
    return ComposedStage(
        composed["name"], averages, composed.get("status", "main"), _read_among(composed)
    )


def _read_among(stage: Json) -> dict[str, tuple[Start, ...]]:
    among = stage.get("among", {})
    return {m: tuple(Start(name, step) for name, step in rows) for m, rows in among.items()}


def read_unknown(unknown: Json) -> UnknownStage:
    """Read a stage that nobody can compile."""
    return UnknownStage(
        unknown["name"],
        tuple(unknown["parents"]),
        unknown["asked_tokens"],
        tuple(unknown["missing"]),
    )


def read_lifecycle(said: Json) -> Lifecycle:
    """Read what `lifecycle_json` wrote."""
    adapters = said.get("adapters", {})
    return Lifecycle(
        tuple(said.get("fresh", ())),
        said.get("sizes", {}),
        said.get("rows", {}),
        {m: Adapter(kind, rank, tuple(on)) for m, (kind, rank, on) in adapters.items()},
        said.get("left", {}),
        _read_ema(said["ema"]) if "ema" in said else None,
    )


def _read_ema(words: str) -> Ema:
    return Ema(None if words == "unknown" else parse_exact(words))


def _read_rule(rule: Json) -> OptimizerRule:
    values = {k: v for k, v in rule.items() if k != "kind" and not isinstance(v, list)}
    rows = {k: v for k, v in rule.items() if isinstance(v, list)}
    curves = {k: curve for k, v in rows.items() if (curve := read_curve(v)) is not None}
    return OptimizerRule(rule["kind"], values, curves)


def read_stage(stage: Json) -> Stage:
    """Read what `stage_json` wrote."""
    batch = read_batch(stage["batch"])
    words, asked, round_down = stage["budget"]
    return Stage(
        name=stage["name"],
        init={m: Start(s, step, carries) for m, (s, step, carries) in stage["init"].items()},
        train=tuple(stage["train"]),
        count=stage["count"],
        budget=Budget(words, asked, round_down),
        steps=stage["steps"],
        batch=batch,
        mixture=Mixture(
            tuple(read_node(n) for n in stage["mixture"]), batch, stage["steps"], asked
        ),
        lr={t: read_curve(c) for t, c in stage["lr"].items()},
        rides={
            t: Ride(s, i, tb, sb, parse_exact(scale), jump, *(batch[0] if batch else ()))
            for t, (s, i, tb, sb, scale, jump, *batch) in stage["rides"].items()
        },
        optimizer={t: _read_rule(r) for t, r in stage["optimizer"].items()},
        loss={t: read_curve(c) for t, c in stage["loss"].items()},
        settings={t: read_curve(c) for t, c in stage["set"].items()},
        rope={m: read_rope(rope) for m, rope in stage["rope"].items()},
        packing=stage["packing"],
        seed=stage["seed"],
        own_seed=stage["own_seed"],
        target_seq_len=stage.get("target_seq_len"),
        lifecycle=read_lifecycle(stage.get("lifecycle", {})),
        loss_rules={t: LossRule(*rule) for t, rule in stage.get("loss_rules", {}).items()},
        status=stage.get("status", "main"),
        among=_read_among(stage),
        layout=Layout(**stage["layout"]) if "layout" in stage else None,
        gate=_read_gate(stage["gate"]) if "gate" in stage else None,
    )


def _read_gate(said: Json) -> Gate:
    bounds = (said.get("least"), said.get("most"))
    return Gate(said["when"], *(None if text is None else parse_amount(text) for text in bounds))
