"""Golden values of plans/smolvlm-256m.yaml: adapters, new words, a horizon that ends early"""

from pathlib import Path

import pytest

from curriculum.compile import compile_file, compile_text
from curriculum.paths import path_tokens
from curriculum.plan import Plan

FILE = Path(__file__).parents[2] / "plans" / "smolvlm-256m.yaml"


@pytest.fixture(scope="module")
def plan() -> Plan:
    found = compile_file(FILE)
    assert found.plan is not None, found.findings
    return found.plan


def test_the_three_runs(plan: Plan) -> None:
    found = [(s.steps, s.at(0).batch_seqs, s.at(0).seq_len) for s in plan.stages]
    assert found == [(200_000, 1024, 7000), (6000, 2048, 7000), (4000, 8192, 7000)]
    assert sum(s.budget.tokens for s in plan.stages) == 1_748_992_000_000
    second, third = plan.stages[1:]
    assert {(start.stage, start.step) for start in second.init.values()} == {("stage-1", 25_750)}
    assert {(start.stage, start.step) for start in third.init.values()} == {("stage-2", 3000)}
    read = 25_750 * 1024 * 7000 + 3000 * 2048 * 7000 + 4000 * 8192 * 7000
    assert path_tokens(plan)["stage-3"] == 2 * 10**12 + read == 2_456_960_000_000


def test_the_first_horizon_lies_far_beyond_the_stop(plan: Plan) -> None:
    first = plan.stage("stage-1")
    assert set(first.at(2000).lr.values()) == {1e-4}
    assert first.at(200_000).lr["projector"] == pytest.approx(1e-4 * 300 / 498, rel=1e-12)
    assert first.at(25_750).lr["projector"] == pytest.approx(1e-4 * 474.25 / 498, rel=1e-12)
    assert plan.stage("stage-2").at(3000).lr["llm"] == pytest.approx(1e-4 * 30 / 59, rel=1e-12)


def test_the_last_horizon_ends_half_way_and_the_plan_says_what_then(plan: Plan) -> None:
    last = plan.stage("stage-3")
    assert set(last.at(100).lr.values()) == {1e-4}
    assert (last.at(1999).lr["llm"] or 0) > 0.0
    for step in (2000, 2001, 3999, 4000):
        assert set(last.at(step).lr.values()) == {0.0}
    text = FILE.read_text(encoding="utf-8")
    silent = "".join(s for s in text.splitlines(True) if "{shape: constant, from: 0}" not in s)
    found = compile_text(silent)
    assert [f.rule for f in found.errors] == ["outlives-schedule"]


def test_words_are_added_twice_and_adapters_merged(plan: Plan) -> None:
    first, second, third = plan.stages
    assert first.lifecycle.sizes["llm"] == {"vocab": 49_152 + 39}
    assert second.lifecycle.sizes["llm"] == third.lifecycle.sizes["llm"] == {"vocab": 49_280}
    assert (first.lifecycle.rows, second.lifecycle.rows) == ({"llm": "new"}, {"llm": "mean"})
    assert {a.rank for a in first.lifecycle.adapters.values()} == {64}
    assert set(second.lifecycle.left.values()) == {"merge"}
    whole = [plan.shape_of(third, module).num_params() for module in ("llm", "vit", "projector")]
    assert round(sum(whole), -6) == 256_000_000


def test_every_batch_fits_128_gpus(plan: Plan) -> None:
    layouts = [stage.layout for stage in plan.stages]
    assert [(x.dp * x.micro, x.accumulation) for x in layouts if x is not None] == [
        (256, 4), (512, 4), (512, 16),
    ]  # fmt: skip


def test_the_shares_of_the_files(plan: Plan) -> None:
    shares = [{k: float(v) for k, v in s.mixture.end_shares().items()} for s in plan.stages]
    assert shares == [{"laion-coco": 0.6, "ocr": 0.4}, {"ocr": 0.3, "sft": 0.7}, {"sft": 1.0}]
