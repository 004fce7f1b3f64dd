"""Golden values of plans/kimi-vl.yaml: what the figure and its reports say must come out"""

from fractions import Fraction
from pathlib import Path

import pytest

from curriculum.compile import compile_file
from curriculum.plan import Plan

KIMI = Path(__file__).parents[1] / "plans" / "kimi-vl.yaml"
STAGES = ("text", "vit-coca", "vit-align", "joint", "cooldown", "long-32k", "long-128k")
T = 10**12


@pytest.fixture(scope="module")
def plan() -> Plan:
    found = compile_file(KIMI)
    assert found.plan is not None, found.findings
    assert found.findings == ()
    return found.plan


def test_the_graph_is_that_of_the_figure(plan: Plan) -> None:
    assert {s.name: s.parents for s in plan.stages} == {
        "text": (),
        "vit-coca": ("tiny-lm", "siglip"),
        "vit-align": ("text", "vit-coca"),
        "joint": ("text", "vit-align"),
        "cooldown": ("joint",),
        "long-32k": ("cooldown",),
        "long-128k": ("long-32k",),
    }
    assert [o.name for o in plan.outside] == ["siglip", "tiny-lm"]
    assert plan.is_executable


def test_9_6T_are_asked_in_all_and_4_4T_of_them_after_text(plan: Plan) -> None:
    asked = {s.name: s.budget.tokens for s in plan.stages}
    joint = asked["joint"] + asked["cooldown"] + asked["long-32k"] + asked["long-128k"]
    assert sum(asked.values()) == 96 * T // 10
    assert sum(asked.values()) - asked["text"] == 44 * T // 10
    assert joint == 23 * T // 10
    assert asked["vit-coca"] + asked["vit-align"] == 21 * T // 10


def test_every_stage_has_its_steps(plan: Plan) -> None:
    assert {s.name: s.steps for s in plan.stages} == {
        "text": 11_921 + 149_012,
        "vit-coca": 59_605,
        "vit-align": 2_981,
        "joint": 41_724,
        "cooldown": 17_882,
        "long-32k": 4_471,
        "long-128k": 4_471,
    }
    assert sum(s.steps for s in plan.stages) == 292_067


def test_text_changes_its_batch_at_step_11_921(plan: Plan) -> None:
    text = plan.stage("text")
    assert text.at(2000).tokens == 33_554_432_000
    before, after = text.at(11_920), text.at(11_921)
    assert (before.batch_seqs, after.batch_seqs) == (2048, 4096)
    assert before.tokens < 200_000_000_000 <= after.tokens == 11_921 * 2048 * 8192


def test_the_learning_rate_of_text_is_moonlights(plan: Plan) -> None:
    text = plan.stage("text")
    assert text.at(0).lr == {"llm": 0.0}
    assert text.at(1000).lr == {"llm": 2.1e-4}
    assert text.at(2000).lr == {"llm": 4.2e-4}
    assert text.at(text.steps).lr == {"llm": 4.2e-5}
    assert all(4.2e-5 < (text.at(s).lr["llm"] or 0) < 4.2e-4 for s in (2001, 90_000, 160_932))


def test_joint_goes_on_at_the_floor_of_the_text_schedule(plan: Plan) -> None:
    joint = plan.stage("joint")
    three = ("llm", "projector", "vit")
    for step in (0, 1, 20_000, 41_723, 41_724):
        assert joint.at(step).lr == dict.fromkeys(three, 4.2e-5)
    assert joint.rides["llm"].tokens_before == 52 * T // 10
    assert joint.rides["llm"].steps_before == 160_933
    assert {m for m, start in joint.init.items() if start.carries_state} == {"llm"}


def test_the_multimodal_share_of_joint_rises_from_0_to_40_percent(plan: Plan) -> None:
    joint = plan.stage("joint")
    first = joint.batch.step_at_tokens(70_000_000_000)  # 5 % of 1.4T
    for step in (0, 1, first):
        assert joint.at(step).shares["multimodal"] <= 1e-4
    assert joint.at(0).shares["multimodal"] == joint.at(first - 1).shares["multimodal"] == 0.0
    assert joint.at(first + 1).shares["multimodal"] > 0.0
    assert joint.at(41_724).shares["multimodal"] == 0.4
    assert joint.mixture.end_shares()["multimodal"] == Fraction(2, 5)
    assert 0.3999 < joint.at(41_723).shares["multimodal"] < 0.4
    assert joint.at(41_724).ratios == {
        "captions": 0.4,
        "web": 0.36,
        "code": 0.15,
        "knowledge": 0.09,
    }


def test_cooldown_starts_where_joint_ended_and_warms_up_again(plan: Plan) -> None:
    joint, cooldown = plan.stage("joint"), plan.stage("cooldown")
    assert cooldown.at(0).lr == joint.at(joint.steps).lr
    assert cooldown.at(100).lr["llm"] == 1e-4
    peak = max(cooldown.at(step).lr["llm"] or 0 for step in range(cooldown.steps))
    assert peak == 1e-4
    assert cooldown.at(99).lr["llm"] == pytest.approx(9.942e-5, rel=1e-12)


def test_the_long_context_resumes_the_learning_rate(plan: Plan) -> None:
    cooldown, mid, last = (plan.stage(n) for n in ("cooldown", "long-32k", "long-128k"))
    assert cooldown.at(17_882).lr == mid.at(0).lr
    assert mid.at(4_471).lr == last.at(0).lr
    # Linear from 1e-4 at step 100 (100 x 4096 x 8192 tokens) to 0 at 0.9T, by the asked clock.
    begin, end = 100 * 4096 * 8192, 9 * T // 10
    exact = Fraction(1, 10_000) * (end - 6 * T // 10) / (end - begin)
    assert mid.at(0).lr["llm"] == pytest.approx(float(exact), rel=1e-15)
    assert f"{mid.at(0).lr['llm']:.4e}" == "3.3458e-05"
    assert f"{last.at(0).lr['llm']:.5e}" == "1.67290e-05"
    assert last.at(4_470).lr["llm"] or 0 > 0.0
    assert last.at(4_471).lr == {"llm": 0.0, "projector": 0.0, "vit": 0.0}
    assert mid.rides["llm"].tokens_before == 6 * T // 10
    assert last.rides["llm"].tokens_before == 75 * T // 100


def test_the_vit_stages_have_a_schedule_of_their_own(plan: Plan) -> None:
    coca, align = plan.stage("vit-coca"), plan.stage("vit-align")
    assert set(coca.at(2000).lr.values()) == {1e-3}
    assert set(coca.at(coca.steps).lr.values()) == {1e-4}
    assert align.at(2000).lr == {"projector": 1e-4, "vit": 1e-4}
    assert align.at(align.steps).lr == {"projector": 1e-5, "vit": 1e-5}
    assert align.rides["vit"].tokens_before == 0
    assert coca.at(0).loss == {"siglip": 1.0, "caption": 2.0}
    assert align.at(0).loss == {"next_token": 1.0}
    assert (coca.count, align.count) == ("vit", "llm")


def test_the_mixture_of_the_last_stage_is_a_replay_of_a_replay(plan: Plan) -> None:
    shares = plan.stage("long-128k").mixture.end_shares()
    long_32k = plan.stage("long-32k").mixture.end_shares()
    assert shares["long"] == Fraction(1, 4)
    assert shares["short/long"] == Fraction(3, 16)  # .1875: the 32K stage's own long data
    assert shares["short/short"] == Fraction(9, 16)  # .5625
    assert (long_32k["long"], long_32k["short"]) == (Fraction(1, 4), Fraction(3, 4))
    at_a_step = plan.stage("long-128k").at(1234).shares
    assert (at_a_step["long"], at_a_step["short/long"], at_a_step["short/short"]) == (
        0.25, 0.1875, 0.5625,
    )  # fmt: skip


def test_the_rope_base_rises_once(plan: Plan) -> None:
    bases = {s.name: {m: rope.base for m, rope in s.rope.items()} for s in plan.stages}
    low, high = {"llm": 50_000}, {"llm": 800_000}
    assert bases == {
        "text": low, "vit-coca": {}, "vit-align": low, "joint": low, "cooldown": low,
        "long-32k": high, "long-128k": high,
    }  # fmt: skip


def test_the_slowest_wavelengths_of_both_bases(plan: Plan) -> None:
    low = plan.stage("cooldown").rope["llm"].longest_wavelength_tokens(64)
    high = plan.stage("long-32k").rope["llm"].longest_wavelength_tokens(64)
    assert (round(low), round(high)) == (224_030, 3_286_989)


def test_tokens_per_step_stay_as_the_context_grows(plan: Plan) -> None:
    found = {s.name: (s.at(0).seq_len, s.at(0).batch_seqs) for s in plan.stages}
    assert found["cooldown"] == (8192, 4096)
    assert found["long-32k"] == (32_768, 1024)
    assert found["long-128k"] == (131_072, 256)
    after_text = [s.at(0).tokens_per_step for s in plan.stages if s.name != "text"]
    assert set(after_text) == {33_554_432}


def test_frozen_and_trained_modules(plan: Plan) -> None:
    three = ("llm", "projector", "vit")
    assert {s.name: s.train for s in plan.stages} == {
        "text": ("llm",),
        "vit-coca": ("captioner", "text_tower", "vit"),
        "vit-align": ("projector", "vit"),
        "joint": three, "cooldown": three, "long-32k": three, "long-128k": three,
    }  # fmt: skip
    assert plan.stage("vit-align").modules == three  # the LLM is there, and frozen
    rates = {s.name: s.at(0).settings for s in plan.stages}
    name = "llm/router.bias_rate"
    assert rates["joint"] == {name: 1e-3}
    assert rates["cooldown"] == rates["long-128k"] == {name: 0.0}


def test_what_nobody_published_is_tagged(plan: Plan) -> None:
    kinds = {p.kind for p in plan.provenance}
    assert kinds == {"assumed", "default"}
    assumed = {p.path for p in plan.provenance if p.kind == "assumed"}
    for path in (
        "seed",
        "modules.captioner.preset",
        "schedules.towers[0].to",
        "stages.vit-coca.count",
        "stages.vit-coca.batch.seqs",
        "stages.vit-align.lr.scale",
        "stages.joint.mixture.multimodal.ratio[0].for",
        "stages.cooldown.mixture.multimodal.ratio",
        "stages.long-32k.tokens",
        "stages.long-128k.mixture.short.of.replay",
    ):
        assert path in assumed, path
    assert "stages.text.tokens" not in assumed
    places = [p.span for p in plan.provenance if p.kind == "assumed"]
    assert all(span is not None and span.file.endswith("kimi-vl.yaml") for span in places)
