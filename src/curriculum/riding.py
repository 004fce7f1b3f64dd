"""Curves on their clocks: pieces as written become pieces in one stage's own coordinates

A schedule's clock counts the tokens that its riders asked for, along the path. The riders of one
run of the clock form a chain; a position is tokens on that clock, steps, or both, and the chain
converts.

    text (asked 5.2T)            joint (asked 1.4T)
    |--2000 steps--|--until 5.2T--|--open ...........|
    tokens0 = 0                   tokens0 = 5.2T     total = 6.6T
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import cast

from curriculum.batch import Batch
from curriculum.curve import ClockUnit, Curve, Piece, Shape
from curriculum.errors import Span
from curriculum.source_map import UNSCALED
from curriculum.spec import CurveSpec, Number, PieceSpec, Quantity
from curriculum.units import rounded_in_words

Report = Callable[[str, str, Span, str | None], None]
Current = Callable[[Span], "Fraction | None"]


class Refused(Exception):
    """The curve cannot be laid out; the reason was reported."""


@dataclass(frozen=True, slots=True)
class Rider:
    """One stage on a clock: where the clock stood at its first step, and what it asked for."""

    stage: str
    batch: Batch
    asked_tokens: int
    steps: int
    tokens0: int
    steps0: int
    step_share: Fraction  # scaled steps per full step: 1 but in a proxy

    @property
    def end_tokens(self) -> int:
        return self.tokens0 + self.asked_tokens

    @property
    def end_steps(self) -> int:
        return self.steps0 + self.steps

    def step_at(self, tokens: int) -> int:
        """First step of this stage that starts at or after a clock position."""
        if tokens >= self.end_tokens:
            return self.steps
        return min(self.batch.step_at_tokens(tokens - self.tokens0), self.steps)

    def tokens_at(self, step: int) -> int:
        """Clock position of the start of a step of this stage; at its end what it asked for."""
        if step >= self.steps:
            return self.end_tokens
        return self.tokens0 + self.batch.tokens_before(step)


@dataclass(frozen=True, slots=True)
class Clock:
    """Where a schedule's clock stands when a stage begins, and who rode before."""

    instance: str
    tokens: int
    steps: int
    chain: tuple[Rider, ...]


@dataclass(frozen=True, slots=True)
class _Position:
    tokens: int
    steps: int


def lay_on_clock(
    spec: CurveSpec,
    chain: tuple[Rider, ...],
    total: int | None,
    current: Current,
    report: Report,
    *,
    relative: bool,
    scale: Fraction = Fraction(1),
) -> Curve | None:
    """Lay a curve out over the last rider of a chain; None where a value is unknown.

    `total` is where the clock ends (None: the paths differ), `relative` reads `to: 10%` as a tenth
    of the piece's start. Raises `Refused` after reporting why.
    """
    rider = chain[-1]
    pieces: list[Piece] = []
    at = _Position(0, 0)
    value: Fraction | None = None
    unknown = False
    for index, piece in enumerate(spec.pieces):
        a = _start(piece, index, value, current, report, relative, scale)
        b = _end(piece, a, report, relative, scale)
        unknown = unknown or a is None or b is None
        rest = spec.pieces[index + 1 :]
        unit, start, end, next_at = _extent(piece, rest, at, chain, total, report)
        knob = None
        if piece.knob is not None:
            # It runs in the unit of its knob, and ends where it has come to.
            unit, start, end = _in_unit_of(piece.knob, at, next_at)
            knob = _knob(piece.knob, _rider_at(chain, at).step_share)
            if a is not None and end is not None:
                shape = cast(Shape, piece.shape.text)
                b = Fraction(Piece(shape, unit, 0, start, end, a, a, knob).value(end))
        a, b = a or Fraction(0), b or Fraction(0)
        shown = _in_stage(piece, rider, unit, start, end, a, b, knob)
        if shown is not None:
            while pieces and pieces[-1].first_step >= shown.first_step:
                pieces.pop()
            pieces.append(shown)
        value = None if unknown else b
        if next_at is None:
            break
        at = next_at
        if at.tokens > rider.end_tokens or at.steps > rider.end_steps:
            break  # what follows lies beyond this stage; a piece that begins at its end does not
    else:
        if at.tokens < rider.end_tokens and at.steps < rider.end_steps:
            _outlived(spec, rider, at, report)
    return None if unknown else Curve(tuple(pieces))


def _start(
    piece: PieceSpec,
    index: int,
    before: Fraction | None,
    current: Current,
    report: Report,
    relative: bool,
    scale: Fraction,
) -> Fraction | None:
    match piece.start:
        case None:
            if index == 0:
                _refuse(
                    report,
                    "first-piece-from",
                    "the first piece of a curve says where it starts",
                    piece.span,
                    "add `from: 0` or `from: current`",
                )
            return before
        case Number(value=value):
            if piece.start.percent and relative:
                _refuse(
                    report,
                    "wrong-value",
                    "a learning rate starts at a number, not at a share",
                    piece.start.span,
                    "write 1e-3, or `from: current`",
                )
            return None if value is None else value * scale
        case word:
            return current(word.span)


def _end(
    piece: PieceSpec, a: Fraction | None, report: Report, relative: bool, scale: Fraction
) -> Fraction | None:
    shape = piece.shape.text
    if shape == "constant":
        if piece.end is not None:
            _refuse(
                report,
                "constant-to",
                "a constant piece has no `to`",
                piece.end.span,
                "leave it out",
            )
        return a
    if shape == "rsqrt" or (shape == "exponential" and piece.end is None):
        if piece.knob is None:
            word = "timescale" if shape == "rsqrt" else "half_life"
            _refuse(report, "missing-key", f"{shape} wants a `{word}`", piece.span, f"{word}: 100B")
        return a
    if piece.end is None:
        _refuse(
            report,
            "missing-key",
            f"a {shape} piece says where it ends",
            piece.span,
            "add `to: VALUE`",
        )
    assert piece.end is not None
    if piece.end.value is None or a is None:
        return None
    b = a * piece.end.value if relative and piece.end.percent else piece.end.value * scale
    if shape in ("exponential", "half_life") and (a <= 0 or b <= 0):
        _refuse(
            report, "wrong-value", f"the shape {shape} stays above 0", piece.end.span, "try linear"
        )
    if shape == "half_life" and (a >= 1 or b >= 1):
        _refuse(report, "wrong-value", "a half_life piece stays below 1", piece.end.span, None)
    return b


def _extent(
    piece: PieceSpec,
    rest: tuple[PieceSpec, ...],
    at: _Position,
    chain: tuple[Rider, ...],
    total: int | None,
    report: Report,
) -> tuple[ClockUnit, int, int | None, _Position | None]:
    """Return the piece's unit, start and end on the clock, and the position after it."""
    length = piece.length
    if length is None:
        end = _open_end(piece, rest, total, report)
        if end is None:
            return "tokens", at.tokens, None, None
        _not_before(piece, at.tokens, end, report)
        return "tokens", at.tokens, end, _Position(end, _steps_at(chain, end))
    amount = length.amount
    if amount.unit == "steps":
        steps = _steps_of(length, _rider_at(chain, at).step_share, report)
        end = steps if piece.is_until else at.steps + steps
        _not_before(piece, at.steps, end, report)
        return "steps", at.steps, end, _Position(_tokens_at(chain, end), end)
    if amount.unit == "share":
        if total is None:
            _refuse_paths(report, length.span)
        assert total is not None
        tokens = ceil(amount.value * total)
    else:
        tokens = tokens_of(length)
    end = tokens if piece.is_until else at.tokens + tokens
    _not_before(piece, at.tokens, end, report)
    after = _Position(end, _steps_at(chain, end))
    if after.steps == at.steps and end < chain[-1].end_tokens and at.steps < chain[-1].end_steps:
        _refuse(
            report,
            "piece-shorter-than-step",
            f"this piece ends before a step reads it ({rounded_in_words(end - at.tokens)} tokens)",
            length.span,
            "make it longer, or leave it out",
        )
    return "tokens", at.tokens, end, after


def _open_end(
    piece: PieceSpec, rest: tuple[PieceSpec, ...], total: int | None, report: Report
) -> int | None:
    """Return where an open piece ends, None if it never does."""
    if not rest:
        if piece.shape.text == "constant" or piece.shape.text == "rsqrt":
            return None
        if piece.shape.text == "exponential" and piece.end is None:
            return None
    if total is None:
        _refuse_paths(report, piece.span)
    assert total is not None
    end = total
    for later in rest:
        if later.length is None:
            _refuse(
                report, "one-open-piece", "only one piece of a curve may be open", later.span, None
            )
        assert later.length is not None
        if later.is_until or later.length.amount.unit == "steps":
            _refuse(
                report,
                "open-piece",
                "what follows an open piece is long `for` some tokens or a share",
                later.length.span,
                "write `for: 10%`",
            )
        amount = later.length.amount
        share = amount.unit == "share"
        end -= ceil(amount.value * total) if share else tokens_of(later.length)
    return end


def _in_stage(
    piece: PieceSpec,
    rider: Rider,
    unit: ClockUnit,
    start: int,
    end: int | None,
    a: Fraction,
    b: Fraction,
    knob: Fraction | None,
) -> Piece | None:
    """Return the piece in the rider's coordinates, None where the stage does not touch it."""
    base, stop = (
        (rider.tokens0, rider.end_tokens) if unit == "tokens" else (rider.steps0, rider.end_steps)
    )
    if start > stop or (end is not None and end <= base and start < base):
        return None
    if unit == "tokens":
        first = 0 if start <= base else rider.step_at(start)
    else:
        first = max(0, start - base)
    shape = cast(Shape, piece.shape.text)
    return Piece(shape, unit, first, start - base, None if end is None else end - base, a, b, knob)


def _in_unit_of(
    knob: Quantity, at: _Position, next_at: _Position | None
) -> tuple[ClockUnit, int, int | None]:
    if knob.amount.unit == "tokens":
        return "tokens", at.tokens, None if next_at is None else next_at.tokens
    return "steps", at.steps, None if next_at is None else next_at.steps


def _knob(knob: Quantity, step_share: Fraction) -> Fraction:
    if knob.amount.unit == "tokens":
        return knob.amount.value * knob.scale.tokens
    return knob.amount.value * (1 if knob.scale == UNSCALED else step_share)


def tokens_of(quantity: Quantity) -> int:
    """Return an amount in tokens, through the proxy's scale, in whole tokens (up)."""
    return ceil(quantity.amount.value * quantity.scale.tokens)


def _steps_of(quantity: Quantity, share: Fraction, report: Report) -> int:
    if quantity.scale == UNSCALED:
        return int(quantity.amount.value)
    scaled = quantity.amount.value * share
    if scaled < 1:
        _refuse(
            report,
            "shorter-than-a-step",
            f"{quantity.amount} become {float(scaled):.2g} of a step in this proxy",
            quantity.span,
            "say it in the overlay",
        )
    return floor(scaled + Fraction(1, 2))


def _rider_at(chain: tuple[Rider, ...], at: _Position) -> Rider:
    return next((r for r in chain if at.steps < r.end_steps), chain[-1])


def _steps_at(chain: tuple[Rider, ...], tokens: int) -> int:
    for rider in chain:
        if tokens < rider.end_tokens:
            return rider.steps0 + rider.step_at(tokens)
    last = chain[-1]
    if tokens == last.end_tokens:
        return last.end_steps
    beyond = last.batch.step_at_tokens(tokens - last.tokens0)
    return last.steps0 + max(last.steps + 1, beyond)


def _tokens_at(chain: tuple[Rider, ...], step: int) -> int:
    for rider in chain:
        if step < rider.end_steps:
            return rider.tokens_at(step - rider.steps0)
    last = chain[-1]
    if step == last.end_steps:
        return last.end_tokens
    return max(last.end_tokens, last.tokens0 + last.batch.tokens_before(step - last.steps0))


def _not_before(piece: PieceSpec, start: int, end: int, report: Report) -> None:
    if end <= start:
        _refuse(
            report,
            "piece-ends-before-start",
            "this piece ends where or before it starts",
            piece.length.span if piece.length else piece.span,
            "move the mark, or leave the piece out",
        )


def _outlived(spec: CurveSpec, rider: Rider, at: _Position, report: Report) -> None:
    left = rider.end_tokens - at.tokens
    _refuse(
        report,
        "outlives-schedule",
        f"stage `{rider.stage}` goes on for {rounded_in_words(left)} tokens after this curve ends",
        spec.span,
        "make its last piece longer or open, or add `{shape: constant}`",
    )


def _refuse_paths(report: Report, span: Span) -> None:
    _refuse(
        report,
        "paths-differ",
        "the stages that ride on this schedule end it at different marks",
        span,
        "give one of them `restart: true` or a schedule of its own, or write a mark",
    )


def _refuse(report: Report, rule: str, message: str, span: Span, help: str | None) -> None:
    report(rule, message, span, help)
    raise Refused
