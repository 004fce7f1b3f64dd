"""Curves and learning rates as written, read piece by piece"""

from fractions import Fraction

from curriculum.curve import SHAPES
from curriculum.errors import ValueProblem
from curriculum.nodes import Map, Node, Scalar, Seq
from curriculum.spec import CurveSpec, Number, PieceSpec, Quantity, RideSpec, Word
from curriculum.spec_reader import NAME, SpecReader
from curriculum.units import parse_mark, parse_number
from curriculum.words import LR, PIECE


def read_curve(reader: SpecReader, node: Node, percent_is_share: bool = True) -> CurveSpec | None:
    """Read a value or a list of pieces."""
    if isinstance(node, Scalar) or node.tag == "conflict":
        number = reader.number(node)
        if number is None:
            return None
        piece = PieceSpec(Word("constant", node.span), number, None, None, False, None, node.span)
        return CurveSpec((piece,), node.span)
    items = node.items if isinstance(node, Seq) else (node,)
    if not items:
        reader.problem("wrong-value", "a curve has at least one piece", node.span)
        return None
    pieces = [_piece(reader, item) for item in items]
    known = tuple(piece for piece in pieces if piece is not None)
    return CurveSpec(known, node.span) if len(known) == len(pieces) else None


def _piece(reader: SpecReader, node: Node) -> PieceSpec | None:
    entries = reader.mapping(node, "a piece of a curve")
    if entries is None:
        return None
    reader.keys(entries, PIECE, "a piece")
    shape_node = entries.get("shape")
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
    if shape is not None:
        _fits(reader, shape.text, entries)
    if len(reader.problems) > before or shape is None:
        return None
    is_until = entries.key("until") is not None
    return PieceSpec(shape, start, end, size, is_until, knob, entries.span)


def _start(reader: SpecReader, node: Node | None) -> Number | Word | None:
    if node is None:
        return None
    if isinstance(node, Scalar) and node.text == "current":
        return Word("current", node.span)
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
    }
    for name, is_unread in unread.items():
        if is_unread and (key := entries.key(name)) is not None:
            reader.problem("wrong-value", f"this {shape} piece reads no `{name}`", key.span)


def read_ride(reader: SpecReader, node: Node) -> RideSpec | None:
    """Read how one module's LR runs: a schedule by name, a curve, or one of them at length."""
    if isinstance(node, Scalar) and _is_schedule_name(reader.small(node.text)):
        word = Word(reader.small(node.text), node.span)
        return RideSpec(word, None, False, Fraction(1), False, node.span)
    if not isinstance(node, Map) or node.get("shape") is not None:
        curve = read_curve(reader, node)
        if curve is None:
            return None
        return RideSpec(None, curve, False, Fraction(1), False, node.span)
    reader.keys(node, LR, "`lr`")
    schedule = reader.word(value) if (value := node.get("schedule")) is not None else None
    curve = read_curve(reader, value) if (value := node.get("curve")) is not None else None
    if (schedule is None) == (curve is None):
        reader.problem("wrong-value", "`lr` names a `schedule` or holds a `curve`", node.span)
        return None
    scale = _factor(reader, value) if (value := node.get("scale")) is not None else Fraction(1)
    restart, jump = (
        value is not None and reader.boolean(value)
        for value in (node.get("restart"), node.get("jump"))
    )
    return RideSpec(schedule, curve, restart, scale, jump, node.span)


def _factor(reader: SpecReader, node: Node) -> Fraction:
    number = reader.number(node)
    if number is None:
        return Fraction(1)
    if number.value is None:
        reader.problem("wrong-value", "a scale is a number: let the curve be unknown", node.span)
        return Fraction(1)
    return number.value


def _is_schedule_name(text: str) -> bool:
    if text == "unknown" or not NAME.fullmatch(text):
        return False
    try:
        parse_number(text)
    except ValueProblem:
        return True
    return False
