"""How a finding is shown: one JSON object, or a few lines with the place in the plan underlined

    plans/x.yaml:9:14: error[siblings-sum]: the shares of the mixture sum to 1.02 (a .5, b .52)
      9 |     mixture: {a: .5, b: .52}
        |              ^^^^^^^^^^^^^^^
        = make them sum to 1, let one say `rest`, or say `normalize: true`

Every command prints findings with these functions. A user's text is printed as it is, but for
characters that steer a terminal: those are written as escapes.
"""

import os
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from curriculum.allowances import Silenced
from curriculum.errors import Diagnostic, Severity, Span, text_lines
from curriculum.told_once import told_once

MAX_BYTES = 1 << 20  # of a file that an excerpt is taken from: what a plan may hold
EXCERPT_COLUMNS = 120  # a longer line is cut around the place
SEVERITIES = (Severity.INFO, Severity.WARNING, Severity.ERROR)

_COLOURS = {Severity.ERROR: "31", Severity.WARNING: "33", Severity.INFO: "36"}
_SETTING = "--set "


def finding_json(finding: Diagnostic) -> dict[str, Any]:
    """Return a finding as the contract of every command's `findings` says it.

    >>> finding_json(Diagnostic("cycle", "a follows b"))["line"] is None
    True
    """
    return {
        "rule": finding.rule,
        "severity": str(finding.severity),
        **_place_json(finding.span),
        "message": finding.message,
        "help": finding.help,
        "related": [{"message": r.message, **_place_json(r.span)} for r in finding.related],
        "fix": finding.fix and {**_place_json(finding.fix.span), "text": finding.fix.text},
    }


def text_of(
    findings: Iterable[Diagnostic], colour: bool = False, known: Mapping[str, str] | None = None
) -> str:
    """Return findings as lines for a person, each with its place in the file; "" for none.

    What several stages have in common is told once. `known` are texts by the names of their files,
    which are then not read.
    """
    texts = {file: tuple(text_lines(text)) for file, text in (known or {}).items()}
    lines = (line for finding in told_once(findings) for line in _lines(finding, colour, texts))
    return "".join(f"{line}\n" for line in lines)


def in_order(findings: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Return findings in the order they are told in: the worst first, then by place.

    >>> found = [Diagnostic("a", "x", severity=Severity.INFO), Diagnostic("b", "y")]
    >>> [f.rule for f in in_order(found)]
    ['b', 'a']
    """

    def place(finding: Diagnostic) -> tuple[int, str, int, int]:
        span = finding.span
        where = (span.file, span.line, span.column) if span else ("", 0, 0)
        return (-SEVERITIES.index(finding.severity), *where)

    return tuple(sorted(findings, key=place))


def silenced_json(silenced: Silenced) -> dict[str, Any]:
    """Return a finding that its plan allows, with the reason that it gives."""
    return {**finding_json(silenced.finding), "reason": silenced.reason}


def silenced_lines(silenced: Iterable[Silenced]) -> str:
    """Return a line for each finding that its plan allows, with its reason; "" for none."""
    return "".join(
        f"{_where(f.span)}allowed[{f.rule}]: {printable(f.message)}; {printable(reason)}\n"
        for f, reason in silenced
    )


def count_words(findings: Iterable[Diagnostic], num_allowed: int = 0) -> str:
    """Count findings in words, the worst first, and behind them those that were allowed.

    >>> count_words([Diagnostic("a", "x"), Diagnostic("b", "y"), Diagnostic("c", "z")])
    '3 errors'
    >>> count_words([])
    'no findings'
    >>> count_words([Diagnostic("a", "x")], 2)
    '1 error, 2 allowed'
    """
    found = [f.severity for f in findings]
    counts = [(found.count(severity), severity) for severity in reversed(SEVERITIES)]
    words = [f"{n} {severity}{'s' * (n > 1)}" for n, severity in counts if n]
    allowed = [f"{num_allowed} allowed"] if num_allowed else []
    told = ", ".join(words).replace("infos", "info") or "no findings"
    return ", ".join([told, *allowed])


def wants_colour(stream: TextIO) -> bool:
    """Say whether a stream shows colours: a terminal, and nobody said NO_COLOR."""
    dull = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return not dull and stream.isatty()


def printable(text: str) -> str:
    r"""Return a text in which what would steer a terminal is written as an escape.

    >>> printable("a[b]\x1b[31m")
    'a[b]\\x1b[31m'
    """
    return "".join(c if _is_plain(c) else c.encode("unicode_escape").decode() for c in text)


def _place_json(span: Span | None) -> dict[str, Any]:
    return {
        "file": span and span.file,
        "line": span and span.line,
        "column": span and span.column,
        "end_line": span and span.end_line,
        "end_column": span and span.end_column,
    }


def _lines(finding: Diagnostic, colour: bool, texts: dict[str, tuple[str, ...]]) -> Iterator[str]:
    def painted(text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if colour else text

    code = _COLOURS[finding.severity]
    kind = painted(f"{finding.severity}[{finding.rule}]", f"1;{code}")
    yield f"{_where(finding.span)}{kind}: {printable(finding.message)}"
    margin = "      "
    if finding.span is not None:
        for number, line, marks in _excerpt(finding.span, texts):
            margin = " " * (len(number) + 3)
            yield f"  {number} | {line}"
            yield f"{margin}| {painted(marks, code)}"
    if finding.help:
        yield f"{margin}= {printable(finding.help)}"
    for related in finding.related:
        yield f"  {_where(related.span)}{printable(related.message)}"
        for number, line, marks in _excerpt(related.span, texts):
            yield f"  {number} | {line}"
            yield f"{' ' * (len(number) + 3)}| {painted(marks, '36')}"


def _where(span: Span | None) -> str:
    return f"{printable(str(span))}: " if span else ""


def _excerpt(span: Span, texts: dict[str, tuple[str, ...]]) -> Iterator[tuple[str, str, str]]:
    """Yield the line number, the line, and the marks below it; nothing where it cannot be read."""
    if span.file not in texts:
        texts[span.file] = source_lines(span.file)
    source = texts[span.file]
    if not 0 < span.line <= len(source):
        return
    line = source[span.line - 1]
    begin = min(span.column - 1, len(line))
    end = span.end_column - 1 if span.end_line == span.line else len(line)
    end = max(begin + 1, min(end, len(line.rstrip())))
    cut = max(0, begin - EXCERPT_COLUMNS // 2) if len(line) > EXCERPT_COLUMNS else 0
    shown = line[cut : cut + EXCERPT_COLUMNS]
    before, marked = line[cut:begin], line[begin : min(end, cut + EXCERPT_COLUMNS)]
    dots = ("..." if cut else "", "..." if cut + EXCERPT_COLUMNS < len(line) else "")
    marks = " " * (len(dots[0]) + _columns(before)) + "^" * max(1, _columns(marked))
    yield str(span.line), f"{dots[0]}{_one_each(shown)}{dots[1]}".rstrip(), marks


def source_lines(file: str) -> tuple[str, ...]:
    """Return the lines of a file, or of a `--set` text; none where it cannot be read."""
    if file.startswith(_SETTING):
        return tuple(text_lines(file.removeprefix(_SETTING)))
    try:
        with Path(file).open("rb") as opened:
            return tuple(text_lines(opened.read(MAX_BYTES).decode("utf-8-sig", "replace")))
    except (OSError, ValueError):
        return ()


def _is_plain(char: str) -> bool:
    return char == " " or not unicodedata.category(char).startswith(("C", "Z"))


def _one_each(text: str) -> str:
    """Show a line with one character for each, so that marks stand below their place."""
    return "".join(c if _is_plain(c) else " " if c.isspace() else "?" for c in text)


def _columns(text: str) -> int:
    """Count the columns that a text takes: wide characters two, combining ones none."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )
