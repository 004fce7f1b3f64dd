"""The text of a plan put together: `extends`, overlays, dotted keys, `scale`, `--set`, deletions

Everything here moves nodes about and keeps their spans; nothing is read into numbers yet, but for
the factors of `scale`. Whole keys are replaced; a dotted key reaches below; `null` deletes.

    base.yaml ------------ scale ---> overlay.yaml ------- scale ---> another.yaml, --set
    2000 steps, depth 2               8 steps, depth 1                depth 0: as written
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from curriculum.errors import (
    CurriculumError,
    Diagnostic,
    FindingsError,
    Span,
    ValueProblem,
    did_you_mean,
)
from curriculum.nodes import (
    UNSCALED,
    Key,
    Map,
    Node,
    Scalar,
    Scale,
    Seq,
    is_conflict,
    scaled,
    settled,
    shown,
    walk,
)
from curriculum.overlay import expanded, overlaid, path_names, put, without_nothing
from curriculum.source_map import read_file, read_text
from curriculum.units import parse_number
from curriculum.words import SCALE

MAX_EXTENDS = 8

_VALUE = "value: "


class PlanText(NamedTuple):
    """A plan put together, and the plans that its scales made small.

    `lower` are those plans as they stand below each scale, the outermost first: what is measured in
    steps is a share of their stages. `copied` are, for a stage with a sibling's text, the stages
    whose text it may be, the likeliest first.
    """

    root: Map
    problems: list[Diagnostic]
    lower: tuple[Map, ...] = ()
    copied: Mapping[str, tuple[str, ...]] = {}

    def below(self, depth: int) -> "PlanText":
        """Return the plan that stands below so many scales; nobody asks what is wrong with it."""
        return _stages_extended(self.lower[depth - 1], [], self.lower[depth:])


def read_plan_text(path: Path, settings: Sequence[str] = ()) -> PlanText:
    """Read a plan file with all it extends into one mapping; `settings` are `--set` texts.

    Raises `FindingsError` or `CurriculumError` when there is nothing to go on with.
    """
    problems: list[Diagnostic] = []
    lower: list[Map] = []
    root = _read(path, (), problems, lower)
    seen: set[str] = set()
    for setting in settings:
        name = _set_name(setting)
        if name in seen:
            raise CurriculumError(f"--set {name} is said twice: keep one of them")
        seen.add(name)
        root = _set(root, setting, problems)
    return _stages_extended(root, problems, tuple(reversed(lower)))


def merged_text(text: str, file: str) -> PlanText:
    """Put a plan text together that extends no file; `file` is the name that spans carry."""
    problems: list[Diagnostic] = []
    root = read_text(text, file)
    if (below := root.get("extends")) is not None:
        raise _stop("extends", "a text without a file extends nothing", below.span)
    return _stages_extended(_rooted(root, problems), problems)


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
    return expanded(root, problems)


def _read(path: Path, above: tuple[Path, ...], problems: list[Diagnostic], lower: list[Map]) -> Map:
    """Read a file with all it extends; `lower` gets what every scale on the way made small."""
    root = read_file(path)
    below = root.get("extends")
    if below is None:
        return _rooted(root, problems)
    if not isinstance(below, Scalar) or not below.text:
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
    base = _read(target, (*above, path.resolve()), problems, lower)
    scale = root.get("scale")
    if scale is not None:
        factor = _scale(settled(scale), problems)
        if factor != UNSCALED:
            lower.append(base)
            # Only amounts are read through the factor, so the whole tree may carry it.
            small = scaled(base, replace(factor, depth=1))
            assert isinstance(small, Map)
            base = small
    own = tuple(entry for entry in root.entries if entry[0].text not in ("extends", "scale"))
    _check_replaced(base, root, problems)
    return overlaid(base, root._replace(entries=own), problems)


def _check_replaced(base: Map, overlay: Map, problems: list[Diagnostic]) -> None:
    """Report `stages` said whole where one thing of a stage below was to change."""
    below, key, stages = base.get("stages"), overlay.key("stages"), overlay.get("stages")
    if not isinstance(below, Map) or not isinstance(stages, Map) or key is None:
        return
    for name, stage in stages.entries:
        if not isinstance(stage, Map) or not stage.entries or below.get(name.text) is None:
            continue
        if not any(stage.get(word) for word in ("init", "extends", "checkpoint")):
            changed, value = stage.entries[0]
            problems.append(
                Diagnostic(
                    "replaces-all",
                    "this replaces all of `stages`",
                    key.span,
                    f"write `stages.{name.text}.{changed.text}: {shown(value)}`",
                )
            )
            return


def _set_name(setting: str) -> str:
    name, sep, _ = setting.partition("=")
    if not sep or not name.strip():
        raise CurriculumError(f"--set {setting}: write `--set key=value`")
    return name.strip()


def _set(root: Map, setting: str, problems: list[Diagnostic]) -> Map:
    name, _, text = setting.partition("=")
    file = f"--set {setting}"
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
    return put(root, path_names(key.text), key, value, problems)


def _moved(span: Span, name: int) -> Span:
    """Return a span of the value's text as a span of the whole setting, `name` being as long."""
    by = name + 1 - len(_VALUE)
    return span._replace(
        column=max(1, span.column + (by if span.line == 1 else 0)),
        end_column=max(1, span.end_column + (by if span.end_line == 1 else 0)),
    )


def _all_moved(node: Node, name: int) -> Node:
    span = _moved(node.span, name)
    match node:
        case Scalar():
            return node._replace(span=span)
        case Seq():
            items = tuple(_all_moved(item, name) for item in node.items)
            return node._replace(span=span, items=items)
        case Map():
            entries = tuple(
                (Key(key.text, _moved(key.span, name)), _all_moved(value, name))
                for key, value in node.entries
            )
            return node._replace(span=span, entries=entries)


def _stages_extended(
    root: Map, problems: list[Diagnostic], lower: tuple[Map, ...] = ()
) -> PlanText:
    """Copy the text of the sibling that a stage extends; then say what holds nothing."""
    stages = root.get("stages")
    if not isinstance(stages, Map):
        return PlanText(_finished(root, problems), problems, lower)
    texts = {k.text: v.items[0] if is_conflict(v) else v for k, v in stages.entries}
    entries = []
    for key, value in stages.entries:
        text = _stage_text(key.text, texts, (), problems)
        whole = value._replace(items=(text, *value.items[1:])) if is_conflict(value) else text
        entries.append((key, whole))
    new = stages._replace(entries=tuple(entries))
    sections = tuple((k, new if k.text == "stages" else v) for k, v in root.entries)
    finished = _finished(root._replace(entries=sections), problems)
    return PlanText(finished, problems, lower, _copied(texts) if lower else {})


def _copied(texts: Mapping[str, Node]) -> dict[str, tuple[str, ...]]:
    """Return, for every stage with a sibling's text, whose text it may be below a scale.

    Its own comes first, unless no word of it is from below.
    """
    copied = {}
    for name in texts:
        names = [name]
        while isinstance(text := texts[names[-1]], Map):
            sibling = text.get("extends")
            if not isinstance(sibling, Scalar) or sibling.text not in texts.keys() - {*names}:
                break
            names.append(sibling.text)
        if len(names) > 1:
            words = (node for _, node in walk(texts[name]) if isinstance(node, Scalar))
            is_new = all(node.scale == UNSCALED for node in words)
            copied[name] = (*names[1:], name) if is_new else tuple(names)
    return copied


def _finished(root: Map, problems: list[Diagnostic]) -> Map:
    finished = without_nothing(root, problems)
    assert isinstance(finished, Map)
    return finished


def _stage_text(
    name: str, texts: Mapping[str, Node], above: tuple[str, ...], problems: list[Diagnostic]
) -> Node:
    own = texts[name]
    if not isinstance(own, Map) or (node := own.get("extends")) is None:
        return own
    sibling = _sibling(name, node, texts, above, problems)
    below = None if sibling is None else _stage_text(sibling, texts, (*above, name), problems)
    if not isinstance(below, Map):
        return own
    rest = own._replace(entries=tuple(e for e in own.entries if e[0].text != "extends"))
    return overlaid(below, rest, problems)


def _sibling(
    name: str,
    node: Node,
    texts: Mapping[str, Node],
    above: tuple[str, ...],
    problems: list[Diagnostic],
) -> str | None:
    """Return the stage whose text a stage copies; None where there is no such one."""
    if not isinstance(node, Scalar):
        problems.append(Diagnostic("extends", "`extends` takes the name of a stage", node.span))
    elif node.text == name or node.text in above:
        message = f"stage `{name}` extends itself in the end"
        problems.append(Diagnostic("extends-cycle", message, node.span))
    elif node.text not in texts:
        message = f"no stage `{node.text}` to copy the text of"
        way_out = did_you_mean(node.text, list(texts))
        problems.append(Diagnostic("extends", message, node.span, way_out))
    else:
        return node.text
    return None


def _scale(node: Node, problems: list[Diagnostic]) -> Scale:
    if not isinstance(node, Map):
        way_out = "write {tokens: 1/8_000_000, seqs: 1/128, seq_len: 1/64}"
        problems.append(Diagnostic("scale", "`scale` takes factors", node.span, way_out))
        return Scale()
    factors: dict[str, Fraction] = {}
    for key, value in node.entries:
        try:
            factors[key.text] = _factor(key.text, value)
        except ValueProblem as problem:
            problems.append(Diagnostic("scale", str(problem), value.span, problem.help))
    return Scale(*(factors.get(name, Fraction(1)) for name in SCALE))


def _factor(name: str, node: Node) -> Fraction:
    if name not in SCALE:
        raise ValueProblem(f"`scale` has no factor `{name}`", did_you_mean(name, tuple(SCALE)))
    if not isinstance(node, Scalar):
        raise ValueProblem("a factor is a number")
    factor = parse_number(node.text)
    if factor <= 0:
        raise ValueProblem("a factor is positive")
    return factor


def _stop(rule: str, message: str, span: Span) -> FindingsError:
    return FindingsError((Diagnostic(rule, message, span),))
