"""Budgets and curves of published trainings, with the values that they give at named steps"""

from fractions import Fraction
from math import cos, pi, sqrt
from typing import Any

import pytest

from curriculum.check.clock_rules import carried_modules_go_on_at_their_rate
from curriculum.compile import compile_text
from curriculum.plan import Plan, Stage
from small import BASE, right, tree
from strategies import Tree, text_of

HOLD: Tree = {"shape": "constant"}


def warm(peak: str, length: Any) -> Tree:
    return {"shape": "linear", "from": 0, "to": peak, "for": length}


def of(seqs: int, seq_len: int, **more: Any) -> Tree:
    """Return a stage; a budget in another unit takes the place of its tokens."""
    base = {key: value for key, value in BASE.items() if key != "tokens"}
    return {**base, "seq_len": seq_len, "batch": {"seqs": seqs}, **more}


def plan_with(stages: Tree, **more: Any) -> Plan:
    return right(compile_text(text_of(tree(stages, **more))))


def rate(stage: Stage, step: int, target: str = "llm") -> float | None:
    return stage.at(step).lr[target]


def cosine(a: float, b: float, p: float) -> float:
    return b + (a - b) * (1 + cos(pi * p)) / 2


def test_pythia_warms_up_over_1_percent_of_its_steps() -> None:
    main = [warm("1e-3", "1%"), {"shape": "cosine", "to": "10%"}]
    stage = plan_with({"base": of(1024, 2048, steps=143_000)}, schedules={"main": main}).stages[0]
    assert (stage.budget.tokens, stage.tokens) == (299_892_736_000, 299_892_736_000)
    assert [rate(stage, s) for s in (0, 715, 1430, 143_000)] == [0.0, 5e-4, 1e-3, 1e-4]
    assert rate(stage, 72_215) == pytest.approx(5.5e-4, rel=1e-15)


def test_smollm2_decays_over_its_last_tenth() -> None:
    main = [
        warm("5e-4", "2000 steps"),
        {"shape": "constant", "until": "step 4_716_000"},
        {"shape": "linear", "to": 0, "for": "524_000 steps"},
    ]
    stage = plan_with({"base": of(1024, 2048, steps=5_240_000)}, schedules={"main": main}).stages[0]
    marks = [2000, 4_716_000, 4_978_000, 5_240_000]
    assert [rate(stage, s) for s in marks] == [5e-4, 5e-4, 2.5e-4, 0.0]
    share = [warm("5e-4", "2000 steps"), HOLD, {"shape": "linear", "to": 0, "for": "10%"}]
    as_said = plan_with({"base": of(1024, 2048, steps=5_240_000)}, schedules={"main": share})
    assert [rate(as_said.stages[0], s) for s in marks] == [5e-4, 5e-4, 2.5e-4, 0.0]


def smollm3(**more: Tree) -> Plan:
    stages: Tree = {
        "stable-1": of(576, 4096, until="step 3_450_000"),
        "stable-2": {"until": "step 4_198_000"},
        "decay": {"until": "step 4_720_000"},
        "lc-32k": {"steps": 20_000, "seq_len": 32_768, "batch": {"tokens": "keep"}, "lr": "lc"},
    }
    parent = "stable-1"
    for name, stage in list(stages.items())[1:]:
        carry = "none" if name == "lc-32k" else "all"
        stage.update({"init": parent, "keep": parent, "carry": carry})
        parent = name
    schedules = {
        "main": [
            warm("2e-4", "2000 steps"),
            {"shape": "constant", "until": "step 4_198_000"},
            {"shape": "linear", "to": 0, "for": "522_000 steps"},
        ],
        "lc": [warm("2e-5", "1000 steps"), {"shape": "cosine", "to": 0}],
    }
    return plan_with({**stages, **more}, schedules=schedules)


def test_smollm3_rides_three_stages_on_one_schedule_that_decays_from_step_4_198_001_on() -> None:
    plan = smollm3()
    # Steps 4,198,001 there, counted from 1.
    assert [s.steps for s in plan.stages] == [3_450_000, 748_000, 522_000, 20_000]
    ends = [plan.tokens_before(s.name) + s.tokens for s in plan.stages]
    assert [round(end / 1e12, 4) for end in ends[:3]] == [8.1396, 9.9043, 11.1359]
    assert [s.budget.words for s in plan.stages][:2] == ["3450000 steps", "748000 steps"]
    stable, _, decay, long = plan.stages
    assert [rate(stable, s) for s in (0, 1000, 2000, 3_450_000)] == [0.0, 1e-4, 2e-4, 2e-4]
    assert [rate(decay, s) for s in (0, 261_000, 522_000)] == [2e-4, 1e-4, 0.0]
    assert decay.rides["llm"].steps_before == 4_198_000
    assert Fraction(522_000, 4_720_000) == pytest.approx(0.11059, rel=1e-4)
    assert [rate(long, s) for s in (0, 500, 1000, 20_000)] == [0.0, 1e-5, 2e-5, 0.0]
    assert rate(long, 10_500) == pytest.approx(1e-5, rel=1e-14)


@pytest.mark.parametrize(
    ("seqs", "peak", "stop", "left_at", "off"),
    # The second stage of the 7B begins 0.24 % above where its first one ends.
    [(512, "4e-4", 1_907_359, 7.4487e-5, 1e-5), (1024, "3e-4", 928_646, 6.1499e-5, 2.5e-3)],
)
def test_olmo_2_stops_before_its_horizon_and_goes_on_from_its_last_rate(
    seqs: int, peak: str, stop: int, left_at: float, off: float
) -> None:
    main = [warm(peak, "8_388_608_000"), {"shape": "cosine", "to": "10%", "until": "5T"}]
    last = [{"shape": "linear", "from": "current", "to": 0}]
    stages = {
        "one": of(seqs, 4096, until=f"step {stop}"),
        "two": {"init": "one", "keep": "one", "carry": "all", "tokens": "50B", "lr": "last"},
    }
    one, two = plan_with(stages, schedules={"main": main, "last": last}).stages
    a = float(peak)
    warmup = 8_388_608_000
    p = (stop * seqs * 4096 - warmup) / (5 * 10**12 - warmup)
    assert rate(one, warmup // (seqs * 4096)) == a
    assert rate(one, stop) == pytest.approx(cosine(a, a / 10, p), rel=1e-14)
    assert rate(one, stop) == pytest.approx(left_at, rel=off)  # as their second stage's file says
    assert rate(two, 0) == rate(one, stop)
    assert rate(two, two.steps) == 0.0


def test_llama_3_stops_at_96_percent_of_its_horizon() -> None:
    main = [
        warm("8e-5", "8000 steps"),
        {"shape": "cosine", "to": "8e-7", "until": "step 1_200_000"},
    ]
    stage = plan_with({"base": of(2048, 8192, tokens="15.6T")}, schedules={"main": main}).stages[0]
    assert stage.steps == 929_833
    assert [rate(stage, s) for s in (0, 4000, 8000)] == [0.0, 4e-5, 8e-5]
    p = (929_833 - 8000) / 1_192_000
    assert rate(stage, 929_833) == pytest.approx(cosine(8e-5, 8e-7, p), rel=1e-14)


def test_deepseek_v3_jumps_in_its_last_piece() -> None:
    main = [
        warm("2.2e-4", "2000 steps"),
        {"shape": "constant", "until": "10T"},
        {"shape": "cosine", "to": "2.2e-5", "for": "4.3T"},
        {"shape": "constant", "for": "333B"},
        {"shape": "constant", "from": "7.3e-6", "for": "167B"},
    ]
    stage = plan_with({"base": of(15_360, 4096, tokens="14.8T")}, schedules={"main": main}).stages[
        0
    ]
    at = stage.batch.step_at_tokens
    assert rate(stage, at(10**13)) == pytest.approx(2.2e-4, rel=1e-8)
    assert [rate(stage, at(14_300_000_000_000)), rate(stage, at(14_633_000_000_000) - 1)] == [
        2.2e-5, 2.2e-5,
    ]  # fmt: skip
    assert rate(stage, at(14_633_000_000_000)) == rate(stage, stage.steps) == 7.3e-6


def test_mimo_carries_one_schedule_through_a_change_of_context() -> None:
    main = [
        warm("1.07e-4", "84B"),
        {"shape": "constant", "for": "10.2T"},
        {"shape": "cosine", "to": "3e-5", "for": "7.5T"},
        {"shape": "constant", "for": "5.5T"},
        {"shape": "cosine", "to": "1e-5", "for": "500B"},
    ]
    then = {"carry": "all"}
    stages = {
        "one": of(2560, 8192, until="17.784T"),
        "two": {"init": "one", "keep": "one", **then, "until": "21.784T"},
        "three": {
            "init": "two", "keep": "two", **then, "until": "23.784T",
            "seq_len": 32_768, "batch": {"tokens": "keep"},
        },
    }  # fmt: skip
    one, two, three = plan_with(stages, schedules={"main": main}).stages
    assert (three.at(0).batch_seqs, three.at(0).tokens_per_step) == (640, 20_971_520)
    assert [s.budget.tokens for s in (one, two, three)] == [
        17_784_000_000_000, 4_000_000_000_000, 2_000_000_000_000,
    ]  # fmt: skip
    assert rate(one, one.steps) == rate(two, 0) == rate(two, two.steps) == rate(three, 0) == 3e-5
    last = three.batch.step_at_tokens(1_500_000_000_000)
    assert rate(three, last - 1) == 3e-5
    assert rate(three, last + 1) != 3e-5
    assert rate(three, three.steps) == 1e-5


def test_minimax_lowers_its_rate_at_once_and_ends_in_an_exponential() -> None:
    main = [
        warm("2e-4", "500 steps"),
        {"shape": "constant", "until": "7.2T"},
        {"shape": "constant", "from": "1.3e-4", "for": "3.2T"},
        {"shape": "exponential", "to": "3e-5", "for": "1T"},
    ]
    stage = plan_with({"base": of(8192, 8192, tokens="11.4T")}, schedules={"main": main}).stages[0]
    at = stage.batch.step_at_tokens
    assert rate(stage, at(7_200_000_000_000) - 1) == 2e-4
    assert rate(stage, at(7_200_000_000_000)) == 1.3e-4
    p = (stage.batch.tokens_before(at(10_900_000_000_000)) - 10_400_000_000_000) / 10**12
    assert rate(stage, at(10_900_000_000_000)) == pytest.approx(1.3e-4 * (3 / 13) ** p, rel=1e-14)
    assert rate(stage, stage.steps) == 3e-5


def marin() -> Plan:
    def cycle(hold: int, decay: int, times: int) -> Tree:
        pieces = [
            {"shape": "constant", "from": "1e-3", "for": f"{hold} steps"},
            {"shape": "inverse", "to": "1e-4", "for": f"{decay} steps"},
        ]
        return {"repeat": pieces, "times": times}

    wsd_s = [
        warm("1e-3", "1000 steps"),
        {"shape": "constant", "for": "8000 steps"},
        {"shape": "inverse", "to": "1e-4", "for": "1000 steps"},
        cycle(9000, 1000, 19),
        cycle(18_000, 2000, 23),
        {"shape": "constant", "from": "1e-3"},
    ]
    phoenix = [{"shape": "linear", "from": "current", "to": "1.7e-3", "for": "2000 steps"}, HOLD]
    then = {"carry": "all"}
    stages = {
        "kestrel": {
            **of(1024, 4096, until="step 660_000"),
            "lr": {"schedule": "wsd-s", "with_batch": "sqrt"},
        },
        "ocelot": {
            "init": "kestrel", "keep": "kestrel", **then, "until": "step 740_500",
            "batch": {"seqs": 3072}, "lr": {"schedule": "wsd-s", "with_batch": "sqrt"},
        },
        "jellyfish": {
            "init": "ocelot", "keep": "ocelot", **then, "until": "step 820_000", "lr": "cooldown",
        },
        "phoenix": {
            "init": "jellyfish", "keep": "jellyfish", **then, "until": "step 1_320_000",
            "lr": "phoenix",
        },
    }  # fmt: skip
    cooldown = [{"shape": "linear", "from": "current", "to": "10%"}]
    schedules = {"wsd-s": wsd_s, "cooldown": cooldown, "phoenix": phoenix}
    return plan_with(stages, schedules=schedules)


def test_marin_cycles_follows_its_batch_and_warms_up_again() -> None:
    kestrel, ocelot, jellyfish, phoenix = marin().stages
    assert list(carried_modules_go_on_at_their_rate(marin())) == []
    assert len(kestrel.lr["llm"].pieces) == 3 + 2 * (19 + 23) + 1  # type: ignore[union-attr]
    assert [rate(kestrel, s) for s in (1000, 9000, 10_000, 19_000, 198_999)] == [1e-3] * 5
    # Linear in 1 / value: half-way between 1 / 1e-3 and 1 / 1e-4.
    assert rate(kestrel, 9500) == pytest.approx(1 / 5500, rel=1e-14)
    assert rate(kestrel, 199_500) == pytest.approx(1 / 5500, rel=1e-14)
    assert rate(kestrel, 200_000) == rate(kestrel, 218_000) == 1e-3
    assert rate(kestrel, 219_000) == pytest.approx(1 / 5500, rel=1e-14)
    tripled = 1e-3 * sqrt(3)  # the batch is three times that of the clock's first step
    assert rate(ocelot, 0) == rate(ocelot, 80_500) == pytest.approx(tripled, rel=1e-15)
    assert rate(jellyfish, 0) == rate(ocelot, 80_500)
    assert rate(phoenix, 0) == rate(jellyfish, 79_500) == pytest.approx(tripled / 10, rel=1e-15)
    assert [rate(phoenix, s) for s in (2000, 500_000)] == [1.7e-3, 1.7e-3]
    tokens = 660_000 * 1024 * 4096 + 660_000 * 3072 * 4096
    assert marin().tokens_before("phoenix") + phoenix.tokens == tokens


def test_molmo_warms_up_each_module_at_its_own_pace_for_four_epochs() -> None:
    ways = {"llm": ("2e-5", 2000), "projector": ("2e-4", 200), "vit": ("6e-6", 2000)}
    schedules = {
        name: [warm(peak, f"{steps} steps"), {"shape": "cosine", "to": "10%"}]
        for name, (peak, steps) in ways.items()
    }
    captions = {
        **of(128, 2304, epochs=4), "init": dict.fromkeys(ways, "new"), "train": list(ways),
        "mixture": {"captions": 1},
        "lr": dict(zip(ways, ways, strict=True)),
    }  # fmt: skip
    sources = {"captions": {"modality": "image-text", "tokens": "1.3B", "holdout": "2%"}}
    stage = plan_with({"captions": captions}, schedules=schedules, sources=sources).stages[0]
    assert stage.budget.words == "4 epochs"
    assert stage.budget.tokens == 4 * 1_274_000_000
    slow = {"llm": pytest.approx(2e-6), "vit": pytest.approx(6e-7)}
    assert stage.at(200).lr == {**slow, "projector": 2e-4}
    assert [rate(stage, 2000), rate(stage, 2000, "vit")] == [2e-5, 6e-6]
    assert stage.at(stage.steps).lr == {"llm": 2e-6, "projector": 2e-5, "vit": 6e-7}


def test_paligemma_rides_one_rsqrt_through_all_stages_and_warms_up_the_images_alone() -> None:
    k = "10_000 steps"
    schedules = {
        "main": [warm("1e-4", "1000 steps"), {"shape": "rsqrt", "timescale": k}],
        "slow": [warm("1e-4", "20_000 steps"), {"shape": "rsqrt", "timescale": k}],
    }
    one = {
        **of(10, 64, steps=40_000), "init": {"llm": "new", "vit": "new"}, "train": ["llm", "vit"],
        "lr": {"llm": "main", "vit": "slow"},
    }  # fmt: skip
    then = {"init": "one", "keep": "one", "carry": "all", "steps": 10_000}
    first, second = plan_with({"one": one, "two": then}, schedules=schedules).stages
    assert rate(first, 1000) == 1e-4
    assert rate(first, 31_000) == 1e-4 * sqrt(10_000 / 40_000) == 5e-5
    assert [rate(first, s, "vit") for s in (1000, 10_000, 20_000)] == [5e-6, 5e-5, 1e-4]
    assert rate(second, 0) == rate(first, 40_000) == 1e-4 * sqrt(10_000 / 49_000)
    assert rate(second, 10_000, "vit") == 1e-4 * sqrt(10_000 / 40_000)


def test_smolvlm_says_a_horizon_before_its_stop_and_one_beyond_it() -> None:
    last = [warm("1e-4", "100 steps"), {"shape": "linear", "to": 0, "until": "step 2000"}]
    stages = {"base": of(10, 64, steps=4000)}
    found = compile_text(text_of(tree(stages, schedules={"main": last})))
    assert [f.rule for f in found.findings] == ["outlives-schedule"]
    held = [*last, HOLD]  # said aloud: the rest trains at 0
    stage = plan_with({"base": of(10, 64, steps=4000)}, schedules={"main": held}).stages[0]
    assert [rate(stage, s) for s in (1050, 2000, 4000)] == [5e-5, 0.0, 0.0]
    first = [warm("1e-4", "2000 steps"), {"shape": "linear", "to": 0, "until": "step 500_000"}]
    stage = plan_with({"base": of(10, 64, steps=200_000)}, schedules={"main": first}).stages[0]
    assert rate(stage, 200_000) == pytest.approx(1e-4 * 300 / 498, rel=1e-15)


def test_olmo_3_stretches_what_was_left_of_its_cosine() -> None:
    main = [warm("3e-4", "2000 steps"), {"shape": "cosine", "to": "10%", "until": "5T"}]
    stages = {
        "one": of(512, 8192, tokens="5T"),
        "two": {"init": "one@4T", "keep": "one", "carry": "all", "until": "7T", "lr": "longer"},
        "three": {"init": "two", "keep": "two", "carry": "all", "tokens": "100B"},
    }
    longer = [{"stretch": "main", "until": "7T"}, HOLD]
    one, two, three = plan_with(stages, schedules={"main": main, "longer": longer}).stages
    mark = one.batch.step_at_tokens(4 * 10**12)
    assert rate(two, 0) == rate(one, mark)
    piece = two.lr["llm"].pieces[0]  # type: ignore[union-attr]
    assert (piece.shape, piece.start, piece.end) == ("cosine", 0, 7 * 10**12 - mark * 2**22)
    # Half of what was left, over half of the new length: as far as half of what was left before.
    left = 5 * 10**12 - mark * 2**22
    warmup = 2000 * 2**22
    half = 1 - left / 2 / (5 * 10**12 - warmup)
    assert piece.value((7 * 10**12 - mark * 2**22) // 2) == pytest.approx(
        cosine(3e-4, 3e-5, half), rel=1e-11
    )
    assert rate(two, two.steps) == rate(three, 0) == rate(three, three.steps) == 3e-5
    ride = two.rides["llm"]
    assert (ride.schedule, ride.instance, ride.tokens_before) == ("longer", "two", mark * 2**22)
