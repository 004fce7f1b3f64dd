"""`curriculum check`: rules and property tests over plans and locks, for people and for CI"""

import sys
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curriculum.allowances import Silenced
from curriculum.cli.load import load
from curriculum.cli.options import Set
from curriculum.errors import CurriculumError, Diagnostic, FindingsError, Severity, Span

if TYPE_CHECKING:
    from curriculum.check.checked import Checked


class Format(StrEnum):
    """How the findings are printed."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    JUNIT = "junit"
    GITHUB = "github"


class FailOn(StrEnum):
    """From which severity on a finding makes the exit status 1."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


def command(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Plans, or locks.")],
    output_format: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TEXT,
    fail_on: Annotated[
        FailOn, typer.Option(metavar="LEVEL", help="Findings from here on fail the check.")
    ] = FailOn.ERROR,
    max_examples: Annotated[
        int, typer.Option(min=1, metavar="N", help="Examples of every property test.")
    ] = 100,
    seed: Annotated[
        int | None,
        typer.Option(metavar="N", help="Look for other examples than those of every machine."),
    ] = None,
    fix: Annotated[
        bool, typer.Option("--fix", help="Make the edits that are safe, then check.")
    ] = False,
    diff: Annotated[
        bool, typer.Option("--diff", help="With --fix: write nothing, show the edits; exit 1.")
    ] = False,
    set_: Set = None,
) -> None:
    """Check plans: rules and property tests. Exit 1 when something is found, 2 when a file cannot
    be read."""
    from curriculum.check.checked import all_findings
    from curriculum.check.report import report
    from curriculum.findings import SEVERITIES, wants_colour

    if fix and set_:
        raise CurriculumError("--fix edits the files as they are: leave out --set")
    if diff and (not fix or output_format is not Format.TEXT):
        raise CurriculumError("--diff belongs to --fix, and prints text")
    if diff:
        _show_edits(files)
        return
    done = {file: _mend(file) for file in files} if fix else {}
    checked = [
        replace(_check(file, set_ or [], max_examples, seed), fixed=done.get(file, ()))
        for file in files
    ]
    text = report(checked, output_format.value, wants_colour(sys.stdout))
    sys.stdout.write(text)
    if output_format is Format.GITHUB:
        _write_summary(checked)
    failures = [one.failure for one in checked if one.failure is not None]
    for failure in failures:
        print(f"curriculum: {failure}", file=sys.stderr)
    level = SEVERITIES.index(Severity(fail_on.value))
    found = any(SEVERITIES.index(f.severity) >= level for f in all_findings(checked))
    if failures or found:
        raise typer.Exit(CurriculumError.exit_code if failures else FindingsError.exit_code)


def _mend(file: Path) -> tuple[Diagnostic, ...]:
    """Make the safe edits of a file, say each on stderr, and return the findings they mended."""
    from curriculum.cli.fix import done_words, mended
    from curriculum.cli.rewrite import rewrite
    from curriculum.findings import printable

    found = mended(file)
    if found is None or not found.done:
        return ()
    rewrite(file, found.new)
    for finding in found.done:
        print(f"fixed {printable(done_words(finding))}", file=sys.stderr)
    return found.done


def _show_edits(files: list[Path]) -> None:
    from curriculum.cli.fix import mended
    from curriculum.cli.rewrite import differences

    changed = [found for file in files if (found := mended(file)) is not None and found.done]
    for one in changed:
        sys.stdout.writelines(differences(one.path, one.old, one.new, "fixed"))
    if changed:
        raise typer.Exit(FindingsError.exit_code)


def _write_summary(checked: "list[Checked]") -> None:
    from curriculum.check.github import write_summary

    if (failed := write_summary(checked)) is not None:
        print(f"curriculum: {failed}", file=sys.stderr)


def _check(file: Path, settings: list[str], max_examples: int, seed: int | None) -> "Checked":
    """Check one file; whatever cannot be read is told after the others."""
    from curriculum.check.checked import Checked
    from curriculum.check.properties import broken_properties
    from curriculum.findings import in_order

    try:
        loaded = load(file, settings, advises=True)
    except FindingsError as error:
        return Checked(str(file), error.diagnostics)
    except CurriculumError as error:
        return Checked(str(file), failure=str(error))
    found = list(loaded.findings)
    if loaded.plan is not None:
        found += broken_properties(loaded.plan, max_examples, seed)
    findings = tuple(_placed(finding, file) for finding in found)
    silenced = tuple(Silenced(_placed(one, file), reason) for one, reason in loaded.silenced)
    values = () if loaded.plan is None else loaded.plan.provenance
    unknown = tuple(value for value in values if value.kind == "unknown")
    return Checked(str(file), in_order(findings), silenced=silenced, unknown=unknown)


def _placed(finding: Diagnostic, file: Path) -> Diagnostic:
    """Give a finding without a place its file: a lock has no text that anybody wrote."""
    if finding.span is not None:
        return finding
    return replace(finding, span=Span(str(file), 1, 1, 1, 2))
