from fractions import Fraction
from math import cos, pi, sqrt
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from curriculum.compile import compile_file, compile_text
from curriculum.curve import Curve
from curriculum.plan import Plan
from small import BASE, EYES, WARM, message_of, plan_in, plan_of, right, rules_of
from strategies import Tree, enlarged, plans, text_of

NEXT: Tree = {"init": "base", "keep": "base", "carry": "all", "tokens": 32_000}
HOLD: Tree = {"shape": "constant"}
OPEN: Tree = {"shape": "linear", "from": 0, "to": 1}


def curve_of(pieces: Any, tokens: int = 64_000, **stage: Any) -> Curve:
    """Lay a learning rate out over one stage of 100 steps of 640 tokens."""
    plan = plan_of({"base": {**BASE, "lr": pieces, "tokens": tokens, **stage}})
    curve = plan.stage("base").lr["llm"]
    assert curve is not None
    return curve


def lr_of(pieces: Any, *steps: int) -> list[float | None]:
    plan = plan_of({"base": {**BASE, "lr": pieces}})
    return [plan.stage("base").at(step).lr["llm"] for step in steps]


# Pieces and their units


def test_a_warm_up_from_0_has_lr_0_at_step_0_and_its_end_at_its_length() -> None:
    pieces = [WARM, {"shape": "constant"}]
    assert lr_of(pieces, 0, 1, 5, 10, 100) == [0.0, 1e-4, 5e-4, 1e-3, 1e-3]


def test_a_piece_runs_in_the_unit_of_its_length() -> None:
    curve = curve_of([WARM, {"shape": "cosine", "to": "10%"}])
    warm, down = curve.pieces
    assert (warm.unit, warm.start, warm.end) == ("steps", 0, 10)
    assert (down.unit, down.first_step, down.start, down.end) == ("tokens", 10, 6400, 64_000)
    assert (down.a, down.b) == (Fraction(1, 1000), Fraction(1, 10_000))
    p = (50 * 640 - 6400) / 57_600
    assert curve.at(50, 50 * 640) == pytest.approx(1e-4 + 9e-4 * (1 + cos(pi * p)) / 2, rel=1e-15)


def test_a_piece_that_ends_between_steps_is_read_up_to_its_end() -> None:
    curve = curve_of([{"shape": "linear", "from": 0, "to": 1, "for": 1000}, {"shape": "constant"}])
    assert [p.first_step for p in curve.pieces] == [0, 2]
    assert [curve.at(step, step * 640) for step in range(3)] == [0.0, 0.64, 1.0]


@pytest.mark.parametrize("mark", [32_000, "50%", "step 50", "32K"])
def test_until_is_a_mark_on_the_clock(mark: Any) -> None:
    pieces = [{"shape": "linear", "from": 0, "to": 1, "until": mark}, {"shape": "constant"}]
    assert lr_of(pieces, 0, 25, 50, 99) == [0.0, 0.5, 1.0, 1.0]


def test_an_open_piece_in_the_middle_takes_what_the_others_leave() -> None:
    last = {"shape": "sqrt", "to": 0, "for": "10%"}
    curve = curve_of([WARM, {"shape": "constant"}, last])
    assert [(p.shape, p.first_step) for p in curve.pieces] == [
        ("linear", 0), ("constant", 10), ("sqrt", 90),
    ]  # fmt: skip
    assert curve.at(89, 89 * 640) == curve.at(90, 57_600) == 1e-3
    assert curve.at(95, 95 * 640) == pytest.approx(1e-3 * (1 - sqrt(0.5)), rel=1e-14)
    assert curve.at(100, 64_000) == 0.0


def test_from_says_a_new_start() -> None:
    pieces = [
        {"shape": "constant", "from": 2, "for": "25%"},
        {"shape": "linear", "from": 1, "to": "50%"},
    ]
    assert lr_of(pieces, 0, 24, 25, 100) == [2.0, 2.0, 1.0, 0.5]


@pytest.mark.parametrize("unit", ["tokens", "steps"])
def test_a_piece_after_a_decay_without_to_starts_where_it_stopped(unit: str) -> None:
    k = "6400" if unit == "tokens" else "10 steps"
    tail = {"shape": "linear", "to": 0}
    rsqrt = [{"shape": "rsqrt", "from": 1, "timescale": k, "for": "30 steps"}, tail]
    assert lr_of(rsqrt, 0, 30, 100) == [1.0, 0.5, 0.0]  # sqrt(10 / (10 + 30))
    halving = [{"shape": "exponential", "from": 1, "half_life": k, "until": 19_200}, tail]
    assert lr_of(halving, 0, 10, 30, 100) == [1.0, 0.5, 0.125, 0.0]


def test_x_runs_in_the_unit_of_the_knob() -> None:
    forever = [{"shape": "rsqrt", "from": 1, "timescale": "10 steps"}]
    assert lr_of(forever, 0, 30) == [1.0, 0.5]
    warmed = [WARM, {"shape": "exponential", "half_life": "20 steps"}]
    assert lr_of(warmed, 10, 30, 50) == [1e-3, 5e-4, 2.5e-4]
    in_tokens = [WARM, {"shape": "exponential", "half_life": 12_800}]
    assert lr_of(in_tokens, 10, 30, 50) == [1e-3, 5e-4, 2.5e-4]


@pytest.mark.parametrize(
    ("pieces", "rule"),
    [
        ([{"shape": "linear", "to": 1}], "first-piece-from"),
        ([{"shape": "linear", "from": 1}], "missing-key"),
        ([{"shape": "constant", "from": 1, "to": 2}], "constant-to"),
        ([{"shape": "rsqrt", "from": 1}], "missing-key"),
        ([{"shape": "exponential", "from": 0, "to": 1}], "wrong-value"),
        ([{"shape": "half_life", "from": ".9", "to": 1}], "wrong-value"),
        ([{"shape": "linear", "from": 1, "to": 0, "for": 3200}], "outlives-schedule"),
        ([{"shape": "linear", "from": 1, "to": 0, "for": "20 steps"}], "outlives-schedule"),
        ([WARM, {"shape": "constant", "until": "step 10"}, HOLD], "piece-ends-before-start"),
        ([WARM, {"shape": "linear", "to": 0, "until": 6000}], "piece-ends-before-start"),
        ([{"shape": "constant", "from": 1, "for": 600}, HOLD], "shorter-than-a-step"),
        ([WARM, {"shape": "constant", "for": 600}, HOLD], "shorter-than-a-step"),
        ([OPEN, {"shape": "linear", "to": 0}], "one-open-piece"),
        ([OPEN, {"shape": "linear", "to": 0, "for": "9 steps"}], "open-piece"),
        ([{"shape": "exponential", "from": 1, "to": ".1", "half_life": 640}], "wrong-value"),
    ],
)  # fmt: skip
def test_a_curve_that_cannot_be_is_refused(pieces: Any, rule: str | None) -> None:
    stages = {"base": {**BASE, "lr": pieces}}
    if rule is None:
        assert plan_of(stages).stage("base").steps == 100
    else:
        assert rules_of(stages) == [rule]


def test_a_piece_that_no_step_reads_is_refused() -> None:
    pieces = [
        {"shape": "constant", "from": 1, "for": 700},
        {"shape": "constant", "from": 2, "until": 1200},
        {"shape": "constant", "from": 3},
    ]
    words = message_of({"base": {**BASE, "lr": pieces}})
    assert "this piece ends before a step reads it (500 tokens)" in words


# Schedules on their own clock


def test_a_schedule_runs_on_through_its_riders() -> None:
    plan = plan_of({"base": BASE, "next": NEXT})
    base, child = plan.stage("base"), plan.stage("next")
    ride = child.rides["llm"]
    assert (ride.instance, ride.tokens_before, ride.steps_before) == ("base", 64_000, 100)
    # 1e-3 at step 10, 0 at the end of the last rider: one line over 89,600 tokens.
    assert base.at(100).lr == child.at(0).lr == {"llm": pytest.approx(1e-3 * 32 / 89.6)}
    assert child.at(50).lr == {"llm": 0.0}


def test_the_clock_counts_what_was_asked_not_what_was_planned() -> None:
    plan = plan_of({"base": {**BASE, "tokens": 63_601}, "next": NEXT})
    base = plan.stage("base")
    assert (base.steps, base.tokens) == (100, 64_000)
    assert plan.stage("next").rides["llm"].tokens_before == 63_601
    assert base.at(100).lr == plan.stage("next").at(0).lr


def test_a_warm_up_in_steps_may_run_over_the_end_of_a_stage() -> None:
    slow = [{**WARM, "for": "120 steps"}, {"shape": "constant"}]
    plan = plan_of({"base": BASE, "next": NEXT}, schedules={"main": slow})
    assert plan.stage("base").at(60).lr == {"llm": pytest.approx(5e-4)}
    assert plan.stage("base").at(100).lr == plan.stage("next").at(0).lr
    assert plan.stage("next").at(20).lr == plan.stage("next").at(50).lr == {"llm": 1e-3}


def test_a_clock_waits_while_nobody_rides() -> None:
    stages = {
        "base": BASE,
        "mid": {**NEXT, "lr": "1e-5"},
        "last": {**NEXT, "init": "mid", "lr": "main"},
    }
    plan = plan_of(stages)
    assert plan.stage("mid").at(9).lr == {"llm": 1e-5}
    assert plan.stage("last").rides["llm"].tokens_before == 64_000
    assert plan.stage("last").at(0).lr == plan.stage("base").at(100).lr


def test_at_a_mark_the_clock_stands_at_the_mark() -> None:
    schedules = {
        "main": [WARM, {"shape": "linear", "to": "1e-4", "for": 83_200}, {"shape": "constant"}]
    }
    stages = {"base": BASE, "next": {**NEXT, "init": "base@50%"}}
    plan = plan_of(stages, schedules=schedules)
    assert plan.stage("next").rides["llm"].tokens_before == 32_000
    assert plan.stage("next").at(0).lr == plan.stage("base").at(50).lr
    assert plan.stage("next").at(10).lr == plan.stage("base").at(60).lr


def test_an_end_that_differs_by_path_is_refused() -> None:
    stages = {"base": BASE, "next": {**NEXT, "init": "base@40%"}}
    assert set(rules_of(stages)) == {"paths-differ"}
    fork = {"base": BASE, "one": NEXT, "two": {**NEXT, "tokens": 40_000}}
    assert set(rules_of(fork)) == {"paths-differ"}
    same = {"base": BASE, "one": NEXT, "two": {**NEXT, "seed": 1}}
    assert plan_of(same).stage("two").at(50).lr == {"llm": 0.0}  # both end it at one place


def test_restart_begins_the_clock_anew() -> None:
    again = {**NEXT, "lr": {"schedule": "main", "restart": "true", "scale": ".1"}}
    plan = plan_of({"base": BASE, "next": again, "last": {**NEXT, "init": "next", "keep": "next"}})
    base, child, last = plan.stages
    ride = child.rides["llm"]
    assert (ride.instance, ride.tokens_before, ride.scale) == ("next", 0, Fraction(1, 10))
    assert base.at(100).lr == {"llm": 0.0}  # the first run of the clock ends with `base`
    assert child.at(10).lr == {"llm": 1e-4}
    # What is kept is the ride, not the restart.
    assert last.rides["llm"].tokens_before == 32_000
    assert child.at(50).lr == last.at(0).lr


def test_a_scale_is_a_factor_of_the_values_and_not_of_the_shares() -> None:
    schedules = {
        "main": [WARM, {"shape": "linear", "to": "10%", "for": "50%"}, {"shape": "constant"}]
    }
    stages = {"base": {**BASE, "lr": {"schedule": "main", "scale": "1/2"}}}
    stage = plan_of(stages, schedules=schedules).stage("base")
    assert stage.at(10).lr == {"llm": 5e-4}
    assert stage.at(100).lr == {"llm": 5e-5}


def test_modules_may_ride_differently() -> None:
    eyes = {**EYES, "lr": {"vit": "towers", "captioner": {"schedule": "main", "scale": ".5"}}}
    stage = plan_of({"eyes": eyes}).stage("eyes")
    assert stage.at(10).lr == {"captioner": 5e-4, "vit": 1e-3}
    assert stage.at(100).lr == {"captioner": 0.0, "vit": 1e-3}
    part = {**BASE, "lr": {"llm": "main", "llm/norms": "1e-5"}}
    stage = plan_of({"base": part}).stage("base")
    assert stage.at(10).lr == {"llm": 1e-3, "llm/norms": 1e-5}


def test_current_is_where_the_parent_left_the_module() -> None:
    later = {
        **NEXT,
        "lr": [
            {"shape": "linear", "from": "current", "to": "2e-3", "for": "10%"},
            {"shape": "linear", "to": 0},
        ],
    }
    schedules = {"main": [WARM, {"shape": "cosine", "to": "10%"}]}
    plan = plan_of({"base": BASE, "next": later}, schedules=schedules)
    assert plan.stage("base").at(100).lr == plan.stage("next").at(0).lr == {"llm": 1e-4}
    assert plan.stage("next").at(5).lr == {"llm": 2e-3}
    middle = plan_of({"base": BASE, "next": {**later, "init": "base@37%"}}, schedules=schedules)
    assert middle.stage("next").at(0).lr == middle.stage("base").at(37).lr


def test_parents_that_rode_must_agree() -> None:
    stages = {
        "base": BASE,
        "eyes": {**EYES, "lr": "main", "tokens": 32_000, "seed": 1},
        "joint": {**BASE, "init": {"llm": "base", "vit": "eyes"}, "carry": "none", "seed": 2},
    }
    assert "clocks-disagree" in rules_of(stages)
    again = {"schedule": "main", "restart": "true"}
    assert plan_of({**stages, "joint": {**stages["joint"], "lr": again}}).has_stage("joint")


@pytest.mark.parametrize("order", [["llm", "vit"], ["vit", "llm"]])
def test_clocks_that_disagree_are_not_forgotten_by_a_stage_that_rides_on_none(
    order: list[str],
) -> None:
    parents = {"llm": "base", "vit": "eyes"}
    stages = {
        "base": BASE,
        "eyes": {**EYES, "lr": "main", "tokens": 32_000, "seed": 1},
        "mid": {
            **BASE,
            "init": {module: parents[module] for module in order},
            "carry": "none",
            "lr": "1e-4",
            "seed": 2,
        },
        "last": {**BASE, "init": "mid", "carry": "none", "lr": "main"},
    }
    assert "clocks-disagree" in rules_of(stages)


def test_a_module_that_is_left_behind_rides_no_further() -> None:
    joint = {
        **BASE,
        "init": {"llm": "base", "vit": "eyes"},
        "carry": "all",
        "train": ["llm", "vit"],
        "lr": {"llm": "main", "vit": "towers"},
        "seed": 2,
    }
    last = {**NEXT, "init": {"llm": "joint"}, "keep": "joint"}
    towers = [WARM, {"shape": "linear", "to": 0}]
    plan = plan_of(
        {"base": BASE, "eyes": {**EYES, "seed": 1}, "joint": joint, "last": last},
        schedules={"main": towers, "towers": towers},
    )
    # `last` has no ViT: the towers' clock ends with `joint`, not 32,000 tokens later.
    assert plan.stage("joint").at(100).lr["vit"] == 0.0
    assert plan.stage("last").at(0).lr == {"llm": plan.stage("joint").at(100).lr["llm"]}


# Proxies: the same plan at another scale

SCALE = "scale: {tokens: 1/64, seqs: 1/8, seq_len: 1/8}\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("plans")  # one for all examples, whose files replace each other


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(plans())
def test_a_scaled_plan_equals_the_plan_written_by_hand_at_that_scale(
    folder: Path, tree: Tree
) -> None:
    (folder / "full.yaml").write_text(text_of(enlarged(tree, 8, 8)))
    (folder / "proxy.yaml").write_text(f"extends: full.yaml\n{SCALE}")
    by_hand, proxy = compile_text(text_of(tree)).plan, compile_file(folder / "proxy.yaml")
    full = compile_file(folder / "full.yaml")
    assert by_hand is not None
    assert right(proxy) == by_hand
    assert right(proxy).digest == by_hand.digest
    assert [s.steps for s in right(full).stages] == [s.steps for s in by_hand.stages]


def proxy_of(folder: Path, overlay: str, base: Tree, **more: Any) -> Plan:
    return right(plan_in(folder, overlay, {"base": {**BASE, **base}}, **more))


def test_what_is_measured_in_steps_keeps_its_share_of_its_stage(tmp_path: Path) -> None:
    # 100 steps become 25: tokens are divided by 16, what a step holds by 4.
    overlay = "scale: {tokens: 1/16, seqs: 1/2, seq_len: 1/2}\n"
    batch = [{"seqs": 10, "until": "step 40"}, {"seqs": 20}]
    base = {"batch": batch, "tokens": 40 * 640 + 60 * 1280}
    stage = proxy_of(tmp_path, overlay, base).stage("base")
    assert stage.budget.tokens == 6400
    assert [(p.first_step, p.batch_seqs, p.seq_len) for p in stage.batch.pieces] == [
        (0, 5, 32), (10, 10, 32),
    ]  # fmt: skip
    assert stage.steps == 25
    curve = stage.lr["llm"]
    assert curve is not None
    assert (curve.pieces[0].end, curve.pieces[1].first_step) == (3, 3)  # 10 of 100 steps: 2.5


def test_marks_in_tokens_of_a_batch_are_divided_and_keep_their_share(tmp_path: Path) -> None:
    overlay = "scale: {tokens: 1/16, seqs: 1/2, seq_len: 1/2}\n"
    batch = [{"seqs": 10, "until": 25_600}, {"seqs": 20}]
    base = {"batch": batch, "tokens": 40 * 640 + 60 * 1280}
    stage = proxy_of(tmp_path, overlay, base).stage("base")
    assert [p.first_step for p in stage.batch.pieces] == [0, 10]
    assert stage.steps == 25
    curve = stage.lr["llm"]
    assert curve is not None
    assert curve.pieces[0].end == 3  # of the 100 steps that the plan below has, not of more


@pytest.mark.parametrize(
    ("budget", "steps", "words"),
    [({"steps": "100"}, 25, "25 steps"), ({"seqs": 1000}, 25, "125 seqs")],
)
def test_a_scaled_budget_says_what_it_became(
    tmp_path: Path, budget: Tree, steps: int, words: str
) -> None:
    overlay = "scale: {tokens: 1/16, seqs: 1/2, seq_len: 1/2}\n"
    base = {k: v for k, v in BASE.items() if k != "tokens"}
    stage = right(plan_in(tmp_path, overlay, {"base": {**base, **budget}})).stage("base")
    assert (stage.steps, stage.budget.tokens, stage.budget.words) == (steps, 4000, words)


def test_a_mark_in_steps_lies_at_its_share_of_the_stage_that_it_is_in(tmp_path: Path) -> None:
    # The first stage shrinks from 100 steps to 25, the second keeps the 50 that the overlay says.
    overlay = (
        "scale: {tokens: 1/16, seqs: 1/2, seq_len: 1/2}\n"
        "stages.next.tokens: ~\nstages.next.steps: 50\n"
    )
    pieces = [
        {"shape": "linear", "from": 0, "to": 1, "until": "step 50"},
        {"shape": "constant", "until": "step 100"},
        {"shape": "constant", "until": "step 125"},
        {"shape": "linear", "to": 0},
    ]
    stages = {"base": BASE, "next": NEXT}
    proxy = right(plan_in(tmp_path, overlay, stages, schedules={"main": pieces}))
    base, last = proxy.stage("base"), proxy.stage("next")
    assert (base.steps, last.steps) == (25, 50)
    curve, tail = base.lr["llm"], last.lr["llm"]
    assert curve is not None
    assert tail is not None
    assert (curve.pieces[0].end, curve.pieces[1].end) == (13, 25)  # 12.5 and 25
    assert [p.first_step for p in tail.pieces] == [0, 25]
    assert [last.at(step).lr["llm"] for step in (0, 25, 50)] == [1.0, 1.0, 0.0]


def test_a_budget_in_steps_that_the_overlay_says_is_as_it_says(tmp_path: Path) -> None:
    overlay = (
        "scale: {tokens: 1/16, seqs: 1/2, seq_len: 1/2}\n"
        "stages.base.tokens: ~\nstages.base.steps: 20\n"
    )
    batch = [{"seqs": 10, "until": 25_600}, {"seqs": 20}]
    stage = proxy_of(tmp_path, overlay, {"batch": batch, "tokens": 102_400}).stage("base")
    assert [p.first_step for p in stage.batch.pieces] == [0, 10]
    assert (stage.steps, stage.budget.tokens) == (20, 10 * 160 + 10 * 320)


def test_what_becomes_shorter_than_a_step_is_refused(tmp_path: Path) -> None:
    overlay = "scale: {tokens: 1/640, seqs: 1/2, seq_len: 1/2}\n"
    (found,) = plan_in(tmp_path, overlay, {"base": {**BASE, "tokens": 640_000}}).findings
    assert found.rule == "shorter-than-a-step"
    assert "10 steps become 0.07 of a step in this proxy; say it in the overlay" in str(found)
    (found,) = plan_in(tmp_path, "scale: {seqs: 1/3}\n", {"base": BASE}).findings
    assert "10/3 sequences in a step are not a whole number" in str(found)


def test_what_an_overlay_says_itself_is_not_scaled(tmp_path: Path) -> None:
    overlay = (
        f"{SCALE}stages.base.tokens: 6_400\nstages.base.seq_len: 16\nstages.base.batch.seqs: 4\n"
    )
    stage = proxy_of(tmp_path, overlay, {"tokens": 640_000}).stage("base")
    assert (stage.budget.tokens, stage.steps, stage.at(0).batch_seqs) == (6400, 100, 4)


def test_half_lives_and_marks_shrink_with_the_tokens(tmp_path: Path) -> None:
    pieces = [{"shape": "exponential", "from": 1, "half_life": 6400}]
    overlay = "scale: {tokens: 1/2, seqs: 1/2}\n"
    full = plan_of({"base": {**BASE, "lr": pieces}}).stage("base")
    proxy = proxy_of(tmp_path, overlay, {"lr": pieces}).stage("base")
    assert [full.at(s).lr for s in (0, 10, 20)] == [proxy.at(s).lr for s in (0, 10, 20)]
    assert proxy.at(10).lr == {"llm": 0.5}
    slow = [{"shape": "exponential", "from": 1, "half_life": "20 steps"}]
    halved = proxy_of(tmp_path, "scale: {tokens: 1/2}\n", {"lr": slow}).stage("base")
    assert (halved.steps, halved.at(10).lr) == (50, {"llm": 0.5})  # 20 of 100 steps: 10 of 50
