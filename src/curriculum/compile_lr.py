"""The learning rate of every target that a stage trains, laid on its clock"""

from fractions import Fraction

from curriculum.clock import Clock
from curriculum.compile_state import Draft, Kept, Outside, State
from curriculum.compile_stretch import stretching, with_batch
from curriculum.compile_values import value_left
from curriculum.curve import Curve, constant
from curriculum.errors import Span, nearest
from curriculum.extent import Ground, Refused
from curriculum.plan import Ride, Stage, Start
from curriculum.riding import Reading, lay_on_clock
from curriculum.spec import CurveSpec, RideSpec


def compile_lr(state: State, draft: Draft) -> tuple[dict[str, Curve | None], dict[str, Ride]]:
    """Return the curve of every target (None where it is unknown), and how it rides."""
    curves: dict[str, Curve | None] = {}
    rides: dict[str, Ride] = {}
    modules = {target.partition("/")[0] for target in draft.train}
    meant: set[str] = set()
    for target, ride in (draft.spec.lr_by_target or {}).items():
        if target.partition("/")[0] not in modules:
            near = nearest(target, modules)
            way_out = f"did you mean `{near[0]}`?" if near else "leave it out"
            state.report("lr-of-untrained", f"`{target}` is not trained here", ride.span, way_out)
            meant.update(near)
    _report_idle_rest(state, draft)
    parts = [t for t in draft.rides if "/" in t and t.partition("/")[0] in modules]
    for target in sorted({*draft.train, *parts}):
        found = _ride_of(draft, target)
        if found is None and target.partition("/")[0] in meant:
            continue
        if found is None:
            state.report(
                "lr-missing",
                f"`{target}` is trained in stage `{draft.name}` and has no learning rate",
                draft.spec.name.span,
                f"add it to `lr`: {{{target}: SCHEDULE}}",
            )
            continue
        if found.curve is not None:
            curve, rides[target] = _over_the_stage(state, draft, target, found, found.curve)
        else:
            curve, rides[target] = _on_a_schedule(state, draft, target, found)
        curves[target] = next((c for c in curves.values() if c == curve), curve)
    return curves, rides


def _report_idle_rest(state: State, draft: Draft) -> None:
    """Report a `rest` that changes nothing, since all that is trained has a ride of its own."""
    spec = draft.spec
    said = [key.span for dotted, key, _ in spec.dotted if dotted == ("lr", "rest")]
    if spec.lr is not None and spec.lr_by_target is not None:
        said.append(spec.lr.span)
    named = draft.rides.keys()
    if said and all({t, t.partition("/")[0]} & named for t in draft.train):
        what = "`rest` stands for nothing here: all that is trained has a rate of its own"
        state.report("lr-of-untrained", what, said[0], "leave it out")


def _ride_of(draft: Draft, target: str) -> RideSpec | None:
    """Return how a target rides; a module that keeps another ancestor knows no common ride."""
    module = target.partition("/")[0]
    is_said = draft.spec.lr is not None or draft.spec.lr_by_target is not None
    common = draft.uniform_ride if is_said or module not in draft.kept_by else None
    return draft.rides.get(target) or draft.rides.get(module) or common


def _over_the_stage(
    state: State, draft: Draft, target: str, ride: RideSpec, spec: CurveSpec
) -> tuple[Curve | None, Ride]:
    per_step = draft.batch.pieces[0].tokens_per_step if ride.with_batch else None
    how = Ride(None, draft.name, 0, 0, Fraction(1), ride.jump, ride.with_batch, per_step)
    changed = {f"lr.{target}", f"lr.{target.partition('/')[0]}"}
    changed |= {"lr.rest"} if ride is draft.uniform_ride else set()
    is_new = any(key.text in changed for _, key, _ in draft.spec.dotted)
    is_said = draft.spec.lr is not None or draft.spec.lr_by_target is not None
    kept = draft.kept_of(target)
    if kept and not is_said and not is_new:
        return _left_curve(state, draft, kept, target), how
    own = Clock(draft.name, 0, 0, ())
    ends = frozenset({draft.budget.tokens})
    return _laid(state, draft, target, ride, spec, own, ends, how), how


def _on_a_schedule(
    state: State, draft: Draft, target: str, ride: RideSpec
) -> tuple[Curve | None, Ride]:
    assert ride.schedule is not None
    name = ride.schedule.text
    if name not in state.spec.schedules or name not in draft.clocks:
        return None, Ride(name, draft.name, 0, 0)
    clock, spec = draft.clocks[name], state.spec.schedules[name]
    first = clock.chain[0].batch if clock.chain else draft.batch
    how = Ride(
        name,
        clock.instance,
        clock.tokens,
        clock.steps,
        ride.scale,
        ride.jump,
        ride.with_batch,
        first.pieces[0].tokens_per_step if ride.with_batch else None,
    )
    ends = _ends(state, name, clock.instance)
    return _laid(state, draft, target, ride, spec, clock, ends, how), how


def _left_curve(state: State, draft: Draft, kept: Kept, target: str) -> Curve | None:
    """Return the value at which a curve was left that ran over the kept stage."""
    stage = state.stages[kept[0].name]
    if not _trains(stage, target):
        state.report(
            "lr-missing",
            f"`{target}` is trained in stage `{draft.name}` and has no learning rate to keep",
            draft.spec.keep.span if draft.spec.keep else draft.spec.span,
            f"say `lr: {{{target}: SCHEDULE}}`",
        )
        return None
    value = value_left(stage.lr_of(target), stage, kept[1])
    return None if value is None else constant(value)


def _laid(
    state: State,
    draft: Draft,
    target: str,
    ride: RideSpec,
    spec: CurveSpec,
    clock: Clock,
    ends: frozenset[int],
    how: Ride,
) -> Curve | None:
    chain = (*clock.chain, draft.rider(clock))

    def current(span: Span) -> Fraction | None:
        return _current(state, clock.instance, target, span)

    whose = "stage" if ride.schedule is None else "schedule"
    is_last = ride.schedule is None or _is_last(state, chain[-1].end_tokens, ends)
    name = draft.spec.name.span
    ground = Ground(chain, ends, name, state.report, state.share_of, state.became, whose, is_last)
    try:
        if ride.schedule is not None and spec.pieces[0].stretch is not None:
            began = next(n for n, rider in enumerate(chain) if rider.stage == clock.instance)
            found = stretching(state, ground, began, target, spec.pieces[0].stretch, how)
            if found is None:
                return None
            ground = found
        curve = lay_on_clock(spec, ground, Reading(current, is_relative=True, scale=ride.scale))
    except Refused:
        return None
    return None if curve is None else with_batch(curve, draft, how)


def _current(state: State, began: str, target: str, span: Span) -> Fraction | None:
    """Return the LR of a target where the parent left it, when the clock began in stage `began`."""
    module = target.partition("/")[0]
    start = state.drafts[began].init.get(module)
    origins = state.origins(start, module) if start else ()
    left = {_name(o): _left_by(state, began, target, o, span) for o in origins}
    values = set(left.values())
    if len(values) == 1:
        return values.pop()
    if not values:
        raise _nothing_left(state, began, target, span)
    ends = (f"{'unknown' if x is None else f'{float(x):.6g}'} by `{n}`" for n, x in left.items())
    what = f"`current` has several values: `{target}` was left at {', '.join(ends)}"
    state.report("current", what, span, "write the learning rate")
    raise Refused


def _nothing_left(state: State, began: str, target: str, span: Span) -> Refused:
    state.report(
        "current",
        f"`current` has no value: `{target}` was not trained by the parent of stage `{began}`",
        span,
        "write the learning rate",
    )
    return Refused()


def _left_by(state: State, began: str, target: str, start: Start, span: Span) -> Fraction | None:
    """Return the LR of a target where one origin left it."""
    outside = state.outside.get(start.stage or "")
    if outside is not None:
        return _fact(state, outside, target, span)
    parent = state.stages.get(start.stage or "")
    if parent is None or not _trains(parent, target):
        raise _nothing_left(state, began, target, span)
    return value_left(parent.lr_of(target), parent, start.step)


def _fact(state: State, outside: Outside, target: str, span: Span) -> Fraction | None:
    given = state.spec.stages[outside.name].checkpoint
    facts = given.lr if given else {}
    if not {target, target.partition("/")[0]} & facts.keys():
        state.report(
            "current",
            f"`current` has no value: `{outside.name}` does not say at which learning rate "
            f"`{target}` was left",
            span,
            f"write it here, or there: checkpoint: {{..., lr: {{{target}: 1e-5}}}}",
        )
        raise Refused
    return outside.checkpoint.lr_of(target)


def _name(start: Start) -> str:
    return f"{start.stage}@step {start.step}"


def _trains(stage: Stage, target: str) -> bool:
    return target in stage.lr or target.partition("/")[0] in stage.lr


def _is_last(state: State, end: int, ends: frozenset[int]) -> bool:
    """Say whether a clock surely ends with a rider: a stage that was refused might ride on."""
    implicit = sum("+" in name for name in state.composed)
    known = len(state.drafts) + len(state.outside) + len(state.composed) - implicit
    return end == max(ends, default=None) and known == len(state.spec.stages)


def _ends(state: State, schedule: str, instance: str) -> frozenset[int]:
    """Return where a schedule's clock ends: in several places where its paths differ."""
    if (schedule, instance) not in state.clock_ends:
        state.clock_ends[schedule, instance] = _found_ends(state, schedule, instance)
    return state.clock_ends[schedule, instance]


def _found_ends(state: State, schedule: str, instance: str) -> frozenset[int]:
    riders = [
        draft
        for draft in state.drafts.values()
        if schedule in draft.ridden and draft.clocks[schedule].instance == instance
    ]
    followed = {r for draft in riders for r in draft.clocks[schedule].chain[-1:]}
    followed |= {r for name, r, by in state.followed if name == schedule and by in state.drafts}
    last = {draft.rider(draft.clocks[schedule]) for draft in riders} - followed
    return frozenset(rider.end_tokens for rider in last)
