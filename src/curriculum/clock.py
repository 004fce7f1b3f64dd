"""Clocks of schedules: which stages ride on one, and where it stands at each of their steps

A schedule's clock counts the tokens that its riders asked for, along the path. The riders of one
run of the clock form a chain; a position is tokens on that clock and steps, and the chain converts.

    text (asked 5.2T)            joint (asked 1.4T)
    |--2000 steps--|--until 5.2T--|--open ...........|
    tokens0 = 0                   tokens0 = 5.2T     total = 6.6T
"""

from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

from curriculum.batch import Batch
from curriculum.curve import ClockUnit


class Rider(NamedTuple):
    """One stage on a clock: where the clock stood at its first step, and what it asked for."""

    stage: str
    batch: Batch
    asked_tokens: int
    steps: int
    tokens0: int
    steps0: int

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

    def step_tokens(self, step: int) -> int:
        """Tokens of one step of this stage; of its last for steps past its end."""
        return self.batch.piece_at(min(step, self.steps - 1)).tokens_per_step

    def tokens_at(self, step: int) -> int:
        """Clock position of the start of a step of this stage; at its end what it asked for."""
        if step >= self.steps:
            return self.end_tokens
        return self.tokens0 + self.batch.tokens_before(step)


class Clock(NamedTuple):
    """Where a schedule's clock stands when a stage begins, and who rode before."""

    instance: str
    tokens: int
    steps: int
    chain: tuple[Rider, ...]


class Position(NamedTuple):
    """A place on a clock."""

    tokens: int
    steps: int

    def of(self, unit: ClockUnit) -> int:
        """Return the position in one of the units."""
        return self.tokens if unit == "tokens" else self.steps


def rider_at(chain: tuple[Rider, ...], at: Position) -> Rider:
    """Return who rides at a position; past the end, the last of the chain."""
    return next((r for r in chain if at.steps < r.end_steps), chain[-1])


def steps_at(chain: tuple[Rider, ...], tokens: int) -> int:
    """Return the first step of the clock that starts at or after a position in tokens."""
    for rider in chain:
        if tokens < rider.end_tokens:
            return rider.steps0 + rider.step_at(tokens)
    last = chain[-1]
    if tokens == last.end_tokens:
        return last.end_steps
    beyond = last.batch.step_at_tokens(tokens - last.tokens0)
    return last.steps0 + max(last.steps + 1, beyond)


def tokens_at(chain: tuple[Rider, ...], step: int) -> int:
    """Return the tokens on the clock where one of its steps starts."""
    for rider in chain:
        if step < rider.end_steps:
            return rider.tokens_at(step - rider.steps0)
    last = chain[-1]
    if step == last.end_steps:
        return last.end_tokens
    return max(last.end_tokens, last.tokens0 + last.batch.tokens_before(step - last.steps0))


def scaled_step(
    chain: tuple[Rider, ...],
    at: Position,
    full_step: Fraction,
    share_of: Callable[[Rider], Fraction],
) -> Fraction:
    """Return where a step of the plan below a proxy lies on the proxy's clock.

    `share_of` says how many steps a rider has for each that its stage has below. Steps count at the
    share of the rider at `at`: stages of one proxy need not shrink alike, and a stage does not know
    who will ride after it.
    """
    rider = rider_at(chain, at)
    riders = (r for r in chain if r.steps0 < rider.steps0)
    before = sum((r.steps / share_of(r) for r in riders), Fraction(0))
    return rider.steps0 + (full_step - before) * share_of(rider)
