"""Curves on their clocks: pieces as written become pieces in one stage's own coordinates"""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple, cast

from curriculum.clock import Position, Rider, rider_at
from curriculum.curve import ClockUnit, Curve, Piece, Shape
from curriculum.errors import Related, Span
from curriculum.extent import (
    Extent,
    Ground,
    Length,
    extent_of,
    refuse_endless,
    refuse_less_than_step,
)
from curriculum.nodes import UNSCALED
from curriculum.spec import CurveSpec, Number, PieceSpec, Quantity
from curriculum.units import rounded_in_words


class Reading(NamedTuple):
    """How the values of a curve are read.

    `current` says what `from: current` stands for, at its place, and raises `Refused` where that is
    nothing; with `is_relative`, `to: 10%` is a tenth of the piece's start.
    """

    current: Callable[[Span], Fraction | None]
    is_relative: bool
    scale: Fraction = Fraction(1)


def lay_on_clock(spec: CurveSpec, ground: Ground, reading: Reading) -> Curve | None:
    """Lay a curve out over the last rider of a chain; None where a value is unknown.

    Raises `Refused` after reporting why.
    """
    rider = ground.chain[-1]
    pieces: list[Piece] = []
    lengths: list[Length] = []
    at = ground.begin
    value: Fraction | None = None
    unknown = False
    for index, piece in enumerate(spec.pieces):
        a: Fraction | None
        b: Fraction | None
        if piece.stretch is not None:
            a, b = _stretched_ends(piece, index, ground)
        elif index == 0 and piece.start is None:
            ground.refuse(
                "first-piece-from",
                "the first piece of a curve says where it starts",
                piece.span,
                "add `from: 0` or `from: current`",
            )
        else:
            a = _start(piece, value, ground, reading)
            b = _end(piece, a, ground, reading)
        unknown = unknown or a is None or b is None
        extent = extent_of(spec.pieces, index, at, lengths, ground)
        if index + 1 < len(spec.pieces) and not (index > 0 and _only_goes_on(spec, index + 1)):
            refuse_endless(piece, extent, ground)
        laid = _on_clock(piece, extent, at, ground, a, b)
        shown = _in_stage(laid, rider)
        if shown is not None:
            while pieces and pieces[-1].first_step >= shown.first_step:
                pieces.pop()
            pieces.append(shown)
        value = None if unknown else laid.b
        if extent.after is None:
            break
        if piece.length is not None:
            lengths.append((extent.after.tokens - at.tokens, piece.length.span))
        at = extent.after
        if at.tokens > rider.end_tokens or at.steps > rider.end_steps:
            break  # what follows lies beyond this stage; a piece that begins at its end does not
    else:
        if at.tokens < rider.end_tokens and at.steps < rider.end_steps:
            _refuse_outlived(spec, at, ground)
    return None if unknown else Curve(tuple(pieces))


def _only_goes_on(spec: CurveSpec, index: int) -> bool:
    """Say whether what follows has no value and no end of its own: the piece before may be laid
    out beyond the stop of the run."""
    last = spec.pieces[index]
    is_last = index + 1 == len(spec.pieces)
    return is_last and last.start is None and last.end is None and last.length is None


def _stretched_ends(piece: PieceSpec, index: int, ground: Ground) -> tuple[Fraction, Fraction]:
    """Return the ends of the piece that was left: they stay, and so does the share behind."""
    if index > 0 or ground.left is None:
        ground.refuse(
            "stretch",
            "`stretch` is the first piece of a schedule under a name",
            piece.span,
            "write the curve's own pieces here",
        )
    return ground.left.a, ground.left.b


def _start(
    piece: PieceSpec, before: Fraction | None, ground: Ground, reading: Reading
) -> Fraction | None:
    match piece.start:
        case None:
            return before
        case Number(value=value, percent=percent):
            if percent and reading.is_relative:
                ground.refuse(
                    "wrong-value",
                    "a learning rate starts at a number, not at a share",
                    piece.start.span,
                    "write 1e-3, or `from: current`",
                )
            return None if value is None else value * reading.scale
        case word:
            return reading.current(word.span)


def _end(piece: PieceSpec, a: Fraction | None, ground: Ground, reading: Reading) -> Fraction | None:
    """Return the value that a piece runs to; its start's where it says none."""
    shape, end = piece.shape.text, piece.end
    if shape == "constant":
        if end is not None:
            ground.refuse("constant-to", "a constant piece has no `to`", end.span, "leave it out")
        return a
    if shape == "rsqrt" or (shape == "exponential" and end is None):
        if piece.knob is None:
            word = "timescale" if shape == "rsqrt" else "half_life"
            ground.refuse("missing-key", f"{shape} wants a `{word}`", piece.span, f"{word}: 100B")
        return a
    if end is None:
        ground.refuse(
            "missing-key", f"a {shape} piece says where it ends", piece.span, "add `to: VALUE`"
        )
    if end.value is None or a is None:
        return None
    b = a * end.value if reading.is_relative and end.percent else end.value * reading.scale
    if shape in ("exponential", "half_life", "inverse") and (a <= 0 or b <= 0):
        ground.refuse("wrong-value", f"the shape {shape} stays above 0", end.span, "try linear")
    if shape == "half_life" and (a >= 1 or b >= 1):
        ground.refuse("wrong-value", "a half_life piece stays below 1", end.span)
    return b


def _on_clock(
    piece: PieceSpec,
    extent: Extent,
    at: Position,
    ground: Ground,
    a: Fraction | None,
    b: Fraction | None,
) -> Piece:
    """Return a piece in the clock's coordinates; what is unknown counts as 0."""
    shape = cast(Shape, piece.shape.text)
    start_value, end_value = a or Fraction(0), b or Fraction(0)
    if piece.stretch is not None:
        assert ground.left is not None
        return _drawn_out(ground.left, extent, at)
    if piece.knob is None:
        ends = (extent.start, extent.end, start_value, end_value)
        return Piece(shape, extent.unit, 0, *ends, power=piece.power)
    # It runs in the unit of its knob, and ends where it has come to.
    refuse_less_than_step(piece.knob, at, ground)
    unit: ClockUnit = "tokens" if piece.knob.amount.unit == "tokens" else "steps"
    start = at.of(unit)
    end = None if extent.after is None else extent.after.of(unit)
    knob = _knob(piece.knob, rider_at(ground.chain, at), ground)
    if a is not None and end is not None:
        end_value = Fraction(Piece(shape, unit, 0, start, end, a, a, knob).value(end))
    return Piece(shape, unit, 0, start, end, start_value, end_value, knob)


def _drawn_out(left: Piece, extent: Extent, at: Position) -> Piece:
    """Return what was left of a piece, over another length: it begins at the value it was left at.

    The share behind of a piece that was drawn out before is the float that its value was read at,
    so that nothing jumps by a rounding.
    """
    behind = Fraction(0)
    if left.end is not None:
        behind = left.share(at.of(left.unit))
        if left.behind:
            before = float(left.behind)
            run = (at.of(left.unit) - left.start) / (left.end - left.start)
            behind = Fraction(before + (1 - before) * run)
    return replace(left, unit=extent.unit, start=extent.start, end=extent.end, behind=behind)


def _knob(knob: Quantity, rider: Rider, ground: Ground) -> Fraction:
    if knob.amount.unit == "tokens":
        value = knob.amount.value * knob.scale.tokens
    elif knob.scale == UNSCALED:
        value = knob.amount.value
    else:
        value = knob.amount.value * ground.shared(rider, knob)
    ground.became(knob, f"{float(value):g}" + (" steps" if knob.amount.unit == "steps" else ""))
    return value


def _in_stage(piece: Piece, rider: Rider) -> Piece | None:
    """Return a piece in the rider's coordinates, None where the stage does not touch it."""
    in_tokens = piece.unit == "tokens"
    base = rider.tokens0 if in_tokens else rider.steps0
    stop = rider.end_tokens if in_tokens else rider.end_steps
    start, end = piece.start, piece.end
    if start > stop or (end is not None and end <= base and start < base):
        return None
    first = max(0, start - base)
    if in_tokens and first > 0:
        first = rider.step_at(start)
    end = None if end is None else end - base
    return replace(piece, first_step=first, start=start - base, end=end)


def _refuse_outlived(spec: CurveSpec, at: Position, ground: Ground) -> None:
    rider = ground.chain[-1]
    left = rounded_in_words(rider.end_tokens - at.tokens)
    ground.refuse(
        "outlives-schedule",
        f"stage `{rider.stage}` goes on for {left} tokens after this curve ends",
        spec.pieces[-1].span,
        "make its last piece longer or open, or add `{shape: constant}`",
        (Related("the stage", ground.stage),),
    )
