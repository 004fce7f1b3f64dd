"""Golden values of plans/minimax-text-01.yaml"""

from pathlib import Path

import pytest

from curriculum.compile import compile_file
from curriculum.plan import Plan

FILE = Path(__file__).parents[2] / "plans" / "minimax-text-01.yaml"
LONG = ("long-128k", "long-512k", "long-1m")
B, T = 10**9, 10**12


@pytest.fixture(scope="module")
def plan() -> Plan:
    found = compile_file(FILE)
    assert found.plan is not None, found.findings
    assert found.findings == ()
    return found.plan


def test_every_stage_has_its_steps_and_tokens(plan: Plan) -> None:
    assert {s.name: (s.steps, s.budget.tokens) for s in plan.stages} == {
        "pretrain": (126_333, 10_400 * B),
        "decay": (7451, T),
        "long-128k": (2236, 300 * B),
        "long-512k": (239, 32 * B),
        "long-1m": (194, 26 * B),
    }


def test_the_batch_doubles_three_times(plan: Plan) -> None:
    pretrain = plan.stage("pretrain")
    for mark, step, before, after in (
        (69 * B, 4113, 2048, 4096),
        (790 * B, 25_601, 4096, 8192),
        (4700 * B, 83_865, 8192, 16_384),
    ):
        assert pretrain.at(step - 1).tokens < mark <= pretrain.at(step).tokens
        assert (pretrain.at(step - 1).batch_seqs, pretrain.at(step).batch_seqs) == (before, after)
    found = {s.name: (s.at(0).seq_len, s.at(0).batch_seqs) for s in plan.stages[1:]}
    assert found == {
        "decay": (8192, 16_384), "long-128k": (131_072, 1024), "long-512k": (524_288, 256),
        "long-1m": (1_048_576, 128),
    }  # fmt: skip
    assert {s.at(0).tokens_per_step for s in plan.stages[1:]} == {134_217_728}


def test_the_learning_rate_is_lowered_once_and_decays_exponentially(plan: Plan) -> None:
    pretrain, decay = plan.stage("pretrain"), plan.stage("decay")
    assert [pretrain.at(s).lr["llm"] for s in (0, 250, 500, 102_491)] == [0.0, 1e-4, 2e-4, 2e-4]
    assert pretrain.at(102_491).tokens < 7200 * B <= pretrain.at(102_492).tokens
    for stage, step in ((pretrain, 102_492), (pretrain, 126_333), (decay, 0)):
        assert stage.at(step).lr == {"llm": 1.3e-4}
    tokens = 3725 * 134_217_728
    exact = 1.3e-4 * (3e-5 / 1.3e-4) ** (tokens / T)
    assert decay.at(3725).lr["llm"] == pytest.approx(exact, rel=1e-12)
    assert decay.at(7451).lr == {"llm": 3e-5}
    for name in LONG:
        assert plan.stage(name).at(0).lr == plan.stage(name).at(100).lr == {"llm": 3e-5}


def test_long_stages_go_over_from_one_mixture_to_the_next(plan: Plan) -> None:
    first = plan.stage("long-128k")
    assert first.at(0).ratios["low"] == first.at(0).ratios["high"] == 0.5
    assert first.at(0).ratios["medium"] == first.at(0).ratios["long-qa"] == 0.0
    share = 112 * 134_217_728 / (30 * B)  # of the way, a tenth of the stage
    assert first.at(112).ratios["medium"] == pytest.approx(0.7 * share, rel=1e-12)
    assert first.at(112).ratios["low"] == pytest.approx(0.5 * (1 - share), rel=1e-12)
    again = plan.stage("long-512k").at(0).ratios  # from what the stage before ended with
    assert again == {"short": 0.27, "medium": 0.63, "long": 0.0, "long-qa": 0.1}


@pytest.mark.parametrize(
    ("name", "shares"),
    [
        ("long-128k", (0.3, 0.7, 0.0)),
        ("long-512k", (0.35, 0.35, 0.3)),
        ("long-1m", (0.3, 0.3, 0.4)),
    ],
)
def test_lengths_have_their_shares_and_questions_the_last_fifth(
    plan: Plan, name: str, shares: tuple[float, float, float]
) -> None:
    stage = plan.stage(name)
    lengths = ("short", "medium", "long")
    window = stage.batch.step_at_tokens(stage.budget.tokens * 4 // 5)
    for step in (stage.steps // 2, window - 1):
        ratios = stage.at(step).ratios
        assert (*(ratios[x] for x in lengths), ratios["long-qa"]) == (*shares, 0.0)
    for step in (window, stage.steps - 1):
        ratios = stage.at(step).ratios
        assert ratios["long-qa"] == 0.1
        assert [ratios[x] for x in lengths] == pytest.approx([x * 0.9 for x in shares], rel=1e-12)


def test_the_rope_base_rises_twice(plan: Plan) -> None:
    bases = [s.rope["llm"].base for s in plan.stages]
    assert bases == [10_000, 10_000, 5_000_000, 10_000_000, 10_000_000]


def test_quality_decides_how_often_a_source_is_read(plan: Plan) -> None:
    caps = {s.name: s.max_epochs for s in plan.sources.values() if s.max_epochs}
    assert caps == {"low": 2, "high": 4}
    assert {s.tokens for s in plan.sources.values()} == {None}
