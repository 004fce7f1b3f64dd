"""Golden values of plans/olmo2-{1b,7b,13b,32b}.yaml"""

from fractions import Fraction
from math import cos, pi
from pathlib import Path

import pytest

from curriculum.compile import compile_file
from curriculum.errors import Severity
from curriculum.paths import path_tokens
from curriculum.plan import Plan

PLANS = Path(__file__).parents[2] / "plans"
WARM_UP = 8_388_608_000
DECAYS = {
    "1b": ("seed-42", "seed-42069", "seed-666"),
    "7b": ("seed-42", "seed-42069", "seed-666"),
    "13b": ("seed-1110", "seed-2662", "seed-2662-300b", "seed-6209"),
    "32b": ("seed-1110", "seed-2662", "seed-2662-300b"),
}


def compiled(size: str) -> Plan:
    found = compile_file(PLANS / f"olmo2-{size}.yaml")
    assert found.plan is not None, found.findings
    assert all(f.severity is Severity.INFO for f in found.findings), found.findings
    return found.plan


@pytest.fixture(scope="module")
def plans() -> dict[str, Plan]:
    return {size: compiled(size) for size in DECAYS}


def test_every_stage_has_the_steps_of_its_last_checkpoint(plans: dict[str, Plan]) -> None:
    found = {size: {s.name: s.steps for s in plan.stages} for size, plan in plans.items()}
    assert found == {
        "1b": {"stage1": 1_907_359, **dict.fromkeys(DECAYS["1b"], 23_852)},
        "7b": {"stage1": 928_646, **dict.fromkeys(DECAYS["7b"], 11_931)},
        "13b": {
            "stage1": 596_057,
            **dict.fromkeys(DECAYS["13b"], 11_931),
            "seed-2662-300b": 35_773,
        },
        "32b": {
            "stage1": 721_901,
            **dict.fromkeys(DECAYS["32b"], 11_921),
            "seed-2662-300b": 35_763,
        },
    }


def test_a_step_reads_the_published_batch(plans: dict[str, Plan]) -> None:
    found = {size: {s.at(0).tokens_per_step for s in plan.stages} for size, plan in plans.items()}
    assert found == {"1b": {2**21}, "7b": {2**22}, "13b": {2**23}, "32b": {2**23}}
    assert {s.at(0).seq_len for plan in plans.values() for s in plan.stages} == {4096}
    assert {s.at(0).rope["llm"].base for plan in plans.values() for s in plan.stages} == {500_000}


def test_spent_counts_all_decays_and_a_path_one(plans: dict[str, Plan]) -> None:
    spent = {size: sum(s.budget.tokens for s in plan.stages) for size, plan in plans.items()}
    assert spent == {
        "1b": 4_150_085_550_080,
        "7b": 4_045_150_355_456,
        "13b": 5_600_427_638_784,
        "32b": 6_555_744_503_808,
    }
    paths = {size: path_tokens(plan, asked=True) for size, plan in plans.items()}
    assert paths["1b"]["seed-42"] == 4_050_043_011_072
    assert paths["7b"]["seed-666"] == paths["7b"]["soup"] == 3_945_065_873_408
    assert paths["13b"]["soup"] == paths["13b"]["seed-2662-300b"] == 5_300_174_192_640
    assert paths["32b"]["soup"] == 6_355_744_503_808
    assert [round(t / 10**12, 2) for t in (spent["7b"], 3_945_065_873_408)] == [4.05, 3.95]


@pytest.mark.parametrize(
    ("size", "peak", "warm_up", "horizon", "end"),
    [
        ("1b", 4e-4, 4000, 5e12, 7.448728958032132e-5),
        ("7b", 3e-4, 2000, 5e12, 6.135113558011711e-5),
        ("13b", 9e-4, 1000, 5e12, 9e-5),
        ("32b", 6e-4, 2000, 6.5e12, 6.623217137050521e-5),
    ],
)
def test_stage_1_is_a_cosine_cut_off_before_its_horizon(
    plans: dict[str, Plan], size: str, peak: float, warm_up: int, horizon: float, end: float
) -> None:
    stage = plans[size].stage("stage1")
    batch = stage.at(0).tokens_per_step
    warm_up_tokens = warm_up * batch
    assert size == "32b" or warm_up_tokens == WARM_UP
    assert [stage.at(s).lr["llm"] for s in (0, warm_up)] == [0, peak]
    share = min(1.0, (stage.steps * batch - warm_up_tokens) / (horizon - warm_up_tokens))
    last = stage.at(stage.steps).lr["llm"]
    assert last == pytest.approx(peak * (0.1 + 0.9 * (1 + cos(pi * share)) / 2), rel=1e-12)
    assert last == pytest.approx(end, rel=1e-12)


def test_the_decays_start_where_their_files_say(plans: dict[str, Plan]) -> None:
    for size, starts in {"1b": 7.4487e-5, "7b": 6.1499e-5, "13b": 9e-5}.items():
        assert {plans[size].stage(name).at(0).lr["llm"] for name in DECAYS[size]} == {starts}
    left = plans["32b"].stage("stage1").at(721_901).lr["llm"]
    assert {plans["32b"].stage(name).at(0).lr["llm"] for name in DECAYS["32b"]} == {left}


def test_the_7b_decays_from_the_value_of_step_928_000(plans: dict[str, Plan]) -> None:
    stage = plans["7b"].stage("stage1")
    assert f"{stage.at(928_000).lr['llm']:.4e}" == "6.1499e-05"
    assert f"{stage.at(928_646).lr['llm']:.4e}" == "6.1351e-05"


def test_the_decays_come_to_0_and_stay_there(plans: dict[str, Plan]) -> None:
    decay = plans["7b"].stage("seed-42")
    assert decay.at(11_920).lr["llm"] not in (0, None)
    assert {decay.at(step).lr["llm"] for step in range(11_921, 11_932)} == {0}


def test_siblings_differ_in_their_seed_alone(plans: dict[str, Plan]) -> None:
    seeds = {name: plans["7b"].stage(name).seed for name in DECAYS["7b"]}
    assert seeds == {"seed-42": 42, "seed-42069": 42_069, "seed-666": 666}


def test_what_the_decays_become(plans: dict[str, Plan]) -> None:
    for size in ("7b", "13b", "32b"):
        (soup,) = plans[size].composed
        assert tuple(share.start.stage for share in soup.averages["llm"]) == DECAYS[size]
        assert {share.weight for share in soup.averages["llm"]} == {Fraction(1, len(DECAYS[size]))}
    (kept,) = plans["1b"].composed
    assert kept.parents == ("seed-42",)
    assert {start.stage for start in kept.among["llm"]} == set(DECAYS["1b"])


def test_dolmino_is_divided_by_what_its_shares_sum_to(plans: dict[str, Plan]) -> None:
    ratios = plans["7b"].stage("seed-42").at(0).ratios
    assert ratios["dclm-best"] == float(Fraction(4720, 10_001))
    assert ratios["wiki"] == float(Fraction(711, 10_001))
    assert plans["13b"].stage("seed-2662-300b").at(0).ratios["pes2o"] == float(Fraction(1940, 9994))
