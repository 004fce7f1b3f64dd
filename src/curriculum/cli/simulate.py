"""`curriculum simulate`: the run as a table, as a picture, and in numbers"""

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from typer.core import TyperCommand

from curriculum.cli.load import load_compiled
from curriculum.cli.options import File, Format, FormatOption, Set
from curriculum.errors import CurriculumError, Diagnostic, FindingsError, Severity
from curriculum.findings import finding_json, text_of

if TYPE_CHECKING:
    from curriculum.plan import Plan


By = Literal["source", "group", "tag"]
LrScale = Literal["linear", "log"]

TERMINAL = "-"
PLAN_ENDINGS = (".yaml", ".yml", ".json")
FALLBACK_SIZE = (100, 24)  # columns and lines where there is no terminal


class CommandLine(TyperCommand):
    """The command line of `simulate`, in which `--plot` may stand without a value.

    `--plot run.png` names a picture, `--plot` alone means the terminal. The word behind `--plot` is
    its value unless it is an option or ends like a plan file.
    """

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Give a bare `--plot` the value that means the terminal."""
        return TyperCommand.parse_args(self, ctx, with_plot_value(args))


def with_plot_value(args: Sequence[str]) -> list[str]:
    """Write `--plot=-` where `--plot` has no value of its own.

    >>> with_plot_value(["--plot", "plan.yaml"]), with_plot_value(["plan.yaml", "--plot"])
    (['--plot=-', 'plan.yaml'], ['plan.yaml', '--plot=-'])
    >>> with_plot_value(["plan.yaml", "--plot", "run.png"])
    ['plan.yaml', '--plot', 'run.png']
    """
    words: list[str] = []
    for i, word in enumerate(args):
        following = args[i + 1] if i + 1 < len(args) else TERMINAL
        is_value = not following.startswith("-") and not following.endswith(PLAN_ENDINGS)
        if word == "--":
            return words + list(args[i:])
        words.append(f"--plot={TERMINAL}" if word == "--plot" and not is_value else word)
    return words


def command(
    file: File,
    every: Annotated[
        int, typer.Option(min=1, metavar="N", help="Steps between two rows of the table.")
    ] = 1,
    out: Annotated[
        Path | None, typer.Option(metavar="F", help="Write the table: .parquet or .csv.")
    ] = None,
    plot: Annotated[
        str | None,
        typer.Option(metavar="[F]", help="Draw: to F.png or F.svg, or alone in the terminal."),
    ] = None,
    draws: Annotated[
        bool, typer.Option("--draws", help="Add the sequences of every source, as whole numbers.")
    ] = False,
    by: Annotated[
        By | None, typer.Option("--by", help="Areas of the mixture in a picture; else by source.")
    ] = None,
    lr_scale: Annotated[
        LrScale | None,
        typer.Option(
            "--lr-scale",
            help="Axis of the learning rate; else log if one stage's peak is over 8 x another's.",
        ),
    ] = None,
    settings: Set = None,
    output_format: FormatOption = Format.TEXT,
) -> None:
    """Show what a plan will do: as a table and in pictures; of a plan with errors too (exit 1)."""
    from curriculum.simulate.output import PICTURE_ENDINGS, TABLE_ENDINGS, require_ending

    in_terminal = plot == TERMINAL
    picture_path = Path(plot) if plot is not None and not in_terminal else None
    if out is not None:
        require_ending(out, TABLE_ENDINGS, "--out")
    elif draws:
        raise CurriculumError("--draws adds columns to the table: say --out F.parquet as well")
    if picture_path is not None:
        require_ending(picture_path, PICTURE_ENDINGS, "--plot")
    if by is not None and picture_path is None:
        raise CurriculumError("--by is of the mixture in a picture: say --plot F.png as well")
    if lr_scale is not None and plot is None:
        raise CurriculumError("--lr-scale is of a picture: say --plot as well")
    if in_terminal and output_format is Format.JSON:
        raise CurriculumError(
            "--plot alone draws on stdout, where --format json writes: name a file"
        )

    plan, compiled = load_compiled(file, settings)
    if not plan.stages:
        raise CurriculumError(f"{file}: the plan has no stage that can be simulated")
    rows = _write_table(plan, every, out, draws)
    _write_picture(plan, picture_path, by or "source", lr_scale)
    if output_format is Format.JSON:
        sys.stdout.write(_document(plan, compiled.findings, rows, out, picture_path))
    else:
        width = shutil.get_terminal_size(FALLBACK_SIZE).columns
        if in_terminal:
            _print_picture(plan, width, lr_scale)
        _print(plan, compiled.findings, width)
        if out is not None:
            print(f"{out}: {rows:,} rows", file=sys.stderr)
        if picture_path is not None:
            print(f"{picture_path}: a picture", file=sys.stderr)
    if compiled.errors:
        raise typer.Exit(FindingsError.exit_code)


def _print(plan: "Plan", findings: Sequence[Diagnostic], width: int) -> None:
    """Print the table, and what was found behind it."""
    from curriculum.simulate.stage_table import table_of_stages

    sys.stdout.write(table_of_stages(plan, width))
    sys.stdout.flush()
    # What is only worth knowing `plan` and `check` tell, each time a picture is drawn nobody asks.
    if grave := [finding for finding in findings if finding.severity is not Severity.INFO]:
        print(text_of(grave), file=sys.stderr)


def _write_table(plan: "Plan", every: int, out: Path | None, draws: bool) -> int | None:
    """Write the table if it was asked for; return its number of rows."""
    if out is None:
        return None
    try:
        from curriculum.simulate.output import write_table
        from curriculum.simulate.timeline import timeline
    except ModuleNotFoundError as error:
        raise _needs(error) from error
    table = timeline(plan, every, draws)
    write_table(table, out)
    return table.height


def _write_picture(plan: "Plan", path: Path | None, by: By, scale: LrScale | None) -> None:
    """Draw the picture if it was asked for."""
    if path is None:
        return
    try:
        from curriculum.simulate.plot import draw
        from curriculum.simulate.timeline import outline
    except ModuleNotFoundError as error:
        raise _needs(error) from error
    draw(plan, outline(plan), path, by=by, scale=scale)


def _needs(error: ModuleNotFoundError) -> CurriculumError:
    return CurriculumError(f"simulate needs {error.name}: pip install 'curriculum[simulate]'")


def _print_picture(plan: "Plan", width: int, scale: LrScale | None) -> None:
    from curriculum.simulate.terminal import ASCII, BLOCKS, picture

    try:
        BLOCKS.encode(sys.stdout.encoding or "ascii")
        glyphs = BLOCKS
    except UnicodeEncodeError:
        glyphs = ASCII
    sys.stdout.write(picture(plan, width, glyphs, scale) + "\n")


def _document(
    plan: "Plan",
    findings: Sequence[Diagnostic],
    rows: int | None,
    out: Path | None,
    picture: Path | None,
) -> str:
    from curriculum.simulate.summary import summary

    written = {
        "out": None if out is None else {"path": str(out), "rows": rows},
        "plot": None if picture is None else {"path": str(picture)},
    }
    document = {
        "format": 1,
        **summary(plan),
        **written,
        "findings": [finding_json(f) for f in findings],
    }
    return json.dumps(document, indent=2, allow_nan=False) + "\n"
