"""Curves over the steps of an optimizer's state: they go on where the state is carried

text (8 steps, new state)    align (llm frozen)    joint (carry: [llm])
|--- clock 0 ... 8 ---|      |-- it waits --|      |--- clock 8 ... ---|
"""

from collections.abc import Collection

from curriculum.clock import Clock, Rider
from curriculum.compile_lifecycle import parts_in
from curriculum.compile_state import Draft, State
from curriculum.curve import Curve
from curriculum.errors import Span
from curriculum.extent import Ground, Refused
from curriculum.riding import Reading, lay_on_clock
from curriculum.spec import CurveSpec


def over_state(
    state: State, draft: Draft, target: str, others: Collection[str], spec: CurveSpec
) -> Curve | None:
    """Lay a curve over the steps that the state of a module or part has seen, in a stage.

    `others` are the parts that have rules of their own. None where it is unknown or was refused.
    """
    parts = _governed(state, draft, target, others)
    if not _tells_parts_apart(state, draft, target.partition("/")[0]):
        parts = parts[:1]  # they have one history
    chains = {_state_chain(state, draft, part) for part in parts}
    if None in chains:
        state.report(
            "optimizer-curve",
            f"nobody knows how many steps the optimizer's state of `{target}` has seen that stage "
            f"`{draft.name}` begins with: it comes from an outside checkpoint",
            spec.span,
            "write one value, or `carry: none`",
        )
        return None
    if len(chains) > 1:
        ages = sorted({chain[-1].end_steps if chain else 0 for chain in chains})
        words = " and ".join(f"{age:,}" for age in ages)
        state.report(
            "optimizer-curve",
            f"the optimizer's states of `{target}` have seen {words} steps where stage "
            f"`{draft.name}` begins: this curve stands at several places",
            spec.span,
            f"say it for each part: `{target.partition('/')[0]}/PART: {{kind: ..., ...}}`",
        )
        return None
    before = (chains.pop() if chains else None) or ()
    own = draft.rider(_end_of(draft, before))

    def no_current(span: Span) -> None:
        state.report("current", "`current` is a learning rate's; say the value here", span)
        raise Refused

    told = (draft.spec.name.span, state.report, state.share_of, state.became)
    ground = Ground((*before, own), frozenset(), *told, is_last=False)
    try:
        return lay_on_clock(spec, ground, Reading(no_current, is_relative=False))
    except Refused:
        return None


def _end_of(draft: Draft, chain: tuple[Rider, ...]) -> Clock:
    if not chain:
        return Clock(draft.name, 0, 0, ())
    return Clock(chain[0].stage, chain[-1].end_tokens, chain[-1].end_steps, chain)


def _governed(state: State, draft: Draft, target: str, others: Collection[str]) -> list[str]:
    """Return the trained parts that a rule of this name is for."""
    module, _, part = target.partition("/")
    if part:
        return [target] if _trains(draft, target) else []
    parts = [f"{module}/{name}" for name in parts_in(state, draft, module)]
    return [name for name in parts if name not in others and _trains(draft, name)]


def _tells_parts_apart(state: State, draft: Draft, module: str) -> bool:
    """Say whether a stage that a module's state comes through trains or begins a part of it."""
    child: Draft | None = draft
    while child is not None:
        if any(name.startswith(f"{module}/") for name in (*child.train, *child.lifecycle.fresh)):
            return True
        start = child.init[module]
        child = state.drafts.get(start.stage or "") if start.carries_state else None
    return False


def _trains(draft: Draft, part: str) -> bool:
    return part in draft.train or part.partition("/")[0] in draft.train


def _state_chain(state: State, draft: Draft, part: str) -> tuple[Rider, ...] | None:
    """Return the stages that made the state of a part, each up to the step it was left at.

    A module that a stage freezes keeps its state; a part of a trained one lets go of it. None where
    it comes from an outside checkpoint.
    """
    module = part.partition("/")[0]
    found: list[tuple[Draft, int]] = []
    child = draft
    while part not in child.lifecycle.fresh and (start := child.init[module]).carries_state:
        if start.stage in state.outside:
            return None
        parent = state.drafts.get(start.stage or "")
        if parent is None:
            break
        if _trains(parent, part):
            found.append((parent, start.step))
        elif any(target.partition("/")[0] == module for target in parent.train):
            break
        child = parent
    chain: list[Rider] = []
    for parent, step in reversed(found):
        rider = parent.rider(_end_of(parent, tuple(chain[-1:])))
        if step < parent.steps:
            asked = parent.batch.tokens_before(step)
            rider = rider._replace(asked_tokens=asked, steps=step)
        chain.append(rider)
    return tuple(chain)
