"""Curves and learning rates as written, read piece by piece"""

from fractions import Fraction

from curriculum.curve import SHAPES
from curriculum.errors import ValueProblem, nearest
from curriculum.nodes import Map, Node, Scalar, Seq
from curriculum.spec import CurveSpec, PieceSpec, RideSpec, Word
from curriculum.spec_pieces import read_pieces
from curriculum.spec_reader import NAME, SpecReader
from curriculum.units import parse_number
from curriculum.words import FOLLOWS_BATCH, LR

ONE_PIECE = ("shape", "repeat", "stretch")
"""The keys by which a mapping is a piece of a curve, where it might be something else."""


def read_curve(reader: SpecReader, node: Node, percent_is_share: bool = True) -> CurveSpec | None:
    """Read a value or a list of pieces."""
    if isinstance(node, Scalar):
        if NAME.fullmatch(node.text) and (near := nearest(node.text, SHAPES)):
            way_out = f"write {{shape: {near[0]}, from: VALUE, to: VALUE}}"
            way_out = "write the value itself: `3e-4`" if near == ["constant"] else way_out
            reader.problem("wrong-value", f"`{node.text}` alone is no curve", node.span, way_out)
            return None
        number = reader.number(node)
        if number is None:
            return None
        piece = PieceSpec(Word("constant", node.span), number, None, None, False, None, node.span)
        return CurveSpec((piece,), node.span)
    items = node.items if isinstance(node, Seq) else (node,)
    if not items:
        reader.problem("wrong-value", "a curve has at least one piece", node.span)
        return None
    pieces = read_pieces(reader, items)
    return None if pieces is None else CurveSpec(tuple(pieces), node.span)


def read_ride(reader: SpecReader, node: Node) -> RideSpec | None:
    """Read how one module's LR runs: a schedule by name, a curve, or one of them at length."""
    if isinstance(node, Scalar) and _is_schedule_name(reader.small(node.text)):
        word = Word(reader.small(node.text), node.span)
        return RideSpec(word, None, False, Fraction(1), False, node.span)
    is_piece = isinstance(node, Map) and any(node.get(k) for k in (*ONE_PIECE, "from", "to"))
    if not isinstance(node, Map) or is_piece:
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
    follows = node.get("with_batch")
    with_batch = reader.word(follows, FOLLOWS_BATCH) if follows is not None else None
    how = with_batch.text if with_batch else None
    return RideSpec(schedule, curve, restart, scale, jump, node.span, how)


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
