"""Rules about steps and learning rates: whole steps, continuity, warm-ups"""

from collections.abc import Callable, Iterator
from fractions import Fraction

from curriculum.check.lineage import LR_KEY, left_rate, moves_with_batch
from curriculum.check.places import piece_place, related_place
from curriculum.curve import Curve, Piece
from curriculum.errors import Diagnostic, Severity, Span
from curriculum.plan import Plan, Stage
from curriculum.units import rate_in_words, rounded_in_words

MIN_STEPS = 3
"""Below this a stage has no step that is neither its first nor its last."""


LOST_MINUS = 2
"""From this power of ten on a rate is taken for one whose exponent lost its sign."""


def budgets_become_whole_steps(plan: Plan) -> Iterator[Diagnostic]:
    """What a stage plans differs by less than a step from what it asked: upwards, or downwards
    where it says `round: down`."""
    for stage in plan.stages:
        over = stage.tokens - stage.budget.tokens
        per_step = stage.batch.piece_at(stage.steps - 1).tokens_per_step
        if stage.budget.round_down:
            over = -over
            per_step = stage.batch.piece_at(stage.steps).tokens_per_step
        if not 0 <= over < per_step:
            yield Diagnostic(
                "budgets-become-whole-steps",
                f"stage `{stage.name}` asks for {stage.budget.tokens:,} tokens and plans "
                f"{stage.tokens:,}; a step has {per_step:,}",
                plan.place(f"stages.{stage.name}.tokens"),
                "compile the plan anew: no budget gives these steps",
            )


def carried_modules_go_on_at_their_rate(plan: Plan) -> Iterator[Diagnostic]:
    """A module whose optimizer state comes along goes on at exactly the learning rate it was left
    at, starts from 0, or its ride says `jump: true`."""
    for stage in plan.stages:
        first = stage.at(0).lr
        for target, rate in first.items():
            start = stage.init[target.partition("/")[0]]
            if not start.carries_state or rate is None or rate == 0 or stage.rides[target].jump:
                continue
            left = left_rate(plan, stage, target)
            if left is None or left[1] == rate or moves_with_batch(stage, target, left, rate):
                continue
            where, before = left
            yield Diagnostic(
                "carried-modules-go-on-at-their-rate",
                f"stage `{stage.name}` carries the optimizer state of `{target}` and begins at "
                f"LR {rate:.6g}, where `{where.name}` left it at {before:.6g}",
                plan.place(f"stages.{stage.name}.lr.{target}"),
                "begin at `from: current` or from 0, say `jump: true`, or `carry: none`",
                related=related_place(
                    plan, f"left at {before:.6g} here", f"stages.{where.name}.{LR_KEY[type(where)]}"
                ),
            )


def rates_are_not_negative(plan: Plan) -> Iterator[Diagnostic]:
    """No learning rate and no weight of a loss falls below 0."""

    def falls(stage: Stage, kind: str, name: str, piece: Piece) -> Diagnostic | None:
        lowest = min(piece.a, piece.b)
        if lowest >= 0:
            return None
        what = "learning rate" if kind == "lr" else "loss weight"
        return Diagnostic(
            "rates-are-not-negative",
            f"the {what} of `{name}` falls to {float(lowest):.6g} in stage `{stage.name}`",
            piece_place(plan, stage, kind, name, piece, "to" if piece.b < 0 else "from"),
            "let it end at 0 or above",
        )

    yield from once_a_place(plan, falls)


def rates_are_below_one(plan: Plan) -> Iterator[Diagnostic]:
    """No learning rate is above 1: AdamW, AdEMAMix and Muon diverge far below it, and most often a
    minus sign was lost."""
    told: set[object] = set()
    for stage in plan.stages:
        for target, curve in stage.lr.items():
            pieces = curve.pieces if curve is not None else ()
            piece = next((piece for piece in pieces if max(piece.a, piece.b) > 1), None)
            place = plan.place(f"stages.{stage.name}.lr.{target}")
            whose = stage.rides[target].schedule or place or stage.name
            is_kept = place is not None and place == plan.place(f"stages.{stage.name}")
            if piece is None or whose in told or is_kept:
                continue
            told.add(whose)
            highest = max(piece.a, piece.b)
            yield Diagnostic(
                "rates-are-below-one",
                f"the learning rate of `{target}` rises to {float(highest):.6g} in stage "
                f"`{stage.name}`",
                piece_place(plan, stage, "lr", target, piece, "to" if piece.b > 1 else "from"),
                _without_the_minus(highest / stage.rides[target].scale),
            )


def _without_the_minus(rate: Fraction) -> str:
    """Guess what a rate above 1 was meant to be.

    >>> _without_the_minus(Fraction(30_000)), _without_the_minus(Fraction(3))
    ('did you mean 3e-4?', 'write a rate below 1, such as 3e-4')
    """
    exponent = len(str(int(rate))) - 1
    if exponent < LOST_MINUS:
        return "write a rate below 1, such as 3e-4"
    return f"did you mean {rate_in_words(float(rate / 100**exponent))}?"


def every_trained_module_moves(plan: Plan) -> Iterator[Diagnostic]:
    """A module that a stage trains has a learning rate other than 0 at some step."""

    def rests(stage: Stage, kind: str, name: str, piece: Piece) -> Diagnostic | None:
        curve = stage.lr.get(name) if kind == "lr" else None
        if curve is None or not is_zero(curve):
            return None
        return Diagnostic(
            "every-trained-module-moves",
            f"`{name}` is trained in stage `{stage.name}` at a learning rate of 0",
            piece_place(plan, stage, kind, name, piece, "from"),
            f"leave `{name}` out of `train`",
            Severity.WARNING,
        )

    yield from once_a_place(plan, rests)


def warm_ups_end_in_their_stage(plan: Plan) -> Iterator[Diagnostic]:
    """A warm-up is over before the stage ends in which it begins."""

    def goes_on(stage: Stage, kind: str, name: str, piece: Piece) -> Diagnostic | None:
        if kind != "lr" or piece.end is None or piece.shape != "linear" or piece.b <= piece.a:
            return None
        ride, end = stage.rides[name], stage.steps
        if piece.unit == "tokens":
            end = stage.budget.tokens
        is_first = piece.start == 0 and ride.tokens_before == 0
        if ride.schedule is None or not is_first or piece.end <= end:
            return None
        return Diagnostic(
            "warm-ups-end-in-their-stage",
            f"the warm-up of schedule `{ride.schedule}` takes {piece.end:,} {piece.unit}, "
            f"stage `{stage.name}`, in which it begins, has {end:,}",
            piece_place(plan, stage, kind, name, piece, "for", "until"),
            "make it shorter",
            Severity.WARNING,
        )

    yield from once_a_place(plan, goes_on)


def stages_have_three_steps(plan: Plan) -> Iterator[Diagnostic]:
    """A stage has at least 3 steps."""
    for stage in plan.stages:
        if stage.steps < MIN_STEPS:
            per_step = rounded_in_words(stage.at(0).tokens_per_step)
            yield Diagnostic(
                "stages-have-three-steps",
                f"stage `{stage.name}` has {stage.steps} step{'s' * (stage.steps > 1)} "
                f"of {per_step} tokens",
                plan.place(f"stages.{stage.name}.tokens"),
                "ask for more tokens, or make the batch smaller",
                Severity.WARNING,
            )


def is_zero(curve: Curve) -> bool:
    """Say whether a curve is 0 at every step."""
    return all(piece.a == piece.b == 0 for piece in curve.pieces)


def once_a_place(
    plan: Plan, found: Callable[[Stage, str, str, Piece], Diagnostic | None]
) -> Iterator[Diagnostic]:
    """Look at every piece of every curve; what several targets or stages share is told once."""
    told: set[Span] = set()
    for stage in plan.stages:
        for kind, curves in (("lr", stage.lr), ("loss", stage.loss)):
            for name, curve in curves.items():
                for piece in curve.pieces if curve is not None else ():
                    finding = found(stage, kind, name, piece)
                    if finding is None or finding.span in told:
                        continue
                    if finding.span is not None:
                        told.add(finding.span)
                    yield finding
