"""Which schedules a stage rides on, and where their clocks stand when it begins"""

from collections.abc import Mapping

from curriculum.clock import Clock, Rider
from curriculum.compile_state import Draft, Kept, State
from curriculum.curve import SHAPES
from curriculum.errors import did_you_mean, nearest
from curriculum.nodes import Node, shown
from curriculum.plan import Start
from curriculum.spec import RideSpec, StageSpec, Word
from curriculum.spec_curve import read_ride
from curriculum.spec_reader import SpecReader
from curriculum.units import rounded_in_words
from curriculum.words import LR


def rides_of(
    state: State, spec: StageSpec, kept: Kept | None, kept_by: Mapping[str, Kept]
) -> tuple[RideSpec | None, Mapping[str, RideSpec]]:
    """Return how the LR runs: one ride for all that have none of their own, and these."""
    if spec.lr is not None or spec.lr_by_target is not None:
        uniform, rides = spec.lr, spec.lr_by_target or {}
    elif kept is not None:
        uniform = _kept_ride(left) if (left := kept[0].uniform_ride) else None
        rides = _kept_rides(kept[0], kept_by)
    else:
        return None, {}
    for ride in (uniform, *rides.values()):
        if ride is not None and ride.schedule is not None:
            check_schedule(state, ride.schedule)
    return _changed(state, spec, uniform, rides)


def check_schedule(state: State, name: Word) -> None:
    """Report a schedule that the plan does not have."""
    if not state.is_declared("schedules", name.text):
        state.report(
            "unknown-schedule",
            f"there is no schedule `{name.text}`",
            name.span,
            _way_to_ride(name.text, state.declared("schedules")),
        )


def _way_to_ride(name: str, known: list[str]) -> str | None:
    """Say what was meant by a word that is no schedule: another, a shape, or the value that was."""
    if nearest(name, known):
        return did_you_mean(name, known)
    if near := nearest(name, SHAPES):
        return f"write a curve, {{shape: {near[0]}, from: 3e-4, to: 3e-5}}, or name a schedule"
    if name == "keep" or nearest(name, ["current"]):
        return "write {shape: constant, from: current} for the rate that the parent left"
    return did_you_mean(name, known) or "add it below `schedules`"


def _changed(
    state: State, spec: StageSpec, uniform: RideSpec | None, rides: Mapping[str, RideSpec]
) -> tuple[RideSpec | None, Mapping[str, RideSpec]]:
    """Apply the dotted keys that change one ride of what is kept, `lr.rest` that of the others."""
    reader = SpecReader(state.problems)
    for dotted, key, node in spec.dotted:
        if dotted[0] != "lr":
            continue
        if len(dotted) != 2:
            ride = rides.get(dotted[1], uniform)
            what = "`lr.MODULE` is as far as a key reaches here"
            way_out = _whole_ride(dotted, ride, node) if len(dotted) > 2 else None
            state.report("dotted-key", what, key.span, way_out)
        elif (changed := read_ride(reader, node)) is None:
            continue
        elif dotted[1] == "rest":
            uniform = changed
        else:
            rides = {**rides, dotted[1]: changed}
    return uniform, rides


def _whole_ride(dotted: tuple[str, ...], ride: RideSpec | None, node: Node) -> str:
    """Say how the ride of which a key would change one value is written whole."""
    name, key = dotted[1:3]
    if key not in LR or len(dotted) > 3:
        return f"write the whole of it: `lr.{name}: {{schedule: NAME, scale: 1/5}}`"
    said = {"schedule": "NAME"}
    if ride is not None:
        said = {"schedule": ride.schedule.text} if ride.schedule else {"curve": "[...]"}
        said |= {"scale": str(ride.scale)} if ride.scale != 1 else {}
        said |= {"with_batch": ride.with_batch} if ride.with_batch else {}
    if key in ("schedule", "curve"):
        said = {key: "", **{k: v for k, v in said.items() if k not in ("schedule", "curve")}}
    said[key] = shown(node)
    whole = ", ".join(f"{k}: {v}" for k, v in said.items())
    return f"write the whole of it: `lr.{name}: {{{whole}}}`"


def _kept_rides(kept: Draft, kept_by: Mapping[str, Kept]) -> dict[str, RideSpec]:
    """Return the rides of targets as the ancestors left them, each module's its own."""
    found = {t: r for t, r in kept.rides.items() if t.partition("/")[0] not in kept_by}
    for module, (draft, _) in kept_by.items():
        if module not in draft.rides and draft.uniform_ride is not None:
            found[module] = draft.uniform_ride
        found |= {t: r for t, r in draft.rides.items() if t.partition("/")[0] == module}
    return {target: _kept_ride(ride) for target, ride in found.items()}


def _kept_ride(ride: RideSpec) -> RideSpec:
    return ride._replace(restart=False, jump=False)


def followed_of(
    uniform: RideSpec | None, rides: Mapping[str, RideSpec], train: tuple[str, ...]
) -> list[RideSpec]:
    """Return the rides that a trained module or part follows: nobody rides for the others."""
    modules = {target.partition("/")[0] for target in train}
    own = [ride for target, ride in rides.items() if target.partition("/")[0] in modules]
    bare = [t for t in train if t not in rides and t.partition("/")[0] not in rides]
    return [*own, uniform] if uniform and bare else own


def clocks_of(
    state: State, spec: StageSpec, init: Mapping[str, Start], rides: list[RideSpec]
) -> dict[str, Clock] | None:
    """Return where every schedule's clock stands when the stage begins."""
    clocks: dict[str, Clock] = {}
    restarted = {r.schedule.text for r in rides if r.schedule and r.restart}
    ridden = {r.schedule.text for r in rides if r.schedule}
    stretched = {name: word for name in ridden if (word := stretched_by(state, name)) is not None}
    needed = ridden | {word.text for word in stretched.values()}
    followed: set[tuple[str, Rider, str]] = set()
    for draft, step in state.left_drafts(init):
        for schedule, clock in _left_clocks(draft, step).items():
            if schedule in restarted:
                continue
            other = clocks.setdefault(schedule, clock)
            agree = (other.instance, other.tokens, other.steps) == (
                clock.instance, clock.tokens, clock.steps,
            )  # fmt: skip
            if agree and clock.instance:
                if schedule in ridden and clock.chain:
                    followed.add((schedule, clock.chain[-1], spec.name.text))
                continue
            clocks[schedule] = other._replace(instance="")  # whoever rides on it is refused
            if schedule in needed:
                ends = [rounded_in_words(c.tokens) for c in (other, clock)]
                state.report(
                    "clocks-disagree",
                    f"the paths to `{spec.name.text}` left schedule `{schedule}` at different "
                    f"places ({' and '.join(dict.fromkeys(ends))} tokens)",
                    spec.init_span or spec.span,
                    "say `lr: {schedule: NAME, restart: true}`",
                )
                return None
    state.followed |= followed
    for schedule in ridden - clocks.keys():
        clock = Clock(spec.name.text, 0, 0, ())
        if schedule in stretched:
            old = _taken_over(state, spec, clocks, stretched[schedule])
            if old is None:
                return None
            clock = old._replace(instance=spec.name.text)
        clocks[schedule] = clock
    return clocks


def stretched_by(state: State, schedule: str) -> Word | None:
    """Return the schedule that one draws out, whose clock it takes over; None for others."""
    spec = state.spec.schedules.get(schedule)
    return spec.pieces[0].stretch if spec is not None and spec.pieces else None


def _taken_over(
    state: State, spec: StageSpec, clocks: Mapping[str, Clock], old: Word
) -> Clock | None:
    check_schedule(state, old)
    clock = clocks.get(old.text)
    if clock is None or not clock.chain:
        if state.is_declared("schedules", old.text) and not _is_meant(state, old.text):
            state.report(
                "stretch",
                f"no parent of stage `{spec.name.text}` rode on `{old.text}`: "
                "nothing of it is left to stretch",
                old.span,
                "name the schedule that its parents ride on",
            )
        return None
    return clock


def _is_meant(state: State, schedule: str) -> bool:
    """Say whether some stage names a schedule that is not there and is written like this one."""
    stages = state.spec.stages.values()
    rides = [r for s in stages for r in (s.lr, *(s.lr_by_target or {}).values()) if r is not None]
    named = {ride.schedule.text for ride in rides if ride.schedule is not None}
    return any(nearest(name, [schedule]) for name in named - state.spec.schedules.keys())


def _left_clocks(draft: Draft, step: int) -> dict[str, Clock]:
    """Return all clocks as they stand when a stage is left at a step."""
    clocks = dict(draft.clocks)
    for schedule in draft.ridden:
        clock = draft.clocks[schedule]
        rider = draft.rider(clock)
        tokens, steps = rider.tokens_at(step), clock.steps + step
        if step < draft.steps:
            rider = rider._replace(asked_tokens=tokens - clock.tokens, steps=step)
        clocks[schedule] = Clock(clock.instance, tokens, steps, (*clock.chain, rider))
    return clocks
