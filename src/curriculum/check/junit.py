"""A check as JUnit's XML: one suite a file, one case a finding

Written for Jenkins' schema (xunit-plugin's junit-10.xsd), which the others read too.
"""

from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

from curriculum.check.checked import Checked
from curriculum.errors import Severity
from curriculum.findings import printable, silenced_lines


def junit(checked: Sequence[Checked]) -> str:
    """Write the report. Infos and what was allowed fail nothing: they are their suite's output."""
    suites = [_suite(one) for one in checked]
    totals = [sum(counts) for counts in zip(*(counts for counts, _ in suites), strict=True)]
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuites name="curriculum check" {_counts(totals or [0, 0, 0])}>',
        *(line for _, text in suites for line in text),
        "</testsuites>",
    ]
    return "\n".join(lines) + "\n"


def _suite(one: Checked) -> tuple[Sequence[int], list[str]]:
    """Return the numbers of cases, failures and errors of a file, and its suite."""
    bad = [f for f in one.findings if f.severity is not Severity.INFO]
    told = [printable(str(f)) for f in one.findings if f.severity is Severity.INFO]
    told += silenced_lines(one.silenced).splitlines()
    errors = int(one.failure is not None)
    counts = (len(bad) + errors or 1, len(bad), errors)
    lines = [f"  <testsuite name={_attribute(one.file)} {_counts(counts)}>"]
    if one.failure is not None:
        lines += _case(one.file, "read", "error", "cannot", one.failure, one.failure)
    for finding in bad:
        kind = str(finding.severity)
        lines += _case(one.file, finding.rule, "failure", kind, finding.message, str(finding))
    if not bad and one.failure is None:
        lines.append(f'    <testcase classname={_attribute(one.file)} name="check"/>')
    if told:
        text = "\n".join(escape(line) for line in told)
        lines.append(f"    <system-out>{text}</system-out>")
    return counts, [*lines, "  </testsuite>"]


def _counts(counts: Sequence[int]) -> str:
    tests, failures, errors = counts
    return f'tests="{tests}" failures="{failures}" errors="{errors}"'


def _case(file: str, name: str, kind: str, of: str, message: str, text: str) -> list[str]:
    told = f"<{kind} type={_attribute(of)} message={_attribute(message)}>"
    return [
        f"    <testcase classname={_attribute(file)} name={_attribute(name)}>",
        f"      {told}{escape(printable(text))}</{kind}>",
        "    </testcase>",
    ]


def _attribute(text: str) -> str:
    return quoteattr(printable(text))
