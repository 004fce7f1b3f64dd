"""A check as SARIF 2.1.0, for code scanning: rules with their texts, results with their places

A result is known again by its `partialFingerprints`: the rule, and the keys that stand around its
place. Lines that are added above it, comments and other values change nothing of it.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

from curriculum.check.checked import Checked, all_findings, all_silenced
from curriculum.check.explained import Explanation, explanations
from curriculum.errors import Diagnostic, Fix, Severity, Span
from curriculum.findings import printable, source_lines

RULES_URL = "CURRICULUM_RULES_URL"
"""The environment variable that says where docs/rules.md can be read, for `helpUri`."""

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
_SETTING = "--set "
_MAX_DESCRIPTION = 1000
"""GitHub takes descriptions of up to 1,024 characters."""


def sarif(checked: Sequence[Checked]) -> dict[str, Any]:
    """Return the document: one run, with the rules that found something and what they found."""
    silenced = all_silenced(checked)
    told = [*all_findings(checked), *(one.finding for one in silenced)]
    codes = sorted({finding.rule for finding in told})
    prints = _Prints()
    results = [_result(f, codes.index(f.rule), prints.of(f)) for f in told]
    for result, one in zip(results[len(told) - len(silenced) :], silenced, strict=True):
        result["suppressions"] = [{"kind": "inSource", "justification": printable(one.reason)}]
    failures = [
        {"level": "error", "message": {"text": printable(one.failure)}}
        for one in checked
        if one.failure
    ]
    driver = {
        "name": "curriculum",
        "version": version("curriculum"),
        "rules": [_rule(code) for code in codes],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "invocations": [
            {"executionSuccessful": not failures, "toolExecutionNotifications": failures}
        ],
        "results": results,
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(code: str) -> dict[str, Any]:
    """Describe a rule with what `curriculum explain` tells of it."""
    known = explanations().get(code)
    if known is None:
        return {"id": code}
    why = "" if known.entry is None else f" {' '.join(known.entry.why.split())}"
    rule = {
        "id": code,
        "shortDescription": {"text": known.sentence},
        "fullDescription": {"text": _cut(f"{known.sentence}{why}")},
        "help": {"text": "\n\n".join(_help(known))},
    }
    if known.severity is not None:
        rule["defaultConfiguration"] = {"level": _LEVELS[known.severity]}
    if url := os.environ.get(RULES_URL):
        rule["helpUri"] = f"{url}#{code}" if known.entry is not None else url
    return rule


def _help(known: Explanation) -> Iterator[str]:
    yield known.sentence
    if (said := known.entry) is not None:
        yield " ".join(said.why.split())
        yield f"When: {' '.join(said.domain.split())}"
        yield f"Source: {' '.join(said.source.split())}"
    yield f"More: curriculum explain {known.code}"


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_DESCRIPTION else f"{text[: _MAX_DESCRIPTION - 3]}..."


def _result(finding: Diagnostic, rule_index: int, fingerprint: str) -> dict[str, Any]:
    way_out = f" ({finding.help})" if finding.help else ""
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": rule_index,
        "level": _LEVELS[finding.severity],
        "message": {"text": printable(f"{finding.message}{way_out}")},
        "partialFingerprints": {"ruleAndKeys/v1": fingerprint},
    }
    if finding.span:
        result["locations"] = [_location(finding.span)]
    if finding.fix and not finding.fix.span.file.startswith(_SETTING):
        result["fixes"] = [_fix(finding.fix)]
    for r in finding.related:
        place = {**_location(r.span), "message": {"text": printable(r.message)}}
        told = result.setdefault("relatedLocations", [])
        if place not in told:  # the schema asks that they differ
            told.append(place)
    return result


def _location(span: Span) -> dict[str, Any]:
    """Return a place in a file; a `--set` on the command line is a place in none."""
    if span.file.startswith(_SETTING):
        return {"logicalLocations": [{"fullyQualifiedName": printable(span.file)}]}
    place = {"artifactLocation": {"uri": _uri(span.file)}, "region": _region(span)}
    return {"physicalLocation": place}


def _fix(fix: Fix) -> dict[str, Any]:
    edit = {"deletedRegion": _region(fix.span), "insertedContent": {"text": fix.text}}
    change = {"artifactLocation": {"uri": _uri(fix.span.file)}, "replacements": [edit]}
    described = {"text": "made by curriculum check --fix"}
    return {"description": described, "artifactChanges": [change]}


def _region(span: Span) -> dict[str, int]:
    return {
        "startLine": span.line,
        "startColumn": span.column,
        "endLine": span.end_line,
        "endColumn": span.end_column,
    }


def _uri(file: str) -> str:
    """Return a file's name as a reference; a relative one is relative to where the check ran."""
    path = Path(file)
    scheme = "file://" if path.is_absolute() else ""
    return scheme + quote(path.as_posix(), errors="replace")


@dataclass(slots=True)
class _Prints:
    """The fingerprints of one run, and the lines of the files that they are taken from."""

    lines: dict[str, tuple[str, ...]] = field(default_factory=dict)
    found: Counter[tuple[str, str]] = field(default_factory=Counter)

    def of(self, finding: Diagnostic) -> str:
        """Return what a finding is known again by, and which it is of those that look the same."""
        keys, file = [finding.message], ""
        if (span := finding.span) is not None:
            file = span.file
            if file not in self.lines:
                self.lines[file] = source_lines(file)
            keys = list(keys_around(self.lines[file], span.line))
        known = sha256("\0".join([finding.rule, *keys]).encode(errors="replace")).hexdigest()[:16]
        self.found[file, known] += 1
        return f"{known}:{self.found[file, known]}"


def keys_around(lines: Sequence[str], line: int) -> Iterator[str]:
    """Yield the key on a line (from 1), and those of the less indented lines that it stands below.

    >>> plan = ["stages:", "  joint:", "    # a comment", "    lr: 1e-3", "    seq_len: 8"]
    >>> list(keys_around(plan, 5))
    ['seq_len', 'joint', 'stages']
    """
    indent: int | None = None
    for text in reversed(lines[:line]):
        bare = text.strip()
        here = len(text) - len(text.lstrip())
        if bare and not bare.startswith("#") and (indent is None or here < indent):
            indent = here
            yield bare.partition(":")[0]
        if indent == 0:
            return
