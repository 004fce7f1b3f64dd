"""What becomes of modules in a stage, as JSON and as lines: sizes, parts, adapters, average"""

from dataclasses import asdict
from fractions import Fraction
from typing import Any

from curriculum.plan import Plan, Stage


def modules_json(plan: Plan, stage: Stage) -> dict[str, Any]:
    """Return what becomes of modules in a stage: sizes, fresh parts, adapters, average."""
    said = stage.lifecycle
    return {
        "sizes": {
            m: {**sizes, "params": plan.shape_of(stage, m).num_params()}
            for m, sizes in said.sizes.items()
        },
        "fresh": list(said.fresh),
        "adapters": {
            m: {**asdict(a), "params": a.num_params(plan.shape_of(stage, m))}
            for m, a in said.adapters.items()
        },
        "adapters_left": dict(said.left),
        "ema": None if said.ema is None else {"decay": _float(said.ema.decay)},
    }


def _float(value: Fraction | None) -> float | None:
    return None if value is None else float(value)


def module_lines(now: dict[str, Any]) -> list[str]:
    """Write what `modules_json` returns as lines of text."""
    lines = []
    for module, sizes in now["sizes"].items():
        words = ", ".join(f"{key} {value:,}" for key, value in sizes.items())
        lines.append(f"  {'sizes':<16} {module} {words}")
    if now["fresh"]:
        lines.append(f"  {'new parts':<16} {', '.join(now['fresh'])}")
    for module, adapter in now["adapters"].items():
        lines.append(
            f"  {'adapters':<16} {module} {adapter['kind']} of rank {adapter['rank']} on "
            f"{', '.join(adapter['parts'])}: {adapter['params']:,} parameters"
        )
    for module, what in now["adapters_left"].items():
        lines.append(f"  {'adapters':<16} those that {module} came with: {what}")
    if now["ema"]:
        decay = now["ema"]["decay"]
        lines.append(f"  {'average':<16} decay {'?' if decay is None else decay} a step")
    return lines
