"""`curriculum fmt`: plan files in their canonical layout"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from curriculum.cli.options import Format, FormatOption
from curriculum.cli.rewrite import differences, rewrite
from curriculum.errors import CurriculumError, Diagnostic, FindingsError
from curriculum.findings import finding_json, printable, text_of

Check = Annotated[
    bool, typer.Option("--check", help="Write nothing; exit 1 where a file would change.")
]
Diff = Annotated[
    bool, typer.Option("--diff", help="Write nothing; show what would change, and exit 1.")
]


@dataclass(frozen=True, slots=True)
class _File:
    """A plan file: its text, and the one it should have; or what stops us."""

    path: Path
    old: str = ""
    new: str = ""
    findings: tuple[Diagnostic, ...] = ()
    failure: str | None = None

    @property
    def is_changed(self) -> bool:
        return self.old != self.new


def command(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Plan files.")],
    check: Check = False,
    diff: Diff = False,
    format: FormatOption = Format.TEXT,
) -> None:
    """Lay plan files out: indentation, spaces, blank lines. Values, comments and their order stay.

    Prints the files that change, and writes them, each whole or not at all.
    """
    laid = [_laid(file) for file in files]
    if not (check or diff):
        laid = [_write(file) if file.is_changed else file for file in laid]
    if format is Format.JSON:
        print(json.dumps(_json(laid), indent=2))
    else:
        for file in laid:
            if file.is_changed:
                sys.stdout.writelines(
                    differences(file.path, file.old, file.new, "laid out")
                    if diff
                    else [f"{printable(str(file.path))}\n"]
                )
        print(text_of(f for file in laid for f in file.findings), end="", file=sys.stderr)
    for file in laid:
        if file.failure is not None:
            print(f"curriculum: {file.failure}", file=sys.stderr)
    if any(file.failure is not None for file in laid):
        raise typer.Exit(CurriculumError.exit_code)
    if any(file.findings or ((check or diff) and file.is_changed) for file in laid):
        raise typer.Exit(FindingsError.exit_code)


def _laid(path: Path) -> _File:
    from curriculum.source_map import bytes_of, text_in
    from curriculum.tidy import tidied

    try:
        if path.suffix == ".json":
            raise CurriculumError(f"{path}: is a lock; `fmt` lays out plan files")
        data = bytes_of(path)
        text = text_in(data, str(path))
        # What is compared are the bytes: another line break or a byte order mark is a change.
        return _File(path, data.decode("utf-8"), tidied(text, str(path)))
    except FindingsError as error:
        return _File(path, findings=error.diagnostics)
    except CurriculumError as error:
        return _File(path, failure=str(error))


def _write(file: _File) -> _File:
    try:
        rewrite(file.path, file.new)
    except (CurriculumError, OSError) as error:
        return _File(file.path, failure=str(error))
    return file


def _json(laid: list[_File]) -> dict[str, object]:
    failures = [
        {**finding_json(Diagnostic("cannot", file.failure)), "file": str(file.path)}
        for file in laid
        if file.failure is not None
    ]
    return {
        "format": 1,
        "files": [{"file": str(file.path), "changed": file.is_changed} for file in laid],
        "findings": [*(finding_json(f) for file in laid for f in file.findings), *failures],
    }
