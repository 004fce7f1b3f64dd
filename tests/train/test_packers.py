"""Workers make what the trainer would, and none of them is left behind, whatever ends"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from curriculum.data.loader import prefetched
from curriculum.errors import RunError
from curriculum.plan import Plan
from curriculum.train.feed import Drawn, drawing, open_data
from curriculum.train.launch import Launch
from curriculum.train.packers import Packers
from train.worlds import world_plan, write_world

PLAN = world_plan()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("data")
    write_world(folder)
    return folder


@pytest.fixture
def packers(data: Path) -> Iterator[Packers]:
    with Packers(PLAN, launch_of(data), "cpu", 2) as made:
        yield made
    assert all(worker.returncode is not None for worker in made._workers)


def launch_of(data: Path) -> Launch:
    return Launch(data=data, device="cpu", micro_batch_seqs=3)


def plain(data: Path, plan: Plan, stage: str, steps: range) -> list[Drawn]:
    sources = open_data(plan, plan.stages, data)
    make = drawing(plan, plan.stage(stage), sources, launch_of(data), "cpu")
    return [make(step) for step in steps]


def assert_equal(ours: Drawn, theirs: Drawn) -> None:
    assert ours.drawn_hash == theirs.drawn_hash
    for mine, other in zip(ours.micro_batches, theirs.micro_batches, strict=True):
        for name in other.__slots__:
            a, b = getattr(mine, name), getattr(other, name)
            assert np.array_equal(a, b) if isinstance(b, np.ndarray) else a == b, name


@pytest.mark.parametrize(("stage", "first"), [("text", 0), ("joint", 1), ("vit-coca", 2)])
def test_what_workers_make_is_what_the_trainer_would(
    packers: Packers, data: Path, stage: str, first: int
) -> None:
    steps = range(first, PLAN.stage(stage).steps)
    make = packers.maker(PLAN.stage(stage), steps)
    with prefetched(make, steps) as coming:
        for ours, theirs in zip(coming, plain(data, PLAN, stage, steps), strict=True):
            assert_equal(ours, theirs)


def test_one_stage_after_another(packers: Packers, data: Path) -> None:
    for stage in ("text", "joint"):
        make = packers.maker(PLAN.stage(stage), range(1, 4))
        for step, theirs in zip(range(1, 4), plain(data, PLAN, stage, range(1, 4)), strict=True):
            assert_equal(make(step), theirs)


def test_a_worker_that_is_killed_is_told_with_its_step(packers: Packers) -> None:
    make = packers.maker(PLAN.stage("text"), range(5))
    make(0)
    os.kill(packers._workers[0].pid, signal.SIGKILL)
    packers._workers[0].wait()
    make(1)
    with pytest.raises(
        RunError,
        match=r"stage `text`, step [24]: the process that packs its data is gone \(killed by "
        r"SIGKILL\); go on with --resume, or with --workers 0",
    ):
        list(map(make, (2, 3, 4)))  # one answer may be on its way already


def test_what_a_worker_cannot_do_is_told_as_the_trainer_would(tmp_path: Path) -> None:
    with (
        Packers(PLAN, launch_of(tmp_path / "nowhere"), "cpu", 1) as packers,
        pytest.raises(RunError, match=r"no such data folder.*python -m curriculum.data.demo"),
    ):
        packers.maker(PLAN.stage("text"), range(2))(0)


def test_signals_to_a_worker_are_the_trainers_business(packers: Packers) -> None:
    make = packers.maker(PLAN.stage("text"), range(4))
    make(0)
    for worker in packers._workers:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(worker.pid, number)
    assert [make(step).drawn_hash for step in (1, 2, 3)]
    assert all(os.getpgid(worker.pid) == worker.pid for worker in packers._workers)


TRAINER = """
import sys, time
from pathlib import Path
from curriculum.train.launch import Launch
from curriculum.train.packers import Packers
from train.worlds import world_plan
plan = world_plan()
packers = Packers(plan, Launch(data=Path(sys.argv[1]), device="cpu"), "cpu", 2)
packers.maker(plan.stage("text"), range(4))(0)
print(*(worker.pid for worker in packers._workers), flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_trainer_that_is_killed_leaves_nobody_behind(data: Path, number: int) -> None:
    paths = os.pathsep.join([*sys.path, str(Path(__file__).parents[1])])
    trainer = subprocess.Popen(
        [sys.executable, "-c", TRAINER, str(data)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert trainer.stdout is not None
    with trainer.stdout:
        workers = [int(word) for word in trainer.stdout.readline().split()]
    assert len(workers) == 2
    assert all(map(is_alive, workers))
    trainer.send_signal(number)
    trainer.wait()
    deadline = time.monotonic() + 30
    while any(map(is_alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(map(is_alive, workers))


def is_alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def test_workers_load_no_torch() -> None:
    program = "import curriculum.train.packers, sys; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
