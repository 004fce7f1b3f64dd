"""Rules about what changes when: batches in warm-ups, decays beside switches, borrowed ends"""

from collections.abc import Iterator, Mapping
from fractions import Fraction

from curriculum.batch import BatchPiece
from curriculum.check.lineage import ridden_on
from curriculum.check.places import batch_place, piece_place, related_place
from curriculum.check.rate_rules import FEW, end_of, falls, names_of, own_curves, tail_of
from curriculum.curve import Curve, Piece
from curriculum.errors import Diagnostic, Related, Severity, Span
from curriculum.plan import Plan, Stage
from curriculum.units import count_in_words, rounded_in_words

BESIDE = Fraction(2, 100)
"""Of a schedule's clock, how near a decay and a switch are taken for one moment."""

SAME_MOMENT = Fraction(1, 10_000)
"""Of a schedule's clock, below which it makes no difference that they are two."""


def batches_hold_through_warm_ups(plan: Plan) -> Iterator[Diagnostic]:
    """The batch and the context do not jump while the learning rate warms up; a ramp may run."""
    told: set[Span] = set()
    for stage, targets, curve in own_curves(plan):
        jumps = _jumps(stage)
        for piece, end in _warm_ups(stage, curve) if jumps else ():
            inside = [i for i in jumps if piece.first_step < _first_step(stage, i) < end]
            if not inside:
                continue
            at = inside[0]
            place = batch_place(plan, stage, at)
            if place is not None and place in told:
                continue
            if place is not None:
                told.add(place)
            old, new = stage.batch.pieces[at - 1], stage.batch.pieces[at]
            yield Diagnostic(
                "batches-hold-through-warm-ups",
                f"{_what_jumps(old, new)} at step {new.first_step:,} of stage `{stage.name}`, "
                f"inside the warm-up of {names_of(targets)}, which goes on to step {end:,}",
                place,
                "let the warm-up end before, or the batch change after it",
                Severity.WARNING,
                _warm_up_place(plan, stage, targets[0], piece),
            )
            break


def decays_and_switches_meet(plan: Plan) -> Iterator[Diagnostic]:
    """Where a decay begins and the mixture changes at nearly one moment, it is one moment.

    Told within 2% of the schedule's clock: a warning, but where it is less than 0.01% of it.
    """
    told: set[Span] = set()
    changes = _Changes(plan)
    for stage, targets, curve in own_curves(plan):
        for piece in _decays(curve, stage.steps):
            if piece.start <= 0:
                continue
            at = stage.batch.tokens_before(piece.first_step)
            clock = stage.rides[targets[0]].tokens_before + at
            for tokens, name, what in changes.near(stage, at, BESIDE * clock):
                gap = tokens - at
                place = piece_place(plan, stage, "lr", targets[0], piece)
                if place is not None and place in told:
                    break
                if place is not None:
                    told.add(place)
                yield Diagnostic(
                    "decays-and-switches-meet",
                    f"the decay of {names_of(targets)} begins {rounded_in_words(abs(gap))} tokens "
                    f"({float(abs(gap) / clock * 100):.2g}% of what lies before) "
                    f"{'before' if gap > 0 else 'after'} the mixture changes {what}",
                    place,
                    "let them begin at one step, or further apart",
                    Severity.WARNING if abs(gap) > SAME_MOMENT * clock else Severity.INFO,
                    related_place(plan, "the other mixture", f"stages.{name}.mixture"),
                )
                break


def decays_end_where_their_own_stage_does(plan: Plan) -> Iterator[Diagnostic]:
    """A decay that misses the end of its stage does not end where another stage does: its `until`
    or `for` is not that stage's budget, nor the end of that stage's decay."""
    followed = ridden_on(plan)
    last = [
        (stage, targets[0], piece)
        for stage, targets, curve in own_curves(plan)
        if (piece := _last_decay(stage, curve)) is not None and piece.unit == "tokens"
        if (stage.name, *_clock(stage, targets[0])) not in followed
    ]
    ends = {_clock_end(s, t, p): s.name for s, t, p in reversed(last) if not _misses(s, p)}
    ends |= {stage.budget.tokens: stage.name for stage in reversed(plan.stages)}
    told: set[Span] = set()
    for stage, target, piece in last:
        assert piece.end is not None
        numbers = [_clock_end(stage, target, piece)]
        if not piece.behind:  # what is left of a stretched piece is a number that nobody wrote
            numbers.append(piece.end - piece.start)
        said = [number for number in numbers if number in ends]
        if not said or not _misses(stage, piece):
            continue
        other = ends[said[0]]
        place = piece_place(plan, stage, "lr", target, piece, "until", "for")
        if _on_one_path(plan, stage.name, other) or (place is not None and place in told):
            continue
        if place is not None:
            told.add(place)
        yield Diagnostic(
            "decays-end-where-their-own-stage-does",
            f"the decay of `{target}` in stage `{stage.name}` says {count_in_words(said[0])}, "
            f"which is the end of stage `{other}`; `{stage.name}` asks for "
            f"{rounded_in_words(stage.budget.tokens)}",
            place,
            "leave the end out: the decay then ends where its last stage does",
            Severity.WARNING,
            related_place(plan, "the other stage", f"stages.{other}"),
        )


def _on_one_path(plan: Plan, one: str, other: str) -> bool:
    """Say whether one of two stages comes from the other, or is it."""
    pairs = ((one, other), (other, one))
    return one == other or any(
        above == ancestor.name for name, above in pairs for ancestor, _ in plan.ancestors(name)
    )


def _clock(stage: Stage, target: str) -> tuple[str | None, str]:
    return stage.rides[target].schedule, stage.rides[target].instance


def _clock_end(stage: Stage, target: str, piece: Piece) -> int:
    assert piece.end is not None
    return stage.rides[target].tokens_before + piece.end


def _misses(stage: Stage, piece: Piece) -> bool:
    """Say whether a decay ends further from its stage's end than rounding explains."""
    assert piece.end is not None
    return abs(piece.end - end_of(stage, piece)) > FEW * (piece.end - piece.start)


class _Changes:
    """Where mixtures change, asked only of stages that a decay begins in."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.after: dict[str, list[Stage]] = {}
        for stage in plan.stages:
            for parent in self._parents(stage):
                self.after.setdefault(parent.name, []).append(stage)

    def near(self, stage: Stage, at: int, most: Fraction) -> Iterator[tuple[int, str, str]]:
        """Yield changes near a mark of a stage, and not at it: the tokens, and where it is said."""
        if 0 < at <= most and any(_differ(p, stage) for p in self._parents(stage)):
            yield 0, stage.name, f"to that of stage `{stage.name}`"
        for segment in stage.mixture.segments[1:]:
            tokens = stage.batch.tokens_before(segment.first_step)
            if 0 < abs(tokens - at) <= most and _jumps_at(stage, segment.first_step):
                yield tokens, stage.name, f"at step {segment.first_step:,} of stage `{stage.name}`"
        if 0 < stage.tokens - at <= most:
            for child in self.after.get(stage.name, ()):
                if _differ(stage, child):
                    yield stage.tokens, child.name, f"to that of stage `{child.name}`"

    def _parents(self, stage: Stage) -> list[Stage]:
        named = {s: s.stage for s in stage.init.values() if s.stage is not None}
        ends = [(self.plan.stage(n), s.step) for s, n in named.items() if self.plan.has_stage(n)]
        return [parent for parent, step in ends if step == parent.steps]


def _differ(parent: Stage, child: Stage) -> bool:
    """Say whether a stage begins with other shares than another ended with."""
    left, begun = parent.mixture.end_ratios(), child.mixture.ratios(0)
    return _known(left) != _known(begun)


def _jumps_at(stage: Stage, step: int) -> bool:
    before, after = stage.mixture.ratios(step - 1), stage.mixture.ratios(step)
    most = max(abs(after[name] - before[name]) for name in after)
    return most >= float(FEW)


def _known(shares: Mapping[str, Fraction] | Mapping[str, float]) -> dict[str, float]:
    return {name: round(float(share), 9) for name, share in shares.items() if share > 0}


def _last_decay(stage: Stage, curve: Curve) -> Piece | None:
    """Return the decay that a stage ends in, or that it has gone on behind at the last value."""
    tail = tail_of(stage, curve)
    last = curve.pieces[curve.pieces.index(tail) - 1] if tail else curve.piece_at(stage.steps - 1)
    return last if falls(last) else None


def _decays(curve: Curve, steps: int) -> Iterator[Piece]:
    """Yield the pieces that fall, each of which follows one that does not."""
    before: Piece | None = None
    for piece in curve.pieces:
        if piece.first_step < steps and falls(piece) and not (before and falls(before)):
            yield piece
        before = piece


def _warm_ups(stage: Stage, curve: Curve) -> Iterator[tuple[Piece, int]]:
    """Yield the pieces that rise, each with the step at which it is over."""
    starts = [*(piece.first_step for piece in curve.pieces[1:]), stage.steps]
    for piece, end in zip(curve.pieces, starts, strict=True):
        if piece.b > piece.a and piece.first_step < stage.steps:
            yield piece, min(end, stage.steps)


def _jumps(stage: Stage) -> list[int]:
    """Return the batch pieces, by number, that begin at a jump and not on a ramp."""
    ramps = [(laid.first_step, laid.end_step) for laid in stage.batch.ramps]
    found = []
    for i in range(1, len(stage.batch.pieces)):
        step = _first_step(stage, i)
        if step < stage.steps and not any(first < step <= end for first, end in ramps):
            found.append(i)
    return found


def _first_step(stage: Stage, index: int) -> int:
    return stage.batch.pieces[index].first_step


def _what_jumps(old: BatchPiece, new: BatchPiece) -> str:
    if old.seq_len == new.seq_len:
        return f"the batch changes from {old.batch_seqs:,} to {new.batch_seqs:,} sequences"
    context = f"the context changes from {old.seq_len:,} to {new.seq_len:,} tokens"
    tokens = f"the batch from {old.batch_seqs:,} to {new.batch_seqs:,} sequences"
    return context if old.batch_seqs == new.batch_seqs else f"{context} and {tokens}"


def _warm_up_place(plan: Plan, stage: Stage, target: str, piece: Piece) -> tuple[Related, ...]:
    span = piece_place(plan, stage, "lr", target, piece, "for", "until")
    return (Related("the warm-up", span),) if span else ()
