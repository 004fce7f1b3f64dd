"""The RoPE of every language model in a stage, said or kept, and the context it prepares for

    kept ropes --> said ones replace them whole --> dotted keys change one thing --> all layers?
                                                        the formulas that read it --> the context

A part that is not named follows its module.
"""

from curriculum.compile_rope_values import (
    llm_shape,
    module_of,
    rope_changed,
    rope_said,
    whole_context,
)
from curriculum.compile_state import Draft, State
from curriculum.errors import Span, nearest
from curriculum.rope import Rope, ropes_by_layer


def compile_rope(state: State, draft: Draft, target: int | None) -> dict[str, Rope]:
    """Return the RoPE of every language model of a stage, by module or part.

    `target` is the context that the stage prepares for, where it is another than it trains on.
    """
    kept: dict[str, Rope] = {}
    if draft.spec.rope is None and draft.kept:
        for module in draft.init:
            if (left := draft.kept_of(module)) is None:
                continue
            ropes = state.stages[left[0].name].rope
            kept |= {name: rope for name, rope in ropes.items() if module_of(name) == module}
    said: dict[str, tuple[Rope | None, Span]] = {}
    for name, spec in (draft.spec.rope or {}).items():
        said[name] = rope_said(state, draft, name, spec), spec.span
    # Whole things first: the order of keys means nothing.
    for dotted, key, node in sorted(draft.spec.dotted, key=lambda entry: len(entry[0])):
        if dotted[0] == "rope":
            known = {**kept, **{name: rope for name, (rope, _) in said.items()}}
            found = rope_changed(state, draft, known, dotted[1:], key, node)
            if found is not None:
                said[found[0]] = found[1], key.span
    _check_factors(state, draft, said)
    if draft.spec.rope is not None or "rope" not in draft.spec.said:
        _check_all_said(state, draft, {*kept, *said})
    whole = kept | {name: rope for name, (rope, _) in said.items() if rope is not None}
    length = _length(state, draft, target, whole)
    read = _without_unread(state, draft, whole, said)
    return {name: rope.at_context(length) for name, rope in sorted(read.items())}


def target_of(state: State, draft: Draft) -> int | None:
    """Return the context that a stage says or keeps that it prepares for; None where none does."""
    said, longest = draft.spec.target_seq_len, max(contexts_of(draft))
    if said is not None:
        target = whole_context(state, said)
    elif "target_seq_len" in draft.spec.said or draft.kept is None:
        return None
    else:
        target = state.stages[draft.kept[0].name].target_seq_len
    if target is not None and target < longest:
        state.report(
            "target-below-context",
            f"stage `{draft.name}` reads {longest:,} tokens and prepares for {target:,}",
            (said or draft.spec.seq_len or draft.spec.name).span,
            f"say `target_seq_len: {longest}`, or more",
        )
    return target


def contexts_of(draft: Draft) -> tuple[int, ...]:
    """Return the contexts that a stage trains on, each once, in order."""
    pieces = (piece for piece in draft.batch.pieces if piece.first_step < draft.steps)
    return tuple(dict.fromkeys(piece.seq_len for piece in pieces))


def _check_factors(state: State, draft: Draft, said: dict[str, tuple[Rope | None, Span]]) -> None:
    for name, (rope, span) in said.items():
        shape = llm_shape(state, draft, module_of(name))
        factors = rope.scaling.num_pairs if rope is not None and rope.scaling else None
        if factors is None or shape is None:
            continue
        pairs = shape.rope_head_dim // 2
        if pairs and factors != pairs:
            message = f"{factors} factors, but the heads of `{module_of(name)}` turn {pairs} pairs"
            state.report("rope-factors", message, span)


def _check_all_said(state: State, draft: Draft, names: set[str]) -> None:
    said = dict.fromkeys(names, Rope(None))
    for module in draft.init:
        shape = llm_shape(state, draft, module)
        others = (name for name in draft.spec.rope or {} if module_of(name) not in draft.init)
        if shape is None or module in names or any(module in nearest(n, [module]) for n in others):
            continue
        layers = ropes_by_layer(said, module, shape.rope_layers(), shape.rope_parts())
        if not layers or None in layers.values():
            state.report(
                "rope-unsaid",
                f"stage `{draft.name}` does not say the RoPE base of `{module}`",
                draft.spec.name.span,
                f"rope: {{{module}: {{base: 50_000}}}}",
            )


def _without_unread(
    state: State,
    draft: Draft,
    ropes: dict[str, Rope],
    said: dict[str, tuple[Rope | None, Span]],
) -> dict[str, Rope]:
    """Leave out what all parts of a module replace; report it where the stage says it."""
    read = dict(ropes)
    for module in [name for name in ropes if "/" not in name]:
        shape = llm_shape(state, draft, module)
        others = {name: rope for name, rope in ropes.items() if name != module}
        if shape is None or not any(module_of(name) == module for name in others):
            continue
        layers = ropes_by_layer(others, module, shape.rope_layers(), shape.rope_parts())
        if None in layers.values():
            continue
        del read[module]
        if module in said:
            message = f"every layer of `{module}` belongs to a part that says its own RoPE"
            state.report("rope-unread", message, said[module][1], f"leave `{module}` out")
    return read


def _length(state: State, draft: Draft, target: int | None, ropes: dict[str, Rope]) -> int:
    """Return the context that formulas read: the target, else the one the stage trains on."""
    contexts = contexts_of(draft)
    longest = max(contexts)
    if target is None and len(contexts) > 1 and any(r.reads_context for r in ropes.values()):
        state.report(
            "rope-context",
            f"a RoPE scaling reads the context, which changes in stage `{draft.name}`: "
            f"{', '.join(map(str, contexts))}",
            (draft.spec.seq_len or draft.spec.name).span,
            f"say the one it prepares for: `target_seq_len: {longest}`",
        )
    return target or longest
