"""One mapping laid over another: whole keys replace, dotted keys reach below, null deletes

Everything here moves nodes about and keeps their spans.
"""

from dataclasses import replace

from curriculum.errors import Diagnostic, Span
from curriculum.nodes import Key, Map, Node, Scalar


def overlaid(base: Map, overlay: Map, problems: list[Diagnostic]) -> Map:
    """Lay one mapping over another."""
    merged = replace(base, span=overlay.span)
    # Whole keys first: the order of keys means nothing, and a dotted key reaches into them.
    for key, value in sorted(overlay.entries, key=lambda entry: entry[0].text.count(".")):
        merged = put(merged, key.text.split("."), key, value, problems)
    return merged


def expanded(root: Map, problems: list[Diagnostic]) -> Map:
    """Let dotted keys at the top reach below, in a file that extends nothing too."""
    plain = tuple(entry for entry in root.entries if "." not in entry[0].text)
    merged = replace(root, entries=plain)
    for key, value in root.entries:
        if "." in key.text:
            merged = put(merged, key.text.split("."), key, value, problems)
    return merged


def put(node: Map, names: list[str], key: Key, value: Node, problems: list[Diagnostic]) -> Map:
    """Set what a dotted path names; where nothing is to reach into, the rest stays a dotted key."""
    whole = ".".join(names)
    name = next(
        (".".join(names[:n]) for n in range(1, len(names)) if node.get(".".join(names[:n]))), whole
    )
    below = node.get(name)
    if name != whole and isinstance(below, Map):
        rest = names[name.count(".") + 1 :]
        value = put(below, rest, key, value, problems)
    elif name != whole:
        problems.append(
            Diagnostic(
                "dotted-key", f"`{key.text}` reaches below `{name}`, which holds no keys", key.span
            )
        )
        return node
    new = Key(name, key.span if name == whole else _key_span(node, name, key.span))
    # A whole key replaces what a dotted key said below it, too.
    kept = tuple(
        entry
        for entry in node.entries
        if entry[0].text != name and not (name == whole and entry[0].text.startswith(f"{name}."))
    )
    return replace(node, entries=(*kept, (new, value)))


def _key_span(node: Map, name: str, otherwise: Span) -> Span:
    found = node.key(name)
    return found.span if found else otherwise


def deleted(node: Map) -> Map:
    """Leave out every key whose value is null."""
    kept = []
    for key, value in node.entries:
        if _is_null(value):
            continue
        # What a stage deletes of the sibling that it extends is deleted when that is copied.
        copied = value.get("extends") if isinstance(value, Map) else None
        leave = copied is not None and not _is_null(copied)
        kept.append((key, deleted(value) if isinstance(value, Map) and not leave else value))
    return replace(node, entries=tuple(kept))


def _is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.text in ("null", "~", "") and node.tag is None
