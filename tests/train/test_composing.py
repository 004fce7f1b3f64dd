"""A small world whose siblings are averaged: trained, killed, resumed, audited, and found out"""

import json
import random
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from curriculum.composed import ComposedStage, Share
from curriculum.errors import RunError
from curriculum.lock import read_lock, with_digests, write_lock
from curriculum.plan import Checkpoint, OutsideStage, Plan, Start
from curriculum.train import checkpoint
from curriculum.train.audit import Report, audit
from curriculum.train.averaging import averaged
from curriculum.train.composing import compose
from curriculum.train.execute import Request, dry_run_plan, run_plan
from curriculum.train.handover import MemoryShelf
from curriculum.train.launch import Launch
from curriculum.train.position import Position
from train.worlds import Quiet, soup_plan, write_world

HALF = Fraction(1, 2)


def go(
    data: Path,
    run: Path,
    plan: Plan | None = None,
    resume: bool = False,
    only: str | None = None,
    stop_at: Position | None = None,
) -> list[str]:
    plan, console = plan or soup_plan(), Quiet()
    launch = Launch(data=data, device="cpu", threads=1, checkpoint_every_steps=2, evaluates=False)
    run_plan(Request(plan, write_lock(plan), launch, run, resume, only, stop_at), console)
    return console.said


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("data")
    write_world(folder)
    return folder


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was never stopped."""
    run: Path = tmp_path_factory.mktemp("runs") / "whole"
    said = go(data, run)
    assert [text for text in said if text.startswith("composed")] == [
        "composed soup: llm of 0.5 a@4, 0.5 b@5",
        "composed polyak: llm of 1/3 after@2, 1/3 after@3, 1/3 after@4",
        "composed merge: llm of 0.9 polyak@0, 0.1 a@4",
    ]
    return run


def copied(run: Path, to: Path) -> Path:
    shutil.copytree(run, to / "copy")
    return to / "copy"


def weights(run: Path, stage: str, step: int = 0) -> dict[str, torch.Tensor]:
    path = checkpoint.checkpoint_path(run / "checkpoints", stage, step)
    return checkpoint.load_modules(path, ["llm"])["llm"]


def spoil(run: Path, stage: str, tensors: dict[str, torch.Tensor]) -> None:
    """Put a checkpoint that is whole, but of something else."""
    path = checkpoint.checkpoint_path(run / "checkpoints", stage, 0)
    checkpoint.save(path, {"llm": tensors}, {}, {"stage": stage, "step": 0})


def words(report: Report) -> str:
    return "\n".join(finding.message for finding in report.findings)


def test_a_run_with_averages_is_audited_as_planned(whole: Path) -> None:
    report = audit(whole)
    assert report.ok
    assert report.complete
    assert [(c.name, c.is_made, c.differences) for c in report.composed] == [
        ("soup", True, ()), ("polyak", True, ()), ("merge", True, ()),
    ]  # fmt: skip
    assert json.dumps(report.as_json()["composed"])


def test_the_average_is_that_of_the_parents_and_what_follows_starts_from_it(whole: Path) -> None:
    a, b, soup = weights(whole, "a", 4), weights(whole, "b", 5), weights(whole, "soup")
    for name in soup:
        assert torch.equal(soup[name], ((a[name].double() + b[name].double()) / 2).float())
    assert any(not torch.equal(a[name], b[name]) for name in soup)
    state = checkpoint.load_state(checkpoint.checkpoint_path(whole / "checkpoints", "soup", 0))
    assert state["averages"] == {"llm": ["0.5 a@4", "0.5 b@5"]}
    lines = [json.loads(line) for line in (whole / "ledger.jsonl").read_text().splitlines()]
    first = next(line for line in lines if (line["stage"], line["step"]) == ("after", 0))
    assert first["state_steps"] == {"llm": [0]}  # no optimizer state comes out of an average
    assert first["weights"]["llm"][0] == audit(whole).composed[0].weights["llm"]


def test_another_name_for_a_point_is_that_point_s_checkpoint(data: Path, tmp_path: Path) -> None:
    plan = soup_plan()
    recall = ComposedStage("recall", {"llm": (Share(Start("a", 2), Fraction(1)),)})
    text, a = plan.stages[:2]
    named = with_digests(replace(plan, stages=(text, a), composed=(recall,)))
    assert "composed recall: llm of 1 a@2" in go(data, tmp_path / "run", named)
    parent = weights(tmp_path / "run", "a", 2)
    assert all(torch.equal(w, parent[n]) for n, w in weights(tmp_path / "run", "recall").items())
    assert audit(tmp_path / "run").ok


@pytest.mark.parametrize(
    "stop", [Position("a", 3), Position("b", 5), Position("after", 1), Position("after", 3)]
)
def test_a_run_that_was_stopped_goes_on_to_the_same_bytes(
    data: Path, whole: Path, tmp_path: Path, stop: Position
) -> None:
    run = tmp_path / "run"
    go(data, run, stop_at=stop)
    stopped = audit(run)
    assert {f.rule for f in stopped.findings} == {"run-not-finished"}
    go(data, run, resume=True)
    assert (run / "ledger.jsonl").read_bytes() == (whole / "ledger.jsonl").read_bytes()
    for name in ("soup", "polyak", "merge"):
        assert all(torch.equal(w, weights(whole, name)[n]) for n, w in weights(run, name).items())
    assert audit(run).ok


@pytest.mark.e2e
def test_kill_9_around_the_averages_leaves_no_trace(
    data: Path, whole: Path, tmp_path: Path
) -> None:
    lock, run = tmp_path / "soup.lock.json", tmp_path / "run"
    lock.write_text(write_lock(soup_plan()))
    command = [
        *(sys.executable, "-m", "curriculum.cli.main", "train", str(lock), "--run", str(run)),
        *("--data", str(data), "--device", "cpu", "--checkpoint-every", "2", "--threads", "1"),
        "--no-evaluate",
    ]
    ledger, moments = run / "ledger.jsonl", random.Random(3)
    for wanted in (17, 20):  # `soup` is made behind line 17, of 21
        options = ["--resume"] if (run / "lock.json").exists() else []
        process = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL)
        while (
            not ledger.exists() or ledger.read_bytes().count(b"\n") < wanted
        ) and process.poll() is None:
            time.sleep(0.002)
        time.sleep(moments.random() * 0.03)
        process.kill()
        process.wait()
    last = [*command, *(["--resume"] if (run / "lock.json").exists() else [])]
    assert subprocess.run(last, stdout=subprocess.DEVNULL, check=False).returncode == 0
    assert ledger.read_bytes() == (whole / "ledger.jsonl").read_bytes()
    assert audit(run).ok


def test_a_wrong_average_is_noticed_though_its_checkpoint_is_whole(
    whole: Path, tmp_path: Path
) -> None:
    run = copied(whole, tmp_path)
    a, b = weights(run, "a", 4), weights(run, "b", 5)
    spoil(run, "soup", averaged([(a, Fraction(9, 10)), (b, Fraction(1, 10))]))
    report = audit(run)
    assert not report.ok
    assert "stage `soup`: `llm` has weights" in words(report)
    assert "the average of its parents has" in words(report)


def test_a_stage_that_started_from_a_wrong_average_is_noticed(
    data: Path, whole: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    go(data, run, stop_at=Position("b", 5))
    spoil(run, "soup", weights(run, "a", 4))
    go(data, run, resume=True)
    report = audit(run)
    assert "stage `soup`: `llm` has weights" in words(report)
    assert "`llm` began with weights" in words(report)
    assert "`soup` at step 0 left" in words(report)


def test_an_average_of_other_checkpoints_than_the_ledger_tells_of_is_noticed(
    whole: Path, tmp_path: Path
) -> None:
    run = copied(whole, tmp_path)
    path = checkpoint.checkpoint_path(run / "checkpoints", "a", 4)
    checkpoint.save(path, {"llm": weights(run, "b", 5)}, {}, {"stage": "a", "step": 4})
    spoil(run, "soup", weights(run, "b", 5))
    report = audit(run)
    assert "the checkpoint of `a` at step 4 has weights" in words(report)
    assert "the ledger says that it left" in words(report)


def test_what_is_damaged_or_lost_its_parents_is_composed_anew(
    data: Path, whole: Path, tmp_path: Path
) -> None:
    run = copied(whole, tmp_path)
    torn = checkpoint.checkpoint_path(run / "checkpoints", "polyak", 0) / "llm.safetensors"
    torn.write_bytes(torn.read_bytes()[:-1])
    assert "stage `polyak`: its checkpoint is damaged" in words(audit(run))
    said = go(data, run, resume=True)
    assert any("llm.safetensors has" in text and "composed anew" in text for text in said)
    assert audit(run).ok
    for step in (3, 4):
        shutil.rmtree(checkpoint.checkpoint_path(run / "checkpoints", "after", step))
    said = go(data, run, resume=True)
    assert sum(text.startswith("composed") for text in said) == 2  # `polyak` and `merge`
    assert audit(run).ok


def test_a_mark_that_somebody_deleted_is_told_of(data: Path, whole: Path, tmp_path: Path) -> None:
    run = copied(whole, tmp_path)
    shutil.rmtree(checkpoint.checkpoint_path(run / "checkpoints", "after", 3))
    go(data, run, resume=True)
    report = audit(run)
    assert report.ok  # what was composed of it is still there
    assert any("`polyak` was not composed anew: there is no" in note for note in report.notes)
    shutil.rmtree(checkpoint.checkpoint_path(run / "checkpoints", "polyak", 0))
    with pytest.raises(RunError, match=r"`polyak` could not be composed: .*after/00000003; delete"):
        go(data, run, resume=True)
    assert {f.rule for f in audit(run).findings} == {"run-not-finished"}


def test_without_checkpoints_the_audit_says_what_it_did_not_see(
    whole: Path, tmp_path: Path
) -> None:
    run = copied(whole, tmp_path)
    shutil.rmtree(run / "checkpoints")
    report = audit(run)
    assert report.ok
    assert "the checkpoints are not here: averages were not made anew from them" in report.notes


def test_one_stage_after_the_other_composes_what_has_its_parents(
    data: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    go(data, run, only="text")
    go(data, run, only="a", resume=True)
    with pytest.raises(RunError, match=r"stage `after` takes `llm` from `soup` at step 0: there"):
        go(data, run, only="after", resume=True)
    go(data, run, only="b", resume=True)
    assert go(data, run, only="soup", resume=True) == []  # made when `b` was done
    go(data, run, only="after", resume=True)
    assert audit(run).ok


def test_a_dry_run_walks_averages_too(data: Path) -> None:
    launch = Launch(data=data, device="cpu", threads=1)
    _, timed = dry_run_plan(soup_plan(), launch, Quiet())
    assert [t.name for t in timed] == ["text", "a", "b", "after"]
    assert timed[-1].init == {"llm": "soup@0"}


def test_a_lock_of_it_is_the_same_plan() -> None:
    plan = soup_plan()
    assert read_lock(write_lock(plan), "x") == plan


def test_parents_from_outside_are_averaged_too(data: Path, tmp_path: Path, whole: Path) -> None:
    plan = soup_plan()
    from_outside = ComposedStage(
        "soup", {"llm": (Share(Start("a", 4), HALF), Share(Start("fresh"), HALF))}
    )
    fresh = OutsideStage("fresh", Checkpoint(("llm",), stand_in=True))
    plan = with_digests(replace(plan, outside=(fresh,), composed=(from_outside,)))
    shelf = MemoryShelf({"a": {"llm": weights(whole, "a", 4)}})
    found = compose(plan, from_outside, shelf, data, lambda _: None)["llm"]
    assert found.keys() == weights(whole, "a", 4).keys()
    wanted = replace(fresh, checkpoint=Checkpoint(("llm",), path="nowhere"))
    plan = with_digests(replace(plan, outside=(wanted,)))
    with pytest.raises(RunError, match=r"stage `soup` composes `llm`: .*fresh.* is not there"):
        compose(plan, from_outside, shelf, tmp_path, lambda _: None)


def test_state_from_outside_is_refused_before_anything_is_written(
    data: Path, tmp_path: Path
) -> None:
    plan = soup_plan()
    text = replace(plan.stage("text"), init={"llm": Start("k2", 0, carries_state=True)})
    outside = (OutsideStage("k2", Checkpoint(("llm",), stand_in=True, state=("llm",))),)
    plan = with_digests(replace(plan, stages=(text,), composed=(), outside=outside))
    with pytest.raises(RunError, match=r"it carries the optimizer state of `llm` from the outside"):
        go(data, tmp_path / "run", plan)
    assert not (tmp_path / "run").exists()
