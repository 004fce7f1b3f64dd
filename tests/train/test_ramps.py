"""A small world through a ramp up, one down, and a context that changes on the way"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from curriculum.batch import Batch, Entry, Ramp, lay_out
from curriculum.data.store import Source
from curriculum.data.stream import Reads
from curriculum.lock import with_digests, write_lock
from curriculum.mixture import Mixture
from curriculum.plan import Budget, Plan, Stage, Start
from curriculum.train.audit import audit
from curriculum.train.console import Console
from curriculum.train.execute import Request, run_plan
from curriculum.train.feed import histories, open_reader
from curriculum.train.launch import Launch
from curriculum.train.ledger import read
from curriculum.train.position import Position
from train.plans import small_stage
from train.worlds import world_plan, world_sources, write_world

UP: list[Entry | Ramp] = [Ramp("increments", 1, 4, 1, 16, 0, 16 * 9), (4, 16, None)]
DOWN: list[Entry | Ramp] = [
    (4, 16, 64),
    Ramp("linear", 4, 1, 1, 16, 64, 64 + 16 * 10),
    (1, 32, 64 + 16 * 10 + 64),
    (2, 16, None),
]


def with_batch(stage: Stage, batch: Batch, steps: int) -> Stage:
    """Return a stage with another batch, as long as so many steps."""
    tokens = batch.tokens_before(steps)
    mixture = Mixture(stage.mixture.roots, batch, steps, tokens)
    budget = Budget(f"{tokens}", tokens)
    return replace(stage, batch=batch, steps=steps, mixture=mixture, budget=budget)


def ramp_plan() -> Plan:
    """Return up -> down, which reads on where `up` was left; both small."""
    plan = world_plan()
    up = with_batch(small_stage("up", steps=8), lay_out(UP), 8)
    start = {"llm": Start("up", 8, carries_state=True)}
    down = with_batch(small_stage("down", steps=13, init=start), lay_out(DOWN), 13)
    after = small_stage("after", steps=2, init={"llm": Start("down", 13, carries_state=True)})
    stages = (up, down, after)
    return with_digests(replace(plan, stages=stages, outside=()))


def rows(reader_of: Stage, plan: Plan, sources: dict[str, Source]) -> Iterator[tuple[str, object]]:
    reader = open_reader(plan, reader_of, sources)
    for step in range(reader_of.steps):
        for row in reader.rows(step):
            yield row.source, row.spans


def test_the_batch_goes_up_and_down_and_changes_its_context() -> None:
    up, down, _ = ramp_plan().stages
    assert [up.at(step).batch_seqs for step in range(8)] == [1, 1, 1, 2, 2, 3, 4, 4]
    sizes = [(down.at(step).batch_seqs, down.at(step).seq_len) for step in range(down.steps)]
    assert sizes == [
        (4, 16), (4, 16), (2, 16), (2, 16), (1, 16), (1, 16), (1, 32), (1, 32),
        (2, 16), (2, 16), (2, 16), (2, 16), (2, 16),
    ]  # fmt: skip


def test_every_position_is_read_once_through_ramps_and_contexts() -> None:
    plan, sources = ramp_plan(), world_sources()
    seen: dict[str, set[tuple[int, int]]] = {}
    read_in_all: dict[str, int] = {}
    for stage in plan.stages:
        for source, spans in rows(stage, plan, sources):
            for doc, start, end in spans:  # type: ignore[attr-defined]
                positions = {(doc, at) for at in range(start, end)}
                assert not positions & seen.setdefault(source, set())
                seen[source] |= positions
                read_in_all[source] = read_in_all.get(source, 0) + end - start
    # Within the first epoch of both sources, so nothing may come twice; and all of it was asked.
    assert sum(read_in_all.values()) == sum(stage.tokens for stage in plan.stages)


def test_what_a_stage_read_is_told_by_context() -> None:
    plan = ramp_plan()
    down = plan.stage("down")
    english = histories(plan, plan.stage("after"))["english"]
    assert [reads.seq_len for reads in english] == [16, 16, 32, 16]
    draws = down.draws()
    first = draws.before(6)["english"]
    assert english[1] == Reads(16, first, "llm")
    assert sum(r.rows for r in english[1:]) == draws.before(13)["english"]
    # Left in the middle of a context, as much of it as was read.
    early = replace(plan.stage("after"), init={"llm": Start("down", 7)})
    found = histories(replace(plan, stages=(*plan.stages[:2], early)), early)["english"]
    assert sum(r.rows for r in found[1:]) == draws.before(7)["english"]


@pytest.mark.parametrize("stop", [Position("up", 5), Position("down", 3), Position("down", 7)])
def test_it_trains_stops_goes_on_and_is_audited(tmp_path: Path, stop: Position) -> None:
    plan = ramp_plan()
    write_world(tmp_path / "data")
    launch = Launch(data=tmp_path / "data", device="cpu", threads=1, checkpoint_every_steps=2)
    whole = Request(plan, write_lock(plan), launch, tmp_path / "whole")
    run_plan(whole, Console())
    run_plan(replace(whole, run=tmp_path / "halved", stop_at=stop), Console())
    run_plan(replace(whole, run=tmp_path / "halved", resume=True), Console())
    ledgers = [tmp_path / name / "ledger.jsonl" for name in ("whole", "halved")]
    assert ledgers[0].read_bytes() == ledgers[1].read_bytes()
    lines = list(read(ledgers[0]))
    contexts = [line.seq_len for line in lines if line.stage == "down"]
    assert contexts == [16] * 6 + [32] * 2 + [16] * 5
    report = audit(tmp_path / "halved", data=tmp_path / "data")
    assert report.ok, report
