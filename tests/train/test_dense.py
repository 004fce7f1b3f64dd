"""A world with a dense decoder in it is trained, handed over, resumed and audited like any other"""

import json
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from curriculum.lock import read_lock, with_digests, write_lock
from curriculum.plan import Plan
from curriculum.rope import Rope
from curriculum.train import checkpoint
from curriculum.train.audit import audit
from curriculum.train.execute import Request, run_plan
from curriculum.train.launch import Launch
from curriculum.train.ledger import read
from curriculum.train.position import Position
from curriculum.train.rundir import LEDGER
from train.worlds import Quiet, dense_plan, write_world

SIZES: dict[str, dict[str, object]] = {
    "tied": {"qkv_bias": True, "nope_every": 2},
    "untied": {
        "tied_embeddings": False,
        "qk_norm": True,
        "qk_norm_whole": True,
        "norm_after": True,
        "gated": False,
    },
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("data")
    write_world(folder)
    return folder


def go(data: Path, run: Path, plan: Plan, **asked: Any) -> Mapping[str, Any]:
    launch = Launch(data=data, device="cpu", checkpoint_every_steps=3, threads=1)
    return run_plan(Request(plan, write_lock(plan), launch, run, **asked), Quiet())


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_every_stage_runs_as_planned(sizes: dict[str, object], data: Path, tmp_path: Path) -> None:
    plan, run = dense_plan(**sizes), tmp_path / "run"
    summary = go(data, run, plan)
    assert summary["complete"]
    assert summary["audit"]["ok"], summary["audit"]["findings"]
    assert audit(run).ok
    lines = list(read(run / LEDGER))
    assert len(lines) == sum(stage.steps for stage in plan.stages)
    bases = {line.stage: line.rope_base.get("llm") for line in lines}
    assert bases["text"] == pytest.approx(50_000, rel=1e-12)
    assert bases["long"] == pytest.approx(800_000, rel=1e-12)
    trained = {part for line in lines for part in line.trained_parts.get("llm", ())}
    assert trained == set(plan.modules["llm"].shape.parts())


def test_local_and_full_layers_turn_as_the_plan_says_of_each(data: Path, tmp_path: Path) -> None:
    plan = dense_plan(window=64, full_attention_every=2)
    rope = {
        "llm/full_attention": Rope(Fraction(5_000_000)),
        "llm/sliding_attention": Rope(Fraction(10_000)),
    }
    stages = tuple(replace(s, rope=rope if s.rope else {}) for s in plan.stages)
    go(data, tmp_path / "run", with_digests(replace(plan, stages=stages)))
    assert audit(tmp_path / "run").ok
    first = next(read(tmp_path / "run" / LEDGER))
    assert first.rope_base["llm"] == pytest.approx(10_000, rel=1e-12)  # of its first layer


def test_a_run_that_stopped_goes_on_to_the_same_end(data: Path, tmp_path: Path) -> None:
    plan = dense_plan()
    go(data, tmp_path / "whole", plan)
    run = tmp_path / "parts"
    go(data, run, plan, stop_at=Position("joint", 2))
    go(data, run, plan, resume=True)
    assert (run / LEDGER).read_bytes() == (tmp_path / "whole" / LEDGER).read_bytes()


def test_a_checkpoint_of_a_tied_decoder_holds_its_embeddings_once(
    data: Path, tmp_path: Path
) -> None:
    plan = dense_plan()
    go(data, tmp_path / "run", plan, stop_at=Position("text", 3))
    path = checkpoint.checkpoint_path(tmp_path / "run" / "checkpoints", "text", 3)
    names = checkpoint.load_modules(path, ["llm"])["llm"].keys()
    assert set(names) == set(plan.modules["llm"].shape.weights())


def test_a_lock_of_a_dense_decoder_is_read_as_it_was_written() -> None:
    plan = dense_plan(window=64, full_attention_every=2)
    text = write_lock(plan)
    again = read_lock(text, "plan.lock.json")
    assert again.modules == plan.modules
    assert write_lock(again) == text
    assert json.loads(text)["modules"]["llm"]["shape"]["window"] == 64
