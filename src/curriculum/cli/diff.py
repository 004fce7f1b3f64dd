"""`curriculum diff`: what differs between two plans, from which step on, and what follows"""

import json
from pathlib import Path
from typing import Annotated

import typer

from curriculum.cli.at_point import step_of
from curriculum.cli.load import unjudged
from curriculum.cli.options import Format, FormatOption
from curriculum.diff.as_json import diff_json, touched_json
from curriculum.diff.compare import compare
from curriculum.diff.executed import executed_before, touched
from curriculum.diff.values import Place
from curriculum.diff.words import from_step_words, told
from curriculum.errors import CurriculumError, FindingsError
from curriculum.plan import Plan

Old = Annotated[Path, typer.Argument(metavar="A", help="A plan file, or a lock: what was.")]
New = Annotated[Path, typer.Argument(metavar="B", help="A plan file, or a lock: what is now.")]
FromStep = Annotated[
    str | None,
    typer.Option(
        metavar="STAGE@K", help="Ask whether all before this step of A is the same: exit 0."
    ),
]
SetB = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Replace a key of B. Repeatable."),
]


def command(
    a: Old,
    b: New,
    from_step: FromStep = None,
    set_: SetB = None,
    format: FormatOption = Format.TEXT,
) -> None:
    """Compare two plans step by step, without walking them.

    Exit 0 where nothing but words differs, else 1; with --from-step 0 where all before that step
    is the same.
    """
    diff = compare(_plan(a, None), _plan(b, set_))
    place = None if from_step is None else _place(diff.a, from_step)
    found = None
    if place is not None:
        found = touched(diff, executed_before(diff.a, place))
    if format is Format.JSON:
        asked = None if place is None else touched_json(place, found)
        document = {**diff_json(diff), "from_step": asked}
        print(json.dumps({"format": 1, **document, "findings": []}, indent=2))
    else:
        asked_lines = [] if place is None else [from_step_words(place, found), ""]
        print("\n".join([*asked_lines, *told(diff)]).rstrip())
    is_fine = diff.is_harmless if place is None else found is None
    if not is_fine:
        raise typer.Exit(FindingsError.exit_code)


def _plan(path: Path, settings: list[str] | None) -> Plan:
    compiled = unjudged(path, settings)
    if compiled.plan is None:
        raise FindingsError(compiled.findings)
    return compiled.plan


def _place(plan: Plan, point: str) -> Place:
    """Return the place that `STAGE@K` names: a step by its number, or any mark."""
    name, _, mark = point.partition("@")
    number = mark.strip().replace("_", "").replace(",", "")
    if not number.isdecimal():
        stage, step = step_of(plan, point)
        return Place(stage.name, step)
    stage, _ = step_of(plan, name)
    step = int(number)
    if step > stage.steps:
        raise CurriculumError(f"`{name}` has {stage.steps:,} steps, so no step {step:,}")
    return Place(name, step)
