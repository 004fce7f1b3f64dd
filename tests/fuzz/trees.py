"""Trees of YAML for the fuzzer: read from a plan's text, changed at a place, and written again

A mapping is a tuple of pairs, so that a key may come twice, and a scalar is the text of its value.
"""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import yaml

MOST_IN_A_LINE = 4  # levels below here are written in brackets


class Leaf(NamedTuple):
    """A scalar: its text, and its tag or ""."""

    text: str
    tag: str = ""


class Many(NamedTuple):
    """A list."""

    items: "tuple[Tree, ...]"
    tag: str = ""


class Table(NamedTuple):
    """A mapping, in the order of its text."""

    entries: "tuple[tuple[str, Tree], ...]"
    tag: str = ""


Tree = Leaf | Many | Table
Path = tuple[int, ...]
"""Where a tree lies in another: the number of the entry or item, level by level."""

_BARE = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_./%@+^-]*( [A-Za-z0-9_./%@+^-]+)*")


def tree_of(text: str) -> Tree:
    """Read a text that is good YAML; tags stay, comments go."""
    return _tree(yaml.compose(text, Loader=yaml.CSafeLoader))


def _tree(node: yaml.Node | None) -> Tree:
    assert node is not None
    tag = node.tag if node.tag.startswith("!") else ""
    if isinstance(node, yaml.MappingNode):
        return Table(tuple((key.value, _tree(value)) for key, value in node.value), tag)
    if isinstance(node, yaml.SequenceNode):
        return Many(tuple(map(_tree, node.value)), tag)
    return Leaf(node.value, tag)


def children(tree: Tree) -> tuple[Tree, ...]:
    """Return what a tree holds, in order."""
    match tree:
        case Table(entries):
            return tuple(value for _, value in entries)
        case Many(items):
            return items
        case Leaf():
            return ()


def walk(tree: Tree, path: Path = ()) -> Iterator[tuple[Path, Tree]]:
    """Go through a tree and all that it holds, parents first."""
    yield path, tree
    for at, child in enumerate(children(tree)):
        yield from walk(child, (*path, at))


def changed(tree: Tree, path: Path, change: Callable[[Tree], Tree]) -> Tree:
    """Return the tree with what lies at a path changed."""
    if not path:
        return change(tree)
    at, rest = path[0], path[1:]
    match tree:
        case Table(entries):
            key, value = entries[at]
            return tree._replace(
                entries=(*entries[:at], (key, changed(value, rest, change)), *entries[at + 1 :])
            )
        case Many(items):
            child = changed(items[at], rest, change)
            return tree._replace(items=(*items[:at], child, *items[at + 1 :]))
        case Leaf():
            raise AssertionError("a scalar holds nothing")


def dotted(tree: Tree, path: Path) -> str:
    """Return the name of a place as `--set` and overlays write it: `stages.a.lr[0].to`."""
    words = ""
    for at in path:
        if isinstance(tree, Table):
            words += f".{tree.entries[at][0]}"
        else:
            words += f"[{at}]"
        tree = children(tree)[at]
    return words.removeprefix(".")


def written(tree: Tree) -> str:
    """Write a tree as a YAML text, the first levels in lines and the others in brackets."""
    if not isinstance(tree, Table) or not tree.entries:
        return f"{flow(tree)}\n"
    return "".join(f"{line}\n" for line in _lines(tree, 0))


def _lines(table: Table, depth: int) -> Iterator[str]:
    for key, value in table.entries:
        begin = f"{'  ' * depth}{_word(key)}:"
        if isinstance(value, Table) and value.entries and depth + 1 < MOST_IN_A_LINE:
            yield f"{begin} {value.tag}".rstrip()
            yield from _lines(value, depth + 1)
        else:
            yield f"{begin} {flow(value)}"


def flow(tree: Tree) -> str:
    """Write a tree in one line."""
    match tree:
        case Table(entries):
            inner = ", ".join(f"{_word(key)}: {flow(value)}" for key, value in entries)
            return f"{tree.tag} {{{inner}}}".lstrip()
        case Many(items):
            return f"{tree.tag} [{', '.join(map(flow, items))}]".lstrip()
        case Leaf(text):
            return f"{tree.tag} {_word(text)}".lstrip()


def _word(text: str) -> str:
    if _BARE.fullmatch(text):
        return text
    quoted = "".join(c if " " <= c <= "~" and c not in '"\\' else f"\\U{ord(c):08x}" for c in text)
    return f'"{quoted}"'
