"""Rules about learning rates along the path: how stages begin, how schedules end, re-warming"""

from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from curriculum.check.lineage import (
    LR_KEY,
    Left,
    highest,
    left_rate,
    moves_with_batch,
    new_share,
    pasts,
    ridden_on,
)
from curriculum.check.places import piece_place, related_place
from curriculum.curve import Curve, Piece
from curriculum.errors import Diagnostic, Severity, Span
from curriculum.plan import Plan, Stage
from curriculum.units import rounded_in_words

NEAR = 2
"""Up to this factor two rates are taken for one number of which one is stale."""

FEW = Fraction(1, 100)
"""Of a stage or a decay, what is a few steps beside its end."""

MOST_UNSEEN = Fraction(1, 2)
"""Of a decay, what a run may leave behind before it is another schedule than was written."""

REWARMED = 2
"""From this factor on a rate that rises over what the parent left is a re-warm-up."""

HIGH = 1 / 2
"""Of the path's highest rate, where a re-warm-up overwrites what was learned."""

LOW = 1 / 10
"""Of the rate that a piece rises to, where one that begins there is a warm-up."""

LEAST_REPLAY = Fraction(1, 100)
"""Of a stage's tokens, the least that Ibrahim et al. replay."""


class Fresh(NamedTuple):
    """Modules that a stage starts without their optimizer state, at a rate that is not theirs."""

    stage: Stage
    targets: tuple[str, ...]
    rate: float
    left: Left

    @property
    def is_near(self) -> bool:
        """Whether the two rates are nearly one."""
        before = self.left[1]
        return before / NEAR <= self.rate <= before * NEAR


def fresh_starts(plan: Plan) -> Iterator[Fresh]:
    """Yield what starts anew at once, at another learning rate than its parent left it at.

    Neither from 0, nor by a warm-up from below, nor under `jump: true`, nor with another kind of
    optimizer, whose rates do not compare.
    """
    for stage in plan.stages:
        found: dict[tuple[str, float, float], list[str]] = {}
        lefts: dict[tuple[str, float, float], Left] = {}
        for target, rate in stage.at(0).lr.items():
            start = stage.init[target.partition("/")[0]]
            if start.is_new or start.carries_state or not rate or stage.rides[target].jump:
                continue
            left = left_rate(plan, stage, target)
            if left is None or left[1] == rate or moves_with_batch(stage, target, left, rate):
                continue
            if _warms_up(stage.lr[target], left[1]) or not _same_kind(stage, left[0], target):
                continue
            key = (left[0].name, left[1], rate)
            found.setdefault(key, []).append(target)
            lefts[key] = left
        for key, targets in found.items():
            yield Fresh(stage, tuple(targets), key[2], lefts[key])


def fresh_modules_go_on_at_their_rate(plan: Plan) -> Iterator[Diagnostic]:
    """A module that starts without its optimizer state begins at the learning rate it was left at,
    at a plainly different one, by a warm-up, or its ride says `jump: true`.

    Told where the two rates are within a factor of 2 and not equal.
    """
    for stage, targets, rate, left in filter(lambda fresh: fresh.is_near, fresh_starts(plan)):
        where, before = left
        yield Diagnostic(
            "fresh-modules-go-on-at-their-rate",
            f"stage `{stage.name}` begins {names_of(targets)} at LR {rate:.6g}, and `{where.name}` "
            f"left {'it' if len(targets) == 1 else 'them'} at {before:.6g}: "
            f"{rate / before:.4g} times that",
            plan.place(f"stages.{stage.name}.lr.{targets[0]}"),
            "begin at `from: current`, warm up from 0, or say `jump: true` if that is meant",
            Severity.WARNING,
            related_place(
                plan, f"left at {before:.6g} here", f"stages.{where.name}.{LR_KEY[type(where)]}"
            ),
        )


def no_stage_outlasts_its_learning_rate(plan: Plan) -> Iterator[Diagnostic]:
    """A stage does not go on after the learning rate of a module has come to 0.

    Up to 1% of its steps may.
    """
    told: set[Span] = set()
    for stage, targets, curve in own_curves(plan):
        tail = tail_of(stage, curve)
        if tail is None or tail.b != 0 or tail.first_step == 0:
            continue
        idle = stage.steps - tail.first_step
        place = piece_place(plan, stage, "lr", targets[0], tail, "from")
        if idle <= FEW * stage.steps or (place is not None and place in told):
            continue
        if place is not None:
            told.add(place)
        tokens = stage.tokens - stage.batch.tokens_before(tail.first_step)
        yield Diagnostic(
            "no-stage-outlasts-its-learning-rate",
            f"the learning rate of {names_of(targets)} is 0 from step {tail.first_step:,} of stage "
            f"`{stage.name}` on: {idle:,} of its {stage.steps:,} steps read "
            f"{rounded_in_words(tokens)} tokens and learn nothing",
            place,
            f"end the stage at step {tail.first_step:,}, or let the decay run to its end",
            Severity.WARNING,
            related_place(plan, "the stage", f"stages.{stage.name}"),
        )


def schedules_are_seen_to_their_end(plan: Plan) -> Iterator[Diagnostic]:
    """The last stage that rides on a schedule sees its decay to the end.

    A warning where more than half of the decay is left behind.
    """
    told: set[Span] = set()
    followed = ridden_on(plan)
    for stage, targets, curve in own_curves(plan):
        ride = stage.rides[targets[0]]
        piece = curve.piece_at(stage.steps - 1)
        if (stage.name, ride.schedule, ride.instance) in followed or not falls(piece):
            continue
        assert piece.end is not None
        stop = end_of(stage, piece)
        unseen = 1 - piece.share(stop)
        if piece.end - stop <= FEW * (piece.end - piece.start):
            continue
        place = piece_place(plan, stage, "lr", targets[0], piece, "until", "for")
        if place in told:
            continue
        if place is not None:
            told.add(place)
        reached = float(piece.value(stop))
        yield Diagnostic(
            "schedules-are-seen-to-their-end",
            f"stage `{stage.name}` stops with {float(unseen * 100):.3g}% of the decay of "
            f"{names_of(targets)} unseen: its learning rate is left at {reached:.4g}, the decay "
            f"goes on to {float(piece.b):.4g}",
            place,
            "end the decay where the stage ends, or leave its end out: then it ends there",
            Severity.WARNING if unseen > MOST_UNSEEN else Severity.INFO,
            related_place(plan, "the last stage that rides on it", f"stages.{stage.name}"),
        )


def rewarming_replays(plan: Plan) -> Iterator[Diagnostic]:
    """A stage that warms an LLM up again, to more than twice what its parent left and at least half
    of the path's highest rate, reads something of what was read before."""
    past = pasts(plan)
    for stage in plan.stages:
        for target in stage.lr:
            module = target.partition("/")[0]
            if plan.modules[module].shape.kind != "llm":
                continue
            before, peak = past[stage.name][module], highest(stage, module)
            if before is None or peak is None or peak < HIGH * before.peak:
                continue
            left = left_rate(plan, stage, target)
            if left is None or peak < REWARMED * left[1]:
                continue
            replayed = 1 - new_share(plan, stage, before)
            if replayed >= LEAST_REPLAY:
                continue
            yield Diagnostic(
                "rewarming-replays",
                f"stage `{stage.name}` warms `{target}` up again, from the {left[1]:.4g} that "
                f"`{left[0].name}` left to {peak:.4g}, and reads nothing of what was read "
                "before",
                plan.place(f"stages.{stage.name}.mixture"),
                f"replay some of it: {{replay: {left[0].name}}} at 5%, more where the data is "
                "far from the old (Ibrahim et al., arXiv 2403.08763)",
                Severity.WARNING,
                related_place(plan, "the learning rate", f"stages.{stage.name}.lr.{target}"),
            )
            break


def names_of(targets: tuple[str, ...]) -> str:
    """Name some modules or parts in a sentence."""
    return ", ".join(f"`{target}`" for target in targets)


def own_curves(plan: Plan) -> Iterator[tuple[Stage, tuple[str, ...], Curve]]:
    """Yield every known learning rate of every stage once, with all targets that follow it."""
    for stage in plan.stages:
        found: dict[tuple[int, str | None], tuple[Curve, list[str]]] = {}
        for target, curve in stage.lr.items():
            if curve is not None:
                key = (id(curve), stage.rides[target].schedule)
                found.setdefault(key, (curve, []))[1].append(target)
        for curve, targets in found.values():
            yield stage, tuple(targets), curve


def falls(piece: Piece) -> bool:
    """Say whether a piece is a decay that comes to an end."""
    return piece.end is not None and piece.knob is None and piece.b < piece.a


def end_of(stage: Stage, piece: Piece) -> int:
    """Return where a stage ends, in the unit and coordinates of one of its pieces."""
    return stage.budget.tokens if piece.unit == "tokens" else stage.steps


def tail_of(stage: Stage, curve: Curve) -> Piece | None:
    """Return the first of the pieces with which a stage goes on after a decay has come to its end,
    at its last value; None where there are none."""
    pieces = [piece for piece in curve.pieces if piece.first_step < stage.steps]
    first: Piece | None = None
    while pieces and pieces[-1].shape == "constant" and pieces[-1].a == (first or pieces[-1]).a:
        first = pieces.pop()
    is_tail = first is not None and pieces and falls(pieces[-1]) and pieces[-1].b == first.a
    return first if is_tail else None


def _warms_up(curve: Curve | None, before: float) -> bool:
    assert curve is not None
    first = curve.pieces[0]
    return first.b > first.a and (first.a <= before or first.a <= LOW * first.b)


def _same_kind(stage: Stage, parent: object, target: str) -> bool:
    if not isinstance(parent, Stage):
        return True
    return stage.optimizer_of(target).kind == parent.optimizer_of(target).kind
