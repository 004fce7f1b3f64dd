"""RoPE as written: by module or part, its base, and what stretches it"""

from dataclasses import MISSING, fields

from curriculum.nodes import Map, Node, Scalar, Seq
from curriculum.spec import Number, RopeSpec, ScalingSpec, ScalingValue
from curriculum.spec_batch import read_seq_len
from curriculum.spec_reader import TARGET, SpecReader, meant_keys
from curriculum.words import ROPE, SCALING, SCALING_RANGES

EXAMPLES = {
    "factor": "factor: 8",
    "original": "original: 4096",
    "beta_fast": "beta_fast: 32",
    "beta_slow": "beta_slow: 1",
    "low_freq_factor": "low_freq_factor: 1",
    "high_freq_factor": "high_freq_factor: 4",
    "short": "short: [1, 1.05]",
    "long": "long: [1, 4.5]",
}
"""What to write where a key of a scaling is missing."""


def read_rope(reader: SpecReader, node: Node | None) -> dict[str, RopeSpec] | None:
    """Read RoPE by module or part; `none` is the empty mapping."""
    if node is None:
        return None
    if isinstance(node, Scalar) and node.text == "none":
        return {}
    before = len(reader.problems)
    entries = reader.mapping(node, "`rope`", "{llm: {base: {}}}")
    ropes: dict[str, RopeSpec] = {}
    for key, value in entries.entries if entries is not None else ():
        name = reader.small(key.text)
        if isinstance(value, Scalar) and value.text != "none" and _is_of_a_module(name):
            what = "`rope` is said by module"
            text = f"{name if name in ROPE else 'base'}: {value.text}"
            reader.problem("wrong-type", what, key.span, f"write {{llm: {{{text}}}}}")
        elif not TARGET.fullmatch(name):
            reader.problem("wrong-name", f"`{key.text}` is no module or part", key.span)
        elif (rope := read_rope_of(reader, name, value)) is not None:
            ropes[name] = rope
    return None if len(reader.problems) > before else ropes


def _is_of_a_module(name: str) -> bool:
    """Say whether a key of `rope` was likely meant one level below, in a module's."""
    from curriculum.other_words import OTHER_WORDS  # only mistakes need it

    return name in ROPE or not ROPE.keys().isdisjoint(OTHER_WORDS.get(name, ()))


def read_rope_of(reader: SpecReader, name: str, node: Node) -> RopeSpec | None:
    """Read the RoPE of one module or part; `none` turns nothing."""
    if isinstance(node, Scalar) and node.text == "none":
        return RopeSpec(None, None, node.span)
    entries = reader.mapping(node, "the RoPE of a module", "{base: {}}")
    if entries is None:
        return None
    reader.keys(entries, ROPE, "`rope`")
    base = None
    if (base_node := entries.get("base")) is None:
        if "base" in meant_keys((key.text for key, _ in entries.entries), ROPE):
            return None
        what = f"`rope` of {name} says no `base`"
        reader.problem("missing-key", what, entries.span, "{base: 50_000}")
    else:
        base = read_base(reader, base_node)
    scaling = None
    if (scaling_node := entries.get("scaling")) is not None:
        scaling = read_scaling(reader, scaling_node)
        if scaling is None:
            return None
    if base is None:
        return None
    span = base.span if scaling is None else entries.span
    return RopeSpec(base, scaling, span)


def read_base(reader: SpecReader, node: Node) -> Number | None:
    """Read a RoPE base; None where it is refused."""
    base = reader.number(node)
    if base is not None and base.value is not None and base.value <= 1:
        reader.problem("wrong-value", "a RoPE base is greater than 1", base.span)
        return None
    return base


def read_scaling(reader: SpecReader, node: Node) -> ScalingSpec | None:
    """Read what stretches RoPE; None where it is refused."""
    from curriculum.rope_scaling import SCALINGS

    entries = reader.mapping(node, "a RoPE scaling", "{kind: {}, factor: 8, original: 4Ki}")
    if entries is None:
        return None
    if (kind_node := entries.get("kind")) is None:
        words = f"one of {', '.join(SCALINGS)}"
        reader.problem("missing-key", "a RoPE scaling says its `kind`", entries.span, words)
        return None
    before = len(reader.problems)
    kind = reader.word(kind_node, tuple(SCALINGS))
    if kind is None:
        return None
    known = keys_of(kind.text)
    reader.keys(entries, {name: SCALING[name] for name in ("kind", *known)}, f"`{kind.text}`")
    values = {
        key.text: read
        for key, value in entries.entries
        if key.text in known and (read := read_scaling_value(reader, key.text, value)) is not None
    }
    for name, is_required in known.items():
        if is_required and entries.get(name) is None:
            help = f"{EXAMPLES[name]} ({SCALING[name].means.rstrip('.')})"
            reader.problem("missing-key", f"`{kind.text}` says no `{name}`", entries.span, help)
    return None if len(reader.problems) > before else ScalingSpec(kind, values, entries.span)


def read_scaling_value(reader: SpecReader, name: str, node: Node) -> ScalingValue | None:
    """Read one number, context or list of factors of a scaling."""
    if name == "original":
        original = read_seq_len(reader, node)
        if original is not None and original.amount.value < 2:
            reader.problem("wrong-value", "`original` is at least 2 tokens", original.span)
            return None
        return original
    if name in ("short", "long"):
        return _factors(reader, name, node)
    return _number(reader, name, node)


def keys_of(kind: str) -> dict[str, bool]:
    """Return the keys of a kind of scaling, and whether each must be said."""
    from curriculum.rope_scaling import SCALINGS

    return {
        field.name: field.default is MISSING
        for field in fields(SCALINGS[kind])
        if field.name != "seq_len"
    }


def check_rope_below(reader: SpecReader, names: tuple[str, ...], node: Node) -> None:
    """Read what a dotted key changes, by its names below `rope`, for what it says by itself."""
    match names:
        case (name,) if isinstance(node, Map):
            read_rope_of(reader, name, node)
        case (_, "base"):
            reader.number(node)
        case (_, "scaling") if isinstance(node, Map):
            read_scaling(reader, node)


def _factors(reader: SpecReader, name: str, node: Node) -> tuple[Number, ...] | None:
    if not isinstance(node, Seq) or not node.items:
        words = f"`{name}` is a list: a factor for every pair of dimensions"
        reader.problem("wrong-type", words, node.span)
        return None
    found = [_number(reader, name, item) for item in node.items]
    factors = tuple(number for number in found if number is not None)
    return factors if len(factors) == len(found) else None


def _number(reader: SpecReader, name: str, node: Node) -> Number | None:
    number = reader.number(node)
    if number is None or number.value is None:
        return number
    if not SCALING_RANGES[name].holds(number.value):
        words = f"`{name}` {SCALING_RANGES[name].words}"
        reader.problem("wrong-value", words, number.span)
        return None
    return number
