"""Advice about batches: what the learning rate does where they grow, and how large they begin"""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from curriculum.batch import BatchPiece
from curriculum.check.places import batch_place
from curriculum.check.rate_rules import own_curves
from curriculum.errors import Diagnostic, Severity
from curriculum.plan import Plan, Stage
from curriculum.units import rounded_in_words

ADAM = ("adamw", "ademamix")
"""The kinds whose noise scale the root of the batch comes from."""

TOLD_FROM = 2
"""From this factor on a change of the batch asks what the learning rate does."""

LARGE = 4 * 2**20
"""Tokens in a step, above which no run should begin with AdamW (arXiv 2505.23971)."""


class _Growth(NamedTuple):
    """Tokens in a step before and after a change, and the batch piece that begins there."""

    before: int
    after: int
    piece: int


def rates_answer_the_batch(plan: Plan) -> Iterator[Diagnostic]:
    """Where the batch becomes twice as large or half as large, the ride says what the learning
    rate does: `with_batch: sqrt`, `linear` or `none`."""
    told: set[tuple[str | None, ...]] = set()
    for stage, targets, curve in own_curves(plan):
        target, ride = targets[0], stage.rides[targets[0]]
        clocks = {(stage.name,), (ride.schedule, ride.instance)}
        if ride.with_batch is not None or clocks & told:
            continue
        if stage.optimizer_of(target).kind not in ADAM:
            continue
        jumps = {new.first_step for old, new in pairwise(curve.pieces) if new.a != old.b}
        grown = _grown(plan, stage, target, jumps)
        if grown is None:
            continue
        told |= clocks
        times = grown.after / grown.before
        yield Diagnostic(
            "rates-answer-the-batch",
            f"a step of stage `{stage.name}` goes from {rounded_in_words(grown.before)} to "
            f"{rounded_in_words(grown.after)} tokens, {times:.3g} times, and nobody says "
            f"what the learning rate does: by Adam's square root it would be "
            f"{times**0.5:.3g} times as high",
            batch_place(plan, stage, grown.piece),
            "say `with_batch: sqrt` beside the schedule, or `with_batch: none`",
            Severity.INFO,
        )


def large_batches_are_grown(plan: Plan) -> Iterator[Diagnostic]:
    """A new LLM under AdamW begins with at most 4Mi tokens in a step, and grows from there."""
    for stage in plan.stages:
        tokens = stage.at(0).tokens_per_step
        new = [
            module
            for module, start in stage.init.items()
            if start.is_new
            and plan.modules[module].shape.kind == "llm"
            and module in {target.partition("/")[0] for target in stage.train}
            and stage.optimizer_of(module).kind == "adamw"
        ]
        if new and tokens > LARGE:
            yield Diagnostic(
                "large-batches-are-grown",
                f"stage `{stage.name}` begins a new `{new[0]}` with "
                f"{rounded_in_words(tokens)} tokens in its first step: early on, "
                "batches of that size cost tokens and gain nothing",
                batch_place(plan, stage, 0),
                "begin smaller and let it grow: a ramp, or pieces with `until`",
                Severity.INFO,
            )


def _grown(plan: Plan, stage: Stage, target: str, jumps: set[int]) -> _Growth | None:
    """Return the change of a stage's batch, or from its parent's, that the LR does not answer.

    `jumps` are steps at which the curve jumps: there somebody chose the rate anew.
    """
    pieces = [p for p in stage.batch.pieces if p.first_step < stage.steps]
    start = stage.init[target.partition("/")[0]]
    if start.stage is not None and plan.has_stage(start.stage):
        before = plan.stage(start.stage).at(start.step).piece
        rides_on = stage.rides[target].instance != stage.name
        if rides_on and 0 not in jumps and _is_told(before, pieces[0]):
            return _Growth(before.tokens_per_step, pieces[0].tokens_per_step, 0)
    first, changed = pieces[0], 0
    for i, piece in enumerate(pieces):
        if piece.first_step in jumps:
            first, changed = piece, 0
        elif not changed and piece.tokens_per_step != first.tokens_per_step:
            changed = i
    if not _is_told(first, pieces[-1]):
        return None
    return _Growth(first.tokens_per_step, pieces[-1].tokens_per_step, changed)


def _is_told(old: BatchPiece, new: BatchPiece) -> bool:
    """Say whether a change is large, and not of the context alone."""
    before, after = sorted((old.tokens_per_step, new.tokens_per_step))
    return after >= TOLD_FROM * before and old.batch_seqs != new.batch_seqs
