"""Golden values of plans/deepseek-v3.yaml"""

from pathlib import Path

import pytest

from curriculum.compile import compile_file
from curriculum.plan import Plan
from curriculum.rope import first_negative_distance

FILE = Path(__file__).parents[2] / "plans" / "deepseek-v3.yaml"
B, T = 10**9, 10**12


@pytest.fixture(scope="module")
def plan() -> Plan:
    found = compile_file(FILE)
    assert found.plan is not None, found.findings
    assert found.findings == ()
    return found.plan


def test_every_stage_has_its_steps_and_tokens(plan: Plan) -> None:
    assert {s.name: (s.steps, s.budget.tokens) for s in plan.stages} == {
        "pretrain": (243_761, 148 * T // 10),
        "long-32k": (1000, 62_914_560_000),
        "long-128k": (1000, 62_914_560_000),
    }


def test_the_batch_rises_fivefold_and_holds_its_tokens_as_the_context_grows(plan: Plan) -> None:
    pretrain = plan.stage("pretrain")
    assert pretrain.at(0).tokens_per_step == 12_582_912  # G14
    steps = (0, 2329, 2330, 15_975, 15_976, 243_760)
    assert [pretrain.at(s).batch_seqs for s in steps] == [
        3072, 3072, 3840, 14_592, 15_360, 15_360,
    ]  # fmt: skip
    assert pretrain.at(15_975).tokens < 469 * B <= pretrain.at(15_976).tokens
    sizes = {s.name: (s.at(999).seq_len, s.at(999).batch_seqs) for s in plan.stages[1:]}
    assert sizes == {"long-32k": (32_768, 1920), "long-128k": (131_072, 480)}
    last = [s.at(s.steps - 1).tokens_per_step for s in plan.stages]
    assert last == [62_914_560] * 3  # G14


def test_the_learning_rate_is_piecewise_and_jumps_once(plan: Plan) -> None:
    pretrain = plan.stage("pretrain")
    assert pretrain.at(0).lr == {"llm": 0.0}
    assert pretrain.at(1000).lr == {"llm": 1.1e-4}
    for step in (2000, 15_976, 167_467):
        assert pretrain.at(step).lr == {"llm": 2.2e-4}
    assert pretrain.at(167_467).tokens < 10 * T <= pretrain.at(167_468).tokens
    assert 2.2e-5 < (pretrain.at(235_813).lr["llm"] or 0) < 2.3e-5
    for step in (235_814, 241_106):
        assert pretrain.at(step).lr == {"llm": 2.2e-5}
    assert pretrain.at(241_106).tokens < 14_633 * B <= pretrain.at(241_107).tokens
    for step in (241_107, 243_761):
        assert pretrain.at(step).lr == {"llm": 7.3e-6}
    for name in ("long-32k", "long-128k"):
        assert {plan.stage(name).at(s).lr["llm"] for s in (0, 500, 1000)} == {7.3e-6}


def test_the_cosine_is_halfway_down_halfway_through(plan: Plan) -> None:
    pretrain = plan.stage("pretrain")
    middle = pretrain.batch.step_at_tokens(12_150 * B)
    assert pretrain.at(middle).lr["llm"] == pytest.approx(1.21e-4, rel=1e-4)


def test_losses_and_the_bias_rate_change_at_their_marks(plan: Plan) -> None:
    pretrain = plan.stage("pretrain")
    balance = {"next_token": 1.0, "sequence_balance": 1e-4}
    assert pretrain.at(167_467).loss == {**balance, "mtp": 0.3}
    assert pretrain.at(167_468).loss == {**balance, "mtp": 0.1}
    assert plan.stage("long-128k").at(0).loss == {**balance, "mtp": 0.1}
    name = "llm/router.bias_rate"
    assert pretrain.at(235_813).settings == {name: 1e-3}
    assert pretrain.at(235_814).settings == {name: 0.0}
    assert plan.stage("long-32k").at(0).settings == {name: 0.0}


def test_yarn_moves_the_reach_of_rope_from_725_to_4119(plan: Plan) -> None:
    assert first_negative_distance(plan.stage("pretrain").rope["llm"].inv_freq(64)) == 725
    for name in ("long-32k", "long-128k"):
        stage = plan.stage(name)
        assert first_negative_distance(stage.rope["llm"].inv_freq(64)) == 4119
        assert stage.target_seq_len == 131_072


def test_what_nobody_published_is_tagged(plan: Plan) -> None:
    assert {p.path for p in plan.provenance if p.kind == "assumed"} == {
        "seed",
        "stages.pretrain.batch.seqs.shape",
        "stages.pretrain.batch.seqs.multiple_of",
        "stages.pretrain.ema.decay",
        "stages.long-32k.carry",
        "stages.long-32k.mixture.long",
        "stages.long-128k.carry",
    }
    assert {p.path for p in plan.provenance if p.kind == "unknown"} == {"sources.long.tokens"}
