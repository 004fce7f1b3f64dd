"""How far each piece of a curve reaches on its clock, in tokens or in steps"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import ceil, floor
from typing import NamedTuple, NoReturn

from curriculum.clock import Position, Rider, rider_at, scaled_step, steps_at, tokens_at
from curriculum.curve import ClockUnit, Piece
from curriculum.errors import Related, Span
from curriculum.nodes import UNSCALED, Scale
from curriculum.short_forms import short_length
from curriculum.spec import PieceSpec, Quantity
from curriculum.units import count_in_words, rounded_in_words

START = Position(0, 0)

Report = Callable[[str, str, Span, str | None, tuple[Related, ...]], None]

ShareOf = Callable[[str, Scale], Fraction | None]
"""How many steps a stage has for each of the plan below a scale; None where that is unknown."""


class Refused(Exception):
    """The curve cannot be laid out; the reason was reported."""


class Ground(NamedTuple):
    """What a curve is laid on: the riders of a clock up to a stage, and where the clock ends."""

    chain: tuple[Rider, ...]
    ends: frozenset[int]  # in tokens; several: the paths end it at different marks
    stage: Span  # the name of the last rider
    report: Report
    share_of: ShareOf
    became: Callable[[Quantity, str], None]  # told what an amount from below a scale is here
    whose: str = "stage"  # what ends where the clock ends: the stage, or the schedule
    is_last: bool = True  # no rider follows, on any path
    begin: Position = START  # where the curve begins: later, where it took over a clock
    left: Piece | None = None  # on this clock, the piece of which `stretch` takes what is left

    def refuse(
        self,
        rule: str,
        message: str,
        span: Span,
        help: str | None = None,
        related: tuple[Related, ...] = (),
    ) -> NoReturn:
        self.report(rule, message, span, help, related)
        raise Refused

    def shared(self, rider: Rider, length: Quantity) -> Fraction:
        """Return the share of steps that a rider keeps of the plan that says a length in steps."""
        share = self.share_of(rider.stage, length.scale)
        if share is None:
            self.refuse(*unknown_share(rider.stage, length))
        return share

    def whole(self, span: Span) -> int:
        """Return where the clock ends; refuse where its paths end it differently."""
        if len(self.ends) == 1:
            return min(self.ends)
        self.refuse(
            "paths-differ",
            "the stages that ride on this schedule end it at different marks",
            span,
            "give one of them `restart: true` or a schedule of its own, or write a mark",
        )


def unknown_share(stage: str, said: Quantity) -> tuple[str, str, Span, str]:
    """Return what is wrong where nobody knows how long a stage is in the plan below."""
    return (
        "share-unknown",
        f"{said.amount} are from below a `scale`, where they are a share of stage `{stage}`, and "
        "how many steps that has there is unknown",
        said.span,
        "say it in the overlay",
    )


class Extent(NamedTuple):
    """A piece's unit, start and end on the clock, and the position after it, if it ends."""

    unit: ClockUnit
    start: int
    end: int | None
    after: Position | None


Length = tuple[int, Span]
"""The tokens that a piece of the curve takes, and the place that says so."""


def extent_of(
    pieces: tuple[PieceSpec, ...],
    index: int,
    at: Position,
    before: Sequence[Length],
    ground: Ground,
) -> Extent:
    """Return how far one of the pieces reaches, which begins at a position on the clock."""
    piece = pieces[index]
    if piece.length is None:
        return _open(piece, pieces[index + 1 :], at, before, ground)
    if piece.length.amount.unit == "steps":
        return _in_steps(piece, piece.length, at, ground)
    return _in_tokens(piece, piece.length, at, ground)


def _open(
    piece: PieceSpec,
    rest: tuple[PieceSpec, ...],
    at: Position,
    before: Sequence[Length],
    ground: Ground,
) -> Extent:
    shape = piece.shape.text
    has_no_end = shape in ("constant", "rsqrt") or (shape == "exponential" and piece.end is None)
    if not rest and has_no_end:
        return Extent("tokens", at.tokens, None, None)
    end = total = ground.whole(piece.span)
    lengths = list(before)
    for later in rest:
        tokens, span = _length_after_open(later, total, ground)
        lengths.append((tokens, span))
        end -= tokens
    if end <= at.tokens:
        longest, place = max(lengths, key=lambda length: length[0])
        ground.refuse(
            "no-room-for-open-piece",
            f"the pieces of this curve leave nothing of its {rounded_in_words(total)} tokens to "
            f"the open one; this one takes {rounded_in_words(longest)}",
            place,
            "make it shorter, or leave the open piece out",
            (Related("the open piece", piece.span),),
        )
    return Extent("tokens", at.tokens, end, Position(end, steps_at(ground.chain, end)))


def _length_after_open(piece: PieceSpec, total: int, ground: Ground) -> Length:
    length = piece.length
    if length is None:
        ground.refuse(
            "one-open-piece",
            "only one piece of a curve may be open",
            piece.span,
            "let the others say `for` or `until`: `for: 2000 steps`",
        )
    if piece.is_until or length.amount.unit == "steps":
        ground.refuse(
            "open-piece",
            "what follows an open piece is long `for` some tokens or a share",
            length.span,
            "write `for: 10%`",
        )
    if length.amount.unit == "share":
        return ceil(length.amount.value * total), length.span
    ground.became(length, count_in_words(length.scaled_tokens))
    return length.scaled_tokens, length.span


def _in_steps(piece: PieceSpec, length: Quantity, at: Position, ground: Ground) -> Extent:
    steps = length.amount.value
    if length.scale != UNSCALED and piece.is_until:
        steps = scaled_step(ground.chain, at, steps, lambda rider: ground.shared(rider, length))
    elif length.scale != UNSCALED:
        steps = steps * ground.shared(rider_at(ground.chain, at), length)
    if length.scale != UNSCALED and steps < 1:
        ground.refuse(
            "shorter-than-a-step",
            f"{length.amount} become {float(steps):.2g} of a step in this proxy",
            length.span,
            "say it in the overlay",
        )
    rounded = floor(steps + Fraction(1, 2))
    ground.became(length, f"{rounded} steps")
    end = rounded if piece.is_until else at.steps + rounded
    _not_before(piece, at.steps, end, ground)
    return Extent("steps", at.steps, end, Position(tokens_at(ground.chain, end), end))


def _in_tokens(piece: PieceSpec, length: Quantity, at: Position, ground: Ground) -> Extent:
    if length.amount.unit == "share":
        tokens = ceil(length.amount.value * ground.whole(length.span))
    else:
        tokens = length.scaled_tokens
        refuse_less_than_step(length, at, ground, piece.is_until)
        ground.became(length, count_in_words(tokens))
    end = tokens if piece.is_until else at.tokens + tokens
    _not_before(piece, at.tokens, end, ground)
    after, rider = Position(end, steps_at(ground.chain, end)), ground.chain[-1]
    if after.steps == at.steps and end < rider.end_tokens and at.steps < rider.end_steps:
        ground.refuse(
            "piece-shorter-than-step",
            f"this piece ends before a step reads it ({rounded_in_words(end - at.tokens)} tokens)",
            length.span,
            "make it longer, or leave it out",
        )
    return Extent("tokens", at.tokens, end, after)


def refuse_less_than_step(
    length: Quantity, at: Position, ground: Ground, is_mark: bool = False
) -> None:
    """Refuse an amount of tokens that is less than a step: most often its unit was forgotten."""
    rider = rider_at(ground.chain, at)
    step_tokens = min(rider.step_tokens(at.steps - rider.steps0), rider.asked_tokens)
    tokens = length.scaled_tokens
    if length.amount.unit != "tokens" or tokens >= step_tokens:
        return
    way_out, number = "make it longer, or leave it out", int(length.amount.value)
    if length.scale != UNSCALED:
        way_out = "say it in the overlay"
    elif at.steps < number if is_mark else number > 1:
        way_out = f"did you mean `{f'step {number}' if is_mark else f'{number} steps'}`?"
    ground.refuse(
        "shorter-than-a-step",
        f"{tokens:,} tokens are less than a step of {short_length(step_tokens)} tokens",
        length.span,
        way_out,
    )


def _not_before(piece: PieceSpec, start: int, end: int, ground: Ground) -> None:
    if end <= start:
        ground.refuse(
            "piece-ends-before-start",
            "this piece ends where or before it starts",
            piece.length.span if piece.length else piece.span,
            "move the mark, or leave the piece out",
        )


def refuse_endless(piece: PieceSpec, extent: Extent, ground: Ground) -> None:
    """Refuse a piece that ends behind its clock's end, before others that never run.

    Only the clock's last rider can tell: until then more may follow.
    """
    rider = ground.chain[-1]
    if extent.end is None or piece.length is None or not ground.is_last:
        return
    end = rider.end_tokens if extent.unit == "tokens" else rider.end_steps
    if extent.end <= end:
        return

    def words(count: int) -> str:
        return rounded_in_words(count) if extent.unit == "tokens" else f"{count:,}"

    takes = f"takes {words(extent.end)}" if extent.start == 0 else f"ends at {words(extent.end)}"
    ground.refuse(
        "endless-piece",
        f"this piece {takes} {extent.unit}, the {ground.whose} has {words(end)}: "
        "the pieces after it never run",
        piece.length.span,
        "make it shorter, or leave out what follows",
    )
