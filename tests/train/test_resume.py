"""Killed at any moment, resumed, and not to be told from a run that never was: whole processes"""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from curriculum.lock import write_lock
from train.worlds import world_plan, write_world

pytestmark = pytest.mark.e2e

KILLS = 5


def start(folder: Path, run: str, *options: str) -> "subprocess.Popen[str]":
    command = [
        *(sys.executable, "-m", "curriculum.cli.main", "train", str(folder / "plan.lock.json")),
        *("--run", str(folder / run), "--data", str(folder / "data"), "--device", "cpu"),
        *("--checkpoint-every", "2", "--threads", "2", *options),
    ]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace"
    )


def finish(process: "subprocess.Popen[str]", code: int = 0) -> tuple[str, str]:
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, err
    return out, err


def num_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def losses(run: Path) -> list[tuple[object, ...]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [
        (line["stage"], line["step"], line["loss"], line["terms"], line["grad_norm"])
        for line in lines
        if line["event"] == "step"
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The world's data and lock, and a run of it that was never stopped."""
    made: Path = tmp_path_factory.mktemp("world")
    write_world(made / "data")
    (made / "plan.lock.json").write_text(write_lock(world_plan()))
    out, _ = finish(start(made, "whole", "--format", "json"))
    document = json.loads(out)
    assert (document["format"], document["audit"]["ok"]) == (1, True)
    assert json.loads((made / "whole" / "summary.json").read_text())["audit"]["ok"]
    return made


def test_kill_9_at_any_moment_leaves_no_trace(folder: Path) -> None:
    moments = random.Random(7)
    run, total = folder / "killed", num_lines(folder / "whole" / "ledger.jsonl")
    killed = 0
    for attempt in range(KILLS):
        options = ["--resume"] if (run / "lock.json").exists() else []
        process = start(folder, "killed", *options, "--workers", str(attempt % 3))
        wanted = moments.randint(attempt * total // KILLS, (attempt + 1) * total // KILLS)
        while num_lines(run / "ledger.jsonl") < wanted and process.poll() is None:
            time.sleep(0.002)
        time.sleep(moments.random() * 0.05)
        killed += process.poll() is None
        process.kill()
        process.communicate()
    assert killed >= KILLS - 1
    out, _ = finish(start(folder, "killed", "--resume"))
    assert "audit: ok" in out
    assert (run / "ledger.jsonl").read_bytes() == (folder / "whole" / "ledger.jsonl").read_bytes()
    assert losses(run) == losses(folder / "whole")


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_stops_cleanly(
    folder: Path, number: signal.Signals, code: int, workers: int
) -> None:
    name = f"stopped-{number.name}-{workers}"
    process = start(folder, name, "--workers", str(workers))
    while num_lines(folder / name / "ledger.jsonl") < 9 and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(number)
    _, err = finish(process, code)
    assert f"stopped by {number.name} after step" in err
    assert "Traceback" not in err
    finish(start(folder, name, "--resume"))
    whole = (folder / "whole" / "ledger.jsonl").read_bytes()
    assert (folder / name / "ledger.jsonl").read_bytes() == whole
    assert losses(folder / name) == losses(folder / "whole")


def test_an_existing_run_wants_resume(folder: Path) -> None:
    _, err = finish(start(folder, "whole"), 2)
    assert "holds a run already: go on with --resume" in err


def test_dry_run_prints_every_stage_and_leaves_nothing(folder: Path) -> None:
    out, _ = finish(start(folder, "nothing", "--dry-run"))
    assert not (folder / "nothing").exists()
    names, lines = [stage.name for stage in world_plan().stages], out.splitlines()
    assert [line.split()[0] for line in lines[1 : 1 + len(names)]] == names
    assert lines[-2].startswith("cpu, 2 threads, fp32, torch ")
    assert lines[-1] == "layers as written, recomputation none, packed by a thread"
    assert max(map(len, lines)) <= 100


def test_audit_says_ok_and_fails_when_a_token_is_edited(folder: Path) -> None:
    def audit(run: Path) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "curriculum.cli.main", "audit", str(run)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    good = audit(folder / "whole")
    assert good.returncode == 0, good.stdout
    assert "audit: ok" in good.stdout
    edited = folder / "edited"
    edited.mkdir()
    for name in ("lock.json", "manifest.json", "ledger.jsonl"):
        (edited / name).write_text((folder / "whole" / name).read_text())
    ledger = (edited / "ledger.jsonl").read_text().splitlines(keepends=True)
    ledger[10] = ledger[10].replace('"tokens": 128', '"tokens": 127', 1)
    (edited / "ledger.jsonl").write_text("".join(ledger))
    bad = audit(edited)
    assert bad.returncode == 1
    assert "audit: not ok" in bad.stdout
