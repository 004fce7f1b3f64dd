"""The properties that are sampled, of a stage at any step, and those of a plan along its paths

A property of a step says what is wrong at a point, or None. A property of the chain yields what is
wrong between stages. Their docstrings are their sentences. What is proved stands in `proofs.py`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import pi, sqrt

from curriculum.curve import Curve, Piece
from curriculum.data.draws import Draws
from curriculum.errors import FindingsError
from curriculum.lock import prefix_digest, read_lock, write_lock
from curriculum.plan import Plan, Ride, Stage, Start

MAX_DRAWN_STEPS = 200_000
"""Stages up to here have their draws compiled; longer ones are held to exact shares alone."""

RANGE_STEPS = 64
"""The length of the ranges that are compared with single steps."""


@dataclass(frozen=True, slots=True)
class Point:
    """A stage, a step of it, and another step."""

    stage: Stage
    step: int
    other: int

    def __repr__(self) -> str:
        return f"Point({self.stage.name}, {self.step}, {self.other})"


StepProperty = Callable[[Point], str | None]
ChainProperty = Callable[[Plan], Iterator[tuple[str | None, str]]]


def draws_stay_within_one(point: Point) -> str | None:
    """Before every step the draws of a source are within one sequence of its ideal share."""
    draws = _draws(point.stage)
    if draws is None:
        return None
    drawn = draws.before(point.step)
    ideal = point.stage.mixture.ideal_seqs(point.step)
    for name, number in drawn.items():
        if abs(number - ideal[name]) >= 1:
            return f"{number:,} sequences of `{name}` were drawn, the ideal is {float(ideal[name])}"
    now = draws.counts(point.step)
    if sum(now.values()) != point.stage.at(point.step).batch_seqs or min(now.values()) < 0:
        return f"it draws {now}"
    return None


def interrupted_runs_go_on(point: Point) -> str | None:
    """A run that is stopped before any step and goes on draws what an unbroken one draws."""
    draws = _draws(point.stage)
    if draws is None:
        return None
    end = min(point.step + RANGE_STEPS, point.stage.steps)
    counts = list(draws.each(point.step, end))
    for step, row in zip(range(point.step, end), counts, strict=True):
        if dict(zip(draws.names, row, strict=True)) != draws.counts(step):
            return f"a run from here draws {row} in step {step:,}"
    before, after = draws.before(point.step), draws.before(end)
    sums = dict(zip(draws.names, map(sum, zip(*counts, strict=True)), strict=True))
    if any(after[name] - before[name] != sums[name] for name in draws.names):
        return f"its draws to step {end:,} do not add up"
    return None


def ranges_are_steps(point: Point) -> str | None:
    """The values of a range of steps are those of its steps, bit for bit."""
    stage = point.stage
    steps = range(point.step, min(point.step + RANGE_STEPS, stage.steps))
    tokens = stage.clock_tokens(steps)
    for group in ("lr", "loss", "settings"):
        curves: dict[str, Curve | None] = getattr(stage, group)
        single = [getattr(stage.at(step), group) for step in steps]
        for name, curve in curves.items():
            if curve is None:
                continue
            for step, value, row in zip(steps, curve.values(steps, tokens), single, strict=True):
                if value != row[name]:
                    what = f"{value!r} in a range of steps and {row[name]!r} alone"
                    return f"{group} of `{name}` is {what}, in step {step:,}"
    return None


def rates_run_smoothly(point: Point) -> str | None:
    """Inside a piece a rate runs one way between the piece's ends, and never faster than its
    shape does."""
    stage, step = point.stage, point.step
    if step + 1 >= stage.steps:
        return None
    tokens = [stage.batch.tokens_before(s) for s in (step, step + 1)]
    for target, curve in stage.lr.items():
        if curve is None or (piece := curve.piece_at(step)) is not curve.piece_at(step + 1):
            continue
        x = tokens if piece.unit == "tokens" else [step, step + 1]
        now, then = piece.value(x[0]), piece.value(x[1])
        slack = 1e-12 * max(abs(now), abs(then), float(abs(piece.a)), float(abs(piece.b)))
        if abs(then - now) > _fastest(piece, x[1] - x[0]) + slack:
            return (
                f"the LR of `{target}` goes from {now!r} to {then!r} inside a {piece.shape} piece"
            )
        if piece.end is not None and not _between(piece, now, slack):
            return f"the LR of `{target}` is {now!r}, outside its {piece.shape} piece"
        if (then - now) * _direction(piece) < -slack:
            return f"the LR of `{target}` turns back inside a {piece.shape} piece"
    return None


def steps_are_pure(point: Point) -> str | None:
    """What a step does does not depend on what was asked before."""
    stage = point.stage
    first = _everything(stage, point.step)
    _everything(stage, point.other)
    return None if _everything(stage, point.step) == first else "asked twice, it answers twice"


def clocks_go_on(plan: Plan) -> Iterator[tuple[str | None, str]]:
    """Where a stage rides on, its schedule stands where the parent left it, and so does its LR."""
    for stage in plan.stages:
        for target, ride in stage.rides.items():
            module = target.partition("/")[0]
            for start in plan.origins(stage.init[module], module):
                yield from _goes_on(plan, stage, target, ride, start)


def _goes_on(
    plan: Plan, stage: Stage, target: str, ride: Ride, start: Start
) -> Iterator[tuple[str | None, str]]:
    if start.stage is None or not plan.has_stage(start.stage):
        return
    parent = plan.stage(start.stage)
    same = [
        (t, r) for t, r in parent.rides.items()
        if (r.schedule, r.instance) == (ride.schedule, ride.instance) and r.schedule
    ]  # fmt: skip
    for other, before in same:
        at_end = start.step >= parent.steps
        seen = parent.budget.tokens if at_end else parent.batch.tokens_before(start.step)
        if ride.tokens_before != before.tokens_before + seen:
            yield (
                stage.name,
                f"schedule `{ride.schedule}` begins at {ride.tokens_before:,} tokens, "
                f"`{parent.name}` left it at {before.tokens_before + seen:,}",
            )
        left, now = parent.at(start.step), stage.at(0)
        is_same = (before.scale, before.with_batch) == (ride.scale, ride.with_batch)
        moves = ride.factor(now.tokens_per_step) != before.factor(left.tokens_per_step)
        if other == target and is_same and not moves and left.lr[other] != now.lr[target]:
            yield (
                stage.name,
                f"the LR of `{target}` begins at {now.lr[target]!r}, `{parent.name}` left "
                f"{left.lr[other]!r}",
            )


def tokens_only_grow(plan: Plan) -> Iterator[tuple[str | None, str]]:
    """A stage comes after all that its ancestors had read."""
    for stage in plan.stages:
        before = plan.tokens_before(stage.name)
        for ancestor, step in plan.ancestors(stage.name):
            least = plan.tokens_before(ancestor.name) + ancestor.batch.tokens_before(step)
            if before < least:
                yield stage.name, f"{before:,} tokens before it, {least:,} with `{ancestor.name}`"


def locks_come_back(plan: Plan) -> Iterator[tuple[str | None, str]]:
    """A plan that is written to a lock and read again is the same plan, with the same digests."""
    text = write_lock(plan)
    try:
        again = read_lock(text, "lock")
    except FindingsError as error:
        yield None, f"its own lock is refused: {error.diagnostics[0].message}"
        return
    if again != plan:
        changed = [s.name for s, t in zip(plan.stages, again.stages, strict=True) if s != t]
        yield (changed[0] if changed else None), "it comes back from its lock as another"
    if write_lock(again) != text:
        yield None, "its lock, written again, has other bytes"
    for stage in plan.stages:
        if prefix_digest(plan, stage.name, stage.steps) != stage.digest:
            yield stage.name, "its digest is not that of all its steps"


STEP: tuple[StepProperty, ...] = (
    draws_stay_within_one,
    interrupted_runs_go_on,
    ranges_are_steps,
    rates_run_smoothly,
    steps_are_pure,
)
CHAIN: tuple[ChainProperty, ...] = (clocks_go_on, tokens_only_grow, locks_come_back)


def _draws(stage: Stage) -> Draws | None:
    return _compiled(_Same(stage)) if stage.steps <= MAX_DRAWN_STEPS else None


@dataclass(frozen=True, slots=True, eq=False)
class _Same:
    """A stage as a key: the same object, for comparing two stages takes longer than drawing."""

    stage: Stage

    def __hash__(self) -> int:
        return id(self.stage)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.stage is other.stage


@lru_cache(maxsize=16)
def _compiled(key: _Same) -> Draws:
    return key.stage.draws()


def _everything(stage: Stage, step: int) -> tuple[object, ...]:
    now = stage.at(step)
    return now.lr, now.loss, now.settings, now.shares, now.ratios, now.tokens, now.batch_seqs


def _fastest(piece: Piece, x: int) -> float:
    """Return how far a piece may go over a distance `x` on its clock."""
    height = float(abs(piece.b - piece.a))
    if piece.end is None or piece.shape in ("exponential", "half_life", "rsqrt"):
        return max(height, float(abs(piece.a)))
    p = min(1.0, x / (piece.end - piece.start)) * float(1 - piece.behind)
    match piece.shape:
        case "constant":
            return 0.0
        case "cosine":
            return height * p * pi / 2
        case "sqrt":
            return height * sqrt(p)
        case "power":
            power = float(piece.power or 1)
            return height * (min(1.0, power * p) if power > 1 else p**power)
        case "inverse":
            highest = float(max(piece.a, piece.b))
            return highest**2 * float(abs(1 / piece.a - 1 / piece.b)) * p
        case _:
            return height * p


def _between(piece: Piece, value: float, slack: float) -> bool:
    low, high = sorted((float(piece.a), float(piece.b)))
    knob = piece.knob is not None  # decays from a, to wherever its length lets it
    return knob or low - slack <= value <= high + slack


def _direction(piece: Piece) -> int:
    if piece.knob is not None:
        return -1
    return (piece.b > piece.a) - (piece.b < piece.a)
