"""Points on the way: the stages that one starts from, and the step that each is left at"""

from fractions import Fraction
from math import ceil

from curriculum.compile_state import Draft, Kept, State
from curriculum.errors import Related, did_you_mean, nearest
from curriculum.nodes import UNSCALED
from curriculum.short_forms import short_length
from curriculum.spec import Point, Quantity, StageSpec, points_of
from curriculum.spec_reader import meant_keys
from curriculum.units import count_in_words
from curriculum.words import STAGE


def parents_of(state: State, spec: StageSpec) -> list[Point] | None:
    """Return the points that `init` names; None where one is not there."""
    if spec.init is None and spec.init_all is None:
        if (
            spec.init_span is None
            and "extends" not in spec.said
            and "init" not in meant_keys(spec.said, STAGE)
        ):
            state.report(
                "missing-key",
                f"stage `{spec.name.text}` does not say where its modules come from",
                spec.name.span,
                "add `init: {llm: new}` or `init: STAGE`",
            )
        return None
    points = list(spec.points())
    missing = [p for p in points if p.stage not in state.spec.stages]
    for point in (p for p in missing if not state.is_declared("stages", p.stage)):
        state.report(
            "missing-parent",
            f"there is no stage `{point.stage}` to start from",
            point.span,
            did_you_mean(point.stage, [*state.spec.stages, *_new(point.stage)]),
        )
    failed = any(
        p.stage not in state.drafts
        and p.stage not in state.outside
        and p.stage not in state.composed
        and p.stage not in state.unknown
        for p in points
    )
    return None if missing or failed else points


def _new(name: str) -> list[str]:
    """Return `new` where a word that is no stage may have been meant for it."""
    return nearest(name, ["new"])


def mark_step(state: State, point: Point) -> int | None:
    """Return the step of a stage that a point names: its end, or the first at a mark.

    Outside checkpoints and stages that only compose have no steps: 0.
    """
    if point.stage not in state.drafts:
        return _no_mark(state, point)
    draft = state.drafts[point.stage]
    if point.mark is None:
        return draft.steps
    if _is_less_than_step(state, draft, point, point.mark):
        return None
    if point.mark.amount.unit == "steps":
        step = state.steps_of(point.stage, point.mark)
        if step is None:
            return None
    else:
        step = _step_at(draft, point.mark)
    if point.mark.amount.unit != "share" and step is not None:
        state.became(point.mark, f"{point.stage}@step {step}")
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
            _sequences_meant(draft, point) or f"`{point.stage}` alone means its end",
            (Related("its budget", budget[1].span),) if (budget := draft.spec.budget) else (),
        )
        return None
    return step


def _is_less_than_step(state: State, draft: Draft, point: Point, mark: Quantity) -> bool:
    """Say whether a mark in tokens lies within the first step, and report it."""
    first = draft.batch.piece_at(0).tokens_per_step
    in_tokens = mark.amount.unit == "tokens"
    if not in_tokens or not 0 < mark.scaled_tokens < min(first, draft.budget.tokens):
        return False
    number = int(mark.amount.value)
    is_step = mark.scale == UNSCALED and number <= draft.steps
    state.report(
        "shorter-than-a-step",
        f"the mark {mark.scaled_tokens:,} of stage `{point.stage}` is less than a step of "
        f"{short_length(first)} tokens",
        point.span,
        f"did you mean `{point.stage}@step {number}`?" if is_step else "let it be a step, or 0",
    )
    return True


def _sequences_meant(draft: Draft, point: Point) -> str | None:
    """Say at which step a stage has read as many sequences, where a mark may have counted them."""
    if point.mark is None or point.mark.amount.unit != "steps":
        return None
    seqs = int(point.mark.amount.value)
    if not 2 * draft.steps < seqs <= draft.batch.seqs_before(draft.steps):
        return None
    step = draft.batch.step_at_seqs(seqs)
    return f"{seqs:,} sequences are read at `{point.stage}@step {step}`; its end is `{point.stage}`"


def _no_mark(state: State, point: Point) -> int | None:
    if point.mark is None:
        return 0
    is_outside = point.stage in state.outside
    what = "is an outside checkpoint" if is_outside else "only composes"
    state.report(
        "mark-of-nothing",
        f"`{point.stage}` {what}: it has no steps, and no mark `{point.mark.amount}`",
        point.span,
        f"`{point.stage}` alone means it as it is",
    )
    return None


def _step_at(draft: Draft, mark: Quantity) -> int | None:
    amount = mark.amount
    match amount.unit:
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


def kept_of(state: State, spec: StageSpec, point: Point | None) -> Kept | None:
    """Return the ancestor that `keep` names, and its step; None where there is none."""
    if point is None:
        return None
    draft = state.drafts.get(point.stage)
    named = [p.stage for p in spec.points(with_candidates=False)]
    composed = state.composed.get(point.stage)
    other = composed.other_name_of if composed is not None and point.mark is None else None
    if other and other.stage in state.drafts and other.stage in _reached(state, named):
        return state.drafts[other.stage], other.step
    if draft is None or point.stage not in _reached(state, named, until=point.stage):
        what = f"`keep: {point.stage}` names no stage that `init` reaches"
        if not state.is_declared("stages", point.stage):
            what = f"there is no stage `{point.stage}` to keep"
        if point.stage in state.composed:
            what = f"`{point.stage}` only composes, and leaves nothing to keep but its modules"
        way_out = _what_to_keep(state, point.stage, named)
        state.report("keep-ancestor", what, point.span, way_out)
        return None
    if point.mark is None and (mark := _left_at(state, spec, point.stage)) is not None:
        return draft, mark
    step = mark_step(state, point)
    return None if step is None else (draft, step)


def _what_to_keep(state: State, said: str, named: list[str]) -> str:
    """Say what `keep` may name in a stage whose `init` names these, or how it may go on."""
    ancestors = sorted(name for name in _reached(state, named) if name in state.drafts)
    parents = sorted({name for name in named if name in state.drafts}) or ancestors
    if close := nearest(said, parents):
        return f"did you mean `{close[0]}`?"
    can_start = said in state.drafts
    take = f"let `init` take a module from `{said}`, or " if can_start else ""
    if ancestors:
        several = "one of its ancestors" if len(ancestors) > 1 else "its ancestor"
        return f"{take}keep {several}: {', '.join(ancestors)}"
    return f"{take}leave `keep` out and say all keys here: `init` reaches no stage that trains"


def _left_at(state: State, spec: StageSpec, stage: str) -> int | None:
    """Return the step at which `init` leaves a stage that it names at a mark; None at its end.

    It may name it through stages that only compose. Where averages name it several times, the
    furthest.
    """
    steps: list[int | None] = []
    for origin in spec.origins:
        points = points_of(origin, with_candidates=False)
        same = [point for point in points if point.stage == stage]
        if isinstance(origin, Point) and same and origin.mark is not None:
            return mark_step(state, origin)
        steps += [mark_step(state, point) for point in same]
        for point in points:
            steps += _through(state, point.stage, stage)
    known = [step for step in steps if step is not None]
    return max(known) if known else None


def _through(state: State, composed: str, stage: str) -> set[int]:
    """Return the steps at which a stage that only composes leaves another."""
    if composed not in state.composed:
        return set()
    starts = state.composed[composed].starts
    origins = (o for module, start in starts for o in state.origins(start, module))
    return {origin.step for origin in origins if origin.stage == stage}


def reaches(state: State, spec: StageSpec, name: str) -> bool:
    """Say whether `init` reaches a stage or an outside checkpoint."""
    named = [p.stage for p in spec.points(with_candidates=False)]
    return name in _reached(state, named, until=name)


def _reached(state: State, named: list[str], until: str | None = None) -> set[str]:
    """Return all that `init` reaches through stages and averages, by name, or up to one of them."""
    waiting = list(named)
    seen: set[str] = set()
    while waiting and until not in seen:
        stage = waiting.pop()
        if stage in seen:
            continue
        seen.add(stage)
        if stage in state.drafts:
            starts = state.drafts[stage].init.values()
            waiting += [s.stage for s in starts if s.stage is not None]
        elif stage in state.composed:
            waiting += state.composed[stage].parents
    return seen
