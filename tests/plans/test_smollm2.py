"""Golden values of plans/smollm2-1.7b.yaml and of the overlays for 360M and 135M"""

from fractions import Fraction
from pathlib import Path

import pytest

from curriculum.compile import compile_file
from curriculum.paths import path_tokens
from curriculum.plan import Plan, Start
from curriculum.usage import epochs

PLANS = Path(__file__).parents[2] / "plans"
STEP = 2_097_152


def compiled(name: str) -> Plan:
    found = compile_file(PLANS / f"{name}.yaml")
    assert found.plan is not None, found.findings
    assert found.findings == ()
    return found.plan


@pytest.fixture(scope="module")
def plan() -> Plan:
    return compiled("smollm2-1.7b")


def test_four_stages_fill_5_240_000_steps(plan: Plan) -> None:
    assert {s.name: s.steps for s in plan.stages} == {
        "stage1": 2_861_023,
        "stage2": 953_675,
        "stage3": 901_302,
        "stage4": 524_000,
        "long-8k": 35_763,
    }
    path = path_tokens(plan)
    assert [path[f"stage{i}"] for i in (3, 4)] == [4_716_000 * STEP, 5_240_000 * STEP]
    assert path["stage4"] == path["long-8k"] == 10_989_076_480_000
    assert plan.stage("long-8k").budget.tokens == 75 * 10**9


def test_the_decay_begins_with_stage_4_and_is_a_tenth(plan: Plan) -> None:
    assert [plan.stage("stage1").at(s).lr["llm"] for s in (0, 1000, 2000)] == [0, 2.5e-4, 5e-4]
    assert plan.stage("stage3").at(901_302).lr == {"llm": 5e-4}
    decay = plan.stage("stage4")
    assert [decay.at(s).lr["llm"] for s in (0, 262_000, 524_000)] == [5e-4, 2.5e-4, 0]
    assert decay.at(131_000).lr["llm"] == pytest.approx(3.75e-4, rel=1e-12)


def test_web_is_split_60_to_40_then_40_to_60(plan: Plan) -> None:
    one, two, three, four = (plan.stage(f"stage{i}").mixture.end_ratios() for i in (1, 2, 3, 4))
    assert one == {
        "fineweb-edu": Fraction(54, 100),
        "dclm": Fraction(36, 100),
        "starcoderdata": Fraction(10, 100),
    }
    assert two["fineweb-edu"] / two["dclm"] == Fraction(3, 2)
    assert three["fineweb-edu"] / three["dclm"] == Fraction(2, 3)
    assert four["fineweb-edu"] + four["dclm"] == Fraction(58, 100)
    assert (four["owm"], four["auggsm8k"]) == (Fraction(8, 10_000), Fraction(2, 10_000))
    shares = plan.stage("stage4").mixture.end_shares()
    assert shares["math"] == Fraction(14, 100)


def test_starcoderdata_is_read_four_times(plan: Plan) -> None:
    read = epochs(plan)
    assert read["stage2"]["starcoderdata"] == 4
    owm = read["stage4"]["owm"]
    assert owm is not None
    assert round(owm, 2) == Fraction(1204, 100)


def test_the_long_context_starts_75b_before_the_end(plan: Plan) -> None:
    long = plan.stage("long-8k")
    assert long.init == {"llm": Start("stage4", 488_237, carries_state=True)}
    assert long.steps == plan.stage("stage4").steps - 488_237
    now = long.at(0)
    assert (now.seq_len, now.batch_seqs, now.tokens_per_step) == (8192, 256, STEP)
    assert now.rope["llm"].base == 130_000
    assert now.lr == plan.stage("stage4").at(488_237).lr
    assert now.lr["llm"] == pytest.approx(5e-4 * 35_763 / 524_000, rel=1e-12)
    shares = long.mixture.end_shares()
    assert (shares["long"], shares["long/books-long"]) == (Fraction(2, 5), Fraction(1, 5))
    assert shares["stage4/web"] == Fraction(6, 10) * Fraction(58, 100)


@pytest.mark.parametrize(
    ("name", "steps", "tokens", "decay"),
    [
        ("smollm2-360m", 2_600_000, 4_089_446_400_000, 2_080_000),
        ("smollm2-135m", 2_000_000, 2_097_152_000_000, 1_600_000),
    ],
)
def test_the_small_ones_have_one_stage(name: str, steps: int, tokens: int, decay: int) -> None:
    plan = compiled(name)
    assert plan.modules["llm"].preset == name
    [stage] = plan.stages
    assert (stage.steps, stage.tokens, decay * 5) == (steps, tokens, steps * 4)
    lr = [stage.at(s).lr["llm"] for s in (0, 2000, decay, (decay + steps) // 2, steps)]
    assert lr == [0, 3e-3, 3e-3, 1.5e-3, 0]
