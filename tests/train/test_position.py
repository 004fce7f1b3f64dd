from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from curriculum.lock import write_lock
from curriculum.train import checkpoint
from curriculum.train.ledger import LedgerLine, read
from curriculum.train.position import Position, next_step, rewind
from curriculum.train.rundir import RunDir
from train.worlds import world_plan

PLAN = world_plan()
REST: tuple[Any, ...] = (0.0, {}, {}, {}, {}, None, "", "")  # what a line holds besides


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunDir]:
    """A run that wrote 8 steps of `text` and 2 of `vit-coca`."""
    with RunDir.open_new(tmp_path / "run", write_lock(PLAN), {"sources": {}}) as opened:
        for stage, step in [("text", s) for s in range(8)] + [("vit-coca", s) for s in range(2)]:
            line = LedgerLine(stage, step, 64, {}, {}, 16, {}, [], "", {}, *REST)
            opened.append_ledger(line)
            opened.append_metrics({"stage": stage, "step": step})
        yield opened


def keep(run: RunDir, *places: tuple[str, int]) -> None:
    for stage, step in places:
        checkpoint.save(run.checkpoint(stage, step), {}, {}, {})


def rewound(run: RunDir) -> tuple[list[tuple[str, int]], list[str]]:
    said: list[str] = []
    rewind(run, PLAN.stages, said.append)
    return [(line.stage, line.step) for line in read(run.ledger_file)], said


def test_later_lines_are_cut(run: RunDir) -> None:
    keep(run, ("text", 6), ("text", 8), ("vit-coca", 1))
    lines, said = rewound(run)
    assert lines[-1] == ("vit-coca", 0)
    assert said == []
    assert next_step(run.checkpoints, PLAN.stage("vit-coca")) == 1
    assert next_step(run.checkpoints, PLAN.stage("joint")) == 0


def test_without_a_checkpoint_a_stage_begins_anew(run: RunDir) -> None:
    keep(run, ("text", 8))
    assert rewound(run)[0] == [("text", step) for step in range(8)]


def test_without_any_checkpoint_the_run_begins_anew(run: RunDir) -> None:
    assert rewound(run)[0] == []


def test_damaged_checkpoints_are_refused_aloud_and_dropped(run: RunDir) -> None:
    keep(run, ("text", 6), ("text", 8))
    (run.checkpoint("text", 8) / "state.json").write_text("{}")
    lines, said = rewound(run)
    assert lines[-1] == ("text", 5)
    assert "text/00000008" in said[0]
    assert said[1].endswith("text/00000006")
    assert not run.checkpoint("text", 8).exists()


def test_where_all_are_damaged_the_run_begins_anew(run: RunDir) -> None:
    keep(run, ("text", 6))
    (run.checkpoint("text", 6) / "state.json").unlink()
    lines, said = rewound(run)
    assert lines == []
    assert said[-2:] == [
        "taking the one before: none, so the run begins anew",
        "the checkpoint text/8 is missing: done again from there: text, vit-coca",
    ]


def test_a_ledger_shorter_than_its_checkpoint_goes_back_to_the_one_before(run: RunDir) -> None:
    keep(run, ("text", 6), ("text", 8), ("vit-coca", 1), ("vit-coca", 2))
    run.cut_back("vit-coca", 1)  # the last line was lost
    lines, said = rewound(run)
    assert lines[-1] == ("vit-coca", 0)
    assert next_step(run.checkpoints, PLAN.stage("vit-coca")) == 1
    assert said == ["the ledger does not reach vit-coca/2: taking the checkpoint before"]


def test_what_follows_a_stage_that_is_made_again_is_made_again(run: RunDir) -> None:
    keep(run, ("text", 6), ("vit-coca", 1))  # the end of `text` was deleted
    lines, said = rewound(run)
    assert lines[-1] == ("text", 5)
    assert said == ["the checkpoint text/8 is missing: done again from there: text, vit-coca"]
    assert next_step(run.checkpoints, PLAN.stage("vit-coca")) == 0


def test_positions_compare() -> None:
    assert Position("text", 3) == Position("text", 3) != Position("text", 4)
