"""`curriculum audit`: what a run consumed against what its lock planned"""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curriculum.cli.options import Format, FormatOption
from curriculum.errors import CurriculumError

if TYPE_CHECKING:
    from curriculum.train.audit import Report

SHOWN = 10
"""Differences of one stage that the text shows; the JSON has all of them."""


def command(
    run: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a run.")],
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The data, to count and hash anew; else the run's own."),
    ] = None,
    format: FormatOption = Format.TEXT,
) -> None:
    """Compare a run's ledger with its lock, step by step."""
    try:
        from curriculum.train.launch import prepare_environment

        prepare_environment()  # before torch is imported
        from curriculum.train.audit import audit
    except ModuleNotFoundError as error:
        raise CurriculumError(
            f"audit needs {error.name}: pip install 'curriculum[train]'"
        ) from error

    report = audit(run, data)
    if format is Format.JSON:
        text = json.dumps({"format": 1, **report.as_json()}, indent=2, allow_nan=False)
    else:
        text = "\n".join(lines_of(report))
    sys.stdout.write(text + "\n")
    if not report.ok:
        raise typer.Exit(1)


def lines_of(report: "Report") -> list[str]:
    """Write the verdict: a line per stage, its differences below it."""
    width = max((len(stage.name) for stage in report.stages), default=0)
    lines = []
    for stage in report.stages:
        padding = "" if stage.padding is None else f", {stage.padding:.1%} padding"
        verdict = "differs" if stage.differences else "as planned"
        if not stage.differences and stage.steps < stage.planned_steps:
            verdict = "as planned so far"
        lines.append(
            f"{stage.name:<{width}}  {stage.steps:,} of {stage.planned_steps:,} steps, "
            f"{stage.tokens:,} tokens{padding}: {verdict}"
        )
        lines += [f"    {difference}" for difference in stage.differences[:SHOWN]]
        if len(stage.differences) > SHOWN:
            lines.append(f"    and {len(stage.differences) - SHOWN} more (--format json)")
    for made in report.composed:
        verdict = "differs" if made.differences else "as planned"
        lines.append(f"{made.name}  composed: {verdict if made.is_made else 'not yet'}")
        lines += [f"    {difference}" for difference in made.differences]
    for seam in report.seams:
        lines.append(
            f"seam before step {seam.step:,} of {seam.stage}: lock {seam.old[:12]} -> "
            f"{seam.new[:12]}, {seam.words}"
        )
    told = [(stage.name, stage.differences) for stage in report.stages]
    told += [(made.name, made.differences) for made in report.composed]
    said = {f"stage `{name}`: {difference}" for name, found in told for difference in found}
    lines += [str(finding) for finding in report.findings if finding.message not in said]
    lines += [f"note: {note}" for note in report.notes]
    if report.ok:
        return [*lines, "audit: ok, what ran is what was planned"]
    return [*lines, "audit: not ok" + ("" if report.complete else ", the run is not finished")]
