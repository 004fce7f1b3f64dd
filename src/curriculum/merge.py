"""The text of a plan put together: `extends`, overlays, dotted keys, `scale`, `--set`, deletions

Everything here moves nodes about and keeps their spans; nothing is read into numbers yet, but for
the factors of `scale`. Whole keys are replaced; a dotted key reaches below; `null` deletes.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from curriculum.errors import Diagnostic, FindingsError, Span, ValueProblem
from curriculum.source_map import (
    Key,
    Map,
    Node,
    Scalar,
    Scale,
    Seq,
    did_you_mean,
    read_file,
    read_text,
    scaled,
)
from curriculum.units import parse_number
from curriculum.words import SCALE

MAX_EXTENDS = 8


def read_plan_text(path: Path, settings: Sequence[str] = ()) -> tuple[Map, list[Diagnostic]]:
    """Read a plan file with all it extends into one mapping; `settings` are `--set` texts.

    Raises `FindingsError` or `CurriculumError` when there is nothing to go on with.
    """
    problems: list[Diagnostic] = []
    root = _read(path, (), problems)
    for setting in settings:
        root = _set(root, setting, problems)
    return _stages_extended(root, problems), problems


def merged_text(text: str, file: str) -> tuple[Map, list[Diagnostic]]:
    """Put a plan text together that extends no file; `file` is the name that spans carry."""
    problems: list[Diagnostic] = []
    root = read_text(text, file)
    if (below := root.get("extends")) is not None:
        raise _stop("extends", "a text without a file extends nothing", below.span)
    return _stages_extended(_rooted(root, problems), problems), problems


def _rooted(root: Map, problems: list[Diagnostic]) -> Map:
    """Put the text of a plan together that stands on no other."""
    if (scale_key := root.key("scale")) is not None:
        problems.append(
            Diagnostic(
                "scale-without-extends",
                "`scale` makes a proxy of the plan below, and this plan extends none",
                scale_key.span,
                "say `extends: FILE`",
            )
        )
    return _deleted(_expanded(root, problems))


def _read(path: Path, above: tuple[Path, ...], problems: list[Diagnostic]) -> Map:
    root = read_file(path)
    below = root.get("extends")
    if below is None:
        return _rooted(root, problems)
    if not isinstance(below, Scalar):
        raise _stop("extends", "`extends` takes the name of a plan file", below.span)
    target = path.parent / below.text
    try:
        resolved, is_file = target.resolve(), target.is_file()
    except (OSError, ValueError):
        raise _stop("extends", "`extends` takes the name of a plan file", below.span) from None
    if resolved == path.resolve() or resolved in above:
        raise _stop("extends-cycle", f"`{below.text}` extends this file again", below.span)
    if len(above) >= MAX_EXTENDS:
        raise _stop("extends", f"more than {MAX_EXTENDS} plans below this one", below.span)
    if not is_file:
        raise _stop("extends", f"no such plan file: {target}", below.span)
    base = _read(target, (*above, path.resolve()), problems)
    scale = root.get("scale")
    if scale is not None:
        factor = _scale(scale, problems)
        # Only amounts are read through the factor, so the whole tree may carry it.
        base = _as_map(scaled(base, factor))
    own = tuple(entry for entry in root.entries if entry[0].text not in ("extends", "scale"))
    return _deleted(_overlaid(base, replace(root, entries=own), problems))


def _overlaid(base: Map, overlay: Map, problems: list[Diagnostic]) -> Map:
    merged = replace(base, span=overlay.span)
    # Whole keys first: the order of keys means nothing, and a dotted key reaches into them.
    for key, value in sorted(overlay.entries, key=lambda entry: entry[0].text.count(".")):
        merged = _put(merged, key.text.split("."), key, value, problems)
    return merged


def _expanded(root: Map, problems: list[Diagnostic]) -> Map:
    """Let dotted keys at the top reach below, in a file that extends nothing too."""
    plain = tuple(entry for entry in root.entries if "." not in entry[0].text)
    merged = replace(root, entries=plain)
    for key, value in root.entries:
        if "." in key.text:
            merged = _put(merged, key.text.split("."), key, value, problems)
    return merged


def _put(node: Map, names: list[str], key: Key, value: Node, problems: list[Diagnostic]) -> Map:
    """Set what a dotted path names; where nothing is to reach into, the rest stays a dotted key."""
    whole = ".".join(names)
    name = next(
        (".".join(names[:n]) for n in range(1, len(names)) if node.get(".".join(names[:n]))), whole
    )
    below = node.get(name)
    if name != whole and isinstance(below, Map):
        rest = names[name.count(".") + 1 :]
        value = _put(below, rest, key, value, problems)
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


def _set(root: Map, setting: str, problems: list[Diagnostic]) -> Map:
    name, sep, text = setting.partition("=")
    file = f"--set {setting}"
    if not sep or not name.strip():
        raise _stop("set", "write `--set key=value`", Span(file, 1, 1, 1, 2))
    key = Key(name.strip(), Span(file, 1, 1, 1, len(name) + 1))
    if key.text in ("extends", "scale"):
        raise _stop("set", f"`{key.text}` belongs in a plan file", key.span)
    try:
        entries = read_text(f"{_VALUE}{text}", file).entries
    except FindingsError as error:
        moved = (replace(d, span=d.span and _moved(d.span, len(name))) for d in error.diagnostics)
        raise FindingsError(tuple(moved)) from None
    if len(entries) != 1:
        raise _stop("set", "one `--set` sets one key", entries[1][0].span)
    value = _all_moved(entries[0][1], len(name))
    return _deleted(_put(root, name.strip().split("."), key, value, problems))


_VALUE = "value: "


def _moved(span: Span, name: int) -> Span:
    """Return a span of the value's text as a span of the whole setting, `name` being as long."""
    by = name + 1 - len(_VALUE)
    return replace(
        span,
        column=max(1, span.column + (by if span.line == 1 else 0)),
        end_column=max(1, span.end_column + (by if span.end_line == 1 else 0)),
    )


def _all_moved(node: Node, name: int) -> Node:
    span = _moved(node.span, name)
    match node:
        case Scalar():
            return replace(node, span=span)
        case Seq():
            items = tuple(_all_moved(item, name) for item in node.items)
            return replace(node, span=span, items=items)
        case Map():
            entries = tuple(
                (Key(key.text, _moved(key.span, name)), _all_moved(value, name))
                for key, value in node.entries
            )
            return replace(node, span=span, entries=entries)


def _stages_extended(root: Map, problems: list[Diagnostic]) -> Map:
    stages = root.get("stages")
    if not isinstance(stages, Map):
        return root
    texts = {key.text: value for key, value in stages.entries}

    def text_of(name: str, above: tuple[str, ...]) -> Node:
        own = texts[name]
        sibling = own.get("extends") if isinstance(own, Map) else None
        if not isinstance(own, Map) or sibling is None:
            return own
        if not isinstance(sibling, Scalar):
            problems.append(
                Diagnostic("extends", "`extends` takes the name of a stage", sibling.span)
            )
            return own
        if sibling.text == name or sibling.text in above:
            problems.append(
                Diagnostic(
                    "extends-cycle", f"stage `{name}` extends itself in the end", sibling.span
                )
            )
            return own
        if sibling.text not in texts:
            problems.append(
                Diagnostic(
                    "extends",
                    f"no stage `{sibling.text}` to copy the text of",
                    sibling.span,
                    did_you_mean(sibling.text, list(texts)),
                )
            )
            return own
        below = text_of(sibling.text, (*above, name))
        if not isinstance(below, Map):
            return own
        rest = replace(own, entries=tuple(e for e in own.entries if e[0].text != "extends"))
        return _deleted(_overlaid(below, rest, problems))

    entries = tuple((key, text_of(key.text, ())) for key, _ in stages.entries)
    new = replace(stages, entries=entries)
    return replace(
        root, entries=tuple((k, new if k.text == "stages" else v) for k, v in root.entries)
    )


def _deleted(node: Map) -> Map:
    """Leave out every key whose value is null."""
    kept = []
    for key, value in node.entries:
        if _is_null(value):
            continue
        # What a stage deletes of the sibling that it extends is deleted when that is copied.
        copied = value.get("extends") if isinstance(value, Map) else None
        leave = copied is not None and not _is_null(copied)
        kept.append((key, _deleted(value) if isinstance(value, Map) and not leave else value))
    return replace(node, entries=tuple(kept))


def _is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.text in ("null", "~", "") and node.tag is None


def _scale(node: Node, problems: list[Diagnostic]) -> Scale:
    factors = {}
    for key, value in node.entries if isinstance(node, Map) else ():
        try:
            if key.text in SCALE and not isinstance(value, Scalar):
                raise ValueProblem("a factor is a number")
            if key.text not in SCALE or not isinstance(value, Scalar):
                raise ValueProblem(
                    f"`scale` has no factor `{key.text}`", did_you_mean(key.text, tuple(SCALE))
                )
            factor = parse_number(value.text)
            if factor <= 0:
                raise ValueProblem("a factor is positive")
            factors[key.text] = factor
        except ValueProblem as problem:
            problems.append(Diagnostic("scale", str(problem), value.span, problem.help))
    if not isinstance(node, Map):
        problems.append(
            Diagnostic(
                "scale",
                "`scale` takes factors",
                node.span,
                "write {tokens: 1/8_000_000, seqs: 1/128, seq_len: 1/64}",
            )
        )
    return Scale(**factors)


def _as_map(node: Node) -> Map:
    assert isinstance(node, Map)
    return node


def _stop(rule: str, message: str, span: Span) -> FindingsError:
    return FindingsError((Diagnostic(rule, message, span),))
