"""Digests: what may not change under a run, of a plan, of a stage, and of a stage up to a step

The digest of a stage covers its mathematics and its parents' digests; of a parent left at a mark,
only the part up to the mark, with the shares after it that its draws looked ahead to. Where things
stand in a file or on a machine is in none.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from curriculum.composed import ComposedStage
from curriculum.curve import Curve, Piece
from curriculum.lock_json import (
    Json,
    extent_json,
    fixed_json,
    module_json,
    node_extras,
    outside_json,
    piece_json,
    rule_json,
    source_json,
)
from curriculum.mixture import Node
from curriculum.plan import Plan, Stage, Start
from curriculum.units import decimal_words

ORDER = "edf-1 windows-1"
"""The versions of draws and packing that a lock is executed with (`data/draws.py`, `stream.py`)."""


def with_digests(plan: Plan) -> Plan:
    """Return the plan with the digests of its stages and its own filled in."""
    outside = tuple(replace(o, digest=_hash(outside_json(plan, o))) for o in plan.outside)
    known = {o.name: o.digest for o in outside}
    digests = _Digests(plan, known)
    stages = [replace(s, digest=digests.upto(s.name, s.steps)) for s in plan.stages]
    composed = [replace(c, digest=digests.upto(c.name, 0)) for c in plan.composed]
    whole = {
        "plan": plan.name,
        "stages": {s.name: s.digest for s in stages},
        "outside": known,
        "unknown": [asdict(u) for u in plan.unknown],
        "modules": {n: module_json(m) for n, m in plan.modules.items()},
        "sources": digests.sources,
    }
    if composed:
        whole["composed"] = {c.name: c.digest for c in composed}
    return replace(
        plan,
        stages=tuple(stages),
        outside=outside,
        composed=tuple(composed),
        digest=_hash(whole),
    )


def prefix_digest(plan: Plan, stage: str, step: int) -> str:
    """Return the digest of a stage up to a step: what a child that starts there depends on."""
    return _Digests(plan, {o.name: o.digest for o in plan.outside}).upto(stage, step)


class _Digests:
    """The digests of stages up to steps, each computed once."""

    def __init__(self, plan: Plan, outside: Mapping[str, str]) -> None:
        self.plan = plan
        self.outside = outside
        self.stages = {stage.name: stage for stage in plan.stages}
        self.composed = {composed.name: composed for composed in plan.composed}
        self.known: dict[tuple[str, int], str] = {}
        self.sources = {n: source_json(s, with_path=False) for n, s in plan.sources.items()}

    def upto(self, name: str, step: int) -> str:
        """Digest a stage, or the part of it up to a step."""
        if name in self.composed:
            if (name, 0) not in self.known:
                self.known[name, 0] = _hash(self._averages(self.composed[name]))
            return self.known[name, 0]
        stage = self.stages[name]
        key = (name, min(step, stage.steps))
        if key not in self.known:
            self.known[key] = _hash(self._covered(stage, key[1]))
        return self.known[key]

    def _covered(self, stage: Stage, step: int) -> Json:
        read = stage.mixture.ideal_seqs(step)
        names = [name for name in stage.mixture.sources if step == stage.steps or read[name]]
        return {
            "order": ORDER,
            "plan_seed": self.plan.seed,
            "parents": {module: self._parent(start) for module, start in stage.init.items()},
            "sources": {n: self.sources[n] for n in names},
            "modules": {n: module_json(self.plan.modules[n]) for n in stage.init},
            "stage": _mathematics(stage, step),
        }

    def _averages(self, composed: ComposedStage) -> Json:
        return {
            "composed": composed.name,
            "averages": {
                # The step is said too: where no value changes on the way, what a stage says of
                # its first 26 steps and of its first 27 is the same.
                module: [
                    [self._parent(s.start), s.start.step, decimal_words(s.weight)] for s in shares
                ]
                for module, shares in composed.averages.items()
            },
        }

    def _parent(self, start: Start) -> str:
        if start.stage is None:
            return "new"
        return self.outside.get(start.stage) or self.upto(start.stage, start.step)


# What digests cover: nothing that no step before the given one reads


def _mathematics(stage: Stage, upto: int) -> Json:
    decided = stage.mixture.decided_by(upto) if upto < stage.steps else None
    drawn = stage.steps if decided is None else decided
    batch = [
        [p.first_step, p.batch_seqs, p.seq_len] for p in stage.batch.pieces if p.first_step < drawn
    ]
    return {
        **fixed_json(stage),
        "batch": batch,
        "lr": {t: _curve_upto(c, upto) for t, c in stage.lr.items()},
        "loss": {t: _curve_upto(c, upto) for t, c in stage.loss.items()},
        "set": {t: _curve_upto(c, upto) for t, c in stage.settings.items()},
        "optimizer": {
            t: rule_json(r, lambda curve: _curve_upto(curve, upto))
            for t, r in stage.optimizer.items()
        },
        "mixture": [
            _node_upto(root, drawn)
            for root in stage.mixture.roots
            if upto == stage.steps or _runs_before(root, drawn)
        ],
        "drawn_of": stage.steps if decided is None else None,
        **(extent_json(stage) if upto == stage.steps else {}),
    }


def _runs_before(root: Node, upto: int) -> bool:
    """Say whether a step before this one can read a root: a piece may come later."""
    if not root.is_piece or root.ratio is None:
        return True
    pieces = [p for p in root.ratio.pieces if p.first_step < upto]
    return any(p.shape != "constant" or p.a for p in pieces)


def _node_upto(node: Node, upto: int) -> Json:
    return {
        "name": node.name,
        "ratio": "rest" if node.ratio is None else _curve_upto(node.ratio, upto),
        "source": node.source,
        "of": [_node_upto(child, upto) for child in node.children],
        **node_extras(node),
    }


def _curve_upto(curve: Curve | None, upto: int) -> list[list[Any]] | None:
    if curve is None:
        return None
    return [_read_of(p) for p in curve.pieces if p.first_step < upto]


def _read_of(piece: Piece) -> list[Any]:
    """What the values of a piece depend on: a constant and a decay without `to` have no end."""
    if piece.shape == "constant":
        return [piece.shape, piece.first_step, decimal_words(piece.a)]
    if piece.knob is not None:
        numbers = [decimal_words(piece.a), decimal_words(piece.knob)]
        return [piece.shape, piece.unit, piece.first_step, piece.start, *numbers]
    return piece_json(piece)


def _hash(value: object) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
