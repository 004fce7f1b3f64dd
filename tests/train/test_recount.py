from pathlib import Path

import pytest

from curriculum.errors import RunError
from curriculum.models.batch import to_torch
from curriculum.train.consumed import batch_hash
from curriculum.train.feed import draw, open_data, open_reader
from curriculum.train.ledger import LedgerLine, count_sources, merge_counts
from curriculum.train.recount import recount_from
from train.worlds import world_plan, write_world

PLAN = world_plan()


def line(stage: str) -> LedgerLine:
    return LedgerLine(stage, 0, 64, {}, {}, 16, {}, [], "", {}, 0.0, {}, {}, {}, {}, None, "", "")


def test_a_step_is_made_anew_as_it_was_consumed_in_pieces(tmp_path: Path) -> None:
    write_world(tmp_path)
    recount = recount_from(PLAN, [line("joint"), line("vit-coca")], tmp_path, {})
    for name in ("joint", "vit-coca"):
        stage = PLAN.stage(name)
        drawn = draw(open_reader(PLAN, stage, open_data(PLAN, [stage], tmp_path)), 2, 1)
        found = recount(stage, 2)
        assert found.counts == merge_counts(map(count_sources, drawn.micro_batches))
        assert found.drawn_hash == drawn.drawn_hash
        assert found.batch_hash == batch_hash([to_torch(p) for p in drawn.micro_batches])


def test_other_data_are_refused(tmp_path: Path) -> None:
    write_world(tmp_path)
    with pytest.raises(RunError, match="`english` is not what the run was trained on"):
        recount_from(PLAN, [line("text")], tmp_path, {"sources": {"english": "ab" * 32}})
