"""What `train` and `audit` refuse, and how; whole runs are in train/test_resume.py"""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from curriculum.allowances import Allowed
from curriculum.check.rules import broken_rules
from curriculum.cli.main import run
from curriculum.errors import Severity
from curriculum.lock import with_digests, write_lock
from train.worlds import world_plan, write_world


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """A lock beside its data."""
    write_world(tmp_path / "data")
    path = tmp_path / "plan.lock.json"
    path.write_text(write_lock(world_plan()))
    return path


def train(lock: Path, *options: str) -> int:
    data = ["--data", str(lock.parent / "data"), "--device", "cpu"]
    return run(["train", str(lock), *data, *options])


def test_a_run_needs_a_folder(lock: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(lock) == 2
    assert "say --run DIR" in capsys.readouterr().err


def test_dry_run_as_json(lock: Path, capsys: pytest.CaptureFixture[str]) -> None:
    launch = ("--no-compile", "--recompute", "full", "--workers", "2")
    assert train(lock, "--dry-run", "--format", "json", *launch) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["format"] == 1
    said = [document["machine"][what] for what in ("layers", "recompute", "packing")]
    assert said == ["layers as written", "recomputation full", "packed by 2 processes"]
    assert [s["name"] for s in document["stages"]] == [s.name for s in world_plan().stages]
    assert {f["severity"] for f in document["findings"]} <= {"info", "warning"}


def test_stop_at_and_resume_and_audit(lock: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(lock.parent / "run")
    assert train(lock, "--run", folder, "--stop-at", "text@50%", "--no-evaluate") == 0
    assert "audit: not ok (the run is not finished)" in capsys.readouterr().out
    assert run(["audit", folder]) == 1
    shown = capsys.readouterr().out
    assert "text      4 of 8 steps, 256 tokens, 0.0% padding: as planned so far" in shown
    assert shown.rstrip().endswith("audit: not ok, the run is not finished")
    assert train(lock, "--run", folder, "--resume", "--stop-at", "text@end") == 0
    capsys.readouterr()
    assert run(["audit", folder, "--format", "json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["stages"][0]["steps"] == 8
    assert document["stages"][0]["differences"] == []


@pytest.mark.parametrize(
    ("stop_at", "why"),
    [
        ("late@end", "no stage `late`"),
        ("text@9 parsecs", "is not a mark"),
        ("text@step 9", "lies past the end"),
    ],
)
def test_a_mark_that_is_none_is_refused(
    lock: Path, capsys: pytest.CaptureFixture[str], stop_at: str, why: str
) -> None:
    assert train(lock, "--run", str(lock.parent / "run"), "--stop-at", stop_at) == 2
    assert why in capsys.readouterr().err
    assert not (lock.parent / "run").exists()


def test_unknown_values_are_not_trained(lock: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = world_plan()
    text = replace(plan.stage("text"), lr={"llm": None})
    lock.write_text(write_lock(with_digests(replace(plan, stages=(text,)))))
    assert train(lock, "--run", str(lock.parent / "run")) == 1
    assert "unknown" in capsys.readouterr().err


def test_an_edited_lock_is_refused(lock: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock.write_text(lock.read_text().replace('"own_seed": false', '"own_seed": true', 1))
    assert train(lock, "--run", str(lock.parent / "run")) == 1
    assert "edited by hand" in capsys.readouterr().err


def test_missing_data_say_how_to_get_them(lock: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--run", str(lock.parent / "run"), "--data", str(lock.parent / "none")]
    assert run(["train", str(lock), "--device", "cpu", *options]) == 2
    assert "python -m curriculum.data.demo" in capsys.readouterr().err


def test_no_run_is_no_traceback(lock: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["audit", str(lock.parent / "none")]) == 2
    assert "is not a run" in capsys.readouterr().err
    assert train(lock, "--run", str(lock.parent / "none"), "--resume") == 2
    assert "no run to resume" in capsys.readouterr().err


def test_a_run_that_differs_from_its_plan_does_not_end_well(
    lock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = lock.parent / "run"
    options = ["--run", str(folder), "--no-evaluate"]
    assert train(lock, *options, "--stop-at", "text@50%") == 0
    ledger = folder / "ledger.jsonl"
    first, *rest = ledger.read_text().splitlines(keepends=True)
    edited = json.loads(first) | {"tokens": 65}
    ledger.write_text("".join([json.dumps(edited) + "\n", *rest]))
    assert train(lock, *options, "--resume", "--stop-at", "text@end") == 1
    assert "step 0" in capsys.readouterr().out


def test_an_edited_lock_of_a_run_is_refused_before_a_step(
    lock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = lock.parent / "run"
    options = ["--run", str(folder), "--no-evaluate"]
    assert train(lock, *options, "--stop-at", "text@50%") == 0
    kept = folder / "lock.json"
    kept.write_text(kept.read_text().replace('"own_seed": false', '"own_seed": true', 1))
    before = (folder / "ledger.jsonl").read_bytes()
    assert train(lock, *options, "--resume") == 1
    assert "edited by hand" in capsys.readouterr().err
    assert (folder / "ledger.jsonl").read_bytes() == before


def test_an_error_that_the_plan_allows_is_said_and_trained(
    lock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = world_plan()
    cap = Fraction(1, 1_000_000)
    capped = {n: replace(s, tokens=10_000, max_epochs=cap) for n, s in plan.sources.items()}
    plan = with_digests(replace(plan, sources=capped))
    lock.write_text(write_lock(plan))
    assert train(lock, "--dry-run") == 1
    refused = capsys.readouterr().err
    assert "error[no-source-passes-its-cap]" in refused
    allowed = tuple(
        Allowed(f.rule, "stages", f.message, "a test of caps")
        for f in broken_rules(plan)
        if f.severity is Severity.ERROR
    )
    lock.write_text(write_lock(replace(plan, allowed=allowed)))
    assert train(lock, "--dry-run") == 0
    said = capsys.readouterr().err
    assert "allowed[no-source-passes-its-cap]: by the end of stage" in said
    assert said.count("; a test of caps\n") == len(allowed)
    assert train(lock, "--dry-run", "--format", "json") == 0
    document = json.loads(capsys.readouterr().out)
    assert {a["reason"] for a in document["allowed"]} == {"a test of caps"}


def test_a_plan_that_no_memory_holds_is_refused_with_both_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = {"SC_PHYS_PAGES": 1, "SC_PAGE_SIZE": 2**30}
    monkeypatch.setattr("os.sysconf", pages.__getitem__)
    assert run(["train", "plans/kimi-vl.yaml", "--dry-run", "--device", "cpu"]) == 2
    assert "59 GiB in fp32 without gradients; this machine has 1 GiB" in capsys.readouterr().err


def test_a_rate_that_no_weight_can_hold_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    setting = "schedules.pretrain=[{shape: constant, from: 1e39}]"
    assert run(["plan", "plans/kimi-vl-laptop.yaml", "--set", setting]) == 1
    assert "error[rates-are-below-one]" in capsys.readouterr().err
