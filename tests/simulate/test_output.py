from pathlib import Path

import polars as pl
import pytest

from curriculum.errors import CurriculumError
from curriculum.simulate.output import TABLE_ENDINGS, require_ending, write_table, write_whole
from curriculum.simulate.timeline import timeline
from simulate.plans import laptop_plan


def test_a_table_comes_back_as_it_was_written(tmp_path: Path) -> None:
    table = timeline(laptop_plan())
    write_table(table, tmp_path / "run.parquet")
    assert pl.read_parquet(tmp_path / "run.parquet").equals(table)
    write_table(table, tmp_path / "run.csv")
    again = pl.read_csv(tmp_path / "run.csv", schema_overrides=table.schema)
    assert again.equals(table)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.csv", "run.parquet"]


@pytest.mark.parametrize("name", ["run.xlsx", "run", "run.parquet.gz"])
def test_another_ending_is_refused_with_those_that_are_known(name: str) -> None:
    with pytest.raises(CurriculumError, match=r"ends in \.parquet or \.csv") as caught:
        require_ending(Path(name), TABLE_ENDINGS, "--out")
    assert caught.value.exit_code == 2
    require_ending(Path("run.PARQUET"), TABLE_ENDINGS, "--out")


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(CurriculumError, match="there is no folder"):
        require_ending(tmp_path / "none" / "run.csv", TABLE_ENDINGS, "--out")


def test_what_fails_half_way_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    place = tmp_path / "run.csv"
    place.write_text("old")

    def fail(unfinished: Path) -> None:
        unfinished.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(CurriculumError, match="No space left on device"):
        write_whole(place, fail)
    assert place.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["run.csv"]
