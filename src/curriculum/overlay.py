"""One mapping laid over another: whole keys replace, dotted keys reach below, null deletes

Everything here moves nodes about and keeps their spans.
"""

import re

from curriculum.errors import Diagnostic, Span, did_you_mean
from curriculum.nodes import Key, Map, Node, Scalar, Seq

_NAMED = {
    "modules": "module",
    "optimizers": "optimizer",
    "sources": "source",
    "schedules": "schedule",
    "stages": "stage",
}
"""The sections of a plan that hold names: a dotted key reaches below one that is there."""


def path_names(path: str) -> list[str]:
    """Return what a dotted path names, one below the other.

    >>> path_names("schedules.wsd[0].to")
    ['schedules', 'wsd', '[0]', 'to']
    """
    return re.sub(r"(?<=[^.])(\[[0-9]{1,9}\])", r".\1", path).split(".")


def overlaid(base: Map, overlay: Map, problems: list[Diagnostic]) -> Map:
    """Lay one mapping over another."""
    merged = base._replace(span=overlay.span)
    # Whole keys first: the order of keys means nothing, and a dotted key reaches into them.
    for key, value in sorted(overlay.entries, key=lambda entry: len(path_names(entry[0].text))):
        merged = put(merged, path_names(key.text), key, value, problems)
    return merged


def expanded(root: Map, problems: list[Diagnostic]) -> Map:
    """Let dotted keys at the top reach below, in a file that extends nothing too."""
    dotted = [entry for entry in root.entries if len(path_names(entry[0].text)) > 1]
    plain = tuple(entry for entry in root.entries if entry not in dotted)
    merged = Map(plain, root.span, root.tag)
    for key, value in dotted:
        merged = put(merged, path_names(key.text), key, value, problems)
    return merged


def put(
    node: Map,
    names: list[str],
    key: Key,
    value: Node,
    problems: list[Diagnostic],
    above: str | None = None,
) -> Map:
    """Set what a dotted path names, or delete it where the value is null.

    Where nothing is to reach into, the rest stays a dotted key; but below a section of names
    (`above`) there must be that name.
    """
    whole = ".".join(names)
    name = next(
        (".".join(names[:n]) for n in range(1, len(names)) if node.get(".".join(names[:n]))), whole
    )
    rest = names[name.count(".") + 1 :]
    if not rest and len(names) > 1 and above in _NAMED:
        what = f"there is no {_NAMED[above]} `{names[0]}`"
        known = [k.text for k, _ in node.entries]
        problems.append(Diagnostic("dotted-key", what, key.span, did_you_mean(names[0], known)))
        return node
    if rest:
        new = _put_below(node.get(name), name, rest, key, value, problems)
        if new is None:
            return node
        value = new
    elif _is_null(value) and _is_deleted_here(node, name):
        # What a stage deletes of the sibling that it extends goes with its `extends`.
        gone = [k for k, v in node.entries if k.text == name or (name == "extends" and _is_null(v))]
        return node._replace(entries=tuple(e for e in node.entries if e[0] not in gone))
    place = Key(name, _key_span(node, name, key.span) if rest else key.span)
    # A whole key replaces what a dotted key said below it, too.
    kept = tuple(
        entry
        for entry in node.entries
        if entry[0].text != name and not (not rest and entry[0].text.startswith(f"{name}."))
    )
    return node._replace(entries=(*kept, (place, value)))


def _put_below(
    below: Node | None,
    name: str,
    rest: list[str],
    key: Key,
    value: Node,
    problems: list[Diagnostic],
) -> Node | None:
    """Set what the rest of a path names below a node; None where it cannot."""
    if isinstance(below, Map):
        return put(below, rest, key, value, problems, name)
    index = re.fullmatch(r"\[([0-9]+)\]", rest[0])
    if not isinstance(below, Seq):
        what, way_out = f"`{key.text}` reaches below `{name}`, which holds no keys", None
    elif index is None:
        what, way_out = f"`{name}` is a list", f"name its item: `{name}[0].{'.'.join(rest)}`"
    elif int(index[1]) >= len(below.items):
        count = len(below.items)
        what, way_out = f"`{name}` has {count} items", f"the last one is `{name}[{count - 1}]`"
    else:
        at = int(index[1])
        item = below.items[at]
        new = _put_below(item, rest[0], rest[1:], key, value, problems) if rest[1:] else value
        if new is None:
            return None
        return below._replace(items=(*below.items[:at], new, *below.items[at + 1 :]))
    problems.append(Diagnostic("dotted-key", what, key.span, way_out))
    return None


def _is_deleted_here(node: Map, name: str) -> bool:
    """Say whether a null deletes now; in a stage that extends a sibling it waits for the copy."""
    return node.get(name) is not None and (name == "extends" or node.get("extends") is None)


def _key_span(node: Map, name: str, otherwise: Span) -> Span:
    found = node.key(name)
    return found.span if found else otherwise


def without_nothing(node: Node, problems: list[Diagnostic]) -> Node:
    """Report every value that holds nothing, and every null that deleted nothing.

    They stay, as empty words at their place, so that nobody says that the key is missing.
    """
    match node:
        case Seq():
            items = tuple(
                _told(item, "this item holds nothing", item.span, problems) for item in node.items
            )
            return Seq(items, node.span, node.tag)
        case Map():
            entries = []
            for key, value in node.entries:
                what = f"`{key.text}` holds nothing"
                if _is_null(value):
                    what = f"`{key.text}: null` deletes nothing: no plan below says it"
                entries.append((key, _told(value, what, key.span, problems)))
            return Map(tuple(entries), node.span, node.tag)
    return node


def _told(node: Node, what: str, span: Span, problems: list[Diagnostic]) -> Node:
    if _is_null(node) or (isinstance(node, Scalar) and not node.text):
        way_out = "write its value" if "null" not in what else "leave it out"
        problems.append(Diagnostic("empty-value", what, span, way_out))
        return Scalar("", span)
    return without_nothing(node, problems)


def _is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.text in ("null", "~") and node.tag is None
