import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from curriculum.errors import RunError
from curriculum.train import checkpoint, rundir
from curriculum.train.ledger import COUNTS, LedgerLine, read
from curriculum.train.rundir import RunDir

MANIFEST = {"sources": {"code": "aa11", "english": "bb22"}, "precision": "fp32"}


def lock(**digests: str) -> str:
    stages = [{"name": name, "digest": digest} for name, digest in digests.items()]
    return json.dumps({"format": 1, "digest": "/".join(digests.values()), "stages": stages})


LOCK = lock(text="t0", joint="j0")


def line(stage: str, step: int) -> LedgerLine:
    counts = dict.fromkeys(COUNTS, 0)
    losses, sources = {"next_token": 1.0}, {"code": counts}
    return LedgerLine(
        stage, step, 8, sources, {}, 8, {}, [], "", losses, 1.0, {}, {}, {}, {}, None, "", ""
    )


def begin(path: Path, **steps: int) -> RunDir:
    run = RunDir.open_new(path, LOCK, MANIFEST)
    for stage, count in steps.items():
        for step in range(count):
            run.append_ledger(line(stage, step))
            run.append_metrics({"stage": stage, "step": step, "event": "step"})
    return run


def places(run: RunDir) -> list[tuple[str, int]]:
    return [(found.stage, found.step) for found in read(run.ledger_file)]


def metric_places(run: RunDir) -> list[tuple[str, int]]:
    lines = map(json.loads, run.metrics_file.read_text().splitlines())
    return [(found["stage"], found["step"]) for found in lines]


def test_a_new_run_holds_its_lock_and_manifest(tmp_path: Path) -> None:
    with begin(tmp_path / "deep" / "run", text=2) as run:
        assert run.lock_file.read_text() == LOCK
        assert rundir.read_manifest(run.path) == MANIFEST
        assert places(run) == metric_places(run) == [("text", 0), ("text", 1)]
        assert run.checkpoint("text", 2) == run.path / "checkpoints" / "text" / "00000002"
        run.write_summary({"ok": True})
        assert json.loads((run.path / "summary.json").read_text()) == {"ok": True}


def test_a_run_is_begun_in_an_empty_folder_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="file is a file; --run needs a folder"):
        RunDir.open_new(tmp_path / "file", LOCK, MANIFEST)
    with pytest.raises(RunError, match=r"is not a run, and not empty \(file\)"):
        RunDir.open_new(tmp_path, LOCK, MANIFEST)
    with pytest.raises(RunError, match="no run can be made here"):
        RunDir.open_new(tmp_path / "file" / "run", LOCK, MANIFEST)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file"]


def test_an_existing_run_needs_resume(tmp_path: Path) -> None:
    begin(tmp_path / "run", text=1).close()
    before = (tmp_path / "run" / "ledger.jsonl").read_bytes()
    with pytest.raises(RunError, match="holds a run already: go on with --resume"):
        RunDir.open_new(tmp_path / "run", LOCK, MANIFEST)
    assert (tmp_path / "run" / "ledger.jsonl").read_bytes() == before
    RunDir.open_existing(tmp_path / "run", LOCK, MANIFEST).close()


def test_what_is_no_run_is_not_resumed(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no run to resume"):
        RunDir.open_existing(tmp_path / "run", LOCK, MANIFEST)
    with pytest.raises(RunError, match="is not a run"):
        RunDir.open_existing(tmp_path, LOCK, MANIFEST)
    assert list(tmp_path.iterdir()) == []


def test_a_kill_before_the_lock_was_written_leaves_a_folder_to_begin_in(tmp_path: Path) -> None:
    begin(tmp_path / "run").close()
    for name in ("lock.json", "ledger.jsonl", "metrics.jsonl"):
        (tmp_path / "run" / name).unlink()
    (tmp_path / "run" / "checkpoints").rmdir()
    RunDir.open_new(tmp_path / "run", LOCK, MANIFEST).close()


def test_another_lock_is_refused_with_the_first_stage_that_differs(tmp_path: Path) -> None:
    begin(tmp_path / "run").close()
    for given, words in (
        (lock(text="t0", joint="j1"), "stage `joint` has digest j0, the lock given j1"),
        (lock(text="t1", joint="j1"), "stage `text` has digest t0, the lock given t1"),
        (lock(text="t0"), "stage `joint` is not in the lock that was given"),
        (lock(text="t0", joint="j0", long="l0"), "has a stage `long` more"),
        ("{}", "a lock is damaged"),
    ):
        with pytest.raises(RunError, match=words):
            RunDir.open_existing(tmp_path / "run", given, MANIFEST)
    words_only = json.dumps(json.loads(LOCK) | {"provenance": ["changes no digest"]})
    RunDir.open_existing(tmp_path / "run", words_only, MANIFEST).close()


def test_changed_data_are_refused_by_source(tmp_path: Path) -> None:
    begin(tmp_path / "run").close()
    for sources, words in (
        ({"code": "aa11", "english": "cc33"}, "`english` has fingerprint cc33, it had bb22"),
        ({"code": "aa11"}, "source `english` is missing"),
        ({"code": "aa11", "english": "bb22", "web": "dd44"}, "source `web` is new"),
    ):
        with pytest.raises(RunError, match=f"begun with other data: .*{words}"):
            RunDir.open_existing(tmp_path / "run", LOCK, {"sources": sources})
    other_machine = {"sources": MANIFEST["sources"], "precision": "bf16"}
    with RunDir.open_existing(tmp_path / "run", LOCK, other_machine) as run:
        assert run.manifest == MANIFEST


HOLD = """
import sys, time
from pathlib import Path
from curriculum.train.rundir import RunDir
path = Path(sys.argv[1])
run = RunDir.open_existing(path, (path / "lock.json").read_text(), {"sources": %r})
print("held", flush=True)
time.sleep(60)
"""


def test_a_second_trainer_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    begin(tmp_path / "run", text=1).close()
    program = HOLD % (MANIFEST["sources"],)
    first = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True
    )
    try:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        with pytest.raises(RunError, match=rf"another trainer is at work .*process {first.pid}"):
            RunDir.open_existing(tmp_path / "run", LOCK, MANIFEST)
    finally:
        first.kill()
        first.communicate()
    RunDir.open_existing(tmp_path / "run", LOCK, MANIFEST).close()


def test_ledger_and_metrics_are_cut_back_to_a_checkpoint(tmp_path: Path) -> None:
    every = [("text", step) for step in range(5)] + [("joint", step) for step in range(4)]
    for at, stage, step, kept in (
        (0, "joint", 4, every),
        (1, "joint", 2, every[:7]),
        (2, "joint", 0, every[:5]),
        (3, "text", 5, every[:5]),
        (4, "text", 1, every[:1]),
        (5, None, 0, []),
    ):
        with begin(tmp_path / f"run{at}", text=5, joint=4) as run:
            run.cut_back(stage, step)
            assert places(run) == metric_places(run) == kept
            run.append_ledger(line("next", 0))
            run.append_metrics({"stage": "next", "step": 0})
            assert places(run) == metric_places(run) == [*kept, ("next", 0)]


def test_torn_last_lines_are_no_lines(tmp_path: Path) -> None:
    begin(tmp_path / "run", text=3).close()
    for name in ("ledger.jsonl", "metrics.jsonl"):
        with (tmp_path / "run" / name).open("a") as file:
            file.write('{"stage": "te')
    with RunDir.open_existing(tmp_path / "run", LOCK, MANIFEST) as run:
        run.cut_back("text", 2)
        assert places(run) == metric_places(run) == [("text", 0), ("text", 1)]


def test_a_ledger_that_lacks_what_the_checkpoint_saw_is_refused(tmp_path: Path) -> None:
    with begin(tmp_path / "run", text=3) as run:
        with pytest.raises(RunError, match=r"ends at step 2 of `text`, but .* after step 3"):
            run.cut_back("text", 4)
        with pytest.raises(RunError, match=r"but the checkpoint stands after step 0 of `joint`"):
            run.cut_back("joint", 1)
        assert len(places(run)) == 3
    with (
        begin(tmp_path / "empty") as run,
        pytest.raises(RunError, match=r"is empty, but the checkpoint stands after step 1"),
    ):
        run.cut_back("text", 2)


def test_a_full_disk_is_a_sentence(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    run = begin(tmp_path / "run", text=1)
    run._ledger.close()
    with run, Path("/dev/full").open("ab", buffering=0) as full:
        run._ledger = full
        with pytest.raises(RunError, match="No space left on device; make room"):
            run.append_ledger(line("text", 1))


# A trainer of one number and two stages, with everything that a run directory gives; it dies by a
# signal that it cannot catch, in the middle of anything.
TRAINER = """
import sys
from pathlib import Path
import torch
from curriculum.train import checkpoint
from curriculum.train.ledger import COUNTS, LedgerLine
from curriculum.train.rundir import RunDir

path, lock = Path(sys.argv[1]), sys.argv[2]
stages = {"text": 40, "joint": 60}
if (path / "lock.json").exists():
    run = RunDir.open_existing(path, lock, {})
    found = checkpoint.latest(run.checkpoints, list(stages))
    assert not found.refused, found.refused
    run.cut_back(found.stage, found.step)
else:
    run = RunDir.open_new(path, lock, {})
    found = checkpoint.latest(run.checkpoints, list(stages))
weights = torch.zeros(1000)
if found.path is not None:
    weights = checkpoint.load_modules(found.path, ["llm"])["llm"]["weight"]
print("ready", flush=True)
names = list(stages)
first = names.index(found.stage) if found.stage else 0
for name in names[first:]:
    for step in range(found.step if name == found.stage else 0, stages[name]):
        weights += torch.sin(weights + step)
        loss = float(weights.sum())
        counts = dict.fromkeys(COUNTS, 0)
        run.append_ledger(
            LedgerLine(
                name, step, 8, {"code": counts}, {}, 8, {}, [], "", {"next_token": loss},
                loss, {}, {}, {}, {}, None, "", "",
            )
        )
        run.append_metrics({"stage": name, "step": step})
        if (step + 1) % 3 == 0 or step + 1 == stages[name]:
            run.sync()
            state = {"stage": name, "step": step + 1}
            place = run.checkpoint(name, step + 1)
            checkpoint.save(place, {"llm": {"weight": weights}}, {}, state)
            checkpoint.prune(run.checkpoints, names, 2, {("text", 40), ("joint", 60)})
print("done", flush=True)
"""


def test_a_run_that_is_killed_at_any_moment_ends_as_one_that_never_was(tmp_path: Path) -> None:
    def start(path: Path) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", TRAINER, str(path), LOCK]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    whole = start(tmp_path / "whole")
    out, errors = whole.communicate()
    assert out == "ready\ndone\n", errors

    ledger = tmp_path / "killed" / "ledger.jsonl"

    def bytes_written() -> int:
        return ledger.stat().st_size if ledger.exists() else 0

    most = (tmp_path / "whole" / "ledger.jsonl").stat().st_size // 8
    chance = random.Random(0)
    kills = 0
    for _ in range(5):
        process = start(tmp_path / "killed")
        assert process.stdout is not None
        ready = process.stdout.readline()
        assert ready == "ready\n", process.communicate()[1]
        # By what it wrote, not by the clock: a busy machine may be slow to kill, but not too late.
        enough = bytes_written() + chance.randint(0, most)
        while process.poll() is None and bytes_written() < enough:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
    assert kills >= 3
    last = start(tmp_path / "killed")
    out, errors = last.communicate()
    assert out == "ready\ndone\n", errors

    for name in ("ledger.jsonl", "metrics.jsonl"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    for kept in (tmp_path / "whole" / "checkpoints").glob("*/*/*"):
        twin = tmp_path / "killed" / kept.relative_to(tmp_path / "whole")
        assert twin.read_bytes() == kept.read_bytes()
    assert checkpoint.latest(tmp_path / "killed" / "checkpoints", ["text", "joint"]).step == 60
