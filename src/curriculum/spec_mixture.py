"""Mixtures as written: sources and groups with ratios or amounts, replays, lists by size, pieces"""

import itertools
from typing import Literal

from curriculum.nodes import Map, Node, Scalar, Seq, shown
from curriculum.spec import (
    CurveSpec,
    MeasureSpec,
    MixPieceSpec,
    MixSpec,
    NodeSpec,
    Quantity,
    Word,
)
from curriculum.spec_curve import read_curve
from curriculum.spec_pieces import read_length
from curriculum.spec_reader import SpecReader
from curriculum.words import GROUP, MEASURES, MIX_PIECE, SIZES

PREVIOUS = "previous"
"""Stands, inside a piece, for the mixture of the piece before; in the first, for what is kept."""


def read_mixture(reader: SpecReader, node: Node) -> MixSpec | None:
    """Read the mixture of a stage: a tree, or pieces of trees."""
    if isinstance(node, Seq) and any(_is_piece(item) for item in node.items):
        return _pieces(reader, node)
    return _tree(reader, node)


def _is_piece(node: Node) -> bool:
    return isinstance(node, Map) and (node.key("of") or node.key("shape")) is not None


def _pieces(reader: SpecReader, node: Seq) -> MixSpec | None:
    before = len(reader.problems)
    pieces = [_piece(reader, item) for item in node.items]
    if len(reader.problems) > before:
        return None
    known = tuple(piece for piece in pieces if piece is not None)
    for piece, after in itertools.zip_longest(known, known[1:]):
        if piece.of is None and (after is None or after.of is None):
            reader.problem(
                "mixture-piece",
                "a piece with a `shape` goes over from a mixture before it to one after it",
                piece.span,
                "put a piece with `of` behind it",
            )
            return None
    if all(piece.length is not None for piece in known):
        reader.problem(
            "mixture-piece",
            "the pieces of a mixture fill the stage, and all of these say where they end",
            known[-1].span,
            "leave out the `until` of the last",
        )
        return None
    return MixSpec((), None, (), (), node.span, pieces=known)


def _piece(reader: SpecReader, node: Node) -> MixPieceSpec | None:
    entries = reader.mapping(node, "a piece of a mixture")
    if entries is None:
        return None
    reader.keys(entries, MIX_PIECE, "a piece of a mixture")
    of_node, shape_node = entries.get("of"), entries.get("shape")
    if (of_node is None) == (shape_node is None):
        reader.problem(
            "mixture-piece",
            "a piece of a mixture says `of` or a `shape`",
            entries.span,
            "{of: MIXTURE, until: 80%}, or {shape: linear, for: 2000 steps} between two of them",
        )
        return None
    before = len(reader.problems)
    of = None
    if shape_node is not None:
        reader.word(shape_node, ("linear",))
    elif of_node is not None:
        of = _tree(reader, of_node, in_piece=True)
    length = read_length(reader, entries)
    if len(reader.problems) > before:
        return None
    return MixPieceSpec(of, length, entries.key("until") is not None, entries.span)


def _tree(reader: SpecReader, node: Node, in_piece: bool = False) -> MixSpec | None:
    """Read what shares some tokens; in a piece it may name the mixture before."""
    if isinstance(node, Seq):
        return _by_size(reader, node)
    if in_piece and isinstance(node, Scalar) and node.text == PREVIOUS:
        return MixSpec((), None, (), (), node.span, previous=True)
    entries = reader.mapping(node, "a mixture", "{{}: 1}")
    if entries is None:
        return None
    replay = entries.get("replay")
    if replay is not None:
        return _replay(reader, entries, replay, in_piece)
    before = len(reader.problems)
    switch = _switch(entries)
    nodes = [
        _node(reader, name, value, in_piece)
        for name, value in reader.named(entries, "a mixture")
        if switch is None or name.text != "normalize"
    ]
    if not nodes:
        reader.problem("wrong-value", "a mixture names at least one source", entries.span)
    if len(reader.problems) > before:
        return None
    normalize = switch.span if switch is not None and switch.text == "true" else None
    known = tuple(n for n in nodes if n is not None)
    return MixSpec(known, None, (), (), entries.span, normalize=normalize)


def _switch(entries: Map) -> Scalar | None:
    """Return the `normalize` of a mixture; a source of that name has a number."""
    node = entries.get("normalize")
    return node if isinstance(node, Scalar) and node.text in ("true", "false") else None


def _by_size(reader: SpecReader, node: Seq) -> MixSpec | None:
    if not node.items:
        reader.problem("wrong-value", "a mixture names at least one source", node.span)
    if any(_is_piece(item) for item in node.items):
        reader.problem(
            "mixture-piece",
            "pieces are of a whole mixture, not of a group",
            node.span,
            "let the mixture of the stage be the pieces, or the ratio of the group a curve",
        )
        return None
    if any(isinstance(item, Map) for item in node.items):
        said = ", ".join(shown(item).strip("{}") for item in node.items)
        way_out = f"write {{{said}}}"
        reader.problem("wrong-type", "a mixture is a mapping", node.span, way_out)
        return None
    return MixSpec((), None, (), reader.words(node), node.span)


def _replay(reader: SpecReader, entries: Map, node: Node, in_piece: bool) -> MixSpec | None:
    """Read `stage`, `stage@mark`, or one of these with a path below it: `stage/group`."""
    for key, _ in entries.entries:
        if key.text != "replay":
            reader.problem(
                "wrong-value",
                "a `replay` stands alone in its group",
                key.span,
                "give it a group of its own: {old: {ratio: rest, of: {replay: STAGE}}}",
            )
    word = reader.word(node)
    if word is None:
        return None
    head, *path = word.text.split("/")
    if in_piece and head == PREVIOUS:
        return MixSpec((), None, tuple(path), (), node.span, previous=True)
    point = reader.point_of(Word(head, word.span), node)
    return None if point is None else MixSpec((), point, tuple(path), (), entries.span)


def _node(reader: SpecReader, name: Word, node: Node, in_piece: bool) -> NodeSpec | None:
    if not isinstance(node, Map) or node.get("shape") is not None:
        ratio = read_ratio(reader, node)
        return None if ratio is False else NodeSpec(name, ratio, None)
    reader.keys(node, GROUP, "a group")
    said = [key for key in ("ratio", *MEASURES) if node.get(key) is not None]
    if not said:
        reader.problem(
            "missing-key",
            f"group `{name.text}` says no `ratio`",
            name.span,
            f"a number, `rest` or pieces; or one of {', '.join(MEASURES)}",
        )
        return None
    if len(said) > 1:
        reader.problem(
            "one-measure",
            f"`{name.text}` says {' and '.join(f'`{key}`' for key in said)}: one of them is how "
            "much it reads",
            node.span,
            "keep one of them",
        )
        return None
    of_node = node.get("of")
    of = _tree(reader, of_node, in_piece) if of_node is not None else None
    of = _normalized(reader, node, of)
    tags = reader.tags(node.get("tags"))
    at_most = _at_most(reader, name, node, said[0])
    if (ratio_node := node.get("ratio")) is not None:
        ratio = read_ratio(reader, ratio_node)
        return None if ratio is False else NodeSpec(name, ratio, of, tags=tags)
    value = node.get(said[0])
    assert value is not None
    measure = _measure(reader, said[0], value)
    if measure is None:
        return None
    return NodeSpec(name, None, of, measure._replace(at_most=at_most), tags)


def _at_most(reader: SpecReader, name: Word, group: Map, said: str) -> Quantity | None:
    """Read what a size counts as at most; None where that is not said, or refused."""
    node = group.get("at_most")
    if node is None:
        return None
    if said not in SIZES:
        reader.problem(
            "one-measure",
            f"`{name.text}` says `{said}`: `at_most` is about the size that `size` and `sqrt_size` "
            "count",
            node.span,
            "leave it out; what all stages may read of a source is its `max_epochs`",
        )
        return None
    quantity = reader.quantity(node, units=("tokens",))
    if quantity is not None and quantity.amount.value == 0:
        reader.problem("wrong-value", "`at_most` is more than nothing", node.span)
    return quantity


def _normalized(reader: SpecReader, group: Map, of: MixSpec | None) -> MixSpec | None:
    node = group.get("normalize")
    if node is None or not reader.boolean(node):
        return of
    if of is None or not of.nodes:
        reader.problem(
            "normalize",
            "`normalize` divides written ratios by their sum, and `of` writes none here",
            node.span,
            "leave it out",
        )
        return None
    return of._replace(normalize=node.span)


def _measure(reader: SpecReader, kind: str, node: Node) -> MeasureSpec | None:
    if kind == "tokens":
        quantity = reader.quantity(node, units=("tokens",))
        if quantity is None:
            return None
        tokens = quantity.amount.value * quantity.scale.tokens
        return MeasureSpec(kind, tokens, node.span, amount=quantity)
    number = reader.number(node)
    if number is None:
        return None
    value = number.value
    if value is None or value < 0 or (value == 0 and kind != "epochs"):
        reader.problem(
            "wrong-value",
            f"`{kind}` is a number {'from 0 on' if kind == 'epochs' else 'above 0'}",
            node.span,
        )
        return None
    return MeasureSpec(kind, value, node.span)


def read_ratio(reader: SpecReader, node: Node) -> CurveSpec | Literal[False] | None:
    """Return the curve, None for `rest`, False where it could not be read."""
    if isinstance(node, Scalar) and node.text == "rest":
        return None
    curve = read_curve(reader, node)
    return False if curve is None else curve
