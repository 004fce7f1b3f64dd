"""Vocabularies that grow, parts that begin anew, rows packed in order: trained, and audited"""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from curriculum.errors import RunError
from curriculum.lifecycle import Lifecycle
from curriculum.lock import with_digests, write_lock
from curriculum.models.adapters import Adapter
from curriculum.models.vlm import build
from curriculum.plan import Plan, Stage, Start
from curriculum.train import handover
from curriculum.train.abilities import refuse_unable
from curriculum.train.audit import audit
from curriculum.train.checkpoint import checkpoint_path, load_modules
from curriculum.train.console import Console
from curriculum.train.execute import Request, run_plan
from curriculum.train.growth import settle
from curriculum.train.handover import MemoryShelf, assemble
from curriculum.train.launch import Launch
from curriculum.train.ledger import read
from curriculum.train.rundir import LEDGER
from train.plans import MODULES, small_plan, small_stage
from train.worlds import write_world

GROWS = Lifecycle(fresh=("llm/head",), sizes={"llm": {"vocab": 72}}, rows={"llm": "mean"})


def growing_plan(carries: bool = True) -> Plan:
    """Return text -> grown (larger vocabulary, fresh head) -> after, with and without best fit."""
    text = replace(small_stage(), packing="concat")
    after_text = {"llm": Start("text", 8, carries_state=carries)}
    grown = replace(
        small_stage("grown", steps=3, init=after_text), packing="concat-across", lifecycle=GROWS
    )
    init = {"llm": Start("grown", 3, carries_state=True)}
    after = replace(
        small_stage("after", steps=2, seq_len=32, batch_seqs=2, init=init),
        lifecycle=Lifecycle(sizes=GROWS.sizes),
    )
    return with_digests(replace(small_plan(), stages=(text, grown, after)))


PLAN = growing_plan()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("data")
    write_world(folder)
    return folder


class Silent(Console):
    """Says nothing."""

    def say(self, sentence: str) -> None:
        pass


def go(data: Path, run: Path) -> Mapping[str, Any]:
    launch = Launch(data=data, device="cpu", checkpoint_every_steps=3, evaluates=False)
    return run_plan(Request(PLAN, write_lock(PLAN), launch, run), Silent())


@pytest.fixture(scope="module")
def healthy(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run: Path = tmp_path_factory.mktemp("runs") / "healthy"
    go(data, run)
    return run


def test_a_run_that_grows_is_what_was_planned(data: Path, healthy: Path) -> None:
    report = audit(healthy, data)
    assert report.ok, report.findings
    assert not report.notes
    seen = [line.state_steps["llm"] for line in read(healthy / LEDGER) if line.stage != "text"]
    assert seen == [[0, 8], [1, 9], [2, 10], [3, 11], [4, 12]]


def test_rows_that_are_new_begin_at_the_mean_and_the_head_anew(data: Path, healthy: Path) -> None:
    place = checkpoint_path(healthy / "checkpoints", "text", 8)
    left = load_modules(place, ["llm"])["llm"]
    found = assemble(
        PLAN,
        PLAN.stage("grown"),
        handover.RunShelf(healthy / "checkpoints"),
        data,
        torch.device("cpu"),
        lambda _: None,
    )
    now, states = found.modules["llm"].state_dict(), found.states()["llm"]
    fresh = build(PLAN.shape_of(PLAN.stage("grown"), "llm"), "cpu", PLAN.seed, "llm").state_dict()
    table = now["embed.weight"]
    assert torch.equal(table[:64], left["embed.weight"])
    mean = left["embed.weight"].double().mean(0).float()
    assert all(torch.equal(row, mean) for row in table[64:])
    assert torch.equal(now["head.weight"], fresh["head.weight"])
    assert not any(key.startswith("head.") for key in states)
    assert states["embed.weight.exp_avg"].shape == (72, 32)
    assert not states["embed.weight.exp_avg"][64:].any()
    assert int(states["embed.weight.step"]) == 8


@pytest.mark.parametrize("fault", ["rows", "head", "nothing grows"])
def test_the_audit_sees_that_a_module_did_not_begin_as_planned(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    def otherwise(
        stage: Stage, module: str, kind: str, weights: Mapping[str, Tensor], fresh: Any
    ) -> dict[str, Tensor]:
        said = stage.lifecycle
        if fault == "rows" and said.rows:
            said = replace(said, rows={"llm": "new"})
        elif fault == "head":
            said = replace(said, fresh=())
        elif said.rows:
            return dict(fresh)
        return settle(replace(stage, lifecycle=said), module, kind, weights, fresh)

    monkeypatch.setattr(handover, "settle", otherwise)
    summary = go(data, tmp_path / "run")
    assert not summary["audit"]["ok"]
    messages = [finding["message"] for finding in summary["audit"]["findings"]]
    assert any(
        m.startswith("stage `grown`: step 0: `llm` began with weights ")
        and "`text` at step 8 made anew gives" in m
        for m in messages
    ), messages


def test_what_is_not_there_any_more_is_noted(data: Path, healthy: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(healthy, run)
    shutil.rmtree(checkpoint_path(run / "checkpoints", "text", 8))
    report = audit(run, data)
    assert report.ok
    (note,) = report.notes
    assert note.startswith("`llm` of stage `grown` is made anew of `text`, which is not here")


def test_state_that_is_not_carried_begins_anew_and_what_follows_is_as_large() -> None:
    plan = growing_plan(carries=False)
    shelf = MemoryShelf()
    for stage in plan.stages:
        found = assemble(plan, stage, shelf, Path(), torch.device("cpu"), lambda _: None)
        assert not found.states()["llm"]
        shelf.put(stage.name, found)
    assert shelf.weights["after"]["llm"]["embed.weight"].shape == (72, 32)


def refused(**said: Any) -> str:
    text, grown, _ = PLAN.stages
    odd = replace(grown, lifecycle=Lifecycle(**said))
    with pytest.raises(RunError) as error:
        refuse_unable(replace(PLAN, stages=(text, odd)))
    return str(error.value)


def test_what_cannot_be_made_of_a_module_is_refused() -> None:
    refuse_unable(PLAN)
    words = "`llm` is reshaped in another way than by growing its vocabulary or adding weights"
    fewer = refused(sizes={"llm": {"vocab": 40}}, rows={"llm": "new"})
    assert f"stage `grown`: {words}: embed.weight would change from (64, 32) to (40, 32)" in fewer
    layers = refused(sizes={"llm": {"num_layers": 1}}, rows={"llm": "new"})
    assert "layers.1.attn_norm.weight would be gone (and " in layers
    more = refused(sizes={"llm": {"num_layers": 3}}, rows={"llm": "new"})
    assert "layers.2.attn_norm.weight would be added and have no optimizer state" in more
    adapter = Adapter("lora", 4, ("attention",))
    assert "stage `grown`: no adapters are built here, and `llm` has some" in refused(
        adapters={"llm": adapter}
    )
    assert MODULES["llm"].shape == PLAN.shape_of(PLAN.stage("text"), "llm")
