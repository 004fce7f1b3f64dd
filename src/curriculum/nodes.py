"""The tree that a plan's text is: scalars, lists and mappings, each with its place

Nothing is read into numbers here. A scalar carries the scale of the proxy that it is read through.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple, TypeGuard

from curriculum.errors import Span


@dataclass(frozen=True, slots=True)
class Scale:
    """Factors that a proxy applies to what it takes from the plan below it."""

    tokens: Fraction = Fraction(1)
    seqs: Fraction = Fraction(1)
    seq_len: Fraction = Fraction(1)
    depth: int = 0  # how many scales these are: the values stand in the plan below the last
    places: tuple[Span, ...] = field(default=(), compare=False)  # where these are said

    def __mul__(self, other: "Scale") -> "Scale":
        return Scale(
            self.tokens * other.tokens,
            self.seqs * other.seqs,
            self.seq_len * other.seq_len,
            self.depth + other.depth,
            self.places + other.places,
        )


UNSCALED = Scale()


class Scalar(NamedTuple):
    """A word or number as it was written."""

    text: str
    span: Span
    tag: str | None = None
    scale: Scale = UNSCALED


class Seq(NamedTuple):
    """A list, in order."""

    items: "tuple[Node, ...]"
    span: Span
    tag: str | None = None


class Key(NamedTuple):
    """A key of a mapping and where it stands."""

    text: str
    span: Span


class Map(NamedTuple):
    """A mapping; the order of its entries means nothing."""

    entries: "tuple[tuple[Key, Node], ...]"
    span: Span
    tag: str | None = None

    def get(self, name: str) -> "Node | None":
        """Return the value of a key, or None."""
        return next((value for key, value in self.entries if key.text == name), None)

    def key(self, name: str) -> Key | None:
        """Return the key itself, for its span."""
        return next((key for key, _ in self.entries if key.text == name), None)


Node = Scalar | Seq | Map


def is_conflict(node: Node) -> TypeGuard[Seq]:
    """Say whether a node holds several values, of which the first is used."""
    return isinstance(node, Seq) and node.tag == "conflict" and bool(node.items)


def settled(node: Node) -> Node:
    """Return what a node says: of every conflict in it, the first of its values.

    All readers but that of provenance see nodes like this, at the places of what is used.
    """
    match node:
        case Seq() if is_conflict(node):
            return settled(node.items[0])
        case Seq():
            return Seq(tuple(map(settled, node.items)), node.span, node.tag)
        case Map():
            entries = tuple((key, settled(value)) for key, value in node.entries)
            return Map(entries, node.span, node.tag)
        case Scalar():
            return node


def scaled(node: Node, scale: Scale) -> Node:
    """Return the node with `scale` applied on top of every scalar's own."""
    match node:
        case Scalar():
            return node._replace(scale=node.scale * scale)
        case Seq():
            return node._replace(items=tuple(scaled(item, scale) for item in node.items))
        case Map():
            return node._replace(
                entries=tuple((key, scaled(value, scale)) for key, value in node.entries)
            )


def walk(node: Node, path: str = "") -> Iterator[tuple[str, Node]]:
    """Go through a node and all below it with their dotted paths, parents first."""
    yield path, node
    match node:
        case Map():
            for key, value in node.entries:
                yield from walk(value, f"{path}.{key.text}" if path else key.text)
        case Seq():
            for index, item in enumerate(node.items):
                yield from walk(item, f"{path}[{index}]")


def shown(node: Node) -> str:
    """Write a node in one line, as a person would."""
    match node:
        case Scalar():
            return node.text
        case Seq():
            return "[" + ", ".join(shown(item) for item in node.items) + "]"
        case Map():
            return (
                "{" + ", ".join(f"{key.text}: {shown(value)}" for key, value in node.entries) + "}"
            )
