import json
import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from curriculum.errors import RunError, StoppedError
from curriculum.lock import with_digests, write_lock
from curriculum.plan import Plan, Start
from curriculum.train import checkpoint
from curriculum.train.abilities import refuse_unable
from curriculum.train.console import Console, Progress
from curriculum.train.execute import Request, run_plan
from curriculum.train.launch import Launch
from curriculum.train.ledger import read
from curriculum.train.loop import known, router_bias_rate
from curriculum.train.position import Position
from curriculum.train.rundir import LEDGER, METRICS
from train.worlds import world_plan, write_world


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("data")
    write_world(folder)
    return folder


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was never stopped."""
    run: Path = tmp_path_factory.mktemp("runs") / "whole"
    summary = go(data, run)
    assert summary["complete"]
    assert summary["audit"]["ok"], summary["audit"]["findings"]
    return run


class Quiet(Console):
    """Keeps what is said, and does something at a step of a stage."""

    def __init__(self, at: tuple[str, int] | None = None, signal_number: int = 0) -> None:
        Console.__init__(self)
        self.at, self.signal_number = at, signal_number
        self.said: list[str] = []

    def say(self, sentence: str) -> None:
        self.said.append(sentence)

    def show(self, progress: Progress) -> None:
        if (progress.stage, progress.step) == self.at:
            os.kill(os.getpid(), self.signal_number)


def go(
    data: Path,
    run: Path,
    console: Console | None = None,
    plan: Plan | None = None,
    **asked: Any,
) -> Mapping[str, Any]:
    plan = plan or world_plan()
    launch = Launch(data=data, device="cpu", checkpoint_every_steps=3, threads=1)
    request = Request(plan, write_lock(plan), launch, run, **asked)
    return run_plan(request, console or Quiet())


def require_equal_runs(one: Path, other: Path) -> None:
    assert (one / LEDGER).read_bytes() == (other / LEDGER).read_bytes()
    assert losses(one) == losses(other)
    for stage in world_plan().stages:
        path, twin = (checkpoint.checkpoint_path(p / "checkpoints", stage.name, stage.steps)
                      for p in (one, other))  # fmt: skip
        for name in stage.modules:
            mine = checkpoint.load_modules(path, [name])[name]
            yours = checkpoint.load_modules(twin, [name])[name]
            assert all(torch.equal(mine[key], yours[key]) for key in mine)


def losses(run: Path) -> list[tuple[str, int, float, float]]:
    lines = [json.loads(line) for line in (run / METRICS).read_text().splitlines()]
    return [
        (line["stage"], line["step"], line["loss"], line["grad_norm"])
        for line in lines
        if line["event"] == "step"
    ]


def evaluations(run: Path) -> list[tuple[Any, ...]]:
    lines = [json.loads(line) for line in (run / METRICS).read_text().splitlines()]
    return [
        (line["stage"], line["text"]["loss"], line.get("samples"))
        for line in lines
        if line["event"] == "evaluation"
    ]


def test_the_ledger_of_a_run_is_its_plan(whole: Path) -> None:
    lines = list(read(whole / LEDGER))
    plan = world_plan()
    assert [(line.stage, line.step) for line in lines] == [
        (stage.name, step) for stage in plan.stages for step in range(stage.steps)
    ]
    for line in lines:
        now = plan.stage(line.stage).at(line.step)
        assert line.tokens == now.tokens_per_step
        assert line.lr == now.lr
        assert {name: round(base) for name, base in line.rope_base.items()} == {
            name: rope.base for name, rope in now.rope.items()
        }


def test_every_stage_end_has_a_checkpoint_and_the_last_two_others(whole: Path) -> None:
    found = {
        (stage.name, step)
        for stage in world_plan().stages
        for step in checkpoint.steps_of(whole / "checkpoints", stage.name)
    }
    ends = {(stage.name, stage.steps) for stage in world_plan().stages}
    assert ends <= found
    assert found - ends == {("joint", 3), ("long", 3)}


@pytest.mark.parametrize(
    ("stage", "step", "number", "code"),
    [
        ("text", 4, signal.SIGINT, 130),
        ("joint", 2, signal.SIGTERM, 143),
        ("vit-coca", 2, signal.SIGTERM, 143),
    ],
)
def test_a_signal_finishes_the_step_saves_and_stops(
    data: Path, whole: Path, tmp_path: Path, stage: str, step: int, number: int, code: int
) -> None:
    run = tmp_path / "run"
    before = signal.getsignal(number)
    with pytest.raises(StoppedError, match=f"after step {step} of stage `{stage}`") as stopped:
        go(data, run, Quiet((stage, step), number))
    assert stopped.value.exit_code == code
    assert signal.getsignal(number) is before
    last = list(read(run / LEDGER))[-1]
    assert (last.stage, last.step) == (stage, step)
    assert checkpoint.is_complete(run / "checkpoints" / stage / f"{step + 1:08d}")
    go(data, run, resume=True)
    require_equal_runs(run, whole)
    assert evaluations(run) == evaluations(whole)


def test_stop_at_stops_there_and_is_resumed(data: Path, whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    summary = go(data, run, stop_at=Position("align", 2))
    assert not summary["complete"]
    assert not summary["audit"]["ok"]
    last = list(read(run / LEDGER))[-1]
    assert (last.stage, last.step) == ("align", 1)
    go(data, run, resume=True)
    require_equal_runs(run, whole)


@pytest.mark.parametrize("mark", [0, 5])
def test_a_mark_that_a_stage_starts_from_is_a_checkpoint(
    data: Path, tmp_path: Path, mark: int
) -> None:
    plan, run = world_plan(), tmp_path / "run"
    align = plan.stage("align")
    early = replace(align, init={**align.init, "llm": Start("text", mark)})
    stages = tuple(early if stage.name == "align" else stage for stage in plan.stages[:3])
    asked = with_digests(replace(plan, stages=stages))
    go(data, run, Quiet(), asked, stop_at=Position("align", 1))
    text = run / "checkpoints" / "text"
    assert checkpoint.is_complete(text / f"{mark:08d}")
    taken = checkpoint.load_modules(run / "checkpoints" / "align" / "00000001", ["llm"])["llm"]
    left = checkpoint.load_modules(text / f"{mark:08d}", ["llm"])["llm"]
    assert all(torch.equal(taken[key], left[key]) for key in left)  # `align` freezes it
    go(data, run, None, asked, resume=True)


def test_one_stage_runs_where_its_parents_are(data: Path, whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(RunError, match="stage `align` takes `llm` from `text` at step 8"):
        go(data, run, only="align")
    for number, stage in enumerate(world_plan().stages):
        go(data, run, only=stage.name, resume=True)
        done = {line.stage for line in read(run / LEDGER)}
        assert len(done) == number + 1
    require_equal_runs(run, whole)


def test_resuming_a_finished_run_changes_nothing(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    go(data, run, stop_at=Position("text", 8))
    ledger = (run / LEDGER).read_bytes()
    go(data, run, resume=True, stop_at=Position("text", 8))
    assert (run / LEDGER).read_bytes() == ledger


def test_a_flipped_bit_is_refused_by_name_and_the_one_before_is_taken(
    data: Path, whole: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    go(data, run, stop_at=Position("joint", 5))
    damaged = run / "checkpoints" / "joint" / "00000005" / "llm.safetensors"
    content = bytearray(damaged.read_bytes())
    content[-9] ^= 1
    damaged.write_bytes(content)
    console = Quiet()
    go(data, run, console, resume=True)
    assert "joint/00000005" in console.said[0]
    assert "llm.safetensors" in console.said[0]
    assert "taking the one before" in console.said[1]
    assert "joint/00000003" in console.said[1]
    require_equal_runs(run, whole)


def test_a_damaged_parent_is_named_and_made_again_once_it_is_deleted(
    data: Path, whole: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    go(data, run, stop_at=Position("align", 4))
    parent = run / "checkpoints" / "text" / "00000008"
    (parent / "llm.safetensors").write_bytes(b"nothing")
    with pytest.raises(RunError, match=r"stage `joint` takes `llm` from `text` .* is damaged"):
        go(data, run, resume=True)
    for file in parent.iterdir():
        file.unlink()
    parent.rmdir()
    go(data, run, resume=True)
    require_equal_runs(run, whole)


def test_what_is_not_finite_ends_the_run_and_stands_in_the_metrics(
    data: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    go(data, run, stop_at=Position("text", 3))
    path = run / "checkpoints" / "text" / "00000003"
    weights = checkpoint.load_modules(path, ["llm"])
    weights["llm"]["norm.weight"][0] = float("nan")
    checkpoint.save(path, weights, checkpoint.load_optimizer(path, ["llm"]), {})
    with pytest.raises(RunError, match=r"stage `text`, step 3: the loss is nan.*before the update"):
        go(data, run, resume=True)
    last = json.loads((run / METRICS).read_text().splitlines()[-1])
    assert (last["event"], last["stage"], last["step"]) == ("not_finite", "text", 3)
    assert [line.step for line in read(run / LEDGER)] == [0, 1, 2]


def test_what_the_trainer_does_not_do_is_refused() -> None:
    plan = world_plan()
    text = plan.stage("text")
    odd = replace(text, settings={"llm/attention.window": text.loss["next_token"]})
    with pytest.raises(RunError, match="nothing here takes the setting llm/attention.window"):
        refuse_unable(replace(plan, stages=(odd,)))
    lost = replace(text, loss={"distill": text.loss["next_token"]})
    with pytest.raises(RunError, match="no such loss term: distill"):
        refuse_unable(replace(plan, stages=(lost,)))


def test_the_experts_bias_moves_only_where_the_llm_is_trained() -> None:
    plan = world_plan()
    assert router_bias_rate(plan.stage("text").at(0)) == 1e-3
    frozen = replace(plan.stage("text"), train=("vit",))
    assert router_bias_rate(frozen.at(0)) is None


def test_known_values_are_all_known() -> None:
    assert known({"llm": 1.0}) == {"llm": 1.0}
    with pytest.raises(AssertionError):
        known({"llm": None})
