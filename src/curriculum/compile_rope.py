"""The RoPE base of every language model in a stage, said or kept"""

from curriculum.compile_state import Draft, State
from curriculum.rope import Rope
from curriculum.spec import Number
from curriculum.spec_reader import SpecReader


def compile_rope(state: State, draft: Draft) -> dict[str, Rope]:
    """Return the RoPE of every language model of a stage."""
    ropes: dict[str, Rope] = {}
    said = {module: numbers["base"] for module, numbers in (draft.spec.rope or {}).items()}
    if draft.spec.rope is None and draft.kept:
        kept = state.stages[draft.kept[0].name]
        ropes = {m: rope for m, rope in kept.rope.items() if m in draft.init}
    reader = SpecReader(state.problems)
    for dotted, key, node in draft.spec.dotted:
        if dotted[0] != "rope":
            continue
        number = reader.number(node)
        if len(dotted) != 3 or dotted[2] != "base" or dotted[1] not in {**ropes, **said}:
            message = f"`{key.text}` reaches nothing that is kept"
            state.report("dotted-key", message, key.span, "rope.llm.base")
        elif number is not None:
            said[dotted[1]] = number
    for module, base in said.items():
        if (rope := _rope(state, draft, module, base)) is not None:
            ropes[module] = rope
    if draft.spec.rope is not None or "rope" not in draft.spec.said:
        _check_all_said(state, draft, {*ropes, *said})
    return dict(sorted(ropes.items()))


def _rope(state: State, draft: Draft, module: str, base: Number) -> Rope | None:
    if module not in draft.init:
        message = f"stage `{draft.name}` has no module `{module}`"
        state.report("rope-of-absent", message, base.span)
    elif module in state.modules and not _is_llm(state, module):
        message = f"the RoPE of `{module}` belongs to its preset"
        state.report("rope-of-absent", message, base.span)
    elif base.value is None:
        message = "a stage cannot be compiled without its RoPE base"
        state.report("rope-unknown", message, base.span)
    elif base.value <= 1:
        state.report("wrong-value", "a RoPE base is greater than 1", base.span)
    else:
        return Rope(base.value)
    return None


def _check_all_said(state: State, draft: Draft, said: set[str]) -> None:
    for module in draft.init:
        if _is_llm(state, module) and module not in said:
            state.report(
                "rope-unsaid",
                f"stage `{draft.name}` does not say the RoPE base of `{module}`",
                draft.spec.name.span,
                f"rope: {{{module}: {{base: 50_000}}}}",
            )


def _is_llm(state: State, module: str) -> bool:
    return module in state.modules and state.modules[module].shape.kind == "llm"
