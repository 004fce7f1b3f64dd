"""What a module comes from: the rate it was left at, its highest rate, the sources read before"""

from collections.abc import Mapping
from fractions import Fraction
from math import isclose
from typing import NamedTuple

from curriculum.curve import Curve
from curriculum.plan import OutsideStage, Plan, Stage, Start

LR_KEY = {Stage: "lr", OutsideStage: "checkpoint.lr"}
"""Where the text of a stage says its learning rates."""

Left = tuple[Stage | OutsideStage, float]
"""Who trained a target last, and the learning rate that it was left at."""


def left_rate(plan: Plan, stage: Stage, target: str) -> Left | None:
    """Return the LR a target was last trained at, up the path; None where nobody knows."""
    module = target.partition("/")[0]
    start = stage.init[module]
    while start.stage is not None and plan.has_stage(start.stage):
        parent = plan.stage(start.stage)
        if target in parent.lr or module in parent.lr:
            rates = parent.at(start.step).lr
            rate = rates[target] if target in rates else rates[module]
            return None if rate is None else (parent, rate)
        start = parent.init[module]
    outside = next((o for o in plan.outside if o.name == start.stage), None)
    left = outside.checkpoint.lr_of(target) if outside is not None else None
    return None if outside is None or left is None else (outside, float(left))


def moves_with_batch(stage: Stage, target: str, left: Left, rate: float) -> bool:
    """Say whether a rate differs by what its ride says that the batch multiplies it by, alone."""
    ride, (parent, before) = stage.rides[target], left
    if isinstance(parent, OutsideStage):
        return False
    name = target if target in parent.rides else target.partition("/")[0]
    other = parent.rides[name]
    if ride.with_batch in (None, "none") or other.with_batch != ride.with_batch:
        return False
    start = stage.init[target.partition("/")[0]]
    factor = ride.factor(stage.at(0).tokens_per_step)
    old = other.factor(parent.at(start.step).tokens_per_step)
    return isclose(before * float(factor / old), rate, rel_tol=1e-12)


class Past(NamedTuple):
    """What a module learned before a stage: at which rate at most, and which sources, as bits."""

    peak: float
    read: int
    bits: Mapping[str, int]


def pasts(plan: Plan) -> Mapping[str, Mapping[str, Past | None]]:
    """Return, by stage and module, what it went through before the stage.

    None for a module that is new, and where something of it is unknown: an outside checkpoint, a
    rate that nobody published. A stage left at a mark counts whole.
    """
    bits = {whole: 1 << i for i, whole in enumerate({s.whole: 0 for s in plan.sources.values()})}
    masks: dict[tuple[str, ...], int] = {}
    behind: dict[tuple[str, str], Past | None] = {}
    found: dict[str, dict[str, Past | None]] = {}
    for stage in plan.stages:
        names = stage.mixture.sources
        if names not in masks:
            masks[names] = sum({bits[plan.sources[name].whole] for name in names})
        found[stage.name] = {}
        for module, start in stage.init.items():
            starts = plan.origins(start, module)
            before = _joined([behind.get((s.stage or "", module)) for s in starts])
            found[stage.name][module] = before
            peak = highest(stage, module)
            if peak is None or (before is None and not start.is_new):
                behind[stage.name, module] = None
                continue
            old = before or Past(0.0, 0, bits)
            behind[stage.name, module] = old
            if any(target.partition("/")[0] == module for target in stage.lr):
                behind[stage.name, module] = Past(
                    max(old.peak, peak), old.read | masks[names], bits
                )
    return found


def highest(stage: Stage, module: str) -> float | None:
    """Return the highest LR of a module and its parts in a stage; None where one is unknown."""
    most = 0.0
    for target, curve in stage.lr.items():
        if target.partition("/")[0] == module:
            if curve is None:
                return None
            most = max(most, highest_of(stage, curve))
    return most


def highest_of(stage: Stage, curve: Curve) -> float:
    """Return the highest value of a curve in a stage."""
    before = stage.batch.tokens_before
    return max(curve.at(step, before(step)) for step in curve.corners(stage.steps - 1))


def new_share(plan: Plan, stage: Stage, past: Past) -> Fraction:
    """Return the share of a stage's tokens whose sources were not read before."""
    bits = past.bits
    new = [n for n in stage.mixture.sources if not past.read & bits[plan.sources[n].whole]]
    if not new:
        return Fraction(0)
    tokens = stage.mixture.ideal_tokens(stage.steps)
    return sum((tokens[name] for name in new), Fraction(0)) / stage.tokens


Ridden = tuple[str, str | None, str]
"""A stage, a schedule, and the stage in which its clock began."""


def ridden_on(plan: Plan) -> frozenset[Ridden]:
    """Return the riders at whose end another stage rides on, or goes on with what was stretched.

    So does whatever a stage that nobody can compile begins with: it might.
    """
    found: set[Ridden] = set()
    for stage in plan.stages:
        rides = stage.rides.values()
        keys = {(r.schedule, r.instance) for r in rides if r.schedule and r.instance != stage.name}
        for key in keys:
            waiting = _starts(plan, stage)
            seen: set[str] = set()
            while waiting:
                start = waiting.pop()
                if start.stage is None or start.stage in seen or not plan.has_stage(start.stage):
                    continue
                seen.add(start.stage)
                parent = plan.stage(start.stage)
                if start.step < parent.steps:
                    continue
                if any((r.schedule, r.instance) == key for r in parent.rides.values()):
                    found.add((parent.name, *key))
                else:
                    waiting += _starts(plan, parent)
        if any(r.instance == stage.name and r.tokens_before > 0 for r in rides):
            parents = [p for s in _starts(plan, stage) if (p := s.stage) and plan.has_stage(p)]
            found |= _all_of(plan, parents)
    for unknown in plan.unknown:
        found |= _all_of(plan, [name for name in unknown.parents if plan.has_stage(name)])
    return frozenset(found)


def _all_of(plan: Plan, names: list[str]) -> set[Ridden]:
    return {(n, r.schedule, r.instance) for n in names for r in plan.stage(n).rides.values()}


def _starts(plan: Plan, stage: Stage) -> list[Start]:
    return [start for module, init in stage.init.items() for start in plan.origins(init, module)]


def _joined(pasts: list[Past | None]) -> Past | None:
    known = [past for past in pasts if past is not None]
    if len(known) < len(pasts) or not known:
        return None
    read = 0
    for past in known:
        read |= past.read
    return Past(max(past.peak for past in known), read, known[0].bits)
