import json
from dataclasses import replace
from functools import partialmethod
from pathlib import Path
from typing import Any

import pytest
import torch

from curriculum.errors import RunError
from curriculum.gate import Gate
from curriculum.lock import write_lock
from curriculum.models import fusion
from curriculum.models.block import Block
from curriculum.models.shapes import DecoderShape
from curriculum.plan import Plan
from curriculum.train import execute
from curriculum.train.execute import Request, dry_run_plan, run_plan
from curriculum.train.launch import Launch
from curriculum.train.position import Position
from curriculum.train.rundir import read_manifest
from train.worlds import Quiet, world_plan, write_world

STOP = Position("text", 3)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("data")
    write_world(folder)
    return folder


def go(
    data: Path, run: Path, threads: int = 1, plan: Plan | None = None, **asked: Any
) -> list[str]:
    plan, console = plan or world_plan(), Quiet()
    launch = Launch(data=data, device="cpu", threads=threads)
    run_plan(Request(plan, write_lock(plan), launch, run, **asked), console)
    return console.said


def test_an_unknown_stage_is_named(data: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"--stage late: no such stage; there are text, vit-coca"):
        go(data, tmp_path / "run", only="late")
    assert not (tmp_path / "run").exists()


def test_missing_data_leave_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"python -m curriculum.data.demo"):
        go(tmp_path / "nowhere", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_manifest_says_what_was_read_and_where(data: Path, tmp_path: Path) -> None:
    go(data, tmp_path / "run", stop_at=STOP)
    manifest = read_manifest(tmp_path / "run")
    assert manifest["data"] == str(data.resolve())
    assert sorted(manifest["sources"]) == ["captions", "code", "english"]
    kernel = "cpu: torch's flash kernel (xformers has none for a cpu)"
    assert kernel in manifest["machine"]["attention"]
    assert manifest["digest"] == world_plan().digest
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (summary["format"], summary["steps"], summary["complete"]) == (1, 3, False)


def test_a_launch_that_differs_is_said(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    go(data, run, stop_at=STOP)
    assert go(data, run, resume=True, stop_at=STOP) == []
    said = go(data, run, threads=2, resume=True, stop_at=STOP)
    assert said[0].startswith("the run was begun with 1 thread, now 2 threads")


def test_a_gate_is_said_where_its_stage_ends(data: Path, tmp_path: Path) -> None:
    plan = world_plan()
    text, *others = plan.stages
    gated = replace(plan, stages=(replace(text, gate=Gate("tests are as before")), *others))

    def said(**asked: Any) -> list[str]:
        lines = go(data, tmp_path / "run", plan=gated, **asked)
        return [line for line in lines if line.startswith("gate")]

    assert said(stop_at=STOP) == []
    (line,) = said(resume=True, stop_at=Position("text", text.steps))
    assert (
        "`text`: tests are as before; decide before `align` and `joint` begin (--stop-at text@end"
        in line
    )
    assert said(resume=True, only="text") == []  # it is over, and was said


def test_neither_workers_nor_recomputation_change_a_byte_of_the_ledger(
    data: Path, tmp_path: Path
) -> None:
    ledgers = []
    for name, launch in (
        ("plain", Launch(data=data, device="cpu", evaluates=False)),
        ("workers", Launch(data=data, device="cpu", evaluates=False, workers=2, recompute="full")),
        ("part", Launch(data=data, device="cpu", evaluates=False, recompute="selective")),
    ):
        run, plan = tmp_path / name, world_plan()
        run_plan(Request(plan, write_lock(plan), launch, run), Quiet())
        ledgers.append((run / "ledger.jsonl").read_bytes())
    assert ledgers[0] == ledgers[1] == ledgers[2]


def test_how_layers_run_and_who_packs_is_in_the_manifest_and_told_where_it_changes(
    data: Path, tmp_path: Path
) -> None:
    go(data, tmp_path / "run", stop_at=STOP)
    machine = read_manifest(tmp_path / "run")["machine"]
    assert machine["layers"] == "layers as written"
    assert machine["recompute"] == "recomputation none"
    assert machine["packing"] == "packed by a thread"
    plan, console = world_plan(), Quiet()
    launch = Launch(data=data, device="cpu", threads=1, workers=1, recompute="selective")
    request = Request(plan, write_lock(plan), launch, tmp_path / "run", resume=True, stop_at=STOP)
    run_plan(request, console)
    assert console.said[:2] == [
        "the run was begun with data packed by a thread, now packed by 1 process: they are the "
        "same",
        "the run was begun with recomputation none, now recomputation selective: its losses may "
        "differ in their last digits from those of a run that was never stopped",
    ]


@pytest.mark.e2e
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method.*:DeprecationWarning")
def test_a_whole_run_in_graphs_is_the_run_without(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All stages, each layer traced whole; the fused code itself is torch's, and slow to make."""
    losses = []
    for compiles in (False, True):
        compile_whole = partialmethod(torch.nn.Module.compile, backend="aot_eager", fullgraph=True)
        monkeypatch.setattr(Block, "compile", compile_whole)
        monkeypatch.setattr(fusion, "BACKEND", "aot_eager")
        launch = Launch(data=data, device="cpu", precision="bf16", compiles=compiles)
        run, plan = tmp_path / f"run-{compiles}", world_plan()
        run_plan(Request(plan, write_lock(plan), launch, run), Quiet())
        lines = [json.loads(line) for line in (run / "ledger.jsonl").read_text().splitlines()]
        losses.append([line["total"] for line in lines])
    torch._dynamo.reset()
    assert len(losses[0]) == sum(stage.steps for stage in world_plan().stages)
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


def test_experts_are_not_compiled_in_fp32(data: Path) -> None:
    launch = Launch(data=data, device="cpu", compiles=True)
    with pytest.raises(
        RunError, match=r"--compile: `llm` has experts, which compile in bf16 alone; say --prec"
    ):
        dry_run_plan(world_plan(), launch, Quiet())


def test_a_dry_run_opens_the_data_and_writes_nothing(data: Path) -> None:
    before = sorted(data.rglob("*"))
    launch = Launch(data=data, device="cpu", threads=1)
    machine, timed = dry_run_plan(world_plan(), launch, Quiet())
    assert len(timed) == 5
    assert {"layers as written", "recomputation none", "packed by a thread"} < {*machine.values()}
    assert sorted(data.rglob("*")) == before


def test_going_on_with_another_attention_is_told(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go(data, tmp_path / "run", stop_at=STOP)
    other = "32/32 cuda: fa2, xformers with torch's own flash 2"
    monkeypatch.setattr(execute, "require_right_attention", lambda *_: [other])
    said = go(data, tmp_path / "run", resume=True, stop_at=Position("text", 4))
    assert f", now {other}: its losses may differ" in said[0]


def test_an_attention_that_is_not_there_leaves_nothing_behind(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CURRICULUM_ATTENTION", "fa3")
    with pytest.raises(RunError, match=r"fa3 needs a CUDA device, not cpu"):
        go(data, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_experts_that_bf16_does_not_take_are_refused(data: Path) -> None:
    plan = world_plan()
    llm = plan.modules["llm"]
    assert isinstance(llm.shape, DecoderShape)
    narrow = replace(llm, shape=replace(llm.shape, expert_dim=12))
    odd = replace(plan, modules={**plan.modules, "llm": narrow})
    launch = Launch(data=data, device="cpu", precision="bf16")
    with pytest.raises(
        RunError, match="stage `text`: `llm` has expert_dim 12; in bf16 experts take multiples"
    ):
        dry_run_plan(odd, launch, Quiet())
