"""A ramp of the batch, and the layout that batches must fit, as written"""

from collections.abc import Mapping

from curriculum.nodes import UNSCALED, Map, Node, Scalar
from curriculum.spec import LayoutSpec, Quantity, RampSpec, Word
from curriculum.spec_reader import SpecReader
from curriculum.words import LAYOUT, RAMP

SIZE_UNITS: Mapping[str, tuple[str, ...]] = {"seqs": ("tokens", "seqs"), "tokens": ("tokens",)}
"""The units in which a size may be written; a bare number is read as tokens."""


def read_ramp(reader: SpecReader, entries: Map, unit: str) -> RampSpec | None:
    """Read `{from, to, shape: linear, multiple_of}` or `{from, to, by}`; None where refused."""
    before = len(reader.problems)
    reader.keys(entries, RAMP, "a ramp")
    end, level = entries.get("to"), _level(reader, entries, unit)
    if end is None:
        reader.problem("missing-key", "a ramp says where it goes `to`", entries.span, "to: 4096")
    sizes = {
        key: reader.quantity(node, units=SIZE_UNITS[unit])
        for key, node in (("to", end), ("level", level))
        if node is not None
    }
    start = _start(reader, entries.get("from"), unit)
    for size in (start, *sizes.values()):
        if isinstance(size, Quantity) and size.amount.value < 1:
            reader.problem("wrong-value", "a size of the batch is 1 or more", size.span)
    end_size, level_size = sizes.get("to"), sizes.get("level")
    if len(reader.problems) > before or end_size is None or level_size is None:
        return None
    return RampSpec(start, end_size, level_size, entries.get("by") is None, entries.span)


def _level(reader: SpecReader, entries: Map, unit: str) -> Node | None:
    """Return what says the size of the levels; a ramp has one of two ways to say it."""
    by, multiple, shape = (entries.get(key) for key in ("by", "multiple_of", "shape"))
    if shape is not None and reader.word(shape, ("linear",)) is None:
        return None
    if by is not None and multiple is None and shape is None:
        return by
    if by is None and multiple is not None and shape is not None:
        return multiple
    by_words, level = ("by: 16", "multiple_of: 768")
    if unit == "tokens":
        by_words, level = ("by: 1Mi", "multiple_of: 3Mi")
    what = "this ramp does not say in which steps it goes"
    way_out = f"add `{by_words}` for equal increments, or `shape: linear, {level}`"
    if by is not None:
        what = "`by` says all of how a ramp goes"
        way_out = "keep `by`, or `shape: linear` with `multiple_of`"
    elif shape is not None:
        what = "a linear ramp says what its sizes are a `multiple_of`"
        way_out = f"add `{level}`"
    elif multiple is not None:
        what, way_out = "a ramp with `multiple_of` says its `shape`", "add `shape: linear`"
    reader.problem("wrong-value", what, entries.span, way_out)
    return None


def _start(reader: SpecReader, node: Node | None, unit: str) -> Quantity | Word | None:
    if node is None:
        return None
    if isinstance(node, Scalar) and node.text == "current":
        return Word("current", node.span)
    return reader.quantity(node, units=SIZE_UNITS[unit])


def read_layout(reader: SpecReader, node: Node) -> LayoutSpec | None:
    """Read the ranks and micro-batches of a stage, or `none`; None where that is refused."""
    if isinstance(node, Scalar) and node.text == "none":
        return LayoutSpec({}, UNSCALED, node.span)
    before = len(reader.problems)
    entries = reader.mapping(node, "`layout`", "{dp: {}, micro: 1}")
    if entries is None:
        return None
    reader.keys(entries, LAYOUT, "`layout`")
    numbers: dict[str, int] = {}
    scale = UNSCALED
    for key, value in entries.entries:
        if isinstance(value, Scalar) and value.scale.depth > scale.depth:
            scale = value.scale
        if key.text == "accumulation" and isinstance(value, Scalar) and value.text == "varies":
            continue
        number = reader.integer(value) if key.text in LAYOUT else None
        if number == 0:
            reader.problem("wrong-value", f"`{key.text}` is 1 or more", value.span)
        elif number is not None:
            numbers[key.text] = number
    for name in ("dp", "micro"):
        if entries.get(name) is None:
            what = f"a layout says `{name}`"
            reader.problem("missing-key", what, entries.span, "layout: {dp: 192, micro: 3}")
    if len(reader.problems) > before:
        return None
    return LayoutSpec(numbers, scale, entries.span)
