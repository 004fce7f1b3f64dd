"""Mixtures as written: sources and groups with their ratios, replays, and lists by size"""

from typing import Literal

from curriculum.nodes import Map, Node, Scalar, Seq, shown
from curriculum.spec import CurveSpec, MixSpec, NodeSpec, Word
from curriculum.spec_curve import read_curve
from curriculum.spec_reader import SpecReader
from curriculum.words import GROUP


def read_mixture(reader: SpecReader, node: Node) -> MixSpec | None:
    """Read a mixture, or what shares the tokens of a group."""
    if isinstance(node, Seq):
        if not node.items:
            reader.problem("wrong-value", "a mixture names at least one source", node.span)
        if any(isinstance(item, Map) for item in node.items):
            said = ", ".join(shown(item).strip("{}") for item in node.items)
            way_out = f"write {{{said}}}"
            reader.problem("wrong-type", "a mixture is a mapping", node.span, way_out)
            return None
        return MixSpec((), None, (), reader.words(node), node.span)
    entries = reader.mapping(node, "a mixture")
    if entries is None:
        return None
    replay = entries.get("replay")
    if replay is not None:
        return _replay(reader, entries, replay)
    before = len(reader.problems)
    nodes = [_node(reader, name, value) for name, value in reader.named(entries, "a mixture")]
    if not entries.entries:
        reader.problem("wrong-value", "a mixture names at least one source", entries.span)
    if len(reader.problems) > before:
        return None
    return MixSpec(tuple(n for n in nodes if n is not None), None, (), (), entries.span)


def _replay(reader: SpecReader, entries: Map, node: Node) -> MixSpec | None:
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
    point = reader.point_of(Word(head, word.span), node)
    return None if point is None else MixSpec((), point, tuple(path), (), entries.span)


def _node(reader: SpecReader, name: Word, node: Node) -> NodeSpec | None:
    if not isinstance(node, Map) or node.get("shape") is not None:
        ratio = read_ratio(reader, node)
        return None if ratio is False else NodeSpec(name, ratio, None)
    reader.keys(node, GROUP, "a group")
    ratio_node, of_node = node.get("ratio"), node.get("of")
    if ratio_node is None:
        reader.problem(
            "missing-key",
            f"group `{name.text}` says no `ratio`",
            name.span,
            "a number, `rest` or pieces",
        )
        return None
    ratio = read_ratio(reader, ratio_node)
    of = read_mixture(reader, of_node) if of_node is not None else None
    return None if ratio is False else NodeSpec(name, ratio, of)


def read_ratio(reader: SpecReader, node: Node) -> CurveSpec | Literal[False] | None:
    """Return the curve, None for `rest`, False where it could not be read."""
    if isinstance(node, Scalar) and node.text == "rest":
        return None
    curve = read_curve(reader, node)
    return False if curve is None else curve
