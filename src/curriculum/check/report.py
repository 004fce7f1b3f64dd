"""Reports of a check: text, JSON, SARIF 2.1.0, JUnit and GitHub annotations

Each is a function from the files that were checked and what was found to one text. Fields of the
JSON report are added, never renamed.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, assert_never
from xml.sax.saxutils import quoteattr

from curriculum.allowances import Silenced
from curriculum.check.advice import every_rule
from curriculum.errors import Diagnostic, Fix, Severity, Span
from curriculum.findings import (
    SEVERITIES,
    count_words,
    finding_json,
    printable,
    silenced_json,
    text_of,
)

ReportFormat = Literal["text", "json", "sarif", "junit", "github"]

MAX_ANNOTATIONS = 10
"""GitHub shows 10 annotations of a kind for a step, and drops the others."""

_SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_SARIF_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
_GITHUB_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}


@dataclass(frozen=True, slots=True)
class Checked:
    """One file, and what was found in it; `failure` says why it could not be checked at all.

    `silenced` is what its plan allows of what the rules found, `fixed` what `--fix` mended before.
    """

    file: str
    findings: tuple[Diagnostic, ...] = ()
    failure: str | None = None
    silenced: tuple[Silenced, ...] = ()
    fixed: tuple[Diagnostic, ...] = ()


def report(checked: Sequence[Checked], form: ReportFormat, colour: bool = False) -> str:
    """Write what was found in one of the formats, with a line break at its end."""
    match form:
        case "text":
            return _text(checked, colour)
        case "json":
            return _dumped(_json(checked))
        case "sarif":
            return _dumped(_sarif(checked))
        case "junit":
            return _junit(checked)
        case "github":
            return _github(checked)
        case _:
            assert_never(form)


def all_findings(checked: Sequence[Checked]) -> list[Diagnostic]:
    """Return the findings of all files, each once: two plans may extend the same one.

    The worst come first, in the order that their files were named in.
    """
    found = dict.fromkeys(f for one in checked for f in one.findings)
    return sorted(found, key=lambda f: -SEVERITIES.index(f.severity))


def _all_silenced(checked: Sequence[Checked]) -> list[Silenced]:
    return list(dict.fromkeys(one for file in checked for one in file.silenced))


def _text(checked: Sequence[Checked], colour: bool) -> str:
    findings = all_findings(checked)
    read = sum(one.failure is None for one in checked)
    files = f"{read} file{'s' * (read != 1)}"
    counted = count_words(findings, len(_all_silenced(checked)))
    named = {one.file for one in checked}
    fixable = sum(f.fix is not None and f.fix.span.file in named for f in findings)
    hint = f" ({fixable} can be mended by --fix)" if fixable else ""
    return f"{text_of(findings, colour)}{files} checked: {counted}{hint}\n"


def _json(checked: Sequence[Checked]) -> dict[str, Any]:
    failures = [
        {**finding_json(Diagnostic("cannot", one.failure)), "file": one.file}
        for one in checked
        if one.failure is not None
    ]
    return {
        "format": 1,
        "files": [one.file for one in checked],
        "findings": [*(finding_json(f) for f in all_findings(checked)), *failures],
        "allowed": [silenced_json(one) for one in _all_silenced(checked)],
        "fixed": [finding_json(finding) for one in checked for finding in one.fixed],
    }


def _sarif(checked: Sequence[Checked]) -> dict[str, Any]:
    findings = all_findings(checked)
    sentences = {rule.code: rule.sentence for rule in every_rule()}
    silenced = _all_silenced(checked)
    codes = sorted({f.rule for f in (*findings, *(one.finding for one in silenced))})
    rules: list[dict[str, Any]] = []
    for code in codes:
        described = {"shortDescription": {"text": sentences[code]}} if code in sentences else {}
        rules.append({"id": code, **described})
    failures = [
        {"level": "error", "message": {"text": one.failure}} for one in checked if one.failure
    ]
    run = {
        "tool": {"driver": {"name": "curriculum", "rules": rules}},
        "columnKind": "unicodeCodePoints",
        "invocations": [
            {"executionSuccessful": not failures, "toolExecutionNotifications": failures}
        ],
        "results": [
            *(_sarif_result(f, codes.index(f.rule)) for f in findings),
            *(_sarif_silenced(one, codes.index(one.finding.rule)) for one in silenced),
        ],
    }
    return {"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}


def _sarif_silenced(silenced: Silenced, rule_index: int) -> dict[str, Any]:
    result = _sarif_result(silenced.finding, rule_index)
    return {**result, "suppressions": [{"kind": "inSource", "justification": silenced.reason}]}


def _sarif_result(finding: Diagnostic, rule_index: int) -> dict[str, Any]:
    way_out = f" ({finding.help})" if finding.help else ""
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": rule_index,
        "level": _SARIF_LEVELS[finding.severity],
        "message": {"text": f"{finding.message}{way_out}"},
    }
    if finding.span:
        result["locations"] = [_sarif_location(finding.span)]
    if finding.fix:
        result["fixes"] = [_sarif_fix(finding.fix)]
    if finding.related:
        result["relatedLocations"] = [
            {**_sarif_location(r.span), "message": {"text": r.message}} for r in finding.related
        ]
    return result


def _sarif_fix(fix: Fix) -> dict[str, Any]:
    place = _sarif_location(fix.span)["physicalLocation"]
    edit = {"deletedRegion": place["region"], "insertedContent": {"text": fix.text}}
    return {
        "description": {"text": "made by curriculum check --fix"},
        "artifactChanges": [
            {"artifactLocation": place["artifactLocation"], "replacements": [edit]}
        ],
    }


def _sarif_location(span: Span) -> dict[str, Any]:
    from urllib.parse import quote

    region = {
        "startLine": span.line,
        "startColumn": span.column,
        "endLine": span.end_line,
        "endColumn": span.end_column,
    }
    place = {"artifactLocation": {"uri": quote(span.file, errors="replace")}, "region": region}
    return {"physicalLocation": place}


def _junit(checked: Sequence[Checked]) -> str:
    """One suite a file, one case a finding; infos are cases that pass."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', '<testsuites name="curriculum check">']
    for one in checked:
        bad = [f for f in one.findings if f.severity is not Severity.INFO]
        good = [f for f in one.findings if f.severity is Severity.INFO]
        errors = int(one.failure is not None)
        cases = len(bad) + errors or 1
        lines.append(
            f"  <testsuite name={_attribute(one.file)} "
            f'tests="{cases}" failures="{len(bad)}" errors="{errors}">'
        )
        if one.failure is not None:
            lines += _case(one.file, "read", "error", one.failure, one.failure)
        for finding in bad:
            lines += _case(one.file, finding.rule, "failure", finding.message, str(finding))
        if not bad and one.failure is None:
            lines.append(f'    <testcase classname={_attribute(one.file)} name="check"/>')
        lines += [f"    <!-- {_comment(str(finding))} -->" for finding in good]
        lines.append("  </testsuite>")
    return "\n".join([*lines, "</testsuites>"]) + "\n"


def _case(file: str, name: str, kind: str, message: str, text: str) -> list[str]:
    return [
        f"    <testcase classname={_attribute(file)} name={_attribute(name)}>",
        f"      <{kind} message={_attribute(message)}>{_xml(text)}</{kind}>",
        "    </testcase>",
    ]


def _attribute(text: str) -> str:
    return quoteattr(printable(text))


def _xml(text: str) -> str:
    from xml.sax.saxutils import escape

    return escape(printable(text))


def _comment(text: str) -> str:
    return _xml(text).replace("--", "- -")


def _github(checked: Sequence[Checked]) -> str:
    """Workflow commands, the worst first, then a line that says how many there are."""
    findings = all_findings(checked)
    lines = [f"::error::{_escaped(one.failure)}" for one in checked if one.failure]
    for finding in findings[: max(0, MAX_ANNOTATIONS - len(lines))]:
        where = _github_place(finding.span)
        way_out = f"; {finding.help}" if finding.help else ""
        level = _GITHUB_LEVELS[finding.severity]
        title = _escaped_property(finding.rule)
        lines.append(f"::{level} {where}title={title}::{_escaped(finding.message + way_out)}")
    num_allowed = len(_all_silenced(checked))
    shown = f" ({MAX_ANNOTATIONS} shown)" if len(findings) > MAX_ANNOTATIONS else ""
    return (
        "\n".join([*lines[:MAX_ANNOTATIONS], f"{count_words(findings, num_allowed)}{shown}"]) + "\n"
    )


def _github_place(span: Span | None) -> str:
    if span is None:
        return ""
    return (
        f"file={_escaped_property(span.file)},line={span.line},col={span.column},"
        f"endLine={span.end_line},endColumn={max(1, span.end_column - 1)},"
    )


def _escaped(text: str) -> str:
    """Escape what ends a workflow command."""
    escaped = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return printable(escaped)


def _escaped_property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")


def _dumped(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, allow_nan=False) + "\n"
