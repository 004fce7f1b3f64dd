"""Golden values of plans/marin-8b.yaml"""

from fractions import Fraction
from pathlib import Path

import pytest

from curriculum.compile import compile_file
from curriculum.errors import Severity
from curriculum.paths import path_tokens
from curriculum.plan import Plan

FILE = Path(__file__).parents[2] / "plans" / "marin-8b.yaml"
STEP = 4096 * 3072
MAIN = ("kestrel", "ocelot", "jellyfish", "phoenix", "starling", "deeper-starling")
NEMOTRON = (
    *("hq-actual", "hq-synth", "medium-high", "medium"),
    *("medium-low", "low-actual", "low-synth"),
)


@pytest.fixture(scope="module")
def plan() -> Plan:
    found = compile_file(FILE)
    assert found.plan is not None, found.findings
    assert all(f.severity is Severity.INFO for f in found.findings), found.findings
    return found.plan


def test_every_stage_has_its_steps(plan: Plan) -> None:
    assert {s.name: s.steps for s in plan.stages} == {
        "kestrel": 660_000,
        "ocelot": 80_500,
        "jellyfish": 79_500,
        "phoenix": 500_000,
        "starling": 80_000,
        "deeper-starling": 20_000,
        "cooldown-v2": 79_500,
        "dessert-1": 17_000,
        "dessert-2": 17_000,
        "raccoon": 10_000,
        "spoonbill": 10_000,
        "spoonbill-z-loss": 5476,
    }
    assert sum(plan.stage(name).steps for name in MAIN) == 1_420_000


def test_the_path_is_the_one_of_the_retrospective(plan: Plan) -> None:
    path = path_tokens(plan, asked=True)
    assert [path[name] for name in MAIN] == [
        660_000 * 1024 * 4096,  # 2.768T
        2_768_240_640_000 + 80_500 * STEP,  # 3.781T
        2_768_240_640_000 + 160_000 * STEP,  # 4.782T
        2_768_240_640_000 + 660_000 * STEP,  # 11.073T
        2_768_240_640_000 + 660_000 * STEP + 80_000 * 2**24,  # 12.415T
        12_750_684_160_000,
    ]
    status = {s.status for s in plan.stages if s.name in MAIN}
    assert status == {"main"}
    assert plan.stage("dessert-1").status == "abandoned"


def test_kestrel_decays_a_tenth_of_every_cycle(plan: Plan) -> None:
    kestrel = plan.stage("kestrel")
    rate = {
        s: kestrel.at(s).lr["llm"]
        for s in (0, 1000, 9000, 9500, 10_000, 19_999, 200_000, 217_999, 219_000, 220_000, 660_000)
    }
    assert [rate[s] for s in (0, 1000, 9000, 10_000, 200_000, 217_999, 220_000)] == [
        *(0, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3)
    ]
    half = 1 / (0.5 / 1e-3 + 0.5 / 1e-4)
    assert rate[9500] == pytest.approx(half, rel=1e-12)
    assert rate[219_000] == pytest.approx(half, rel=1e-12)
    assert rate[19_999] == pytest.approx(1 / (0.001 / 1e-3 + 0.999 / 1e-4), rel=1e-12)
    assert rate[660_000] == pytest.approx(1e-4, rel=1e-12)


def test_the_learning_rate_cools_reheats_and_cools_deeper(plan: Plan) -> None:
    def rate(name: str, step: int) -> float:
        found = plan.stage(name).at(step).lr["llm"]
        assert found is not None
        return found

    assert [rate("ocelot", s) for s in (0, 80_500)] == [1.7e-3, 1.7e-3]
    jellyfish = [rate("jellyfish", s) for s in (0, 39_750, 79_500)]
    assert jellyfish == pytest.approx([1.7e-3, 9.35e-4, 1.7e-4], rel=1e-12)
    phoenix = [rate("phoenix", s) for s in (0, 1000, 2000, 499_999)]
    assert phoenix == pytest.approx([1.7e-4, 9.35e-4, 1.7e-3, 1.7e-3], rel=1e-12)
    starling = [rate("starling", s) for s in (0, 40_000, 80_000)]
    assert starling == pytest.approx([1.7e-3, 8.585e-4, 1.7e-5], rel=1e-12)
    assert {rate("deeper-starling", s) for s in (0, 20_000)} == {starling[2]}
    assert [rate(f"dessert-{n}", s) for n in (1, 2) for s in (0, 17_000)] == [jellyfish[2]] * 4
    assert rate("raccoon", 10_000) == pytest.approx(1.7e-5, rel=1e-12)
    assert rate("spoonbill", 10_000) == pytest.approx(2.75e-5, rel=1e-12)
    assert rate("spoonbill-z-loss", 0) == rate("spoonbill", 4524)
    assert rate("spoonbill-z-loss", 5476) == rate("spoonbill", 10_000)


def test_batch_rope_and_z_loss_change_where_they_did(plan: Plan) -> None:
    now = {s.name: s.at(0) for s in plan.stages}
    assert [now[name].batch_seqs for name in MAIN] == [1024, 3072, 3072, 3072, 4096, 4096]
    assert [now[name].rope["llm"].base for name in MAIN] == [10_000, *[500_000] * 5]
    assert now["kestrel"].rope["llm"].scaling is None
    assert now["ocelot"].rope["llm"].scaling is not None
    z_loss = {name for name in now if now[name].loss.get("z_loss", 0) == 1e-4}
    assert z_loss == {"starling", "deeper-starling", "spoonbill-z-loss"}


def test_mixtures_are_those_of_the_tables(plan: Plan) -> None:
    kestrel = plan.stage("kestrel").at(0).ratios
    assert kestrel["dclm"] == float(Fraction(3800, 4105))
    jellyfish = plan.stage("jellyfish").at(0).ratios
    table = {"dolmino-dclm": 67.8, "pes2o": 10.8, "finemath": 6.3, "arxiv": 5.2, "starcoder": 2.2}
    assert {name: round(100 * jellyfish[name], 1) for name in table} == table
    starling = plan.stage("starling").at(0).ratios
    table = {
        **{"nemotron-medium": 22.1, "nemotron-hq-synth": 17.8, "nemotron-medium-low": 10.1},
        **{"arxiv-md": 5.2, "dolmino-pes2o": 5.2, "starcoder": 4.5, "proofpile": 4.5},
        **{"finemath": 3.0, "flan": 3.0, "dolmino-stackexchange": 1.5, "dolmino-math": 0.8},
        **{"dolmino-wiki": 0.3, "science-qa": 0.1},
    }
    assert {name: round(100 * starling[name], 1) for name in table} == table
    assert sum(starling[f"nemotron-{name}"] for name in NEMOTRON) == pytest.approx(0.7, rel=1e-12)


def test_phoenix_leaves_the_old_data_after_2000_steps(plan: Plan) -> None:
    phoenix = plan.stage("phoenix")
    assert phoenix.at(1999).ratios["dclm"] == float(Fraction(380_000, 1_481_216))
    assert phoenix.at(2000).ratios["dclm"] == 0
    assert phoenix.at(2000).ratios["starcoder"] == float(Fraction(25_000, 1_095_716))


def test_side_branches_say_what_went_wrong(plan: Plan) -> None:
    first, second = (plan.stage(f"dessert-{n}").at(0).shares for n in (1, 2))
    assert [first[name] for name in ("hq", "dessert")] == [0.1, 0.2]
    assert [second[name] for name in ("hq", "dessert")] == [0.2, 0.1]
    spoonbill = plan.stage("spoonbill").at(0)
    assert [spoonbill.ratios[name] for name in ("tulu", "flan")] == [0.001, 0.029]
