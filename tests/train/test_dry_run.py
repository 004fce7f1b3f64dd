from pathlib import Path

import pytest

from curriculum.train.dry_run import Timed, dry_run, table
from train.worlds import world_job, world_plan, write_world


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("data")
    write_world(folder)
    return folder


def test_every_hand_over_is_walked_and_nothing_is_written(data: Path) -> None:
    before = sorted(data.rglob("*"))
    timed = dry_run(world_job(world_plan(), data))
    assert [t.name for t in timed] == [stage.name for stage in world_plan().stages]
    assert timed[3].init == {"llm": "text@8+", "projector": "align@4", "vit": "align@4"}
    assert all(len(t.losses) == 2 and t.step_s > 0 for t in timed)
    assert sorted(data.rglob("*")) == before


def test_modules_that_come_together_stand_together() -> None:
    init = {"llm": "text@8+", "projector": "align@4", "vit": "align@4"}
    head, joint = table([Timed("joint", init, 43, 0.25, 16_384.0, 10.75, (6.0, 5.9))])
    assert head.split()[:5] == ["stage", "steps", "s/step", "tok/s", "estimate"]
    assert joint == "joint     43   0.250  16,384      11 s  text@8+ (llm), align@4 (projector vit)"
