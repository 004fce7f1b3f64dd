"""The numbers of a stage that matter to a lead, before and after: only those that differ"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from curriculum.cost import known_flops, stage_flops
from curriculum.diff.compare import PlanDiff, StageDiff
from curriculum.diff.values import Value
from curriculum.plan import Plan, Stage
from curriculum.screen import Figures, stage_figures


class Number(NamedTuple):
    """A number of a whole stage in both plans; None where the stage is not there."""

    what: str
    before: Value
    after: Value


Numbers = dict[str, Value]


def stage_numbers(diff: PlanDiff) -> Callable[[StageDiff], list[Number]]:
    """Return what tells the numbers of a stage that differ; figures of a plan are made once."""
    of_a, of_b = stage_figures(diff.a), stage_figures(diff.b)

    def differing(one: StageDiff) -> list[Number]:
        before = {} if one.was is None else _numbers(diff.a, one.was, of_a)
        after = {} if one.fate == "removed" else _numbers(diff.b, one.name, of_b)
        names = dict.fromkeys([*before, *after])
        rows = [Number(name, before.get(name), after.get(name)) for name in names]
        return [row for row in rows if row.before != row.after]

    return differing


def _numbers(plan: Plan, name: str, figures: dict[str, Figures]) -> Numbers:
    if not plan.has_stage(name):
        return {}
    stage = plan.stage(name)
    return dict(_told(plan, stage, figures[name]))


def _told(plan: Plan, stage: Stage, figures: Figures) -> Iterator[tuple[str, Value]]:
    """Tell all numbers of a stage, in the order in which they are read."""
    yield "steps", stage.steps
    yield "tokens", stage.tokens
    yield "tokens asked", stage.budget.tokens
    first, last = stage.at(0), stage.at(stage.steps)
    yield "batch, first", first.batch_seqs
    yield "batch, last", last.batch_seqs
    yield "context, first", first.seq_len
    yield "context, last", last.seq_len
    for target, lr in figures.lr.items():
        yield f"LR of {target}, start", lr.start
        yield f"LR of {target}, peak", lr.peak
        yield f"LR of {target}, end", lr.end
    for target, rope in stage.rope.items():
        yield f"RoPE base of {target}", None if rope.base is None else float(rope.base)
    for source, tokens in stage.mixture.ideal_tokens(stage.steps).items():
        yield f"tokens of {source}", round(tokens)
    for source, times in figures.epochs.items():
        yield f"epochs of {source}", None if times is None else float(times)
    known, missing = known_flops(stage_flops(plan, stage))
    yield "FLOPs, not all known" if missing else "FLOPs", known
