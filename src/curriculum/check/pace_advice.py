"""Advice about decays and starts: how long a decay is, where it ends, how a stage begins"""

from collections.abc import Iterator
from fractions import Fraction
from math import isclose

from curriculum.check.lineage import LR_KEY, highest, new_share, pasts, ridden_on
from curriculum.check.places import piece_place, related_place
from curriculum.check.rate_rules import (
    FEW,
    end_of,
    falls,
    fresh_starts,
    names_of,
    own_curves,
    tail_of,
)
from curriculum.curve import Piece
from curriculum.errors import Diagnostic, Severity, Span
from curriculum.plan import Plan, Stage
from curriculum.units import rate_in_words

SHORT, LONG = Fraction(5, 100), Fraction(25, 100)
"""Of a schedule's clock, the least and the most that a decay after a long constant rate takes."""

MOSTLY_CONSTANT = Fraction(1, 2)
"""Of a schedule's clock, from where on a constant rate makes it warm-up, stable, decay."""

DECAYED = Fraction(1, 10)
"""Of the rate before, to where a decay goes down that ends a training."""

COLD = 1 / 10
"""Of the path's highest rate, below which a stage hardly learns data that it never read."""

MOSTLY_NEW = Fraction(1, 2)
"""Of a stage's tokens, from where on its data is new."""


def decays_end_with_their_stage(plan: Plan) -> Iterator[Diagnostic]:
    """A decay that ends within 1% of the end of its last stage ends with it, not some steps beside
    it."""
    told: set[Span] = set()
    followed = ridden_on(plan)
    for stage, targets, curve in own_curves(plan):
        ride = stage.rides[targets[0]]
        piece, tail = curve.piece_at(stage.steps - 1), tail_of(stage, curve)
        if tail is not None and tail.first_step < stage.steps:
            steps, word = stage.steps - tail.first_step, "before"
            is_beside = steps <= FEW * stage.steps
        elif falls(piece) and (stage.name, ride.schedule, ride.instance) not in followed:
            steps, word = _steps_beyond(stage, piece), "after"
            assert piece.end is not None
            is_beside = 0 < piece.end - end_of(stage, piece) <= FEW * (piece.end - piece.start)
        else:
            continue
        decay = curve.pieces[curve.pieces.index(tail) - 1] if tail else piece
        place = piece_place(plan, stage, "lr", targets[0], decay, "until", "for")
        if not is_beside or steps < 1 or (place is not None and place in told):
            continue
        if place is not None:
            told.add(place)
        last = stage.at(stage.steps - 1).lr[targets[0]]
        yield Diagnostic(
            "decays-end-with-their-stage",
            f"the decay of {names_of(targets)} ends {steps:,} step{'s' * (steps > 1)} {word} stage "
            f"`{stage.name}` does: its last step has LR {rate_in_words(last)}",
            place,
            f"leave the decay's end out{', and what follows it' if tail else ''}: it then ends "
            "with its last stage",
            Severity.INFO,
            related_place(plan, "the stage", f"stages.{stage.name}"),
        )


def decays_take_their_share(plan: Plan) -> Iterator[Diagnostic]:
    """A decay after a long constant rate takes between 5% and 25% of its schedule."""
    constants = _constants(plan)
    told: set[Span] = set()
    for stage, targets, curve in own_curves(plan):
        ride = stage.rides[targets[0]]
        piece = curve.piece_at(stage.steps - 1)
        if not falls(piece) or piece.b > DECAYED * piece.a:
            continue
        assert piece.end is not None
        in_tokens = piece.unit == "tokens"
        clock = (ride.tokens_before if in_tokens else ride.steps_before) + piece.end
        share = Fraction(piece.end - piece.start, clock)
        held = constants.get((ride.schedule, ride.instance, targets[0], piece.a), Fraction(0))
        if SHORT <= share <= LONG or held < MOSTLY_CONSTANT:
            continue
        place = piece_place(plan, stage, "lr", targets[0], piece)
        if place is not None and place in told:
            continue
        if place is not None:
            told.add(place)
        yield Diagnostic(
            "decays-take-their-share",
            f"the decay of {names_of(targets)} takes {float(share * 100):.3g}% of its schedule, "
            f"after a constant rate over {float(held * 100):.3g}%: published ones take 5 to 25%",
            place,
            "make it about 10 to 20% (Haegele et al., arXiv 2405.18392)",
            Severity.INFO,
        )


def new_data_is_read_warm(plan: Plan) -> Iterator[Diagnostic]:
    """A stage whose data is mostly new to an LLM reaches a tenth of the path's highest learning
    rate, or more."""
    past = pasts(plan)
    for stage in plan.stages:
        for target in stage.lr:
            module = target.partition("/")[0]
            before, peak = past[stage.name][module], highest(stage, module)
            is_llm = plan.modules[module].shape.kind == "llm"
            if not is_llm or before is None or not peak or peak >= COLD * before.peak:
                continue
            # A warm-up in tokens passes its highest value between two steps.
            if isclose(peak, COLD * before.peak, rel_tol=0.01):
                continue
            new = new_share(plan, stage, before)
            if new < MOSTLY_NEW:
                continue
            yield Diagnostic(
                "new-data-is-read-warm",
                f"stage `{stage.name}` reads {float(new * 100):.3g}% of sources that `{target}` "
                f"never read, at an LR of {peak:.4g} at most: {peak / before.peak * 100:.2g}% of "
                "the path's highest",
                plan.place(f"stages.{stage.name}.lr.{target}"),
                "warm up again (and replay some of the old data), or read the new data earlier",
                Severity.INFO,
                related_place(plan, "the data", f"stages.{stage.name}.mixture"),
            )
            break


def fresh_modules_warm_up(plan: Plan) -> Iterator[Diagnostic]:
    """A module that starts without its optimizer state, at another learning rate than it was left
    at, warms up to it.

    Where the two are within a factor of 2, the rule `fresh-modules-go-on-at-their-rate` warns.
    """
    for fresh in fresh_starts(plan):
        if fresh.is_near:
            continue
        where, before = fresh.left
        yield Diagnostic(
            "fresh-modules-warm-up",
            f"stage `{fresh.stage.name}` begins {names_of(fresh.targets)} at LR {fresh.rate:.6g} "
            f"at once, without optimizer state; `{where.name}` left it at {before:.6g}",
            plan.place(f"stages.{fresh.stage.name}.lr.{fresh.targets[0]}"),
            "warm up from 0, or say `jump: true` if that is meant",
            Severity.INFO,
            related_place(
                plan, f"left at {before:.6g} here", f"stages.{where.name}.{LR_KEY[type(where)]}"
            ),
        )


def _steps_beyond(stage: Stage, piece: Piece) -> int:
    """Return how many whole steps of a piece lie behind the end of a stage."""
    assert piece.end is not None
    beyond = piece.end - end_of(stage, piece)
    return beyond // stage.at(stage.steps).tokens_per_step if piece.unit == "tokens" else beyond


def _constants(plan: Plan) -> dict[tuple[str | None, str, str, Fraction], Fraction]:
    """Return, by schedule, clock, target and rate, the longest constant piece's share of the clock
    up to where a stage ends that sees it or rides on behind it."""
    longest: dict[tuple[str | None, str, str, Fraction], Fraction] = {}
    ends: dict[tuple[str | None, str, str], tuple[int, int]] = {}
    for stage, targets, _ in own_curves(plan):
        ride = stage.rides[targets[0]]
        clock = (ride.schedule, ride.instance, targets[0])
        tokens, steps = ends.get(clock, (0, 0))
        own = (ride.tokens_before + stage.budget.tokens, ride.steps_before + stage.steps)
        ends[clock] = max(tokens, own[0]), max(steps, own[1])
    for stage, targets, curve in own_curves(plan):
        ride = stage.rides[targets[0]]
        clock = (ride.schedule, ride.instance, targets[0])
        for piece in curve.pieces:
            if piece.shape == "constant" and piece.end is not None and piece.a > 0:
                whole = ends[clock][0 if piece.unit == "tokens" else 1]
                share = Fraction(piece.end - piece.start, whole)
                key = (*clock, piece.a)
                longest[key] = max(longest.get(key, Fraction(0)), share)
    return longest
