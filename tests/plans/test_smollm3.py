"""Golden values of plans/smollm3-3b.yaml"""

from fractions import Fraction
from pathlib import Path

import pytest

from curriculum.compile import Compiled, compile_file
from curriculum.paths import path_tokens
from curriculum.plan import Plan, Start
from curriculum.usage import epochs

FILE = Path(__file__).parents[2] / "plans" / "smollm3-3b.yaml"
STEP = 2_359_296


@pytest.fixture(scope="module")
def found() -> Compiled:
    return compile_file(FILE)


@pytest.fixture(scope="module")
def plan(found: Compiled) -> Plan:
    assert found.plan is not None, found.findings
    return found.plan


def test_steps_and_switches(plan: Plan) -> None:
    assert {s.name: s.steps for s in plan.stages} == {
        "stable": 3_450_000,
        "stable2": 748_000,
        "decay": 522_000,
        "long-32k": 20_000,
        "long-64k": 22_000,
        "reasoning": 33_379,
        "sft": 859,
    }
    path = path_tokens(plan)
    switches = [path[name] for name in ("stable", "stable2", "decay")]
    assert switches == [8_139_571_200_000, 9_904_324_608_000, 11_135_877_120_000]  # G7
    assert Fraction(522_000, 4_720_000) == pytest.approx(0.11059, abs=5e-6)
    assert plan.stage("long-32k").tokens == 47_185_920_000
    assert plan.stage("long-64k").tokens == 51_904_512_000
    assert plan.stage("reasoning").budget.tokens == 140 * 10**9
    assert epochs(plan)["reasoning"]["reasoning-traces"] == 4


def test_the_tokens_of_a_step_stay_while_the_context_grows(plan: Plan) -> None:
    names = ("stable", "stable2", "decay", "long-32k", "long-64k")
    first = [plan.stage(name).at(0) for name in names]
    assert [(now.batch_seqs, now.seq_len) for now in first] == [
        (576, 4096),
        (576, 4096),
        (576, 4096),
        (72, 32_768),
        (36, 65_536),
    ]
    assert {now.tokens_per_step for now in first} == {STEP}
    assert [now.rope["llm"].base for now in first] == [50_000, 50_000, 50_000, 2e6, 5e6]


def test_the_decay_ends_one_step_past_the_run(plan: Plan) -> None:
    stable, stable2, decay = (plan.stage(name) for name in ("stable", "stable2", "decay"))
    assert [stable.at(s).lr["llm"] for s in (0, 1000, 2000, 3_450_000)] == [0, 1e-4, 2e-4, 2e-4]
    assert stable2.at(748_000).lr == {"llm": 2e-4}
    assert [decay.at(s).lr["llm"] for s in (0, 1)] == [2e-4, 2e-4]  # begins at its step 1
    assert decay.at(261_001).lr == {"llm": 1e-4}
    last = decay.at(521_999).lr["llm"]
    assert last == pytest.approx(2e-4 * 2 / 522_000, rel=1e-12)
    assert decay.at(522_000).lr["llm"] == pytest.approx(2e-4 / 522_000, rel=1e-12)


@pytest.mark.parametrize(("name", "steps"), [("long-32k", 20_000), ("long-64k", 22_000)])
def test_long_contexts_warm_up_and_fall_to_0(plan: Plan, name: str, steps: int) -> None:
    stage = plan.stage(name)
    marks = (0, 500, 1000, (1000 + steps) // 2, steps)
    lr = [stage.at(s).lr["llm"] for s in marks]
    assert lr == pytest.approx([0, 1e-5, 2e-5, 1e-5, 0], rel=1e-12, abs=1e-20)


def test_every_weight_is_divided_by_the_sum_of_its_list(plan: Plan) -> None:
    lists = {
        "stable": (41, "1", {"fineweb-edu": ".333", "dclm": ".37", "sv2-shell": ".0007"}),
        "stable2": (
            46,
            "1.00005",
            {"fineweb-edu": ".3", "fw2-vie": ".00005", "sv2-html": ".00614"},
        ),
        "decay": (56, "1.00565", {"fineweb-edu": ".2", "dclm": ".3", "dolmino-basic": ".0002"}),
        "long-32k": (56, "1.0000002", {"fineweb-edu": ".1253669", "fw2-arb": ".0080593"}),
        "long-64k": (57, "1.0000002", {"fineweb-edu": ".1519317", "wiki-mcq": ".04"}),
    }
    for name, (count, total, some) in lists.items():
        ratios = plan.stage(name).mixture.end_ratios()
        assert (len(ratios), sum(ratios.values())) == (count, 1)
        for source, weight in some.items():
            assert ratios[source] == Fraction(weight) / Fraction(total)


def test_normalizing_moves_the_decays_shares(plan: Plan) -> None:  # G19
    ratios = plan.stage("decay").at(0).ratios
    assert [round(ratios[s], 5) for s in ("fineweb-edu", "dclm")] == [0.19888, 0.29831]


def test_the_sums_are_said_and_nothing_else_is_found(found: Compiled) -> None:
    assert [f.rule for f in found.findings] == ["normalized"] * 4
    sums = ["1.00005", "1.00565", "1.0000002", "1.0000002"]
    assert all(f"sum to {s}," in f.message for f, s in zip(found.findings, sums, strict=True))


def test_domains_are_near_what_the_blog_rounds_to(plan: Plan) -> None:
    def percent(stage: str) -> dict[str, float]:
        ratios = plan.stage(stage).mixture.end_ratios().items()
        tags = ("web", "multilingual", "code", "math")
        of = {tag: sum(r for s, r in ratios if tag in plan.sources[s].tags) for tag in tags}
        return {tag: round(100 * float(share), 1) for tag, share in of.items()}

    # The blog: web 85, 75, 63 (multilingual 12 each); code 12, 15, 24; math 3, 10, 13.
    assert percent("stable") == {"web": 84.8, "multilingual": 12.0, "code": 12.5, "math": 2.7}
    assert percent("stable2") == {"web": 76.6, "multilingual": 11.7, "code": 14.3, "math": 9.1}
    assert percent("decay") == {"web": 63.6, "multilingual": 13.1, "code": 23.2, "math": 13.1}


def test_the_release_is_nine_tenths_apo_and_a_tenth_long_context(plan: Plan) -> None:
    merged = plan.composed_stage("merged")
    assert merged is not None
    weights = {share.start.stage: share.weight for share in merged.averages["llm"]}
    assert weights == {"apo-soup": Fraction(9, 10), "long-64k": Fraction(1, 10)}


def test_each_new_run_leaves_the_optimizers_state_behind(plan: Plan) -> None:
    for name in ("long-32k", "long-64k", "reasoning", "sft"):
        assert not plan.stage(name).init["llm"].carries_state
    assert plan.stage("decay").init == {"llm": Start("stable2", 748_000, carries_state=True)}
