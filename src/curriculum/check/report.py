"""Reports of a check: text and JSON here, SARIF, JUnit and GitHub's annotations by their names

Each is a function from the files that were checked and what was found to one text. Fields of the
JSON report are added, never renamed.
"""

import json
from collections.abc import Sequence
from typing import Any, Literal, assert_never

from curriculum.check.checked import Checked, all_findings, all_silenced, all_unknown, counted
from curriculum.errors import Diagnostic
from curriculum.findings import finding_json, silenced_json, text_of

ReportFormat = Literal["text", "json", "sarif", "junit", "github"]


def report(checked: Sequence[Checked], form: ReportFormat, colour: bool = False) -> str:
    """Write what was found in one of the formats, with a line break at its end."""
    match form:
        case "text":
            return _text(checked, colour)
        case "json":
            return _dumped(_json(checked))
        case "sarif":
            from curriculum.check.sarif import sarif

            return _dumped(sarif(checked))
        case "junit":
            from curriculum.check.junit import junit

            return junit(checked)
        case "github":
            from curriculum.check.github import annotations

            return annotations(checked)
        case _:
            assert_never(form)


def _text(checked: Sequence[Checked], colour: bool) -> str:
    findings = all_findings(checked)
    read = sum(one.failure is None for one in checked)
    files = f"{read} file{'s' * (read != 1)}"
    named = {one.file for one in checked}
    fixable = sum(f.fix is not None and f.fix.span.file in named for f in findings)
    hint = f" ({fixable} can be mended by --fix)" if fixable else ""
    return f"{text_of(findings, colour)}{files} checked: {counted(checked)}{hint}\n"


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
        "allowed": [silenced_json(one) for one in all_silenced(checked)],
        "fixed": [finding_json(finding) for one in checked for finding in one.fixed],
        "unknown": len(all_unknown(checked)),
    }


def _dumped(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, allow_nan=False) + "\n"
