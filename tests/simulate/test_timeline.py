import itertools
import time
from fractions import Fraction
from functools import cache
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.compile import compile_file
from curriculum.plan import Now, Plan
from curriculum.simulate.mixture_rows import ancestor_tokens
from curriculum.simulate.timeline import (
    change_steps,
    outline,
    sampled_steps,
    timeline,
)
from simulate.plans import STEPS, full_plan, laptop_plan
from small import right

DOCS = Path(__file__).parents[2] / "docs" / "language"


@cache
def full() -> tuple[Plan, pl.DataFrame]:
    plan = full_plan()
    return plan, timeline(plan)


@cache
def rows_by_stage() -> dict[str, pl.DataFrame]:
    plan, table = full()
    return {s.name: table.filter(pl.col("stage") == s.name) for s in plan.stages}


def values_of(row: dict[str, object], kind: str) -> dict[str, object]:
    return {name.removeprefix(kind): x for name, x in row.items() if name.startswith(kind)}


def assert_row_is(row: dict[str, object], now: Now) -> None:
    assert row["step"] == now.step
    assert row["tokens_stage"] == now.tokens
    assert (row["batch_seqs"], row["seq_len"]) == (now.batch_seqs, now.seq_len)
    for kind, known in (("lr.", now.lr), ("loss.", now.loss), ("set.", now.settings)):
        found = values_of(row, kind)
        assert {name: found[name] for name in known} == known
        assert all(x is None for name, x in found.items() if name not in known)
    ratios = values_of(row, "ratio.")
    assert {name: x for name, x in ratios.items() if name in now.ratios} == now.ratios
    assert all(x == 0 for name, x in ratios.items() if name not in now.ratios)
    bases = {n: float(rope.base) for n, rope in now.rope.items() if rope.base is not None}
    assert {n: x for n, x in values_of(row, "rope_base.").items() if x is not None} == bases


@given(st.data())
def test_a_row_is_what_at_says_bit_for_bit(data: st.DataObject) -> None:
    plan, _ = full()
    stage = data.draw(st.sampled_from(plan.stages), label="stage")
    near = st.sampled_from(change_steps(stage)).map(lambda s: max(0, s - 1))
    step = data.draw(st.one_of(st.integers(0, stage.steps - 1), near), label="step")
    assert_row_is(rows_by_stage()[stage.name].row(step, named=True), stage.at(step))


@given(st.data())
def test_tokens_of_a_source_are_the_exact_sum_rounded_once(data: st.DataObject) -> None:
    plan, _ = full()
    stage = data.draw(st.sampled_from(plan.stages), label="stage")
    step = data.draw(st.integers(0, stage.steps - 1), label="step")
    exact = ancestor_tokens(plan, stage.name)
    for name, tokens in stage.mixture.ideal_tokens(step).items():
        exact[name] = exact.get(name, Fraction(0)) + tokens
    found = values_of(rows_by_stage()[stage.name].row(step, named=True), "tokens.")
    assert {name: x for name, x in found.items() if name in exact} == {
        name: float(tokens) for name, tokens in exact.items()
    }
    assert all(x == 0 for name, x in found.items() if name not in exact)
    read = plan.tokens_before(stage.name) + stage.batch.tokens_before(step)
    assert sum(exact.values()) == read


def test_the_columns_are_those_of_the_contract() -> None:
    _, table = full()
    kinds = ("lr.", "rope_base.", "ratio.", "tokens.", "loss.", "set.")
    fixed = ["stage", "step", "tokens_stage", "tokens_ancestors", "tokens_all"]
    assert table.columns[:7] == [*fixed, "batch_seqs", "seq_len"]
    found = [next(kind for kind in kinds if name.startswith(kind)) for name in table.columns[7:]]
    assert found == sorted(found, key=kinds.index)
    assert set(found) == set(kinds)
    types = table.schema
    assert [types[name] for name in table.columns[1:7]] == [pl.Int64] * 6
    assert {types[name] for name in table.columns[7:]} == {pl.Float64}


def test_every_step_of_every_stage_has_its_row_in_order() -> None:
    plan, table = full()
    assert table.height == sum(STEPS) == 292_067
    assert table["stage"].unique(maintain_order=True).to_list() == [s.name for s in plan.stages]
    assert [rows_by_stage()[s.name].height for s in plan.stages] == list(STEPS)
    spent = table["tokens_all"].to_list()
    assert all(a < b for a, b in itertools.pairwise(spent))
    last = plan.stages[-1]
    assert spent[-1] + last.at(last.steps - 1).tokens_per_step == sum(s.tokens for s in plan.stages)


def test_ancestors_are_not_all_stages() -> None:
    plan, _ = full()
    first = {name: rows.row(0, named=True) for name, rows in rows_by_stage().items()}
    assert first["vit-coca"]["tokens_ancestors"] == 0
    assert first["vit-coca"]["tokens_all"] == plan.stage("text").tokens
    before = sum(plan.stage(name).tokens for name in ("text", "vit-coca", "vit-align"))
    assert first["joint"]["tokens_ancestors"] == before


@pytest.mark.parametrize("every", [7, 1000, 10**9])
def test_sampled_rows_are_rows_of_the_whole_table(every: int) -> None:
    plan, table = full()
    some = timeline(plan, every=every)
    assert some.equals(table.join(some.select("stage", "step"), on=["stage", "step"], how="semi"))
    for stage in plan.stages:
        steps = some.filter(pl.col("stage") == stage.name)["step"].to_list()
        wanted = {0, stage.steps - 1, *range(0, stage.steps, every), *change_steps(stage)}
        assert steps == sorted(wanted) == list(sampled_steps(stage, every))


def test_a_picture_sees_each_change_and_the_step_before_it() -> None:
    plan, _ = full()
    table = outline(plan, rows_per_stage=50)
    steps = table.filter(pl.col("stage") == "text")["step"].to_list()
    assert {1999, 2000, 11_920, 11_921, 160_932} <= set(steps)
    assert table.height < 7 * 60


def test_draws_are_whole_and_within_one_sequence_of_the_ideal() -> None:
    plan = laptop_plan()
    table = timeline(plan, draws=True)
    drawn = [name for name in table.columns if name.startswith("drawn.")]
    assert {table.schema[name] for name in drawn} == {pl.Int64}
    assert (
        table.select(pl.sum_horizontal(drawn)).to_series().to_list()
        == table["batch_seqs"].to_list()
    )
    for stage in plan.stages:
        rows = table.filter(pl.col("stage") == stage.name)
        for name in stage.mixture.sources:
            total = int(rows[f"drawn.{name}"].sum())
            assert abs(total - stage.mixture.ideal_seqs(stage.steps)[name]) < 1
    some = timeline(plan, every=5, draws=True)
    assert some.equals(table.join(some.select("stage", "step"), on=["stage", "step"], how="semi"))


def test_stages_can_be_picked_and_keep_their_place() -> None:
    plan, table = full()
    picked = timeline(plan, stages=["joint"])
    assert picked.equals(table.filter(pl.col("stage") == "joint"))
    with pytest.raises(ValueError, match="no stage"):
        timeline(plan, stages=["nowhere"])
    with pytest.raises(ValueError, match="at least 1"):
        timeline(plan, every=0)


def test_a_source_that_is_read_again_runs_on_along_the_path() -> None:
    rows = rows_by_stage()
    end = rows["joint"]["tokens.english"][-1]
    start = rows["cooldown"]["tokens.english"][0]
    assert 0 < start - end < 4096 * 8192


def test_every_step_of_the_full_plan_takes_less_than_two_seconds() -> None:
    plan = full_plan()
    took = []
    for _ in range(3):
        begin = time.perf_counter()
        table = timeline(plan)
        took.append(time.perf_counter() - begin)
    assert table.height == 292_067
    assert min(took) < 2, took


def test_a_value_of_an_optimizer_is_a_column_where_it_runs_along_a_curve() -> None:
    plan = right(compile_file(DOCS / "optimizers.yaml"))
    table = timeline(plan, every=50)
    names = [name for name in table.columns if name.startswith("optimizer.")]
    assert names == [
        "optimizer.llm.weight_decay",
        "optimizer.llm/embeddings.weight_decay",
        "optimizer.llm/head.weight_decay",
        "optimizer.llm.alpha",
        "optimizer.llm.beta3",
    ]
    for stage, step, *found in table.select("stage", "step", *names).iter_rows():
        rules = plan.stage(stage).at(step).optimizer
        paths = [name.removeprefix("optimizer.").rpartition(".") for name in names]
        assert found == [rules.get(target, {}).get(name) for target, _, name in paths]
    for name in names:
        assert table[name].n_unique() > 10
    assert not [name for name in full()[1].columns if name.startswith("optimizer.")]


def test_a_picture_has_the_steps_at_which_a_value_of_an_optimizer_turns() -> None:
    plan = right(compile_file(DOCS / "optimizers.yaml", ("stages.text.steps=1500",)))
    assert 1000 in change_steps(plan.stage("text"))
