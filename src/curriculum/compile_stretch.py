"""A learning rate that goes on from another schedule's piece, or follows the batch"""

from dataclasses import replace
from fractions import Fraction

from curriculum.clock import Position, Rider
from curriculum.compile_state import Draft, State
from curriculum.curve import Curve, Piece
from curriculum.extent import Ground
from curriculum.plan import Ride
from curriculum.spec import Word


def stretching(
    state: State, ground: Ground, began: int, target: str, old: Word, how: Ride
) -> Ground | None:
    """Return the ground of a schedule that draws out what was left of another one's piece.

    It took over the other's clock with the rider of number `began` in the chain. None where the
    piece is unknown. Raises `Refused` where the target did not ride on the other, or nothing of its
    piece is left.
    """
    here, before = ground.chain[began], ground.chain[began - 1]
    parent = state.stages[before.stage]
    name = target if target in parent.rides else target.partition("/")[0]
    ride = parent.rides.get(name)
    if ride is None or ride.schedule != old.text:
        ground.refuse(
            "stretch",
            f"`{target}` did not ride on `{old.text}` in stage `{before.stage}`: "
            "nothing of it is left to stretch",
            old.span,
            "give it a schedule of its own",
        )
    curve = parent.lr[name]
    if curve is None:
        return None
    at = Position(here.tokens0, here.steps0)
    left = _on_clock(curve.piece_at(before.steps), before)
    if left.knob is not None:
        ground.refuse(
            "stretch",
            f"the piece in which `{old.text}` was left has no end to draw out",
            old.span,
            "write its pieces as they shall be, `from: current`",
        )
    if left.end is not None and at.of(left.unit) >= left.end:
        ground.refuse(
            "stretch",
            f"`{old.text}` had come to its end where stage `{before.stage}` was left: "
            "nothing of it is left to stretch",
            old.span,
            "start from a mark before its end, or write new pieces `from: current`",
        )
    if ride.with_batch == how.with_batch:  # it is multiplied anew
        last = parent.batch.piece_at(min(before.steps, parent.steps - 1))
        left = _times(left, 1 / ride.factor(last.tokens_per_step))
    return ground._replace(begin=at, left=left)


def with_batch(curve: Curve, draft: Draft, how: Ride) -> Curve:
    """Multiply a learning rate by what the batch makes of it, cut where the batch changes."""
    if how.with_batch in (None, "none"):
        return curve
    cuts = {p.first_step for p in draft.batch.pieces if p.first_step < draft.steps}
    pieces = []
    for step in sorted(cuts | set(curve.breaks())):
        governs = curve.piece_at(step)
        batch = draft.batch.piece_at(min(step, draft.steps - 1))
        cut = replace(governs, first_step=step)
        pieces.append(_times(cut, how.factor(batch.tokens_per_step)))
    return Curve(tuple(pieces))


def _on_clock(piece: Piece, rider: Rider) -> Piece:
    base = rider.tokens0 if piece.unit == "tokens" else rider.steps0
    end = None if piece.end is None else piece.end + base
    return replace(piece, start=piece.start + base, end=end)


def _times(piece: Piece, factor: Fraction) -> Piece:
    return replace(piece, a=piece.a * factor, b=piece.b * factor)
