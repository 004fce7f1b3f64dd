"""YAML text to values with the span of every key and value, in one pass over the events"""

import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from curriculum.errors import (
    CurriculumError,
    Diagnostic,
    FindingsError,
    Fix,
    Span,
    did_you_mean,
    text_lines,
)
from curriculum.nodes import Key, Map, Node, Scalar, Seq

MAX_BYTES = 1 << 20
MAX_DEPTH = 64
TAGS = ("assumed", "derived", "conflict")

# YAML 1.2.2, 5.1: the characters that a stream may not hold; beyond ASCII, those that it may.
_NO_YAML_ASCII = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_NO_YAML = "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
_TAG = re.compile(r"!\S*(?:\s|(?<=\s)#[^\n]*)*")
_Loader: Any = getattr(yaml, "CLoader", yaml.Loader)


def read_file(path: Path) -> Map:
    """Read a plan file into a mapping with spans.

    Raises `CurriculumError` when the file cannot be read at all, `FindingsError` with a place for
    everything that is wrong inside it.
    """
    return read_bytes(bytes_of(path), str(path))


def bytes_of(path: Path) -> bytes:
    """Return what a plan file holds; raises `CurriculumError` when it cannot be read."""
    try:
        return path.read_bytes()
    except IsADirectoryError:
        raise CurriculumError(f"{path}: is a directory, not a plan file") from None
    except FileNotFoundError:
        raise CurriculumError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CurriculumError(f"{path}: cannot be read: {reason}") from None


def read_bytes(data: bytes, file: str) -> Map:
    """Read a plan from bytes; `file` is the name that spans carry."""
    return read_text(text_in(data, file), file)


def text_in(data: bytes, file: str) -> str:
    """Return the text that bytes hold, a byte order mark left out; raises `FindingsError`."""
    if len(data) > MAX_BYTES:
        raise _finding(
            "too-large", file, f"a plan file may hold 1 MiB, this holds {len(data):,} bytes"
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        raise _finding(
            "not-utf8", file, f"not a text in UTF-8 (byte 0x{data[error.start]:02x})", line, column
        ) from None


class Token(NamedTuple):
    """A token of the scanner: lines and columns from 0, in characters, the end exclusive.

    `kind` is PyYAML's name of it without `Token`. Where block collections begin and end, and before
    keys that no `?` introduces, tokens are empty.
    """

    kind: str
    start: int
    end: int
    line: int
    column: int
    end_line: int
    end_column: int
    style: str | None = None  # of a scalar: None if bare, its quotation mark, `|` or `>`


def scan(text: str) -> tuple[Token, ...]:
    """Return the tokens of a text that `read_text` reads, in order; comments lie between them."""
    loader = _Loader(text)
    found: list[Token] = []
    try:
        while loader.check_token():
            token = loader.get_token()
            start, end = token.start_mark, token.end_mark
            kind = type(token).__name__.removesuffix("Token")
            style = getattr(token, "style", None)
            place = start.index, end.index, start.line, start.column, end.line, end.column
            found.append(Token(kind, *place, style))
    finally:
        loader.dispose()
    return tuple(found)


def read_text(text: str, file: str, problems: list[Diagnostic] | None = None) -> Map:
    """Read a plan from a text; `file` is the name that spans carry.

    With `problems` these get what is wrong and hides nothing else: a key that stands twice, a
    number with commas, an unknown tag. All else is raised, as a `FindingsError`.
    """
    reader = _Reader(file)
    root = reader.read(text)
    if root is None:
        raise _finding(
            "empty-plan", file, "the file is empty", help="a plan begins with `plan: NAME`"
        )
    if not isinstance(root, Map):
        way_out = "begin with `plan: NAME`"
        if isinstance(root, Scalar) and ":" in root.text:
            way_out = "write a space after `:`"
        reader.hides_something = True
        reader.problem("not-a-mapping", "a plan is a mapping", root.span, way_out)
    if reader.problems and (problems is None or reader.hides_something):
        raise FindingsError(tuple(reader.problems))
    if problems is not None:
        problems += reader.problems
    assert isinstance(root, Map)
    return root


class _Reader:
    """Builds nodes from events; problems that do not end the reading are collected."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.text = ""
        self.lines: list[str] = []  # of the text, once somebody looks at them
        self.problems: list[Diagnostic] = []
        self.hides_something = False  # a value that is not known as yet would be missed below

    def problem(self, rule: str, message: str, span: Span, help: str | None = None) -> None:
        self.problems.append(Diagnostic(rule, message, span, help))

    def read(self, text: str) -> Node | None:
        self.text = text
        # The whole set takes 3 ms to compile, and most plans are ASCII.
        bad = _NO_YAML_ASCII.search(text) if text.isascii() else re.search(_NO_YAML, text)
        if bad is not None:
            line = text.count("\n", 0, bad.start()) + 1
            column = bad.start() - text.rfind("\n", 0, bad.start())
            span = Span(self.file, line, column, line, column + 1)
            what = f"a plan holds no character U+{ord(bad[0]):04X}"
            self.problem("yaml-syntax", what, span, "leave it out")
            raise FindingsError(tuple(self.problems))
        try:
            loader = _Loader(text)
        except yaml.YAMLError as error:
            raise self._syntax(error) from None
        try:
            return self._document(loader)
        except yaml.YAMLError as error:
            raise self._syntax(error) from None
        finally:
            loader.dispose()

    def _document(self, loader: Any) -> Node | None:
        root: Node | None = None
        while not isinstance(event := loader.get_event(), yaml.StreamEndEvent):
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    self.problem(
                        "one-document", "a second YAML document begins here", self._span(event)
                    )
                    raise FindingsError(tuple(self.problems))
                root = self._node(loader, loader.get_event(), 1)
        if isinstance(root, Scalar) and not root.text.strip():
            return None
        return root

    def _node(self, loader: Any, event: Any, depth: int) -> Node:
        span = self._span(event)
        if depth > MAX_DEPTH:
            self.problem("too-deep", f"more than {MAX_DEPTH} levels deep", span)
            raise FindingsError(tuple(self.problems))
        if isinstance(event, yaml.AliasEvent):
            self.hides_something = True
            self.problem(
                "no-alias",
                "aliases are not part of the language",
                span,
                "write the value, or use `extends`",
            )
            return Scalar("", span)
        if event.anchor is not None:
            self.problem(
                "no-anchor", "anchors are not part of the language", span, "leave out the `&...`"
            )
        tag = self._tag(event, span)
        if isinstance(event, yaml.ScalarEvent):
            return Scalar(event.value, self._untagged(event, span) if event.tag else span, tag)
        if isinstance(event, yaml.SequenceStartEvent):
            items = []
            while not isinstance(event := loader.get_event(), yaml.SequenceEndEvent):
                items.append(self._node(loader, event, depth + 1))
            return Seq(tuple(items), self._until(span, event), tag)
        return self._map(loader, span, tag, depth)

    def _map(self, loader: Any, span: Span, tag: str | None, depth: int) -> Map:
        entries: list[tuple[Key, Node]] = []
        seen: dict[str, Span] = {}
        while not isinstance(event := loader.get_event(), yaml.MappingEndEvent):
            node = self._node(loader, event, depth + 1)
            value = self._node(loader, loader.get_event(), depth + 1)
            if not isinstance(node, Scalar):
                self.hides_something = True
                self.problem("plain-key", "a key is one word", node.span)
                continue
            if entries and entries[-1][0].text != "because":
                number = self._cut_number(entries[-1][1], node, value)
                if number is not None:
                    entries[-1] = (entries[-1][0], number)
                    continue
            if node.text in seen:
                self.problem(
                    "duplicate-key",
                    f"`{node.text}` stands twice here (first in line {seen[node.text].line})",
                    node.span,
                    "keep one of them",
                )
                continue
            seen[node.text] = node.span
            entries.append((Key(node.text, node.span), value))
        return Map(tuple(entries), self._until(span, event), tag)

    def _cut_number(self, before: Node, key: Scalar, value: Node) -> Scalar | None:
        """Note `{base: 8,000,000}`, of which YAML makes more entries; return what was meant."""
        if not key.text[:1].isdigit() or not isinstance(value, Scalar) or value.text:
            return None
        start, end = before.span, key.span
        self.lines = self.lines or text_lines(self.text)
        whole = self.lines[start.line - 1][start.column - 1 : end.end_column - 1]
        if start.line != end.line or not re.fullmatch(r"[0-9]+(,[0-9]+)+ ?[A-Za-z%]{0,10}", whole):
            return None
        from curriculum.meant import without_commas  # only mistakes need it

        self.problems = [p for p in self.problems if p.span is None or p.span[:3] != start[:3]]
        span = start._replace(end_column=end.end_column)
        number = without_commas(whole)
        what, fix = f"`{whole}` is cut up at its commas", Fix(span, number)
        self.problems.append(Diagnostic("wrong-value", what, span, f"write {number}", fix=fix))
        return Scalar(number, span, before.tag)

    def _tag(self, event: Any, span: Span) -> str | None:
        if event.tag is None or event.tag == "!":
            return None
        name = event.tag.removeprefix("!")
        if name in TAGS:
            return str(name)
        if not isinstance(event, yaml.ScalarEvent):
            self.hides_something = True  # such a tag may stand for anything
        self.problem(
            "unknown-tag",
            f"`{event.tag}` is not a tag of the language",
            span,
            did_you_mean(name, TAGS),
        )
        return None

    def _untagged(self, event: Any, span: Span) -> Span:
        """Return the place of a value without its tag, which an edit of the value keeps.

        The whole place where an anchor is between them, or nothing is written after the tag.
        """
        start, end = event.start_mark.index, event.end_mark.index
        before = _TAG.match(self.text, start, end)
        if before is None or before.end() == end:
            return span
        line = span.line + before[0].count("\n")
        broken = before[0].rfind("\n")
        column = span.column + len(before[0]) if broken < 0 else len(before[0]) - broken
        return Span(self.file, line, column, span.end_line, span.end_column)

    def _span(self, event: Any) -> Span:
        start, end = event.start_mark, event.end_mark
        return Span(self.file, start.line + 1, start.column + 1, end.line + 1, end.column + 1)

    def _until(self, span: Span, event: Any) -> Span:
        end = event.end_mark
        return Span(self.file, span.line, span.column, end.line + 1, end.column + 1)

    def _syntax(self, error: yaml.YAMLError) -> FindingsError:
        from curriculum.yaml_words import Stop, mistake_of  # only mistakes need it

        mark, begin = (getattr(error, name, None) for name in ("problem_mark", "context_mark"))
        at, start = ((m.line, m.column) if m else None for m in (mark or begin, begin))
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        context = getattr(error, "context", None) or ""
        found = mistake_of(self.text, Stop(at or (0, 0), problem, context, start))
        line, column = found.place[0] + 1, found.place[1] + 1
        span = Span(self.file, line, column, line, column + 1)
        self.problem("yaml-syntax", found.message, span, found.help)
        return FindingsError(tuple(self.problems))


def _finding(
    rule: str, file: str, message: str, line: int = 1, column: int = 1, help: str | None = None
) -> FindingsError:
    return FindingsError(
        (Diagnostic(rule, message, Span(file, line, column, line, column + 1), help),)
    )
