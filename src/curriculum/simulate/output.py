"""Writing tables and pictures: endings that are known, and files that are whole or not there"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from curriculum.errors import CurriculumError

if TYPE_CHECKING:
    import polars as pl

TABLE_ENDINGS = (".parquet", ".csv")
PICTURE_ENDINGS = (".png", ".svg")


def require_ending(path: Path, endings: tuple[str, ...], option: str) -> None:
    """Refuse a path that ends in none of these, before any work is done."""
    if path.suffix.lower() not in endings:
        known = " or ".join(endings)
        raise CurriculumError(f"{option} {path}: write a file name that ends in {known}")
    if not path.parent.is_dir():
        raise CurriculumError(f"{option} {path}: there is no folder {path.parent}")


def write_table(table: "pl.DataFrame", path: Path) -> None:
    """Write a table as parquet or CSV, by the path's ending."""
    if path.suffix.lower() == ".csv":
        write_whole(path, lambda unfinished: table.write_csv(unfinished))
    else:
        write_whole(path, lambda unfinished: table.write_parquet(unfinished))


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make the file beside its place and move it there when it is complete."""
    unfinished = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        write(unfinished)
        unfinished.replace(path)
    except OSError as error:
        raise CurriculumError(f"{path}: cannot write it: {error.strerror or error}") from error
    finally:
        unfinished.unlink(missing_ok=True)
