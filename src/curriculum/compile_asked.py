"""Budgets in passes over the mixture, and up to a mark on the path"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from math import ceil
from typing import NamedTuple

from curriculum.compile_state import Draft, State
from curriculum.extent import unknown_share
from curriculum.nodes import UNSCALED
from curriculum.plan import Start
from curriculum.spec import MixSpec, Quantity, StageSpec
from curriculum.units import Amount, count_in_words, rounded_in_words
from curriculum.usage import positions_per_token


class Behind(NamedTuple):
    """What the counted module has been asked to read before a stage, along its own chain."""

    tokens: int = 0
    steps: int = 0

    def plus(self, other: "Behind") -> "Behind":
        return Behind(self.tokens + other.tokens, self.steps + other.steps)

    @staticmethod
    def most(of: "Sequence[Behind]") -> "Behind":
        """Return the most of each number."""
        return Behind(max(b.tokens for b in of), max(b.steps for b in of))


def asked_of(
    state: State, spec: StageSpec, init: Mapping[str, Start], count: str | None
) -> int | Quantity | None:
    """Return what a budget in epochs or `until` a mark asks for, in tokens or as steps.

    None where it was refused, or where the module is missing that is counted.
    """
    assert spec.budget is not None
    unit, quantity = spec.budget
    if count is None:
        return None
    if unit == "epochs":
        return _in_epochs(state, spec, quantity, count)
    if quantity.scale != UNSCALED and quantity.amount.unit == "steps":
        return _until_below(state, spec, quantity)
    behind = _behind(state, spec, quantity, init[count], count)
    return None if behind is None else _until(state, spec, quantity, behind)


def mixture_sources(state: State, spec: StageSpec) -> frozenset[str]:
    """Return the sources that the mixture of a stage names, said, kept or replayed."""
    found: set[str] = set()
    while True:
        mix = spec.mixture
        found.update(_sources(state, mix))
        kept = state.drafts.get(spec.keep.stage) if spec.keep is not None else None
        if kept is None or (mix is not None and not _takes_kept(mix)):
            return frozenset(found)
        spec = kept.spec


def _takes_kept(mix: MixSpec) -> bool:
    """Say whether a mixture begins with, or holds, the one that the stage keeps."""
    if not mix.pieces:
        return mix.takes_previous()
    first = mix.pieces[0].of
    return first is None or first.takes_previous()


# Passes over the mixture


def _in_epochs(state: State, spec: StageSpec, epochs: Quantity, count: str) -> int | None:
    """Return that many times what all sources of the mixture hold to be read, together."""
    total = Fraction(0)
    names = mixture_sources(state, spec)
    if count not in state.modules or not names & state.sources.keys():
        return None
    shape = state.modules[count].shape
    for name in sorted(names & state.sources.keys()):
        source = state.sources[name]
        size = source.readable_tokens
        per_token = positions_per_token(shape, source)
        if size is None or per_token is None:
            what = "the size" if size is None else "how many patches a token has"
            key = "tokens" if size is None else "image_share"
            state.report(
                "size-unknown",
                f"{what} of `{name}` is unknown, and so is the length of {epochs.amount}",
                epochs.span,
                f"say `{key}` in the source, or a budget in tokens",
            )
            return None
        total += size * per_token
    return ceil(epochs.amount.value * total)


def _mixture_of(state: State, spec: StageSpec) -> MixSpec | None:
    """Return the mixture that a stage says, or that the ancestor said which it keeps."""
    while spec.mixture is None and spec.keep is not None and spec.keep.stage in state.drafts:
        spec = state.drafts[spec.keep.stage].spec
    return spec.mixture


def _sources(state: State, mix: MixSpec | None) -> Iterator[str]:
    if mix is None:
        return
    if mix.replay is not None:
        draft = state.drafts.get(mix.replay.stage)
        replayed = _mixture_of(state, draft.spec) if draft else None
        yield from _below(state, replayed, mix.replay_path)
    yield from (word.text for word in mix.by_size)
    yield from (node.name.text for node in mix.nodes if node.of is None)
    for group in mix.groups:
        yield from _sources(state, group)


def _below(state: State, mix: MixSpec | None, path: tuple[str, ...]) -> Iterator[str]:
    """Yield the sources of a part of a mixture."""
    if not path or mix is None:
        yield from _sources(state, mix)
        return
    if mix.replay is not None:
        draft = state.drafts.get(mix.replay.stage)
        replayed = _mixture_of(state, draft.spec) if draft else None
        yield from _below(state, replayed, (*mix.replay_path, *path))
    for name in mix.by_size:
        if name.text == path[0]:
            yield name.text
    for node in mix.nodes:
        if node.name.text == path[0]:
            if node.of is None:
                yield node.name.text
            else:
                yield from _below(state, node.of, path[1:])


# Up to a mark on the path


def _behind(
    state: State, spec: StageSpec, mark: Quantity, start: Start, module: str
) -> Behind | None:
    """Add up what a module has been asked to read; None, and a report, where nobody knows."""
    found = _read(state, start, module, mark.amount.unit == "steps", {})
    if found is None:
        unit = "the steps" if mark.amount.unit == "steps" else "the tokens"
        state.report(
            "path-unknown",
            f"{unit} behind `{module}` are unknown, as the outside checkpoint on its way does not "
            f"say them, and so is where stage `{spec.name.text}` is to end",
            mark.span,
            "say `tokens` in the checkpoint, or a budget in tokens or steps",
        )
    return found


def _read(
    state: State,
    start: Start,
    module: str,
    in_steps: bool,
    known: "dict[Start, Behind | None]",
) -> Behind | None:
    """Add up the stages that a module comes through; at an average the most of its parents."""
    behind = Behind()
    first = start
    while start.stage in state.drafts and first not in known:
        draft = state.drafts[start.stage]
        if draft.count == module:
            behind = behind.plus(_of_draft(draft, start.step))
        start = draft.init[module]
    if first in known:
        return known[first]
    known[first] = None
    before: Behind | None = Behind()
    if start.stage in state.composed:
        shares = state.composed[start.stage].averages[module]
        parents = [_read(state, share.start, module, in_steps, known) for share in shares]
        told = [parent for parent in parents if parent is not None]
        before = Behind.most(told) if len(told) == len(parents) else None
    elif start.stage is not None:
        before = _of_outside(state, start.stage, in_steps)
    known[first] = None if before is None else behind.plus(before)
    return known[first]


def _of_draft(draft: Draft, step: int) -> Behind:
    if step >= draft.steps:
        return Behind(draft.budget.tokens, draft.steps)
    return Behind(draft.batch.tokens_before(step), step)


def _of_outside(state: State, name: str, in_steps: bool) -> Behind | None:
    """Return what an outside checkpoint says it has read; fresh weights in its place have not."""
    given = state.spec.stages[name].checkpoint
    if given is None or (given.tokens is None and not given.stand_in):
        return None
    if given.tokens is None:
        return Behind()
    return None if in_steps else Behind(given.tokens.scaled_tokens)


def _until(state: State, spec: StageSpec, mark: Quantity, behind: Behind) -> int | Quantity | None:
    """Return what is left up to a mark; a mark in steps leaves steps."""
    in_steps = mark.amount.unit == "steps"
    before = behind.steps if in_steps else behind.tokens
    left = (ceil(mark.amount.value) if in_steps else mark.scaled_tokens) - before
    if left <= 0:
        unit = "steps" if in_steps else "tokens"
        seen = f"{before:,}" if in_steps else rounded_in_words(before)
        end = int(mark.amount.value)
        is_step = not in_steps and mark.scale == UNSCALED and end > behind.steps
        state.report(
            "until-passed",
            f"stage `{spec.name.text}` ends at {_mark_words(mark)} of its path, where its parents "
            f"have come to {seen} {unit}",
            mark.span,
            f"did you mean `until: step {end}`?"
            if is_step and end * behind.steps < before
            else "move the mark, or start from an earlier one",
        )
        return None
    return replace(mark, amount=Amount(Fraction(left), "steps")) if in_steps else left


def _until_below(state: State, spec: StageSpec, mark: Quantity) -> int | None:
    """Return what a stage reads up to a step of its path below a scale, through that scale."""
    draft = state.draft_below(spec.name.text, mark.scale)
    if draft is None or draft.spec.budget is None or draft.spec.budget[1].span != mark.span:
        state.report(*unknown_share(spec.name.text, mark))
        return None
    return ceil(draft.budget.tokens * mark.scale.tokens)


def _mark_words(mark: Quantity) -> str:
    if mark.amount.unit == "steps":
        return f"step {int(mark.amount.value):,}"
    return f"{count_in_words(mark.scaled_tokens)} tokens"
