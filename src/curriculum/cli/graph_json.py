"""The graph of a plan as plain values: merges, outside facts, path and spent tokens"""

from typing import Any

from curriculum.cli.rope_json import rope_values
from curriculum.composed import ComposedStage
from curriculum.paths import longest_path
from curriculum.plan import OutsideStage, Plan, Stage, Start
from curriculum.units import decimal_words
from curriculum.words import STATUSES


def composed_json(composed: ComposedStage, path: int | None) -> dict[str, Any]:
    """Return a stage that only composes, with the tokens on its longest path."""
    return {
        "name": composed.name,
        "parents": list(composed.parents),
        "averages": {
            module: [{**_point(s.start), "weight": decimal_words(s.weight)} for s in shares]
            for module, shares in composed.averages.items()
        },
        **fate_json(composed),
        "path_tokens": path,
        "digest": composed.digest,
    }


def fate_json(stage: Stage | ComposedStage) -> dict[str, Any]:
    """Return what became of a stage, and the candidates of those that were selected."""
    selected = {m: [_point(start) for start in starts] for m, starts in stage.among.items()}
    return {"status": stage.status, **({"selected_among": selected} if selected else {})}


def outside_json(outside: OutsideStage) -> dict[str, Any]:
    """Return an outside checkpoint with what is known of it; null where nobody says."""
    given = outside.checkpoint
    return {
        "name": outside.name,
        "gives": list(given.gives),
        "tokens": given.tokens,
        "lr": {target: float(lr) for target, lr in given.lr.items()},
        "rope": {module: rope_values(rope) for module, rope in given.rope.items()},
        "seq_len": given.seq_len,
        "state": list(given.state),
        "digest": outside.digest,
    }


def totals_json(plan: Plan) -> dict[str, Any]:
    """Return what all stages spend, the longest path through them, and the sums by status."""
    if plan.unknown:
        names = ("asked_tokens", "tokens", "steps", "longest_path_tokens", "by_status")
        return dict.fromkeys(names)
    by_status = {status: [s for s in plan.stages if s.status == status] for status in STATUSES}
    return {
        **_sums(plan.stages),
        "longest_path_tokens": longest_path(plan),
        "by_status": {status: _sums(stages) for status, stages in by_status.items() if stages},
    }


def _sums(stages: "tuple[Stage, ...] | list[Stage]") -> dict[str, int]:
    return {
        "asked_tokens": sum(s.budget.tokens for s in stages),
        "tokens": sum(s.tokens for s in stages),
        "steps": sum(s.steps for s in stages),
    }


def _point(start: Start) -> dict[str, Any]:
    return {"stage": start.stage, "step": start.step}
