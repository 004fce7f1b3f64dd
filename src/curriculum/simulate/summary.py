"""The run in numbers: what each stage reads, how its values move, what it costs

Standard library only, and computed from the plan, not from a table: `--every` does not matter.
"""

from collections.abc import Mapping
from math import fsum

from curriculum.cost import stage_flops
from curriculum.plan import Plan, Stage
from curriculum.simulate.bands import side_by_side


def summary(plan: Plan) -> dict[str, object]:
    """Return what `simulate --format json` prints of the plan; unknown values are None.

    FLOPs are floats: they pass what a JSON reader keeps of an integer.
    """
    return {
        "plan": plan.name,
        "digest": plan.digest,
        "stages": [stage_summary(plan, stage) for stage in plan.stages],
        "unknown_stages": [
            {"name": s.name, "asked_tokens": s.asked_tokens, "missing": list(s.missing)}
            for s in plan.unknown
        ],
        "side_by_side": [list(pair) for pair in side_by_side(plan)],
        "totals": {
            "asked_tokens": sum(stage.budget.tokens for stage in plan.stages),
            "tokens": sum(stage.tokens for stage in plan.stages),
            "steps": sum(stage.steps for stage in plan.stages),
        },
    }


def stage_summary(plan: Plan, stage: Stage) -> dict[str, object]:
    """Return the numbers of one stage: of its first and last step, and their largest LR."""
    first, last = stage.at(0), stage.at(stage.steps - 1)
    share = multimodal_range(plan, stage)
    return {
        "name": stage.name,
        "parents": list(stage.parents),
        "steps": stage.steps,
        "tokens": stage.tokens,
        "asked_tokens": stage.budget.tokens,
        "tokens_ancestors": plan.tokens_before(stage.name),
        "batch_seqs": {"first": first.batch_seqs, "last": last.batch_seqs},
        "seq_len": {"first": first.seq_len, "last": last.seq_len},
        "rope_base": {
            name: None if rope.base is None else float(rope.base)
            for name, rope in stage.rope.items()
        },
        "lr": lr_range(stage),
        "optimizer": {
            target: {
                name: {"first": curve.at(0, 0), "last": last.optimizer[target][name]}
                for name, curve in rule.curves.items()
            }
            for target, rule in stage.optimizer.items()
            if rule.curves
        },
        "multimodal_share": {"first": share[0], "last": share[1]},
        "ratios": {
            name: {"first": ratio, "last": last.ratios[name]}
            for name, ratio in first.ratios.items()
        },
        "source_tokens": {
            name: float(tokens) for name, tokens in stage.mixture.ideal_tokens(stage.steps).items()
        },
        "flops": {
            name: None if count is None else float(count)
            for name, count in stage_flops(plan, stage).items()
        },
    }


def lr_range(stage: Stage) -> dict[str, dict[str, float] | None]:
    """Return the first, largest and last LR of every module; None where it is unknown."""
    ranges: dict[str, dict[str, float] | None] = {}
    for name, curve in stage.lr.items():
        if curve is None:
            ranges[name] = None
            continue
        at_corners = [stage.at(step).lr[name] for step in curve.corners(stage.steps - 1)]
        values = [value for value in at_corners if value is not None]
        ranges[name] = {"first": values[0], "peak": max(values), "last": values[-1]}
    return ranges


def multimodal_range(plan: Plan, stage: Stage) -> tuple[float, float]:
    """Return the share of the sources that are not text alone, in the first and the last step."""

    def share(ratios: Mapping[str, float]) -> float:
        return fsum(x for name, x in ratios.items() if plan.sources[name].modality != "text")

    return share(stage.at(0).ratios), share(stage.at(stage.steps - 1).ratios)
