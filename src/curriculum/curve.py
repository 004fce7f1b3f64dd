"""Curves over a stage: pieces with a shape, a closed form, and one way to ask for a value

A curve is a value: it prints, hashes and compares. Its pieces stand in the stage's own coordinates:
a piece in tokens measures the tokens that the stage has seen before a step, a piece in steps the
step itself; pieces that began before the stage have negative starts.

           a .___
                 `--.__  b          p = (x - start) / (end - start)
             |         |____ ...    value = shape(a, b, p)
           start      end
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import cos, isqrt, log, pi, sqrt
from typing import Literal, assert_never, get_args

Shape = Literal[
    "constant", "linear", "cosine", "sqrt", "power", "inverse", "exponential", "rsqrt", "half_life"
]
ClockUnit = Literal["tokens", "steps"]

SHAPES: tuple[str, ...] = get_args(Shape)


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece of a curve, from `start` (inclusive) to `end` (exclusive) in `unit`.

    `end` is None only for a piece that never ends. `knob` is the `half_life` of an exponential
    piece or the `timescale` of an rsqrt piece, in `unit`, where it has one. `first_step` is the
    first step of the stage that the piece governs. `behind` is the share of the shape that lay
    behind when the piece began: more than 0 where what was left of a piece was drawn out to a new
    end. `power` is the exponent of a power piece.
    """

    shape: Shape
    unit: ClockUnit
    first_step: int
    start: int
    end: int | None
    a: Fraction
    b: Fraction
    knob: Fraction | None = None
    behind: Fraction = Fraction(0)
    power: Fraction | None = None
    _behind: float = field(init=False, repr=False, compare=False)
    _a: float = field(init=False, repr=False, compare=False)
    _b: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_a", float(self.a))
        object.__setattr__(self, "_b", float(self.b))
        object.__setattr__(self, "_behind", float(self.behind))

    def value(self, x: int) -> float:
        """Return the value at clock position `x`: at the start exactly `a`, from the end on `b`.

        Source: the table of shapes in docs/language/curves.md; `inverse` is the decay of WSD-S
        (arXiv:2410.05192), linear in 1 / value; half-lives are AdEMAMix's (arXiv:2409.03137).

        >>> ramp = Piece("linear", "steps", 0, 0, 4, Fraction(0), Fraction(1))
        >>> [ramp.value(x) for x in range(5)]
        [0.0, 0.25, 0.5, 0.75, 1.0]
        >>> Piece("cosine", "steps", 0, 0, 4, Fraction(1), Fraction(0)).value(2)
        0.5
        >>> Piece("cosine", "steps", 0, 0, 4, Fraction(12), Fraction(1, 10)).value(0)
        12.0
        >>> Piece("sqrt", "steps", 0, 0, 4, Fraction(1), Fraction(0)).value(1)
        0.5
        >>> Piece("exponential", "steps", 0, 0, 2, Fraction(4), Fraction(1)).value(1)
        2.0
        >>> Piece("rsqrt", "steps", 0, 0, None, Fraction(1), Fraction(1), Fraction(1)).value(3)
        0.5
        >>> Piece("inverse", "steps", 0, 0, 4, Fraction(1), Fraction(1, 5)).value(1)
        0.5
        >>> square = Piece("power", "steps", 0, 0, 4, Fraction(1), Fraction(0), power=Fraction(2))
        >>> [square.value(x) for x in range(5)]
        [1.0, 0.5625, 0.25, 0.0625, 0.0]
        >>> zero, one, half = Fraction(0), Fraction(1), Fraction(1, 2)
        >>> half_left = Piece("linear", "steps", 0, 0, 4, zero, one, behind=half)
        >>> [half_left.value(x) for x in (0, 2, 4)]
        [0.5, 0.75, 1.0]
        """
        a, b = self._a, self._b
        if self.shape == "constant":
            return a
        x = x - self.start
        if self.shape == "rsqrt":
            assert self.knob is not None
            k = self.knob
            return a * sqrt(k.numerator / (k.numerator + x * k.denominator))
        if self.shape == "exponential" and self.knob is not None:
            return a * float(0.5 ** (x * self.knob.denominator / self.knob.numerator))
        assert self.end is not None
        span = self.end - self.start
        if x >= span:
            return b
        if x == 0 and not self._behind:
            return a  # exactly, as b + (a - b) in floats is not
        p = x / span
        if self._behind:
            p = self._behind + (1 - self._behind) * p
        match self.shape:
            case "linear":
                return a + (b - a) * p
            case "cosine":
                return b + (a - b) * (1 + cos(pi * p)) / 2
            case "sqrt":
                return a + (b - a) * sqrt(p)
            case "power":
                assert self.power is not None
                return a + (b - a) * (1 - float((1 - p) ** float(self.power)))
            case "inverse":
                return a / (1 + (a / b - 1) * p)  # 1 / ((1 - p) / a + p / b), and a at p = 0
            case "exponential":
                return float(a * (b / a) ** p)
            case "half_life":
                half_life = (1 - p) * (log(0.5) / log(a)) + p * (log(0.5) / log(b))
                return float(0.5 ** (1 / half_life))
            case _:
                assert_never(self.shape)

    def exact(self, x: int) -> Fraction:
        """Return the exact value of a constant or linear piece at clock position `x`.

        >>> Piece("linear", "tokens", 0, 0, 3, Fraction(0), Fraction(2, 5)).exact(1)
        Fraction(2, 15)
        """
        if self.shape == "constant":
            return self.a
        assert self.shape == "linear"
        assert self.end is not None
        return self.a + (self.b - self.a) * self.share(x)

    def share(self, x: int) -> Fraction:
        """Return the share of the shape that lies behind at clock position `x`.

        >>> half = Fraction(1, 2)
        >>> Piece("linear", "steps", 0, 0, 4, half, half, behind=half).share(2)
        Fraction(3, 4)
        """
        assert self.end is not None
        if x >= self.end:
            return Fraction(1)
        run = Fraction(x - self.start, self.end - self.start)
        return self.behind + (1 - self.behind) * run


@dataclass(frozen=True, slots=True)
class Curve:
    """Pieces in order; the first governs step 0 of the stage."""

    pieces: tuple[Piece, ...]
    _first_steps: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        assert self.pieces
        assert self.pieces[0].first_step == 0
        object.__setattr__(self, "_first_steps", tuple(p.first_step for p in self.pieces))

    def piece_at(self, step: int) -> Piece:
        """Return the piece that governs a step (or the boundary after the last one)."""
        if len(self.pieces) == 1:
            return self.pieces[0]
        return self.pieces[bisect_right(self._first_steps, step) - 1]

    def at(self, step: int, tokens: int) -> float:
        """Return the value for `step`, before which the stage has seen `tokens`."""
        piece = self.piece_at(step)
        return piece.value(tokens if piece.unit == "tokens" else step)

    def exact(self, step: int, tokens: int) -> Fraction:
        """Return the exact value of a piecewise constant or linear curve."""
        piece = self.piece_at(step)
        return piece.exact(tokens if piece.unit == "tokens" else step)

    def values(self, steps: range, tokens: Sequence[int]) -> list[float]:
        """Return the values for consecutive steps; `tokens[i]` were seen before `steps[i]`.

        The same expression as `at`, bit for bit, without the search for each step's piece.
        """
        assert steps.step == 1
        assert len(tokens) == len(steps)
        values: list[float] = []
        at = steps.start
        while at < steps.stop:
            piece = self.piece_at(at)
            until = min(steps.stop, self._end_of(piece))
            if piece.shape == "constant":
                values += [piece.value(0)] * (until - at)
            elif piece.unit == "tokens":
                values += map(piece.value, tokens[at - steps.start : until - steps.start])
            else:
                values += map(piece.value, range(at, until))
            at = until
        return values

    def is_constant(self) -> bool:
        """Say whether every step has the same value."""
        first = self.pieces[0].a
        return all(p.shape == "constant" and p.a == first for p in self.pieces)

    def corners(self, last_step: int) -> list[int]:
        """Return the steps up to the last where it can be largest: shapes rise or fall all along.

        >>> constant(3).corners(9)
        [0, 9]
        """
        starts = [step for step in self._first_steps if step <= last_step]
        return sorted({0, last_step, *starts, *(step - 1 for step in starts if step)})

    def breaks(self) -> tuple[int, ...]:
        """Return the steps at which pieces begin."""
        return self._first_steps

    def _end_of(self, piece: Piece) -> int:
        index = bisect_right(self._first_steps, piece.first_step)
        return self._first_steps[index] if index < len(self._first_steps) else 1 << 62


def root(value: Fraction) -> Fraction:
    """Return a square root: exact where it is a fraction, else to 20 digits after the point.

    >>> root(Fraction(9, 4)), float(root(Fraction(3))) == sqrt(3)
    (Fraction(3, 2), True)
    """
    over, under = isqrt(value.numerator), isqrt(value.denominator)
    if (over**2, under**2) == (value.numerator, value.denominator):
        return Fraction(over, under)
    return Fraction(isqrt(value.numerator * 10**40 // value.denominator), 10**20)


def constant(value: Fraction | int) -> Curve:
    """Return the curve that has one value everywhere.

    >>> constant(3).at(7, 0)
    3.0
    """
    exact = Fraction(value)
    return Curve((Piece("constant", "steps", 0, 0, None, exact, exact),))
