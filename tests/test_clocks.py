"""Budgets as passes and marks, pieces that repeat or are stretched, rates that follow the batch,
values of optimizers that run over the steps of their state"""

from fractions import Fraction
from math import sqrt
from pathlib import Path
from typing import Any

import pytest

from curriculum.check.clock_rules import carried_modules_go_on_at_their_rate
from curriculum.curve import Curve
from curriculum.lock import read_lock, with_digests, write_lock
from curriculum.plan import Plan, Stage
from small import BASE, EYES, WARM, message_of, plan_in, plan_of, right, rules_of
from strategies import Tree

NEXT: Tree = {"init": "base", "keep": "base", "carry": "all"}
HOLD: Tree = {"shape": "constant"}
FREE: Tree = {k: v for k, v in BASE.items() if k != "tokens"}


def lr(stage: Stage, *steps: int) -> list[float | None]:
    return [stage.at(step).lr["llm"] for step in steps]


def curve(stage: Stage) -> Curve:
    found = stage.lr["llm"]
    assert found is not None
    return found


def require_same_from_lock(plan: Plan) -> None:
    text = write_lock(plan)
    again = read_lock(text, "x.lock.json")
    assert again == plan
    assert write_lock(again) == text


# Budgets


@pytest.mark.parametrize(
    ("mixture", "tokens"),
    [
        ({"a": ".75", "b": ".25"}, 4_000_000),
        ({"a": 1}, 3_000_000),
        (["a", "b"], 4_000_000),
        ({"g": {"ratio": ".5", "of": ["a"]}, "b": "rest"}, 4_000_000),
    ],
)
def test_epochs_are_passes_over_all_sources_of_the_mixture_together(
    mixture: Any, tokens: int
) -> None:
    stage = plan_of({"base": {**FREE, "mixture": mixture, "epochs": "1.5"}}).stage("base")
    assert (stage.budget.tokens, stage.budget.words) == (tokens * 3 // 2, "1.5 epochs")


def test_epochs_read_what_is_kept_and_what_is_replayed() -> None:
    parts = {"g": {"ratio": ".5", "of": {"a": 1}}, "b": "rest"}
    stages = {
        "base": {**BASE, "mixture": parts},
        "kept": {**NEXT, "epochs": 1},
        "part": {**NEXT, "seed": 1, "mixture": {"replay": "base/g"}, "epochs": 1},
        "all": {**NEXT, "seed": 2, "mixture": {"replay": "kept@50%"}, "epochs": 1},
    }
    plan = plan_of(stages, schedules={"main": [WARM, HOLD]})
    asked = {stage.name: stage.budget.tokens for stage in plan.stages}
    assert asked == {"base": 64_000, "kept": 4_000_000, "part": 3_000_000, "all": 4_000_000}


def test_epochs_read_parts_and_the_pieces_of_a_mixture_that_changes() -> None:
    sources = {
        "a": {"modality": "text", "tokens": "3M"},
        "b": {"modality": "text", "tokens": "1M"},
        "head": {"of": "b", "part": "first 10%"},
        "d": {"modality": "text", "tokens": "5M"},
    }
    moving = [{"shape": "linear", "for": "5 steps"}, {"of": {"d": 1}}]
    stages = {
        "base": {**FREE, "epochs": 1, "mixture": {"a": ".5", "head": ".5"}},
        "next": {**NEXT, "epochs": 1, "mixture": moving},
        "last": {**NEXT, "init": "next", "epochs": 1, "mixture": {"d": 1}},
    }
    plan = plan_of(stages, schedules={"main": [WARM, HOLD]}, sources=sources)
    assert [s.budget.tokens for s in plan.stages] == [3_100_000, 8_100_000, 5_000_000]


def test_epochs_leave_out_what_is_held_out_and_count_patches_where_a_vit_is_counted() -> None:
    sources = {
        "a": {"modality": "image-text", "tokens": "1M", "holdout": "2%", "image_share": ".5"}
    }
    eyes = {**{k: v for k, v in EYES.items() if k != "tokens"}, "epochs": 2, "mixture": {"a": 1}}
    stage = plan_of({"eyes": eyes}, sources=sources).stage("eyes")
    assert stage.budget.tokens == 2 * 980_000 * 2  # half of them images, 4 patches each
    unsaid = {"a": {"modality": "image-text", "tokens": "1M"}}
    words = message_of({"eyes": eyes}, sources=unsaid)
    assert (
        "how many patches a token has of `a` is unknown, and so is the length of 2 epochs" in words
    )


def test_a_size_that_nobody_knows_makes_the_stage_unknown() -> None:
    plan = plan_of({"base": {**FREE, "epochs": 2, "mixture": {"a": ".5", "c": ".5"}}})
    (unknown,) = plan.unknown
    assert (unknown.name, unknown.missing) == ("base", ("sources.c.tokens",))


def test_epochs_of_a_proxy_are_those_of_its_sources(tmp_path: Path) -> None:
    base = {**FREE, "epochs": 2}
    plan = right(plan_in(tmp_path, "scale: {tokens: 1/10}\n", {"base": base}))
    assert plan.stage("base").budget.tokens == 800_000


def test_until_is_a_mark_on_the_path_of_the_module_that_is_counted() -> None:
    stages = {
        "base": {**FREE, "until": 64_000},
        "next": {**NEXT, "until": "100_000"},
        "fork": {**NEXT, "init": "base@50%", "until": "step 90", "seed": 1},
        "last": {**NEXT, "init": "fork", "until": 100_000},
    }
    plan = plan_of(stages, schedules={"main": [WARM, HOLD]})
    asked = {stage.name: (stage.budget.tokens, stage.budget.words) for stage in plan.stages}
    assert asked["next"] == (36_000, "36K tokens")
    assert asked["fork"] == (40 * 640, "40 steps")
    assert asked["last"] == (100_000 - 90 * 640, "42.4K tokens")
    assert plan.stage("next").steps == 57
    require_same_from_lock(plan)


def test_until_goes_by_the_module_that_is_counted() -> None:
    eyes = {**EYES, "tokens": 6_400, "lr": "towers"}
    joint = {
        **FREE, "init": {"llm": "base", "vit": "eyes", "projector": "new"}, "carry": "none",
        "until": 70_400, "seed": 1,
    }  # fmt: skip
    plan = plan_of({"base": BASE, "eyes": eyes, "joint": joint})
    assert plan.stage("joint").budget.tokens == 6_400  # not what the ViT read


def test_until_a_step_keeps_its_place_in_a_proxy(tmp_path: Path) -> None:
    stages = {"base": {**FREE, "until": "step 100"}, "next": {**NEXT, "until": "step 150"}}
    plan = right(plan_in(tmp_path, "scale: {tokens: 1/2}\n", stages))
    assert [(s.steps, s.budget.tokens) for s in plan.stages] == [(50, 32_000), (25, 16_000)]
    full = right(plan_in(tmp_path, "stages.next.until: step 130\n", stages))
    assert [s.steps for s in full.stages] == [100, 30]
    tokens = {"base": BASE, "next": {**NEXT, "until": 96_000}}
    plan = right(plan_in(tmp_path, "scale: {tokens: 1/2}\n", tokens))
    assert [s.budget.tokens for s in plan.stages] == [32_000, 16_000]


@pytest.mark.parametrize(
    ("budget", "rule", "words"),
    [
        (
            {"until": 64_000},
            "until-passed",
            "`next` ends at 64K tokens of its path, where its parents have come to 64K tokens",
        ),
        (
            {"until": "step 40"},
            "until-passed",
            "stage `next` ends at step 40 of its path, where its parents have come to 100 steps",
        ),
        ({"until": "60%"}, "wrong-unit", "a share cannot stand here"),
        ({"epochs": "4K"}, "wrong-unit", "an amount in tokens cannot stand here"),
        ({"epochs": "0"}, "wrong-value", "a budget is more than nothing"),
        ({"epochs": 1, "until": 70_000}, "one-budget", "this has epochs and until"),
    ],
)
def test_a_budget_that_cannot_be_is_refused(budget: Tree, rule: str, words: str) -> None:
    found = message_of({"base": BASE, "next": {**NEXT, **budget}})
    assert f"error[{rule}]" in found
    assert words in found


def test_until_needs_to_know_what_an_outside_checkpoint_has_read() -> None:
    stages = {
        "given": {"checkpoint": {"gives": ["llm"]}},
        "base": {**FREE, "init": {"llm": "given"}, "until": 70_000},
    }
    words = message_of(stages)
    assert "error[path-unknown]" in words
    assert "the tokens behind `llm` are unknown" in words
    stages["given"] = {"checkpoint": {"gives": ["llm"], "tokens": 60_000}}
    assert plan_of(stages).stage("base").budget.tokens == 10_000
    stages["base"]["until"] = "step 200"
    assert "the steps behind `llm` are unknown" in message_of(stages)
    stages["given"] = {"checkpoint": {"gives": ["llm"], "weights": "new"}}
    assert plan_of(stages).stage("base").steps == 200


def test_until_goes_on_from_the_most_that_an_average_has_read() -> None:
    free = {key: value for key, value in NEXT.items() if key != "carry"}
    stages = {
        "base": BASE,
        "one": {**NEXT, "tokens": 6_400, "seed": 1},
        "two": {**NEXT, "tokens": 12_800, "seed": 2},
        "soup": {"init": {"llm": {"average": ["one", "two"]}}},
        "last": {**free, "init": "soup", "keep": "base", "until": 96_000, "seed": 3, "lr": "1e-4"},
        "step": {
            **free,
            "init": "soup",
            "keep": "base",
            "until": "step 130",
            "seed": 4,
            "lr": "1e-4",
        },
    }
    plan = plan_of(stages, schedules={"main": [WARM, HOLD]})
    assert plan.stage("last").budget.tokens == 96_000 - 64_000 - 12_800
    assert plan.stage("step").steps == 130 - 120


def test_a_share_is_a_mark_of_the_batch_where_the_budget_is_known_without_it() -> None:
    batch = [{"seqs": 5, "until": "50%"}, {"seqs": 10}]
    stage = plan_of({"base": {**FREE, "epochs": 1, "batch": batch}}).stage("base")
    assert stage.batch.pieces[1].first_step == 2_000_000 // 320
    steps = {"base": {**FREE, "until": "step 90", "batch": batch}}
    assert rules_of(steps) == ["batch-mark"]


# Pieces that repeat


def test_pieces_come_again_in_order_and_each_where_the_last_one_ended() -> None:
    down = {"shape": "linear", "to": "50%", "for": "5 steps"}
    pieces = [
        {"shape": "constant", "from": "8e-3", "for": "10 steps"},
        {"repeat": [{**HOLD, "for": "5 steps"}, down], "times": 3},
        HOLD,
    ]
    stage = plan_of({"base": {**BASE, "lr": pieces}}).stage("base")
    assert lr(stage, 10, 15, 20, 30, 40, 99) == [8e-3, 8e-3, 4e-3, 2e-3, 1e-3, 1e-3]
    inner = {"repeat": [down], "times": 2}
    nested = [pieces[0], {"repeat": [inner, {**HOLD, "for": "5 steps"}], "times": 2}, HOLD]
    stage = plan_of({"base": {**BASE, "lr": nested}}).stage("base")
    assert lr(stage, 20, 25, 35, 99) == [2e-3, 2e-3, 5e-4, 5e-4]
    assert len(curve(stage).pieces) == 8


def test_ten_thousand_pieces_are_the_most() -> None:
    def times(count: int) -> list[Tree]:
        again = {"shape": "constant", "from": "1e-3", "for": "1 steps"}
        inner = {"repeat": [again, again], "times": count // 200}
        return [{"repeat": [inner], "times": 100}, HOLD]

    stage = plan_of({"base": {**FREE, "steps": 20_000, "lr": times(9_800)}}).stage("base")
    assert len(curve(stage).pieces) == 9_801
    words = message_of({"base": {**FREE, "steps": 20_000, "lr": times(10_200)}})
    assert "this curve has more than 10,000 pieces" in words
    bomb: Any = {"shape": "constant", "from": 1, "for": "1 steps"}
    for _ in range(20):
        bomb = {"repeat": [bomb], "times": 9_000}
    assert rules_of({"base": {**BASE, "lr": [bomb]}}) == ["too-many-pieces"]


@pytest.mark.parametrize(
    ("piece", "words"),
    [
        ({"repeat": [HOLD], "times": 2}, "a piece that comes again has a length of its own"),
        ({"repeat": [{**HOLD, "until": "5%"}], "times": 2}, "has a length of its own"),
        ({"repeat": [{**HOLD, "for": "5%"}]}, "`repeat` says how many `times`"),
        ({"repeat": [{**HOLD, "for": "5%"}], "times": 0}, "pieces come once at least"),
        ({"repeat": 5, "times": 2}, "`repeat` holds a list of pieces"),
        ({"repeat": [], "times": 2}, "`repeat` holds a list of pieces"),
        ({"repeat": [HOLD], "times": 2, "for": "5%"}, "repeats pieces has no `for` of its own"),
        ({"shape": "constant", "from": 1, "times": 2}, "this constant piece reads no `times`"),
        ({"shape": "linear", "from": 1, "to": 0, "power": 2}, "this linear piece reads no `power`"),
        ({"shape": "power", "from": 1, "to": 0}, "a power piece says its `power`"),
        ({"shape": "power", "from": 1, "to": 0, "power": 0}, "a power lies in 0..100"),
        ({"shape": "inverse", "from": 1, "to": 0}, "the shape inverse stays above 0"),
        ({"shape": "inverse", "from": 1}, "a inverse piece says where it ends"),
    ],
)
def test_a_piece_that_cannot_be_is_refused(piece: Tree, words: str) -> None:
    assert words in message_of({"base": {**BASE, "lr": [piece]}})


def test_powers_and_inverses_run_to_their_ends() -> None:
    cube = [{"shape": "power", "from": "1e-3", "to": 0, "power": 3}]
    assert lr(plan_of({"base": {**BASE, "lr": cube}}).stage("base"), 0, 50, 100) == [
        1e-3, 1.25e-4, 0.0,
    ]  # fmt: skip
    plan = plan_of({"base": {**BASE, "lr": [{"shape": "inverse", "from": "1e-3", "to": "25%"}]}})
    assert lr(plan.stage("base"), 0, 100) == [1e-3, 2.5e-4]
    assert lr(plan.stage("base"), 50)[0] == pytest.approx(4e-4, rel=1e-15)
    require_same_from_lock(plan)


# What is left, stretched


def stretched(*pieces: Tree, init: str = "base@50%") -> Tree:
    stages = {
        "base": BASE,
        "next": {**NEXT, "init": init, "tokens": 64_000, "lr": "longer"},
    }
    main = [WARM, {"shape": "linear", "to": 0, "until": 64_000}, HOLD]
    return {"stages": stages, "schedules": {"main": main, "longer": list(pieces)}}


def test_what_was_left_is_drawn_out_to_a_new_end_on_the_same_clock() -> None:
    plan = plan_of(**stretched({"stretch": "main", "until": 96_000}))
    base, child = plan.stage("base"), plan.stage("next")
    assert lr(child, 0) == lr(base, 50)
    # 50 steps of base were left, they take 100 here.
    assert lr(child, 50)[0] == pytest.approx(lr(base, 75)[0], rel=1e-14)
    assert lr(child, 100) == lr(base, 100) == [0.0]
    ride = child.rides["llm"]
    assert (ride.instance, ride.tokens_before, ride.steps_before) == ("next", 32_000, 50)
    assert curve(child).pieces[0].behind == Fraction(32_000 - 6_400, 64_000 - 6_400)
    assert list(carried_modules_go_on_at_their_rate(plan)) == []
    require_same_from_lock(plan)
    open_end = plan_of(**stretched({"stretch": "main"}))
    assert lr(open_end.stage("next"), 0, 50, 100) == lr(child, 0, 50, 100)
    short = plan_of(**stretched({"stretch": "main", "for": 32_000}, HOLD))
    assert lr(short.stage("next"), 0, 25, 50) == lr(base, 50, 75, 100)


def test_a_stretched_piece_runs_on_through_riders_and_may_be_stretched_again() -> None:
    more = {
        "mid": {**NEXT, "init": "next@25%", "keep": "next", "tokens": 16_000},
        "last": {**NEXT, "init": "mid@90%", "keep": "mid", "tokens": 64_000, "lr": "longest"},
    }
    found = stretched({"stretch": "main", "until": 96_000}, HOLD)
    found["stages"] |= more
    found["schedules"]["longest"] = [{"stretch": "longer", "until": 200_000}]
    plan = plan_of(**found)
    base, child, mid, last = (plan.stage(name) for name in ("base", "next", "mid", "last"))
    assert (mid.rides["llm"].instance, mid.rides["llm"].tokens_before) == ("next", 48_000)
    assert lr(mid, 0) == lr(child, 25)
    assert lr(last, 0) == lr(mid, mid.batch.step_at_tokens(14_400))  # bit for bit
    assert lr(mid, 0)[0] == pytest.approx(lr(base, 62)[0], rel=0.02)
    assert list(carried_modules_go_on_at_their_rate(plan)) == []
    require_same_from_lock(plan)


@pytest.mark.parametrize(
    ("pieces", "init", "words"),
    [
        (
            [{"stretch": "main", "until": 96_000}, HOLD],
            "base",
            None,
        ),
        (
            [{"stretch": "mian", "until": 96_000}],
            "base@50%",
            "there is no schedule `mian`",
        ),
        (
            [{"stretch": "other", "until": 96_000}],
            "base@50%",
            "no parent of stage `next` rode on `other`: nothing of it is left to stretch",
        ),
        (
            [WARM, {"stretch": "main", "until": 96_000}],
            "base@50%",
            "`stretch` is the first piece of a schedule under a name",
        ),
        (
            [{"stretch": "main", "until": 96_000, "to": 0}],
            "base@50%",
            "what is left of another schedule's piece reads no `to`",
        ),
        (
            [{"stretch": "main", "until": 20_000}, HOLD],
            "base@50%",
            "this piece ends where or before it starts",
        ),
    ],
)
def test_a_stretch_that_cannot_be_is_refused(
    pieces: list[Tree], init: str, words: str | None
) -> None:
    found = stretched(*pieces, init=init)
    found["schedules"]["other"] = [WARM, HOLD]
    if words is None:  # at its end the next piece has begun: a constant, which is drawn out too
        assert lr(plan_of(**found).stage("next"), 0, 50) == [0.0, 0.0]
    else:
        assert words in message_of(**found)


def test_a_piece_that_was_over_or_has_no_end_is_not_stretched() -> None:
    found = stretched({"stretch": "main", "until": 96_000}, init="base")
    found["schedules"]["main"] = [WARM, {"shape": "linear", "to": 0}]
    assert "`main` had come to its end where stage `base` was left" in message_of(**found)
    found["schedules"]["main"] = [WARM, {"shape": "rsqrt", "timescale": "9 steps"}]
    assert "the piece in which `main` was left has no end to draw out" in message_of(**found)
    found["stages"]["base"] = {**BASE, "lr": {"llm": "main", "llm/norms": "1e-4"}}
    found["schedules"]["main"] = [WARM, {"shape": "linear", "to": 0}]
    found["stages"]["next"]["init"] = "base@50%"
    found["stages"]["next"]["lr"] = {"llm": "longer", "llm/norms": "longer"}
    words = message_of(**found)
    assert "`llm/norms` did not ride on `main` in stage `base`" in words


def test_what_is_unknown_is_unknown_when_it_is_stretched() -> None:
    found = stretched({"stretch": "main", "until": 96_000})
    found["schedules"]["main"] = [WARM, {"shape": "linear", "to": "unknown", "until": 64_000}]
    assert plan_of(**found).stage("next").at(3).lr == {"llm": None}


# With the batch


def doubled(how: str | None, **more: Any) -> Plan:
    batch = [{"seqs": 5, "until": "50%"}, {"seqs": 10}]
    ride = {"schedule": "main", **({"with_batch": how} if how else {})}
    stages = {
        "base": {**BASE, "batch": batch, "lr": ride},
        "next": {**NEXT, "tokens": 64_000, "batch": {"seqs": 20}, **more},
    }
    return plan_of(stages, schedules={"main": [WARM, HOLD]})


def test_a_rate_follows_its_batch_from_the_first_step_of_its_clock_on() -> None:
    linear, root, said = (doubled(how) for how in ("linear", "sqrt", "none"))
    base, child = linear.stages
    assert lr(base, 5, 99, 100, 150) == [5e-4, 1e-3, 2e-3, 2e-3]
    assert lr(child, 0, 50) == [4e-3, 4e-3]
    base, child = root.stages
    assert lr(base, 99, 100) == [1e-3, pytest.approx(1e-3 * sqrt(2), rel=1e-15)]
    assert lr(child, 0) == [2e-3]
    assert list(carried_modules_go_on_at_their_rate(root)) == []
    assert lr(said.stage("next"), 0) == [1e-3]
    unsaid = doubled(None)
    assert said.stages[0].lr == unsaid.stages[0].lr
    assert said.stages[0].rides["llm"].with_batch == "none"
    for plan in (linear, root, said, unsaid):
        require_same_from_lock(plan)
    assert with_digests(linear).digest != root.digest


def test_a_rate_that_jumps_by_another_factor_than_the_batch_is_told() -> None:
    plan = doubled("sqrt", lr={"schedule": "main", "with_batch": "linear"})
    (found,) = carried_modules_go_on_at_their_rate(plan)
    assert "begins at LR 0.004, where `base` left it at 0.00141421" in found.message


def test_a_stretched_rate_follows_the_batch_from_the_first_step_of_the_old_clock_on() -> None:
    found = stretched({"stretch": "main", "until": 96_000})
    found["stages"]["base"] = {
        **BASE, "batch": [{"seqs": 5, "until": "20%"}, {"seqs": 10}],
        "lr": {"schedule": "main", "with_batch": "linear"},
    }  # fmt: skip
    found["stages"]["next"] |= {
        "batch": {"seqs": 20}, "lr": {"schedule": "longer", "with_batch": "linear"},
    }  # fmt: skip
    plan = plan_of(**found)
    base, child = plan.stage("base"), plan.stage("next")
    left = lr(base, base.batch.step_at_tokens(32_000))[0]
    assert left is not None
    assert lr(child, 0) == [2 * left]


def test_other_words_for_following_the_batch_are_refused() -> None:
    ride = {"schedule": "main", "with_batch": "square"}
    assert "`square` is not one of the words for this" in message_of({"base": {**BASE, "lr": ride}})


# Values over the steps of the optimizer's state


def with_values(optimizer: Tree, **stages: Tree) -> Plan:
    chosen = {"adam": {"kind": "adamw", "weight_decay": ".1", **optimizer}}
    held = {"main": [WARM, HOLD]}
    return plan_of({"base": BASE, **stages}, optimizers=chosen, schedules=held)


RISE = [{"shape": "linear", "from": 0, "to": ".1", "for": "150 steps"}, HOLD]


def test_a_value_runs_over_the_steps_of_the_state() -> None:
    later: Tree = {"tokens": 64_000}
    plan = with_values(
        {"weight_decay": RISE},
        mark={**NEXT, **later, "init": "base@30%"},
        anew={**NEXT, **later, "carry": "none", "seed": 1},
    )
    decays = {
        s.name: [s.at(x).optimizer["llm"]["weight_decay"] for x in (0, 45)] for s in plan.stages
    }
    assert decays["base"] == [0.0, pytest.approx(0.03)]
    assert decays["mark"] == [pytest.approx(0.02), pytest.approx(0.05)]
    assert decays["anew"] == decays["base"]
    assert plan.stage("base").optimizer["llm"].values.keys() == {
        "beta1", "beta2", "eps", "clip_norm",
    }  # fmt: skip
    require_same_from_lock(plan)
    other = with_values({"weight_decay": [{**RISE[0], "to": ".2"}, HOLD]})
    assert other.digest != with_values({"weight_decay": RISE}).digest


def test_a_value_waits_while_its_module_is_frozen_and_runs_in_tokens_too() -> None:
    frozen = {
        "init": {"llm": "base", "vit": "new", "projector": "new"}, "keep": "base", "carry": "all",
        "train": ["projector"], "tokens": 6_400, "lr": "1e-3",
    }  # fmt: skip
    thawed = {
        "init": {"llm": "frozen"}, "keep": "base", "carry": "all", "tokens": 64_000, "lr": "main",
    }  # fmt: skip
    in_tokens = [{**RISE[0], "for": 96_000}, HOLD]
    plan = with_values({"weight_decay": in_tokens}, frozen=frozen, thawed=thawed)
    assert plan.stage("thawed").at(0).optimizer["llm"]["weight_decay"] == pytest.approx(2 / 30)
    assert plan.stage("frozen").at(5).optimizer["projector"]["weight_decay"] == pytest.approx(
        1 / 300
    )


def test_a_part_may_have_a_curve_of_its_own_and_must_where_states_differ_in_age() -> None:
    own = {"llm/norms": {"kind": "adamw", "weight_decay": 0, "beta1": RISE}}
    stage = with_values(own).stage("base")
    assert stage.at(75).optimizer["llm/norms"]["beta1"] == pytest.approx(0.05)
    assert stage.at(75).optimizer["llm"]["beta1"] == 0.9
    head = {**BASE, "train": ["llm/head"], "lr": {"llm/head": "main"}}
    more = {**NEXT, "tokens": 6_400, "train": ["llm"], "lr": "main"}
    words = message_of(
        {"base": head, "next": more}, optimizers={"adam": {"kind": "adamw", "weight_decay": RISE}}
    )
    assert "states of `llm` have seen 0 and 100 steps where stage `next` begins" in words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([{**RISE[0], "to": "-1"}, HOLD], "`weight_decay` is not negative, this is -1"),
        ([{**RISE[0], "for": "10%"}, HOLD], "has no end that a share could be of"),
        ([{"shape": "linear", "from": 0, "to": 1}], "only the last piece of an optimizer's curve"),
        ([{**HOLD, "from": "current"}], "`current` is a learning rate's; say the value here"),
        ([{**RISE[0], "for": "9 steps"}], "goes on for 58.2K tokens after this curve ends"),
        (
            [{"stretch": "main", "for": "9 steps"}, HOLD],
            "`stretch` is the first piece of a schedule",
        ),
        ([{**HOLD, "from": 1, "for": "1 apples"}, HOLD], "is not an amount"),
        ({"shape": "constant"}, "the first piece of a curve says where it starts"),
    ],
)
def test_a_curve_of_a_value_that_cannot_be_is_refused(value: Any, words: str) -> None:
    found = message_of(
        {"base": BASE}, optimizers={"adam": {"kind": "adamw", "weight_decay": value}}
    )
    assert words in found


def test_a_curve_needs_to_know_how_old_a_state_from_outside_is() -> None:
    stages = {
        "given": {"checkpoint": {"gives": ["llm"], "state": ["llm"], "lr": {"llm": "1e-3"}}},
        "base": {**BASE, "init": {"llm": "given"}, "carry": "all", "lr": "1e-3"},
    }
    words = message_of(stages, optimizers={"adam": {"kind": "adamw", "weight_decay": RISE}})
    assert "nobody knows how many steps the optimizer's state of `llm` has seen" in words


def test_optimizers_say_what_they_need() -> None:
    slow = {"kind": "ademamix", "weight_decay": ".1", "alpha": 8}
    words = message_of({"base": BASE}, optimizers={"adam": slow})
    assert "optimizer `adam` says no `beta3`" in words
    plan = plan_of({"base": BASE}, optimizers={"adam": {**slow, "beta3": ".9999"}})
    values = plan.stage("base").at(0).optimizer["llm"]
    assert values == {
        "alpha": 8, "beta1": 0.9, "beta2": 0.999, "beta3": 0.9999, "clip_norm": None, "eps": 1e-8,
        "weight_decay": 0.1,
    }  # fmt: skip
    switch = {"kind": "muon", "update_rms": ".2", "weight_decay": ".1", "ns_steps": RISE}
    assert "`ns_steps` is one value, and no curve" in message_of(
        {"base": BASE}, optimizers={"adam": switch}
    )
    clipped = {"kind": "muon", "update_rms": ".2", "weight_decay": ".1", "qk_clip": 100}
    plan = plan_of({"base": BASE}, optimizers={"adam": clipped})
    assert plan.stage("base").optimizer["llm"].values["qk_clip"] == 100
    without = {key: value for key, value in clipped.items() if key != "qk_clip"}
    plan = plan_of({"base": BASE}, optimizers={"adam": without})
    assert "qk_clip" not in plan.stage("base").optimizer["llm"].values


def test_a_value_that_nobody_knows_stops_the_training_and_not_the_plan() -> None:
    unknown = [{**RISE[0], "to": "unknown"}, HOLD]
    plan = with_values({"weight_decay": unknown})
    assert plan.stage("base").at(3).optimizer["llm"]["weight_decay"] is None
    assert not plan.is_executable
