"""Merges: the parents of every module of a stage, weighed; and the stages that only compose

init: {llm: {average: [a, b]}, vit: a}  --taken_of-->  llm: 1/2 a@end + 1/2 b@end, vit: 1 a@end

A module that comes from one parent alone passes through: it comes from where that parent has it.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from types import MappingProxyType
from typing import NamedTuple

from curriculum.compile_points import mark_step
from curriculum.compile_state import State
from curriculum.composed import ComposedStage, Share
from curriculum.errors import Span, did_you_mean
from curriculum.nodes import UNSCALED
from curriculum.plan import Start
from curriculum.spec import AverageSpec, LastSpec, Origin, Point, SelectSpec, StageSpec, points_of
from curriculum.units import Amount, count_in_words

COMPOSING = frozenset({"init", "source", "status"})
"""What a stage may say that only composes."""


class Taken(NamedTuple):
    """Where each module comes from: no share where it is new, several where it is an average."""

    shares: Mapping[str, tuple[Share, ...]]
    among: Mapping[str, tuple[Start, ...]] = MappingProxyType({})


def is_composing(spec: StageSpec) -> bool:
    """Say whether a stage only composes: it says whence its modules come, and nothing else.

    From one place alone it is another name for it. With new modules alone it is unfinished.
    """
    is_all_new = spec.init is not None and not spec.origins
    return "init" in spec.said and spec.said <= COMPOSING and not is_all_new


def composed_of(state: State, spec: StageSpec) -> ComposedStage | None:
    """Return a stage that only composes; None where that is refused."""
    taken = taken_of(state, spec)
    if taken is None:
        return None
    new = [module for module, shares in taken.shares.items() if not shares]
    if new:
        state.report(
            "composes-new",
            f"stage `{spec.name.text}` only composes, and `{new[0]}` is new: there is nothing "
            "to compose",
            spec.init_span or spec.span,
            "take it in with the stage that trains it",
        )
        return None
    status = spec.status.text if spec.status else "main"
    return ComposedStage(spec.name.text, taken.shares, status, taken.among)


def taken_of(state: State, spec: StageSpec) -> Taken | None:
    """Return where each module comes from, in the order of their names; None if that is refused."""
    wanted: dict[str, Origin | None] = dict(spec.init or {})
    if spec.init_all is not None:
        given = _given_by_all(state, spec.init_all)
        if given is None:
            return None
        wanted = dict.fromkeys(given, spec.init_all)
    shares: dict[str, tuple[Share, ...]] = {}
    among: dict[str, tuple[Start, ...]] = {}
    good = True
    for module in sorted(wanted):
        origin = wanted[module]
        span = origin.span if origin else spec.init_span or spec.span
        good = is_known_module(state, module, span) and good
        found = () if origin is None else _shares(state, module, origin)
        if found is None:
            good = False
            continue
        shares[module] = found
        if isinstance(origin, SelectSpec):
            known = [p for p in origin.candidates if p.stage not in state.unknown]
            starts = [_start(state, module, point) for point in known]
            among[module] = tuple(sorted((s for s in starts if s is not None), key=_place))
            good = good and len(among[module]) == len(known)
    return Taken(shares, among) if good else None


def _given_by_all(state: State, origin: Origin) -> tuple[str, ...] | None:
    """Return the modules of an origin of all modules: its parents must have the same ones."""
    first, *others = (p for p in points_of(origin) if p.stage not in state.unknown)
    given = _gives(state, first.stage)
    for point in others:
        if differing := sorted(set(given) ^ set(_gives(state, point.stage))):
            lacking = first if differing[0] not in given else point
            state.report(
                "parent-lacks-module",
                f"stage `{lacking.stage}` has no module `{differing[0]}`, another parent of this "
                "merge has it",
                lacking.span,
                "merge module by module: {llm: {average: [a, b]}}",
            )
            return None
    return given


def _shares(state: State, module: str, origin: Origin) -> tuple[Share, ...] | None:
    weights: tuple[Fraction, ...] = (Fraction(1),)
    match origin:
        case Point():
            starts = [_start(state, module, origin)]
        case SelectSpec():
            starts = [_start(state, module, origin.point)]
        case AverageSpec():
            starts = [_start(state, module, point) for point in origin.points]
            weights = origin.weights or (Fraction(1, len(starts)),) * len(starts)
        case LastSpec():
            starts = _last_of(state, module, origin)
            weights = (Fraction(1, origin.number),) * len(starts)
    known = [start for start in starts if start is not None]
    if len(known) < len(starts) or not starts:
        return None
    twice = [start for start, count in Counter(known).items() if count > 1]
    if twice:
        state.report(
            "said-twice",
            f"`{module}` of `{twice[0].stage}` at step {twice[0].step} stands twice in this "
            "average",
            origin.span,
            "name each parent once, and give it a weight: {a: 2/3, b: 1/3}",
        )
        return None
    # A sum has no order: whatever adds it up goes by name and step.
    pairs = sorted(zip(known, weights, strict=True), key=lambda pair: _place(pair[0]))
    return tuple(Share(start, weight) for start, weight in pairs)


def _place(start: Start) -> tuple[str, int]:
    return start.stage or "", start.step


def _last_of(state: State, module: str, spec: LastSpec) -> list[Start | None]:
    """Return the checkpoints of one stage, from its end or mark backwards."""
    point = spec.point
    last = _start(state, module, point)
    draft = state.drafts.get(point.stage)
    if last is None:
        return [None]
    if draft is None or last.stage != point.stage:
        state.report(
            "average-of-nothing",
            f"`{point.stage}` has no steps of its own to average",
            point.span,
            "name a stage that trains, or average several: {average: [a, b]}",
        )
        return [None]
    every, steps = spec.every, []
    in_steps = every.amount.unit == "steps"
    apart = state.steps_of(point.stage, every) if in_steps else every.scaled_tokens
    if apart is None:
        return [None]
    state.became(every, f"{apart} steps" if in_steps else count_in_words(apart))
    for index in range(spec.number):
        if in_steps:
            steps.append(last.step - index * apart)
        else:
            end = draft.budget.tokens if last.step == draft.steps else None
            end = draft.batch.tokens_before(last.step) if end is None else end
            tokens = end - index * apart
            steps.append(draft.batch.step_at_tokens(tokens) if tokens > 0 else 0)
    steps[0] = last.step
    number = int(every.amount.value)
    is_token = every.amount.unit == "tokens" and every.scale == UNSCALED
    in_steps = is_token and number * (spec.number - 1) < last.step
    if steps[-1] < 1 or len(set(steps)) < len(steps):
        short = steps[-1] >= 1
        words = "are less than a step apart" if short else "reach back to before its first step"
        state.report(
            "average-beyond-stage",
            f"{spec.number} checkpoints of `{point.stage}`, {_distance(every.amount)} apart, "
            f"{words} ({last.step:,} steps)",
            every.span,
            f"did you mean `every: {number} steps`?"
            if in_steps
            else "take fewer, or " + ("further apart" if short else "nearer to each other"),
        )
        return [None]
    return [replace(last, step=step) for step in steps]


def _distance(amount: Amount) -> str:
    return f"{amount} tokens" if amount.unit == "tokens" else str(amount)


def _start(state: State, module: str, point: Point) -> Start | None:
    """Return where a point has a module; behind a stage that passes it through, there."""
    given = _gives(state, point.stage)
    if module not in given and not {module, *given} <= state.modules.keys():
        return None  # told of where it is named, or given
    if module not in given:
        state.report(
            "parent-lacks-module",
            f"stage `{point.stage}` has no module `{module}`",
            point.span,
            f"it has {', '.join(given) or 'none'}",
        )
        return None
    step = mark_step(state, point)
    if step is None:
        return None
    composed = state.composed.get(point.stage)
    if composed is not None and len(composed.averages[module]) == 1:
        return composed.averages[module][0].start
    return Start(point.stage, step)


def _gives(state: State, stage: str) -> tuple[str, ...]:
    if stage in state.outside:
        return state.outside[stage].checkpoint.gives
    if stage in state.composed:
        return tuple(state.composed[stage].averages)
    return tuple(state.drafts[stage].init)


def is_known_module(state: State, name: str, span: Span) -> bool:
    """Say whether the plan has a module, and report it where it does not."""
    if name in state.modules:
        return True
    if not state.is_declared("modules", name):
        state.report(
            "unknown-module",
            f"there is no module `{name}`",
            span,
            did_you_mean(name, list(state.spec.modules)),
        )
    return False
