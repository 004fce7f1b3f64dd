"""The text of a plan put together: `extends`, overlays, dotted keys, `scale`, `--set`, deletions

Everything here moves nodes about and keeps their spans; nothing is read into numbers yet, but for
the factors of `scale`. Whole keys are replaced; a dotted key reaches below; `null` deletes.

    base.yaml ------------ scale ---> overlay.yaml ------- scale ---> another.yaml, --set
    2000 steps, depth 2               8 steps, depth 1                depth 0: as written
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from curriculum.allowances import Allow
from curriculum.errors import (
    Diagnostic,
    FindingsError,
    Span,
    did_you_mean,
)
from curriculum.merge_scale import scale_of
from curriculum.merge_set import scaled_nothing, sorted_settings, with_scale_set, with_setting
from curriculum.nodes import (
    UNSCALED,
    Map,
    Node,
    Scalar,
    is_conflict,
    scaled,
    settled,
    shown,
    walk,
)
from curriculum.overlay import expanded, overlaid, without_nothing
from curriculum.source_map import bytes_of, read_text, text_in

MAX_EXTENDS = 8


class PlanText(NamedTuple):
    """A plan put together, and the plans that its scales made small.

    `lower` are those plans as they stand below each scale, the outermost first: what is measured in
    steps is a share of their stages. `copied` are, for a stage with a sibling's text, the stages
    whose text it may be, the likeliest first. `allows` is what comments of its files allow.
    """

    root: Map
    problems: list[Diagnostic]
    lower: tuple[Map, ...] = ()
    copied: Mapping[str, tuple[str, ...]] = {}
    allows: tuple[Allow, ...] = ()

    def below(self, depth: int) -> "PlanText":
        """Return the plan that stands below so many scales; nobody asks what is wrong with it."""
        return _stages_extended(self.lower[depth - 1], [], self.lower[depth:])


def read_plan_text(path: Path, settings: Sequence[str] = (), text: str | None = None) -> PlanText:
    """Read a plan file with all it extends into one mapping; `settings` are `--set` texts.

    With `text` it is read as if the file held that. Raises `FindingsError` or `CurriculumError`
    when there is nothing to go on with.
    """
    problems: list[Diagnostic] = []
    lower: list[Map] = []
    allows: list[Allow] = []
    own, others = sorted_settings(settings)
    try:
        root = _read(path, (), problems, lower, allows, own, text)
    except FindingsError as error:
        raise FindingsError((*problems, *error.diagnostics)) from None
    for setting in others:
        try:
            root = with_setting(root, setting, problems)
        except FindingsError as error:
            problems += error.diagnostics
    whole = _stages_extended(root, problems, tuple(reversed(lower)))
    return whole._replace(allows=tuple(allows))


def merged_text(text: str, file: str) -> PlanText:
    """Put a plan text together that extends no file; `file` is the name that spans carry."""
    problems: list[Diagnostic] = []
    root = read_text(text, file, problems)
    if (below := root.get("extends")) is not None:
        raise _stop("extends", "a text without a file extends nothing", below.span)
    whole = _stages_extended(_rooted(root, problems, file), problems)
    return whole._replace(allows=_allows_of(text, file))


def _allows_of(text: str, file: str, is_below: bool = False) -> tuple[Allow, ...]:
    """Return what the comments of a plan's text allow; only few texts have any."""
    if "curriculum: allow" not in text:
        return ()
    from curriculum.allow_comments import allows_in

    return allows_in(text, file, is_below)


def _rooted(root: Map, problems: list[Diagnostic], file: str) -> Map:
    """Put the text of a plan together that stands on no other."""
    if root.get("scale") is not None:
        problems.append(scaled_nothing(root, Path(file).name))
        root = _without(root, "scale")
    return expanded(root, problems)


def _without(root: Map, *keys: str) -> Map:
    return root._replace(entries=tuple(e for e in root.entries if e[0].text not in keys))


def _read(
    path: Path,
    above: tuple[Path, ...],
    problems: list[Diagnostic],
    lower: list[Map],
    allows: list[Allow],
    settings: Sequence[str] = (),
    text: str | None = None,
) -> Map:
    """Read a file with all it extends.

    `lower` gets what every scale on the way made small, `allows` what comments allow; `settings`
    are of the file's own `scale`.
    """
    if text is None:
        text = text_in(bytes_of(path), str(path))
    root = with_scale_set(read_text(text, str(path), problems), settings, problems)
    allows += _allows_of(text, str(path), is_below=bool(above))
    below = root.get("extends")
    if below is None:
        return _rooted(root, problems, path.name)
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
    base = _read(target, (*above, path.resolve()), problems, lower, allows)
    scale = root.get("scale")
    if scale is not None:
        factor = scale_of(settled(scale))
        if factor != UNSCALED:
            lower.append(base)
            # Only amounts are read through the factor, so the whole tree may carry it.
            small = scaled(base, replace(factor, depth=1))
            assert isinstance(small, Map)
            base = small
    _check_replaced(base, root, problems)
    return overlaid(base, _without(root, "extends", "scale"), problems)


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


def _stop(rule: str, message: str, span: Span) -> FindingsError:
    return FindingsError((Diagnostic(rule, message, span),))
