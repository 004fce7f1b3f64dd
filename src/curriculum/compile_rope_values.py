"""The RoPE of one module or part: said whole, or one thing of what is kept changed"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from curriculum.compile_lifecycle import shape_in
from curriculum.compile_state import Draft, State
from curriculum.errors import Span, ValueProblem, nearest
from curriculum.models.shapes import Shape
from curriculum.nodes import Key, Map, Node, Scalar
from curriculum.rope import Rope
from curriculum.spec import Quantity, RopeSpec, ScalingSpec, ScalingValue
from curriculum.spec_reader import SpecReader
from curriculum.spec_rope import (
    keys_of,
    read_base,
    read_rope_of,
    read_scaling,
    read_scaling_value,
)
from curriculum.units import decimal_words

if TYPE_CHECKING:
    from curriculum.rope_scaling import Scaling

EXAMPLE = "rope.llm.base, rope.llm.scaling or rope.llm.scaling.factor"


def rope_said(state: State, draft: Draft, name: str, spec: RopeSpec) -> Rope | None:
    """Return the RoPE that a stage says of a module or part; None where it was refused."""
    return rope_of(state, spec) if _turns(state, draft, name, spec.span) else None


def rope_of(state: State, spec: RopeSpec) -> Rope | None:
    """Return a RoPE as it is written; None where it was refused."""
    if spec.base is None:
        return Rope(None)
    base = _value(state, spec.base)
    if spec.scaling is None or base is None:
        return None if base is None else Rope(base)
    scaling = _scaling(state, spec.scaling)
    return None if scaling is None else Rope(base, scaling)


def _turns(state: State, draft: Draft, name: str, span: Span) -> bool:
    """Say whether a stage may set the RoPE of a module or part, and report where it may not."""
    module, _, part = name.partition("/")
    shape = llm_shape(state, draft, module)
    if module not in draft.init:
        message = f"stage `{draft.name}` has no module `{module}`"
        near = nearest(module, draft.init)
        way_out = f"leave its RoPE out, or bring `{module}` in by `init`"
        way_out = f"did you mean `{near[0]}`?" if near else way_out
    elif module in state.modules and shape is None:
        message = f"the RoPE of `{module}` belongs to its preset"
        way_out = f"leave `{name}` out: `rope` is of a language model"
    elif shape is not None and part and part not in shape.rope_parts():
        known = ", ".join(f"{module}/{part}" for part in shape.rope_parts())
        message = f"`{module}` has no part `{part}` with a RoPE of its own"
        way_out = f"there is {known}" if known else f"say it of `{module}`, all of its layers"
    else:
        return True
    state.report("rope-of-absent", message, span, way_out)
    return False


def _scaling(state: State, spec: ScalingSpec) -> "Scaling | None":
    from curriculum.rope_scaling import SCALINGS

    values = {name: _value(state, value) for name, value in spec.values.items()}
    if None in values.values():
        return None
    return _made(state, SCALINGS[spec.kind.text], values, spec.span)


def _made(
    state: State, leaf: "type[Scaling]", values: dict[str, Any], span: Span
) -> "Scaling | None":
    try:
        return leaf(**values)
    except ValueProblem as problem:
        state.report("wrong-value", str(problem), span, problem.help)
        return None


def _value(state: State, said: ScalingValue) -> Any:
    """Return what a scaling holds; None where it was refused."""
    if isinstance(said, Quantity):
        return whole_context(state, said)
    if isinstance(said, tuple):
        numbers = tuple(_value(state, number) for number in said)
        return None if None in numbers else numbers
    if said.value is None:
        message = "a stage cannot be compiled without its RoPE"
        state.report("rope-unknown", message, said.span)
    return said.value


def whole_context(state: State, said: Quantity) -> int | None:
    """Return a context through the proxy's scale; None where that is no whole number."""
    value = said.amount.value * said.scale.seq_len
    if value.denominator == 1 and value >= 2:
        state.became(said, decimal_words(value))
        return int(value)
    words = f"{decimal_words(value)} tokens of context are not a whole number, at least 2"
    state.report("not-whole", words, said.span, "choose another factor of `seq_len`")
    return None


def module_of(name: str) -> str:
    """Return the module of a module or part."""
    return name.partition("/")[0]


def llm_shape(state: State, draft: Draft, module: str) -> Shape | None:
    """Return the shape that a language model has in a stage; None where it is none, or unknown."""
    sizes = draft.lifecycle.sizes
    shape = shape_in(state, module, sizes) if module in state.modules else None
    return shape if shape is not None and shape.kind == "llm" else None


# Dotted keys


def rope_changed(
    state: State,
    draft: Draft,
    known: dict[str, Rope | None],
    names: tuple[str, ...],
    key: Key,
    node: Node,
) -> tuple[str, Rope | None] | None:
    """Change one thing of what is kept; None where the key reaches nothing."""
    reader, name = SpecReader(state.problems), names[0]
    is_none = isinstance(node, Scalar) and node.text == "none"
    if len(names) == 1 and (is_none or isinstance(node, Map)):
        spec = read_rope_of(reader, name, node)
        return name, None if spec is None else rope_said(state, draft, name, spec)
    module = module_of(name)
    if name not in known and (module not in known or not _is_part(state, draft, name)):
        report_unreached(state, key)
        return None
    rope = known.get(name, known.get(module))
    if rope is None:
        return name, None  # was refused where it was said
    match names[1:]:
        case ("base",):
            base = read_base(reader, node)
            number = None if base is None else _value(state, base)
            return name, None if number is None else replace(rope, base=number)
        case ("scaling",) if is_none and rope.scaling is not None:
            return name, replace(rope, scaling=None)
        case ("scaling",) if isinstance(node, Map) and rope.base is not None:
            spec_of_scaling = read_scaling(reader, node)
            scaling = None if spec_of_scaling is None else _scaling(state, spec_of_scaling)
            return name, None if scaling is None else replace(rope, scaling=scaling)
        case ("scaling", word) if rope.scaling and word in keys_of(rope.scaling.kind):
            said = read_scaling_value(reader, word, node)
            value = None if said is None else _value(state, said)
            return name, None if value is None else _with(state, rope, word, value, key.span)
    report_unreached(state, key)
    return None


def _with(state: State, rope: Rope, word: str, value: object, span: Span) -> Rope | None:
    scaling = rope.scaling
    assert scaling is not None
    names = [*keys_of(scaling.kind), word]
    values = {name: getattr(scaling, name) for name in names} | {word: value}
    made = _made(state, type(scaling), values, span)
    return None if made is None else replace(rope, scaling=made)


def report_unreached(state: State, key: Key) -> None:
    """Tell of a dotted key below `rope` that names nothing."""
    message = f"`{key.text}` reaches nothing that is kept"
    state.report("dotted-key", message, key.span, EXAMPLE)


def _is_part(state: State, draft: Draft, name: str) -> bool:
    module, _, part = name.partition("/")
    shape = llm_shape(state, draft, module)
    return shape is not None and part in shape.rope_parts()
