"""A check in GitHub's workflows: annotations on stdout, and a summary of the step

Workflow commands: docs.github.com, "Workflow commands for GitHub Actions".
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from curriculum.check.checked import Checked, all_findings, counted
from curriculum.errors import Diagnostic, Severity, Span
from curriculum.findings import printable, silenced_lines

MAX_ANNOTATIONS = 10
"""GitHub shows 10 annotations of a kind for a step, and drops the others: the worst 10 are told."""

MAX_SUMMARY_BYTES = 1 << 20
"""Of a step's summary; a larger one is dropped whole."""

SUMMARY = "GITHUB_STEP_SUMMARY"

_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}
_MARKUP = "\\`*_[]<>|~&#@$"
"""Characters that could mean something in GitHub's Markdown."""

_MORE = "\n**and {:,} more lines; `curriculum check` prints them all**\n"


def annotations(checked: Sequence[Checked]) -> str:
    """Return workflow commands, the worst first, then a line that says how many there are."""
    findings = all_findings(checked)
    commands = [f"::error::{_escaped(one.failure)}" for one in checked if one.failure]
    commands += [_command(finding) for finding in findings]
    shown = f" ({MAX_ANNOTATIONS} shown)" if len(commands) > MAX_ANNOTATIONS else ""
    return "\n".join([*commands[:MAX_ANNOTATIONS], f"{counted(checked)}{shown}"]) + "\n"


def _command(finding: Diagnostic) -> str:
    fields = {**_place(finding.span), "title": finding.rule}
    told = ",".join(f"{name}={_escaped_property(value)}" for name, value in fields.items())
    way_out = f"; {finding.help}" if finding.help else ""
    return f"::{_LEVELS[finding.severity]} {told}::{_escaped(finding.message + way_out)}"


def _place(span: Span | None) -> dict[str, str]:
    """Return the fields of a place; columns only within one line, as the checks API asks."""
    if span is None or span.file.startswith("--set "):
        return {}
    place = {"file": span.file, "line": str(span.line)}
    if span.end_line == span.line:
        last = max(span.column, span.end_column - 1)
        return {**place, "col": str(span.column), "endLine": str(span.line), "endColumn": str(last)}
    return {**place, "endLine": str(span.end_line)}


def _escaped(text: str) -> str:
    """Escape what ends a workflow command."""
    escaped = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return printable(escaped)


def _escaped_property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")


def write_summary(checked: Sequence[Checked]) -> str | None:
    """Add the summary to the file that GITHUB_STEP_SUMMARY names; say what kept it from that.

    A check is none the worse for it: what is returned is for stderr.
    """
    name = os.environ.get(SUMMARY)
    if not name:
        return f"no step summary is written: {SUMMARY} is not set"
    try:
        path = Path(name)
        room = MAX_SUMMARY_BYTES - (path.stat().st_size if path.exists() else 0)
        with path.open("a", encoding="utf-8", errors="replace", newline="\n") as file:
            file.write(summary(checked, room))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        return f"no step summary is written: {printable(name)}: {reason}"
    return None


def summary(checked: Sequence[Checked], max_bytes: int = MAX_SUMMARY_BYTES) -> str:
    """Return the summary in Markdown: the count, then a table for each file with findings.

    What would make it longer than `max_bytes` is counted at its end.
    """
    parts = [f"## `curriculum check`: {counted(checked)}\n"]
    left = max_bytes - len(parts[0]) - len(_MORE.format(10**9))
    if left < 0:
        return ""
    lines = [f"{line}\n" for line in _lines(checked)]
    for number, line in enumerate(lines):
        left -= len(line.encode(errors="replace"))
        if left < 0:
            return "".join([*parts, _MORE.format(len(lines) - number)])
        parts.append(line)
    return "".join(parts)


def _lines(checked: Sequence[Checked]) -> Iterator[str]:
    told: set[Diagnostic] = set()
    for one in checked:
        findings = [f for f in one.findings if f not in told]  # two plans may extend the same one
        told.update(findings)
        allowed = silenced_lines(one.silenced).splitlines()
        if not (findings or allowed or one.failure):
            continue
        yield from ("", f"### {_markdown(one.file)}", "")
        if one.failure:
            yield f"could not be checked: {_markdown(one.failure)}"
        if findings:
            yield from ("| | rule | place | what |", "| --- | --- | --- | --- |")
        for finding in findings:
            way_out = f"; {finding.help}" if finding.help else ""
            what = _markdown(f"{finding.message}{way_out}")
            place = _link(finding.span, one.file)
            yield f"| {finding.severity} | `{finding.rule}` | {place} | {what} |"
        yield from (text for line in allowed for text in ("", _markdown(line)))


def _link(span: Span | None, file: str) -> str:
    """Return the line as a link to the commit that was checked, where GitHub says which one."""
    if span is None:
        return ""
    words = f"line {span.line}" if span.file == file else f"{_markdown(span.file)}:{span.line}"
    known = [os.environ.get(f"GITHUB_{name}") for name in ("SERVER_URL", "REPOSITORY", "SHA")]
    root = os.environ.get("GITHUB_WORKSPACE")
    if not all(known) or not root or span.file.startswith("--set "):
        return words
    path = Path(os.path.abspath(span.file))
    if not path.is_relative_to(root):
        return words
    server, repository, commit = known
    inner = quote(path.relative_to(root).as_posix(), errors="replace")
    return f"[{words}]({server}/{repository}/blob/{commit}/{inner}#L{span.line})"


def _markdown(text: str) -> str:
    r"""Return a text that Markdown shows as it is, with what stands in backticks as code.

    >>> _markdown("`lr` of [a](b)|*c*")
    '<code>lr</code> of &#91;a&#93;(b)&#124;&#42;c&#42;'
    """
    pieces = printable(text.replace("\n", " ")).split("`")
    if len(pieces) % 2 == 0:  # one backtick has no partner
        pieces = ["`".join(pieces)]
    plain = ["".join(f"&#{ord(c)};" if c in _MARKUP else c for c in piece) for piece in pieces]
    return "".join(f"<code>{p}</code>" if i % 2 else p for i, p in enumerate(plain))
