"""Where the modules of a stage come from, and whose optimizer state comes along"""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from curriculum.compile_merge import Taken, taken_of
from curriculum.compile_state import Kept, State
from curriculum.composed import ComposedStage
from curriculum.errors import Related, nearest
from curriculum.plan import Start
from curriculum.spec import StageSpec, Word


class Inits(NamedTuple):
    """Where each module comes from, and the candidates of those that were selected."""

    starts: Mapping[str, Start]
    among: Mapping[str, tuple[Start, ...]]


def init_of(state: State, spec: StageSpec, kept: Kept | None) -> Inits | None:
    """Return where each module comes from, in the order of their names; None if that is refused."""
    taken = taken_of(state, spec)
    if taken is None:
        return None
    starts: dict[str, Start] = {}
    for module, shares in taken.shares.items():
        if not shares:
            starts[module] = Start(None)
        elif len(shares) == 1:
            starts[module] = shares[0].start
        else:
            starts[module] = Start(_composed_for(state, spec, taken, module))
    carried = _carried(state, spec, kept, starts)
    return None if carried is None else Inits(carried, taken.among)


def _composed_for(state: State, spec: StageSpec, taken: Taken, module: str) -> str:
    """Return the stage that composes a module for this one: one for all of them, or its own."""
    whole = spec.init_all is not None
    name = f"{spec.name.text}+{'all' if whole else module}"
    averages = {m: shares for m, shares in taken.shares.items() if len(shares) > 1}
    if not whole:
        averages = {module: averages[module]}
    status = spec.status.text if spec.status else "main"
    state.composed.setdefault(name, ComposedStage(name, averages, status))
    return name


def _has_state(state: State, start: Start, module: str) -> bool:
    """Say whether the stage a module comes from leaves optimizer state for it."""
    outside = state.outside.get(start.stage or "")
    if outside is not None:
        return module in outside.checkpoint.state
    draft = state.drafts.get(start.stage or "")
    if draft is None:
        return False
    trained = any(target.partition("/")[0] == module for target in draft.train)
    return trained or draft.init[module].carries_state


def _trains(spec: StageSpec, kept: Kept | None, module: str) -> bool:
    """Say whether a stage trains a module, or a part of it."""
    targets = [word.text for word in spec.train] if spec.train else kept[0].train if kept else ()
    return any(target.partition("/")[0] == module for target in targets)


def _carried(
    state: State, spec: StageSpec, kept: Kept | None, starts: dict[str, Start]
) -> dict[str, Start] | None:
    """Return the starts with whose state comes along; of what is frozen it rests, unless said."""
    stateful = [m for m, start in starts.items() if _has_state(state, start, m)]
    trained = [m for m in stateful if _trains(spec, kept, m)]
    if spec.carry is not None:
        carried = _said_carried(state, spec, spec.carry, stateful)
        if carried is None:
            return None
    elif "carry" in spec.said:
        return None
    elif trained:
        report_unsaid(state, spec, {m: starts[m].stage or "" for m in trained})
        return None
    else:
        carried = stateful
    return {m: replace(start, carries_state=m in carried) for m, start in starts.items()}


def report_unsaid(state: State, spec: StageSpec, stateful: dict[str, str]) -> None:
    """Report modules whose parents trained them, where a stage says nothing of their state."""
    trained = [
        Related(
            f"`{module}` {'has state' if parent in state.outside else 'was trained'} here",
            state.spec.stages[parent].name.span,
        )
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
            is_module = word.text in state.modules
            meant = {"true": ["all"], "false": ["none"]}.get(word.text)
            near = meant or ([] if is_module else nearest(word.text, [*stateful, "all", "none"]))
            there = ", ".join(stateful) or "none"
            state.report(
                "carry-without-state",
                f"no parent leaves optimizer state for `{word.text}`",
                word.span,
                f"did you mean `{near[0]}`?"
                if near
                else f"modules with state: {there}; or say `all` or `none`",
            )
            return None
    return words
