"""One step of a ledger against the plan, and against the data: every difference, in words

Each difference comes with its kind, so that the same one in many steps can be told once.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import fsum, isclose

from curriculum.data.draws import Draws
from curriculum.plan import Plan, Stage
from curriculum.train.floats import TOLERANCE, float_differences
from curriculum.train.ledger import Counts, LedgerLine
from curriculum.train.planned_rope import rope_differences

TOTAL_TOLERANCE = 1e-9
"""Of the weighted sum of the loss terms, relative: both are sums of float64."""

_NEED_IMAGES = ("vit", "projector", "text_tower", "captioner")


@dataclass(frozen=True, slots=True)
class Recounted:
    """What the data give for one step, whatever the ledger says."""

    counts: Counts
    drawn_hash: str
    batch_hash: str


def step_differences(
    plan: Plan, stage: Stage, line: LedgerLine, draws: Draws
) -> Iterator[tuple[str, str]]:
    """What one step did otherwise than planned: which kind of difference, and in words."""
    now = stage.at(line.step)
    if line.tokens != now.tokens_per_step:
        yield "tokens", f"{line.tokens:,} tokens, planned {now.tokens_per_step:,}"
    if line.seq_len != now.seq_len:
        yield "seq_len", f"context {line.seq_len}, planned {now.seq_len}"
    yield from _draw_differences(line, draws.counts(line.step))
    yield from float_differences("LR", line.lr, now.lr)
    yield from rope_differences(plan, stage, line)
    yield from _training_differences(plan, stage, line, now.lr)
    yield from _part_differences(plan, stage, line, now.lr)
    yield from _loss_differences(line, now.loss)
    yield from _router_differences(stage, line, now.settings)


def _draw_differences(line: LedgerLine, planned: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    for name in sorted(planned.keys() | line.sources.keys()):
        counts = line.sources.get(name, {})
        sequences, due = counts.get("sequences", 0), planned.get(name, 0)
        if sequences != due:
            yield f"drawn {name}", f"{sequences} sequences of `{name}`, planned {due}"
        tokens = counts.get("tokens", 0)
        if tokens != sequences * line.seq_len:
            words = f"{tokens:,} tokens of `{name}` in {sequences} sequences of {line.seq_len}"
            yield f"tokens {name}", words
        parts = [counts.get(what, 0) for what in ("text", "image", "pad")]
        if sum(parts) != tokens or min(parts) < 0:
            text, image, pad = parts
            words = f"`{name}`: {text:,} text + {image:,} image + {pad:,} pad are not {tokens:,}"
            yield f"parts {name}", words
    total = sum(counts["tokens"] for counts in line.sources.values())
    if total != line.tokens:
        yield "sum", f"the sources' tokens sum to {total:,}, the step's are {line.tokens:,}"


def _training_differences(
    plan: Plan, stage: Stage, line: LedgerLine, lr: Mapping[str, float | None]
) -> Iterator[tuple[str, str]]:
    """Which modules changed. At LR 0 none can; what reads images need not where there were none."""
    trained = {target.partition("/")[0] for target in stage.train}
    may = {target.partition("/")[0] for target, value in lr.items() if value} & trained
    has_images = any(counts["image"] for counts in line.sources.values())
    for name in sorted(set(line.trained) - may):
        why = (
            "its LR is 0 here" if name in trained else f"the stage trains {', '.join(stage.train)}"
        )
        yield f"changed {name}", f"`{name}` changed, but {why}"
    for name in sorted(may - set(line.trained)):
        if has_images or plan.modules[name].shape.kind not in _NEED_IMAGES:
            yield f"unchanged {name}", f"`{name}` did not change, but the stage trains it"


def _part_differences(
    plan: Plan, stage: Stage, line: LedgerLine, lr: Mapping[str, float | None]
) -> Iterator[tuple[str, str]]:
    """Which parts changed, where their module may: nothing but what is trained, at an LR above 0.

    That a part did change is asked of those that the stage names; of others a whole module is.
    """
    if sorted(line.trained_parts) != sorted(line.trained):
        words = f"{', '.join(sorted(line.trained_parts))}, of modules {', '.join(line.trained)}"
        yield "parts", f"parts changed of {words}"
    for module, changed in sorted(line.trained_parts.items()):
        if not any(target.partition("/")[0] == module for target in stage.train):
            continue  # told of the module
        parts = [f"{module}/{part}" for part in plan.parts_of(stage, module)]
        trained = [p for p in parts if p in stage.train or module in stage.train]
        may = [p for p in trained if lr[p if p in lr else module]]
        found = [f"{module}/{part}" for part in changed]
        if not may:
            continue  # told of the module
        for part in sorted(set(found) - set(may)):
            why = (
                "its LR is 0 here"
                if part in trained
                else f"the stage trains {', '.join(stage.train)}"
            )
            yield f"changed {part}", f"`{part}` changed, but {why}"
        for part in sorted(set(stage.train) & set(may) - set(found)):
            yield f"unchanged {part}", f"`{part}` did not change, but the stage trains it"


def _loss_differences(
    line: LedgerLine, weights: Mapping[str, float | None]
) -> Iterator[tuple[str, str]]:
    """The terms of the loss, and their weighted sum with the plan's weights."""
    if line.loss.keys() != weights.keys():
        words = f"{', '.join(sorted(line.loss))}, planned {', '.join(sorted(weights))}"
        yield "loss terms", f"loss terms {words}"
        return
    due = fsum((weights[term] or 0.0) * line.loss[term] for term in weights)
    if not isclose(line.total, due, rel_tol=TOTAL_TOLERANCE, abs_tol=0.0):
        yield "total", f"loss {line.total!r} was propagated back, the plan's weights give {due!r}"


def _router_differences(
    stage: Stage, line: LedgerLine, settings: Mapping[str, float | None]
) -> Iterator[tuple[str, str]]:
    """How far the experts' bias moved; `rounding` is what float32 may have done to the measure."""
    planned = {}
    for name, rate in settings.items():
        module, _, what = name.partition("/")
        if what == "router.bias_rate" and {module, f"{module}/router"} & set(stage.train):
            planned[module] = rate or 0.0
    for module in sorted(line.router_bias_rate.keys() | planned.keys()):
        due = planned.get(module, 0.0)
        if module not in line.router_bias_rate:
            yield f"router {module}", f"no router bias of `{module}`, planned to move by {due!r}"
        elif (measured := line.router_bias_rate[module]) is not None:
            rate, rounding = measured
            if abs(rate - due) > rounding + TOLERANCE * due:
                words = f"moved by {rate!r} (give or take {rounding:.1g}), planned {due!r}"
                yield f"router {module}", f"the router's bias of `{module}` {words}"


def count_differences(line: LedgerLine, data: Recounted) -> Iterator[tuple[str, str]]:
    """Compare a line with counts and hashes that were made anew from the data."""
    counts = data.counts
    if line.drawn_hash != data.drawn_hash:
        words = f"drew {line.drawn_hash[:12]}, the data give {data.drawn_hash[:12]}"
        yield "documents", f"other documents: {words}"
    elif line.batch_hash != data.batch_hash:
        words = f"{line.batch_hash[:12]}, the data give {data.batch_hash[:12]}"
        yield "arrays", f"other arrays of these documents: {words}"
    for name in sorted(counts.keys() | line.sources.keys()):
        measured, due = line.sources.get(name, {}), counts.get(name, {})
        for what in sorted(measured.keys() | due.keys()):
            if measured.get(what, 0) != due.get(what, 0):
                words = f"{measured.get(what, 0):,}, the data give {due.get(what, 0):,}"
                yield f"recounted {name} {what}", f"{what} of `{name}`: {words}"
