"""Golden values of plans/mimo-7b.yaml"""

from fractions import Fraction
from pathlib import Path

import pytest

from curriculum.compile import compile_file
from curriculum.plan import Plan

FILE = Path(__file__).parents[2] / "plans" / "mimo-7b.yaml"
B, T = 10**9, 10**12


@pytest.fixture(scope="module")
def plan() -> Plan:
    found = compile_file(FILE)
    assert found.plan is not None, found.findings
    assert found.findings == ()
    return found.plan


def test_the_parts_sum_to_23_784T(plan: Plan) -> None:
    assert {s.name: (s.steps, s.budget.tokens) for s in plan.stages} == {
        "stage-1": (868_352, 17_784 * B),
        "stage-2": (190_735, 4 * T),
        "stage-3": (95_368, 2 * T),
    }
    [conflict] = [p for p in plan.provenance if p.kind == "conflict"]
    assert (conflict.path, conflict.value) == ("stages.stage-1.tokens", "[17.784T, 19T]")


def test_one_schedule_runs_through_all_stages(plan: Plan) -> None:
    one, two, three = plan.stages
    assert one.at(0).lr == {"llm": 0.0}
    assert one.at(22_690).tokens < 84 * B <= one.at(22_691).tokens
    assert 0 < (one.at(22_690).lr["llm"] or 0) < 1.07e-4
    for step in (22_691, 510_723):
        assert one.at(step).lr == {"llm": 1.07e-4}
    assert one.at(510_723).tokens < 10_284 * B <= one.at(510_724).tokens
    assert (one.at(510_724).lr["llm"] or 0) < 1.07e-4
    for stage, step in ((one, 868_352), (two, 0), (two, 190_735), (three, 0), (three, 71_525)):
        assert stage.at(step).lr == {"llm": 3e-5}
    assert three.at(71_525).tokens < 1500 * B <= three.at(71_526).tokens
    assert 1e-5 < (three.at(95_367).lr["llm"] or 0) < (three.at(71_526).lr["llm"] or 0) < 3e-5
    assert three.at(95_368).lr == {"llm": 1e-5}
    assert [s.rides["llm"].tokens_before for s in (two, three)] == [17_784 * B, 21_784 * B]


def test_the_batch_warms_up_and_keeps_its_tokens(plan: Plan) -> None:
    one, two, three = plan.stages
    assert [one.at(s).batch_seqs for s in (0, 28_354, 28_355, 868_351)] == [160, 2400, 2560, 2560]
    assert one.at(28_354).tokens < 168 * B <= one.at(28_355).tokens
    assert (two.at(0).seq_len, two.at(0).batch_seqs) == (8192, 2560)
    assert (three.at(0).seq_len, three.at(0).batch_seqs) == (32_768, 640)
    assert {s.at(s.steps - 1).tokens_per_step for s in plan.stages} == {20_971_520}  # G15


def test_multi_token_prediction_weighs_less_from_10_3T_on(plan: Plan) -> None:
    one, _, three = plan.stages
    assert one.at(511_486).tokens < 10_300 * B <= one.at(511_487).tokens
    assert [one.at(s).loss["mtp"] for s in (0, 511_486, 511_487)] == [0.3, 0.3, 0.1]
    assert three.at(0).loss == {"next_token": 1.0, "mtp": 0.1}


def test_the_two_shares_that_are_published(plan: Plan) -> None:
    _, two, three = plan.stages
    assert two.mixture.end_shares()["math-code"] == Fraction(7, 10)
    shares = three.mixture.end_shares()
    assert shares["synthetic"] == Fraction(1, 10)
    assert shares["old/math-code"] == Fraction(63, 100)


def test_the_rope_base_rises_with_the_context(plan: Plan) -> None:
    assert [s.rope["llm"].base for s in plan.stages] == [10_000, 10_000, 640_000]
