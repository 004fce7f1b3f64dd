"""What a stage keeps: an ancestor, others for some modules, or an outside checkpoint's facts"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from curriculum.compile_merge import is_known_module
from curriculum.compile_points import kept_of, reaches
from curriculum.compile_state import Kept, State
from curriculum.spec import StageSpec


class Keeps(NamedTuple):
    """The stage with what an outside checkpoint says for it; the ancestor that it keeps, and those
    that modules keep instead."""

    spec: StageSpec
    kept: Kept | None = None
    by_module: Mapping[str, Kept] = MappingProxyType({})
    outside: str | None = None


def keeps_of(state: State, spec: StageSpec) -> Keeps:
    """Return what a stage keeps; nothing where that is refused."""
    outside = state.outside.get(spec.keep.stage) if spec.keep else None
    if outside is not None and reaches(state, spec, outside.name):
        given = state.spec.stages[outside.name].checkpoint
        assert given is not None
        says_context = spec.seq_len or (spec.batch and spec.batch[0].seq_len)
        seq_len = spec.seq_len if says_context else given.seq_len
        rope = given.rope if spec.rope is None else spec.rope
        facts = spec._replace(keep=None, seq_len=seq_len, rope=rope)
        return Keeps(facts, None, _by_module(state, spec), outside.name)
    return Keeps(spec, kept_of(state, spec, spec.keep), _by_module(state, spec))


def _by_module(state: State, spec: StageSpec) -> dict[str, Kept]:
    found: dict[str, Kept] = {}
    for module, point in spec.keep_by.items():
        kept = kept_of(state, spec, point)
        if not is_known_module(state, module, point.span) or kept is None:
            continue
        if module not in kept[0].init:
            state.report(
                "parent-lacks-module",
                f"stage `{point.stage}` has no module `{module}` to keep",
                point.span,
                f"it has {', '.join(kept[0].init)}",
            )
            continue
        found[module] = kept
    return found
