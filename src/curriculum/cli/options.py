"""The options that several commands share"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Format(StrEnum):
    """How results are printed."""

    TEXT = "text"
    JSON = "json"


File = Annotated[Path, typer.Argument(metavar="FILE", help="A plan file, or a lock (*.json).")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Replace a key; dots reach below. Repeatable."),
]
FormatOption = Annotated[Format, typer.Option("--format", help="How results are printed.")]
