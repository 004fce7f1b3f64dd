"""Points on the way: the stages that one starts from, and the step that each is left at"""

from fractions import Fraction
from math import ceil, floor

from curriculum.compile_state import Draft, Kept, State
from curriculum.errors import did_you_mean
from curriculum.nodes import UNSCALED
from curriculum.spec import Point, Quantity, StageSpec
from curriculum.units import count_in_words


def parents_of(state: State, spec: StageSpec) -> list[Point] | None:
    """Return the points that `init` names; None where one is not there."""
    if spec.init is None and spec.init_all is None:
        if spec.init_span is None:
            state.report(
                "missing-key",
                f"stage `{spec.name.text}` does not say where its modules come from",
                spec.name.span,
                "add `init: {llm: new}` or `init: STAGE`",
            )
        return None
    points = [p for p in (*(spec.init or {}).values(), spec.init_all) if p is not None]
    missing = [p for p in points if p.stage not in state.spec.stages]
    for point in (p for p in missing if not state.is_declared("stages", p.stage)):
        state.report(
            "missing-parent",
            f"there is no stage `{point.stage}` to start from",
            point.span,
            did_you_mean(point.stage, list(state.spec.stages)),
        )
    failed = any(
        p.stage not in state.drafts
        and p.stage not in state.outside
        and p.stage not in state.unknown
        for p in points
    )
    return None if missing or failed else points


def mark_step(state: State, point: Point) -> int | None:
    """Return the step of a drafted stage that a point names: its end, or the first at a mark."""
    draft = state.drafts[point.stage]
    if point.mark is None:
        return draft.steps
    step = _step_at(draft, point.mark)
    if step is None:
        state.report(
            "wrong-unit", "a mark is in tokens, `step N` or a share", point.span, "joint@0.7T"
        )
    elif step > draft.steps:
        state.report(
            "mark-beyond-stage",
            f"`{point.mark.amount}` lies past the end of stage `{point.stage}` "
            f"({count_in_words(draft.budget.tokens)} tokens, {draft.steps:,} steps)",
            point.span,
            f"`{point.stage}` alone means its end",
        )
        return None
    return step


def _step_at(draft: Draft, mark: Quantity) -> int | None:
    amount = mark.amount
    match amount.unit:
        case "steps" if mark.scale == UNSCALED:
            return int(amount.value)
        case "steps":
            return floor(amount.value * draft.step_share + Fraction(1, 2))
        case "share":
            asked = amount.value * draft.budget.tokens
        case "tokens":
            asked = Fraction(mark.scaled_tokens)
        case _:
            return None
    step = draft.batch.step_at_tokens(ceil(asked))
    # A budget that was rounded down ends before what it asked for.
    is_cut = draft.budget.round_down and asked <= draft.budget.tokens
    return min(step, draft.steps) if is_cut else step


def kept_of(state: State, spec: StageSpec, parents: list[Point]) -> Kept | None:
    """Return the ancestor that `keep` names, and its step; None where there is none."""
    if spec.keep is None:
        return None
    name = spec.keep.stage
    draft = state.drafts.get(name)
    if draft is None or not _reaches(state, parents, name):
        state.report(
            "keep-ancestor",
            f"`keep: {name}` names no stage that `init` reaches",
            spec.keep.span,
            did_you_mean(name, sorted({p.stage for p in parents if p.stage in state.drafts})),
        )
        return None
    same = [p for p in parents if p.stage == name and p.mark is not None]
    step = mark_step(state, same[0] if same and spec.keep.mark is None else spec.keep)
    return None if step is None else (draft, step)


def _reaches(state: State, parents: list[Point], name: str) -> bool:
    waiting = [p.stage for p in parents]
    seen: set[str] = set()
    while waiting:
        stage = waiting.pop()
        if stage == name:
            return True
        if stage in seen or stage not in state.drafts:
            continue
        seen.add(stage)
        waiting += [s.stage for s in state.drafts[stage].init.values() if s.stage is not None]
    return False
