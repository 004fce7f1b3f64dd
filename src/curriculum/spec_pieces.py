"""Pieces of curves as written: shapes, what is repeated, and what is left of another's piece"""

from fractions import Fraction

from curriculum.curve import SHAPES
from curriculum.errors import nearest
from curriculum.nodes import Map, Node, Scalar, Seq
from curriculum.spec import Number, PieceSpec, Quantity, Word
from curriculum.spec_reader import SpecReader, meant_keys
from curriculum.units import parse_mark
from curriculum.words import PIECE

MAX_PIECES = 10_000
"""The most pieces of a curve, with all that is repeated in it."""

MAX_POWER = 100
"""The most that the share of a power piece is raised to: beyond, floats see no difference."""


def read_pieces(reader: SpecReader, items: tuple[Node, ...]) -> list[PieceSpec] | None:
    """Read pieces in order, repeated ones as often as they come; None where one was refused."""
    found: list[PieceSpec] = []
    is_whole = True
    for item in items:
        entries = _entries(reader, item)
        if entries is None:
            is_whole = False
            continue
        told = len(reader.problems)
        reader.keys(entries, PIECE, "a piece")
        is_whole = is_whole and len(reader.problems) == told
        if entries.key("repeat") is not None:
            pieces = _repeated(reader, entries)
        else:
            piece = (
                _stretched(reader, entries) if entries.key("stretch") else _piece(reader, entries)
            )
            pieces = None if piece is None else [piece]
        is_whole = is_whole and pieces is not None
        found += pieces or []
        if len(found) > MAX_PIECES:
            what = f"this curve has more than {MAX_PIECES:,} pieces"
            reader.problem("too-many-pieces", what, item.span, "let it repeat less often")
            return None
    return found if is_whole else None


def _entries(reader: SpecReader, item: Node) -> Map | None:
    if not isinstance(item, Scalar) or not item.text:
        return reader.mapping(item, "a piece of a curve")
    near = nearest(item.text, SHAPES)
    way_out = f"write {{shape: constant, from: {item.text}}}"
    if near:
        way_out = f"write {{shape: {near[0]}, from: VALUE, to: VALUE}}"
    reader.problem("wrong-type", "a piece of a curve is a mapping", item.span, way_out)
    return None


def _repeated(reader: SpecReader, entries: Map) -> list[PieceSpec] | None:
    for key, _ in entries.entries:
        if key.text not in ("repeat", "times") and key.text in PIECE:
            reader.problem(
                "wrong-value", f"what repeats pieces has no `{key.text}` of its own", key.span
            )
            return None
    inside, times_node = entries.get("repeat"), entries.get("times")
    if not isinstance(inside, Seq) or not inside.items:
        span = inside.span if inside else entries.span
        reader.problem("wrong-type", "`repeat` holds a list of pieces", span)
        return None
    if times_node is None:
        reader.problem(
            "missing-key", "`repeat` says how many `times`", entries.span, "add `times: 20`"
        )
        return None
    pieces, times = read_pieces(reader, inside.items), reader.integer(times_node)
    if pieces is None or times is None:
        return None
    if times < 1:
        reader.problem("wrong-value", "pieces come once at least", times_node.span)
        return None
    for piece in pieces:
        if piece.is_until or piece.length is None or piece.stretch is not None:
            reader.problem(
                "wrong-value",
                "a piece that comes again has a length of its own: `for` some tokens or steps",
                piece.length.span if piece.length else piece.span,
                "write `for: 9000 steps`",
            )
            return None
    return pieces * min(times, MAX_PIECES // len(pieces) + 1)


def _stretched(reader: SpecReader, entries: Map) -> PieceSpec | None:
    node = entries.get("stretch")
    assert node is not None
    before = len(reader.problems)
    schedule = reader.word(node)
    for key, _ in entries.entries:
        if key.text not in ("stretch", "for", "until") and key.text in PIECE:
            reader.problem(
                "wrong-value",
                f"what is left of another schedule's piece reads no `{key.text}`",
                key.span,
                "leave it out: its values are that piece's",
            )
    size = read_length(reader, entries)
    if len(reader.problems) > before or schedule is None:
        return None
    is_until = entries.key("until") is not None
    shape = Word("stretch", schedule.span)
    return PieceSpec(shape, None, None, size, is_until, None, entries.span, stretch=schedule)


def _piece(reader: SpecReader, entries: Map) -> PieceSpec | None:
    shape_node = entries.get("shape")
    if shape_node is None and "shape" in meant_keys((k.text for k, _ in entries.entries), PIECE):
        return None
    if shape_node is None:
        words = f"one of {', '.join(SHAPES)}"
        reader.problem("missing-key", "a piece says its `shape`", entries.span, words)
        return None
    before = len(reader.problems)
    shape = reader.word(shape_node, SHAPES)
    start = _start(reader, entries.get("from"))
    end = reader.number(node_to) if (node_to := entries.get("to")) is not None else None
    size = read_length(reader, entries)
    knob_node = entries.get("half_life") or entries.get("timescale")
    knob = reader.quantity(knob_node, units=("tokens", "steps")) if knob_node else None
    if knob is not None and knob.amount.value <= 0:
        reader.problem("wrong-value", "this length is more than nothing", knob.span)
    power = _power(reader, shape.text if shape else "", entries)
    if shape is not None:
        _fits(reader, shape.text, entries)
    if len(reader.problems) > before or shape is None:
        return None
    is_until = entries.key("until") is not None
    return PieceSpec(shape, start, end, size, is_until, knob, entries.span, power)


def _power(reader: SpecReader, shape: str, entries: Map) -> Fraction | None:
    node = entries.get("power")
    if shape == "power" and node is None:
        reader.problem(
            "missing-key", "a power piece says its `power`", entries.span, "add `power: 2`"
        )
    number = reader.number(node) if node is not None else None
    if number is not None and (number.value is None or not 0 < number.value <= MAX_POWER):
        reader.problem("wrong-value", f"a power lies in 0..{MAX_POWER}, 0 left out", number.span)
    return number.value if number is not None else None


def _start(reader: SpecReader, node: Node | None) -> Number | Word | None:
    if node is None:
        return None
    if isinstance(node, Scalar) and node.text == "current":
        return Word("current", node.span)
    if isinstance(node, Scalar) and nearest(node.text, ["current"]):
        what = f"`{node.text}` is not a number"
        reader.problem("wrong-value", what, node.span, "did you mean `current`?")
        return None
    return reader.number(node)


def read_length(reader: SpecReader, entries: Map) -> Quantity | None:
    """Read how long a piece is; None where it is open."""
    length, until = entries.get("for"), entries.get("until")
    if length is not None and until is not None:
        reader.problem("wrong-value", "a piece has `for` or `until`, not both", entries.span)
    size = None
    if length is not None:
        size = reader.quantity(length, units=("tokens", "steps", "share"))
    elif until is not None:
        size = reader.quantity(until, parse_mark, units=("tokens", "steps", "share"))
    if size is not None and size.amount.unit == "share" and size.amount.value > 1:
        reader.problem(
            "wrong-value", f"a piece takes at most 100 % of its curve, not {size.amount}", size.span
        )
    return size


def _fits(reader: SpecReader, shape: str, entries: Map) -> None:
    """Note what a shape does not read: nothing that was said goes unread."""
    no_to = shape == "rsqrt" or (shape == "exponential" and entries.key("half_life"))
    unread = {
        "timescale": shape != "rsqrt",
        "half_life": shape != "exponential",
        "to": bool(no_to),
        "power": shape != "power",
        "times": True,
    }
    for name, is_unread in unread.items():
        if is_unread and (key := entries.key(name)) is not None:
            reader.problem("wrong-value", f"this {shape} piece reads no `{name}`", key.span)
