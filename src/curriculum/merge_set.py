"""What `--set` says on the command line, laid over a plan; its place is the text of the setting

`--set scale...` changes the file's own `scale`, as in the file: all other settings lie above it.
"""

from collections.abc import Sequence
from dataclasses import replace

from curriculum.errors import CurriculumError, Diagnostic, FindingsError, Span
from curriculum.merge_scale import FACTORS, scale_of
from curriculum.nodes import Key, Map, Node, Scalar, Seq, settled, shown
from curriculum.overlay import path_names, put
from curriculum.source_map import read_text

_VALUE = "value: "
_SET = "--set "


def sorted_settings(settings: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the settings of `scale`, and all others; raises `CurriculumError` for what is none."""
    names = [_set_name(setting) for setting in settings]
    for name in names:
        if names.count(name) > 1:
            raise CurriculumError(f"--set {name} is said twice: keep one of them")
    of_scale = [path_names(name)[0] == "scale" for name in names]
    return (
        [s for s, is_scale in zip(settings, of_scale, strict=True) if is_scale],
        [s for s, is_scale in zip(settings, of_scale, strict=True) if not is_scale],
    )


def with_scale_set(root: Map, settings: Sequence[str], problems: list[Diagnostic]) -> Map:
    """Set the `scale` of a file, or single factors of it, that it may lack as yet."""
    for setting in settings:
        name = _set_name(setting)
        if name != "scale" and root.get("scale") is None:
            span = Span(f"{_SET}{setting}", 1, 1, 1, len(name) + 1)
            root = root._replace(entries=(*root.entries, (Key("scale", span), Map((), span))))
        root = with_setting(root, setting, problems)
        if isinstance(scale := root.get("scale"), Scalar) and scale.text in ("null", "~"):
            root = root._replace(entries=tuple(e for e in root.entries if e[1] is not scale))
    return root


def scaled_nothing(root: Map, file: str) -> Diagnostic:
    """Return what is wrong with a `scale` in a plan without a plan below it."""
    key, scale = root.key("scale"), root.get("scale")
    assert key is not None
    assert scale is not None
    way_out = "say `extends: FILE`"
    if key.span.file.startswith(_SET):
        try:
            scale_of(settled(scale))
            words = shown(scale)
        except FindingsError:
            words = FACTORS
        way_out = f"write a plan that says `extends: {file}` and `scale: {words}`"
    what = "`scale` makes a proxy of the plan below, and this plan extends none"
    return Diagnostic("scale-without-extends", what, key.span, way_out)


def _set_name(setting: str) -> str:
    name, sep, _ = setting.partition("=")
    if not sep or not name.strip():
        raise CurriculumError(f"--set {setting}: write `--set key=value`")
    return name.strip()


def with_setting(root: Map, setting: str, problems: list[Diagnostic]) -> Map:
    """Set one key of a plan, as `--set` says it."""
    name, _, text = setting.partition("=")
    file = f"{_SET}{setting}"
    key = Key(name.strip(), Span(file, 1, 1, 1, len(name) + 1))
    if key.text == "extends":
        way_out = f"write a plan that says `extends: {text.strip()}`, and what differs"
        raise _stop("`extends` belongs in a plan file", key.span, way_out)
    try:
        entries = read_text(f"{_VALUE}{text}", file).entries
    except FindingsError as error:
        moved = (replace(d, span=d.span and _moved(d.span, len(name))) for d in error.diagnostics)
        raise FindingsError(tuple(moved)) from None
    if len(entries) != 1:
        raise _stop("one `--set` sets one key", entries[1][0].span)
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


def _stop(message: str, span: Span, help: str | None = None) -> FindingsError:
    return FindingsError((Diagnostic("set", message, span, help),))
