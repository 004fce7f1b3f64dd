"""Where the modules of a stage come from, and whose optimizer state comes along"""

from dataclasses import replace

from curriculum.compile_points import mark_step
from curriculum.compile_state import State
from curriculum.errors import Related, Span, did_you_mean
from curriculum.plan import Start
from curriculum.spec import Point, StageSpec, Word


def init_of(state: State, spec: StageSpec) -> dict[str, Start] | None:
    """Return where each module comes from, in the order of their names."""
    wanted: dict[str, Point | None] = dict(spec.init or {})
    if spec.init_all is not None:
        wanted = dict.fromkeys(_gives(state, spec.init_all.stage), spec.init_all)
    starts: dict[str, Start] = {}
    good = True
    for module in sorted(wanted):
        point = wanted[module]
        span = point.span if point else spec.init_span or spec.span
        good = is_known_module(state, module, span) and good
        start = Start(None) if point is None else _start(state, module, point)
        if start is None:
            good = False
        else:
            starts[module] = start
    return _carried(state, spec, starts) if good else None


def _start(state: State, module: str, point: Point) -> Start | None:
    given = _gives(state, point.stage)
    if module not in given:
        state.report(
            "parent-lacks-module",
            f"stage `{point.stage}` has no module `{module}`",
            point.span,
            f"it has {', '.join(given) or 'none'}",
        )
        return None
    step = 0 if point.stage in state.outside else mark_step(state, point)
    return None if step is None else Start(point.stage, step)


def _gives(state: State, stage: str) -> tuple[str, ...]:
    if stage in state.outside:
        return state.outside[stage].checkpoint.gives
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


def _has_state(state: State, start: Start, module: str) -> bool:
    """Say whether the stage a module comes from leaves optimizer state for it."""
    draft = state.drafts.get(start.stage or "")
    if draft is None:
        return False
    trained = any(target.partition("/")[0] == module for target in draft.train)
    return trained or draft.init[module].carries_state


def _carried(state: State, spec: StageSpec, starts: dict[str, Start]) -> dict[str, Start] | None:
    stateful = [m for m, start in starts.items() if _has_state(state, start, m)]
    if spec.carry is not None:
        carried = _said_carried(state, spec, spec.carry, stateful)
        if carried is None:
            return None
    elif "carry" in spec.said:
        return None
    elif stateful:
        report_unsaid(state, spec, {m: starts[m].stage or "" for m in stateful})
        return None
    else:
        carried = []
    return {m: replace(start, carries_state=m in carried) for m, start in starts.items()}


def report_unsaid(state: State, spec: StageSpec, stateful: dict[str, str]) -> None:
    """Report modules whose parents trained them, where a stage says nothing of their state."""
    trained = [
        Related(f"`{module}` was trained here", state.spec.stages[parent].name.span)
        for module, parent in stateful.items()
    ]
    state.report(
        "carry-unsaid",
        f"stage `{spec.name.text}` does not say whether the optimizer state of "
        f"{', '.join(stateful)} comes along",
        spec.name.span,
        f"add `carry: all`, `carry: none` or `carry: [{', '.join(stateful)}]`",
        tuple(trained),
    )


def _said_carried(
    state: State, spec: StageSpec, carry: tuple[Word, ...], stateful: list[str]
) -> list[str] | None:
    words = [word.text for word in carry]
    if not words:
        state.report(
            "wrong-value", "`carry` names no module", spec.name.span, "write `carry: none`"
        )
        return None
    if words == ["all"]:
        return stateful
    if words == ["none"]:
        return []
    for word in carry:
        if word.text not in stateful:
            state.report(
                "carry-without-state",
                f"no parent leaves optimizer state for `{word.text}`",
                word.span,
                f"modules with state: {', '.join(stateful) or 'none'}",
            )
            return None
    return words
