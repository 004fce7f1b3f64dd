from fractions import Fraction
from typing import Any

import pytest

from curriculum.compile import compile_text
from curriculum.plan import Plan, Start
from small import BASE, EYES, WARM, compiled, message_of, plan_of, right, rules_of
from strategies import Tree

NEXT: Tree = {"init": "base", "keep": "base", "carry": "all", "tokens": 32_000}


def two(base: Tree | None = None, more: Tree | None = None, **plan: Any) -> Plan:
    """Return a plan of a stage `base` and one that keeps it, `next`."""
    return plan_of({"base": {**BASE, **(base or {})}, "next": {**NEXT, **(more or {})}}, **plan)


# Budgets and batches


@pytest.mark.parametrize(
    ("budget", "steps", "asked"),
    [
        ({"tokens": 64_000}, 100, 64_000),
        ({"tokens": 64_001}, 101, 64_001),
        ({"tokens": 64_639, "round": "down"}, 100, 64_639),
        ({"tokens": 64_639, "round": "up"}, 101, 64_639),
        ({"tokens": "12.8K"}, 20, 12_800),
        ({"steps": 37}, 37, 37 * 640),
        ({"seqs": 371}, 38, 371 * 64),
    ],
)
def test_a_budget_becomes_whole_steps(budget: Tree, steps: int, asked: int) -> None:
    base = {k: v for k, v in BASE.items() if k != "tokens"}
    stage = plan_of({"base": {**base, **budget}}).stage("base")
    assert (stage.steps, stage.budget.tokens) == (steps, asked)


@pytest.mark.parametrize(
    ("until", "first_step"),
    [("step 30", 30), (12_800, 20), (12_801, 21), ("25%", 25), ("30 steps", 30)],
)
def test_a_batch_changes_at_a_mark(until: Any, first_step: int) -> None:
    batch = [{"seqs": 10, "until": until}, {"seqs": 20}]
    stage = plan_of({"base": {**BASE, "batch": batch}}).stage("base")
    assert [p.first_step for p in stage.batch.pieces] == [0, first_step]
    assert stage.at(first_step - 1).batch_seqs == 10
    assert stage.at(first_step).batch_seqs == 20
    assert stage.at(first_step).tokens == first_step * 640


def test_a_budget_in_steps_with_a_batch_that_changes_at_a_share_of_it() -> None:
    base = {k: v for k, v in BASE.items() if k != "tokens"}
    batch = [{"seqs": 10, "until": "50%"}, {"seqs": 20}]
    found = compiled({"base": {**base, "steps": 90, "batch": batch}})
    assert found.plan is None  # half of the tokens is not half of the steps: say which
    assert [f.rule for f in found.findings] == ["batch-mark"]


def test_a_batch_in_tokens_is_whole_sequences() -> None:
    assert plan_of({"base": {**BASE, "batch": {"tokens": 640}}}) == plan_of({"base": BASE})
    words = message_of({"base": {**BASE, "batch": {"tokens": "16M"}, "seq_len": 4096}})
    assert "`16M` are 3906.25 sequences of 4096" in words
    assert " or 16Mi (4096 sequences)?" in words


def test_less_than_a_step_is_refused() -> None:
    words = message_of({"base": {**BASE, "tokens": 500, "round": "down"}})
    assert "asks for 500 tokens, less than one step of 640 tokens" in words


def test_a_context_of_8k_is_refused() -> None:
    assert "`8K` is 8000; did you mean 8Ki (8192)?" in message_of(
        {"base": {**BASE, "seq_len": "8K"}}
    )


# keep


def test_what_is_not_said_is_as_the_ancestor_left_it() -> None:
    curve = [{"shape": "linear", "from": 2, "to": 1}]
    batch = [{"seqs": 5, "until": "step 30"}, {"seqs": 10}]
    plan = two({"loss": {"next_token": curve}, "batch": batch})
    base, child = plan.stage("base"), plan.stage("next")
    assert child.at(0).batch_seqs == child.at(49).batch_seqs == 10
    assert child.at(0).loss == child.at(49).loss == {"next_token": 1.0}  # its end, not its curve
    assert child.at(0).settings == {"llm/router.bias_rate": 1e-3}
    assert (child.rope, child.packing) == (base.rope, "best-fit")
    assert child.train == ("llm",)
    assert child.optimizer == base.optimizer
    assert child.at(0).ratios == {"a": 0.75, "b": 0.25}


def test_at_a_mark_keep_is_the_value_there() -> None:
    base = {
        "loss": {"next_token": [{"shape": "linear", "from": 2, "to": 1}]},
        "set": {"llm/router": {"bias_rate": [{"shape": "linear", "from": 1, "to": 0}]}},
        "batch": [{"seqs": 5, "until": 32_000}, {"seqs": 10}],
        "lr": [{"shape": "linear", "from": "1e-3", "to": 0}],
        "mixture": {"a": [{"shape": "linear", "from": 0, "to": 1}], "b": "rest"},
    }
    plan = two(base, {"init": "base@25%"})
    base_stage, child = plan.stage("base"), plan.stage("next")
    assert child.init == {"llm": Start("base", 50, carries_state=True)}
    left = base_stage.at(50)
    assert left.tokens == 16_000
    assert child.at(0).loss == child.at(60).loss == left.loss == {"next_token": 1.75}
    assert child.at(0).settings == left.settings == {"llm/router.bias_rate": 0.75}
    assert child.at(0).lr == child.at(60).lr == left.lr == {"llm": 7.5e-4}
    assert child.at(60).ratios == left.ratios == {"a": 0.25, "b": 0.75}
    assert child.at(0).batch_seqs == 5
    end = two(base).stage("next")
    assert (end.at(0).batch_seqs, end.at(0).ratios) == (10, {"a": 1.0, "b": 0.0})


def test_keep_may_name_a_mark_of_its_own() -> None:
    base = {"batch": [{"seqs": 5, "until": 32_000}, {"seqs": 10}]}
    assert two(base, {"keep": "base@10%"}).stage("next").at(0).batch_seqs == 5


def _way_out(**more: Any) -> str | None:
    """Return the help of the first error of a stage that comes after `base`."""
    said = {key: value for key, value in {**NEXT, **more}.items() if value is not None}
    return compiled({"base": BASE, "next": said}).findings[0].help


def test_keep_names_an_ancestor() -> None:
    stages = {"base": BASE, "other": BASE, "next": {**NEXT, "keep": "other"}}
    assert rules_of(stages) == ["keep-ancestor"]
    (found,) = compiled(stages).findings
    assert found.message == "`keep: other` names no stage that `init` reaches"
    assert found.help == "let `init` take a module from `other`, or keep its ancestor: base"
    assert _way_out(keep="bas") == "did you mean `base`?"
    assert _way_out(keep="nobody") == "keep its ancestor: base"
    assert _way_out(init="{llm: new}", carry=None, keep="nobody") == (
        "leave `keep` out and say all keys here: `init` reaches no stage that trains"
    )
    chain = {"base": BASE, "next": NEXT, "last": {**NEXT, "init": "next"}}
    assert plan_of(chain).stage("last").at(0).batch_seqs == 10  # further up is an ancestor too


def test_a_new_context_needs_a_batch() -> None:
    assert rules_of({"base": BASE, "next": {**NEXT, "seq_len": 128}}) == ["batch-with-context"]
    tokens = two(None, {"seq_len": 128, "batch": {"tokens": "keep"}}).stage("next").at(0)
    assert (tokens.batch_seqs, tokens.seq_len, tokens.tokens_per_step) == (5, 128, 640)
    seqs = two(None, {"seq_len": 128, "batch": {"seqs": "keep"}}).stage("next").at(0)
    assert (seqs.batch_seqs, seqs.tokens_per_step) == (10, 1280)
    stages = {"base": BASE, "next": {**NEXT, "seq_len": 256, "batch": {"tokens": "keep"}}}
    assert "640 tokens a step are 2.5 sequences of 256" in message_of(stages)


def test_what_is_neither_said_nor_kept_is_an_error() -> None:
    bare = {"init": {"llm": "new"}, "tokens": 64_000, "train": ["llm"]}
    words = message_of({"base": bare})
    assert "does not say `optimizer`, `loss`, `lr`, `seq_len`, `batch`, `packing`, `rope`" in words


# Dotted keys


def test_a_dotted_key_changes_one_thing_of_what_is_kept() -> None:
    eyes = {"base": BASE, "eyes": {**EYES, "seed": 1}}
    joint = {
        **BASE,
        "init": {"llm": "base", "vit": "eyes", "projector": "new"},
        "carry": "all",
        "train": ["llm", "vit", "projector"],
        "loss": {"next_token": 1},
        "mixture": {"old": {"ratio": ".5", "of": {"a": ".5", "b": "rest"}}, "c": "rest"},
        "seed": 2,
    }
    last = {
        "init": "joint",
        "keep": "joint",
        "carry": "all",
        "tokens": 32_000,
        "rope.llm.base": "800_000",
        "loss.next_token": "2",
        "set.llm/router.bias_rate": "0",
        "lr.vit": "1e-5",
        "mixture.old.ratio": ".25",
        "mixture.old.a": ".125",
        "mixture.old.b": "rest",
        "mixture.c": "rest",
    }
    plan = plan_of({**eyes, "joint": joint, "last": last})
    before, after = plan.stage("joint"), plan.stage("last")
    assert after.rope["llm"].base == 800_000
    assert before.rope["llm"].base == 50_000
    assert after.at(0).loss == {"next_token": 2.0}
    assert after.at(0).settings == {"llm/router.bias_rate": 0.0}
    assert after.at(0).lr == {**before.at(before.steps).lr, "vit": 1e-5}
    assert after.at(0).shares == {"old": 0.25, "old/a": 0.03125, "old/b": 0.21875, "c": 0.75}


def test_a_dotted_lr_replaces_a_kept_value() -> None:
    plan = two({"lr": "3e-4"}, {"lr.llm": "1e-4"})
    assert plan.stage("next").at(0).lr == {"llm": 1e-4}


@pytest.mark.parametrize(
    "key",
    [
        "rope.vit.base",
        "rope.llm",
        "loss.caption",
        "loss.next_token.to",
        "mixture.nothing",
        "mixture.ratio",
        "lr.llm.to",
        "set.llm/router",
    ],
)
def test_a_dotted_key_that_reaches_nothing_is_refused(key: str) -> None:
    assert rules_of({"base": BASE, "next": {**NEXT, key: "0.5"}}) == ["dotted-key"]


def test_dotted_keys_change_what_is_kept_and_nothing_else() -> None:
    assert rules_of({"base": {**BASE, "rope.llm.base": "2"}}) == ["dotted-key"]
    assert rules_of({"base": BASE, "next": {**NEXT, "optimizer.kind": "adamw"}}) == ["dotted-key"]


# init and carry


def test_modules_come_from_where_init_says() -> None:
    stages = {
        "seen": {"checkpoint": {"gives": ["vit", "captioner"]}},
        "base": BASE,
        "eyes": {**EYES, "init": {"vit": "seen", "captioner": "seen"}},
        "joint": {
            **BASE,
            "init": {"llm": "base@50%", "vit": "eyes", "projector": "new"},
            "carry": ["vit"],
            "lr": {"schedule": "towers", "restart": "true"},
            "train": ["projector", "llm"],
            "seed": 3,
        },
    }
    plan = plan_of(stages)
    joint = plan.stage("joint")
    assert joint.init == {
        "llm": Start("base", 50),
        "projector": Start(None),
        "vit": Start("eyes", 100, carries_state=True),
    }
    assert joint.train == ("llm", "projector")
    assert joint.modules == ("llm", "projector", "vit")  # by name, frozen ones too
    assert [o.name for o in plan.outside] == ["seen"]
    assert [(s.name, step) for s, step in plan.ancestors("joint")] == [("base", 50), ("eyes", 100)]


@pytest.mark.parametrize(
    ("carry", "carried"),
    [("all", ["llm", "vit"]), ("none", []), (["llm"], ["llm"]), ("vit", ["vit"])],
)
def test_carry_says_whose_optimizer_state_comes_along(carry: Any, carried: list[str]) -> None:
    joint = {
        **BASE,
        "init": {"llm": "base", "vit": "eyes", "projector": "new"},
        "carry": carry,
        "train": ["llm", "vit", "projector"],
    }
    plan = plan_of({"base": BASE, "eyes": EYES, "joint": joint})
    init = plan.stage("joint").init
    assert [m for m, start in init.items() if start.carries_state] == carried


def test_carry_is_said_wherever_a_parent_trained_the_module() -> None:
    bare = {k: v for k, v in NEXT.items() if k != "carry"}
    words = message_of({"base": BASE, "next": bare})
    assert "does not say whether the optimizer state of llm comes along" in words
    assert "add `carry: all`, `carry: none` or `carry: [llm]`" in words
    assert rules_of({"base": BASE, "next": {**NEXT, "carry": ["vit"]}}) == ["carry-without-state"]


def test_state_that_a_frozen_stage_carried_can_be_carried_on() -> None:
    frozen = {
        **BASE,
        "init": {"llm": "base", "vit": "new", "projector": "new"},
        "carry": "all",
        "train": ["projector"],
    }
    last = {**BASE, "init": {"llm": "mid"}, "carry": ["llm"]}
    plan = plan_of({"base": BASE, "mid": frozen, "last": last})
    assert plan.stage("last").init["llm"] == Start("mid", 100, carries_state=True)


def test_the_state_of_a_frozen_module_rests_where_nothing_is_said_of_it() -> None:
    given = {"outside": {"checkpoint": {"gives": ["vit"], "state": ["vit"]}}}
    both = {"llm": "base", "vit": "outside", "projector": "new"}
    bare = {k: v for k, v in BASE.items() if k != "set"}
    frozen = {**bare, "init": both, "train": ["projector"]}
    plan = plan_of({**given, "base": BASE, "mid": frozen})
    carried = {m: s.carries_state for m, s in plan.stage("mid").init.items()}
    assert carried == {"llm": True, "projector": False, "vit": True}

    # The stage that trains it next decides: carried on, or begun anew.
    last = {**BASE, "init": {"llm": "mid"}}
    kept = plan_of({**given, "base": BASE, "mid": frozen, "last": {**last, "carry": ["llm"]}})
    assert kept.stage("last").init["llm"] == Start("mid", 100, carries_state=True)
    anew = plan_of({**given, "base": BASE, "mid": frozen, "last": {**last, "carry": "none"}})
    assert anew.stage("last").init["llm"] == Start("mid", 100)
    assert rules_of({**given, "base": BASE, "mid": frozen, "last": last}) == ["carry-unsaid"]

    # What is said is said of all modules; what is kept may say what is trained, too.
    for said in ("none", ["vit"]):
        mid = {**frozen, "carry": said}
        found = plan_of({**given, "base": BASE, "mid": mid}).stage("mid").init
        assert not found["llm"].carries_state
    again = {"init": "mid", "keep": "mid", "tokens": 64_000, "lr": "1e-4", "carry": ["projector"]}
    plan_of({**given, "base": BASE, "mid": frozen, "again": again})
    unsaid = {k: v for k, v in again.items() if k != "carry"}
    words = message_of({**given, "base": BASE, "mid": frozen, "again": unsaid})
    assert "does not say whether the optimizer state of projector comes along" in words


def test_a_refused_stage_that_freezes_a_module_is_not_asked_for_its_state() -> None:
    frozen = {
        **{k: v for k, v in BASE.items() if k != "set"},
        "init": {"llm": "base", "projector": "new"},
        "train": ["projector"],
        "mixture": {"nothing": 1},
    }
    assert rules_of({"base": BASE, "mid": frozen}) == ["unknown-source"]


@pytest.mark.parametrize(
    ("init", "rule"),
    [
        ({"llm": "nobody"}, "missing-parent"),
        ({"vit": "base"}, "parent-lacks-module"),
        ({"eye": "new", "llm": "base"}, "unknown-module"),
        ("base@64_001", None),  # the last step begins before: still the end
        ("base@64_700", "mark-beyond-stage"),
        ("base@step 102", "mark-beyond-stage"),
        ("base@110%", "mark-beyond-stage"),
        ("base@3 seqs", "wrong-unit"),
        ("base@soon", "wrong-value"),
    ],
)
def test_a_parent_exists_and_gives_what_is_asked_of_it(init: Any, rule: str | None) -> None:
    stages = {"base": {**BASE, "lr": "towers", "tokens": 64_100}, "next": {**NEXT, "init": init}}
    if rule is None:
        assert plan_of(stages).stage("next").init["llm"].step == 101
    else:
        assert rules_of(stages)[0] == rule


def test_the_end_of_a_stage_that_was_rounded_down_can_be_named_as_a_share() -> None:
    base = {**BASE, "lr": "towers", "tokens": 64_100, "round": "down"}
    for mark in ("", "@end", "@100%", "@64_100"):
        plan = plan_of({"base": base, "next": {**NEXT, "init": f"base{mark}"}})
        assert plan.stage("next").init["llm"].step == 100


def test_a_cycle_is_refused_with_its_names() -> None:
    one, other = {**NEXT, "init": "b", "keep": "b"}, {**NEXT, "init": "a", "keep": "a"}
    found = compiled({"a": one, "b": other})
    assert [f.rule for f in found.findings] == ["cycle"]
    assert "stage `a` follows itself in the end (a -> b -> a)" in str(found.findings[0])
    assert [r.message for r in found.findings[0].related] == [
        "`a` comes after `b` by `init`",
        "`b` comes after `a` by `init`",
    ]
    assert all(r.span.file == "plan.yaml" and r.span.line > 1 for r in found.findings[0].related)


def test_each_cycle_is_told_once_and_what_follows_it_is_not_on_it() -> None:
    stages = {
        "a": {**NEXT, "init": "b", "keep": "b"},
        "b": {**NEXT, "init": "a", "keep": "a"},
        "after": {**NEXT, "init": "a", "keep": "a"},
        "alone": {**NEXT, "init": "base", "keep": "alone"},
        "base": BASE,
    }
    found = compiled(stages).findings
    assert [(f.rule, f.message.partition("(")[2]) for f in found] == [
        ("cycle", "a -> b -> a)"),
        ("cycle", "alone -> alone)"),
    ]


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"train": ["vit"]}, "trains-what-it-lacks"),
        ({"train": []}, "trains-nothing"),
        ({"train": ["llm/wings"]}, "unknown-part"),
        ({"optimizer": "sgd"}, "unknown-optimizer"),
        ({"lr": "nowhere"}, "unknown-schedule"),
        ({"lr": {"vit": "main"}}, "lr-of-untrained"),
        ({"lr": {"llm/norms": "1e-3"}}, "lr-missing"),
        ({"loss": {}}, "no-loss"),
        ({"rope": "none"}, "rope-unsaid"),
        ({"rope": {"llm": {"base": 1}}}, "wrong-value"),
        ({"set": {"llm": {"bias_rate": 1}}}, "unknown-setting"),
        ({"set": {"vit/router": {"bias_rate": 1}}}, "set-of-absent"),
        ({"count": "vit"}, "count-unknown"),
        ({"mixture": {"z": 1}}, "unknown-source"),
        ({"steps": 3}, "one-budget"),
        ({"lr": {"schedule": "main", "scale": "unknown"}}, "wrong-value"),
        ({"lr": [{"shape": "linear", "from": "current", "to": 0}]}, "current"),
        ({"loss": {"next_token": [{"shape": "linear", "from": "current", "to": 0}]}}, "current"),
    ],
)
def test_a_stage_that_cannot_be_is_refused(change: Tree, rule: str) -> None:
    assert rule in rules_of({"base": {**BASE, **change}})


def test_a_stage_that_keeps_training_nothing_is_refused() -> None:
    eyes_only = {"init": {"vit": "mid"}, "keep": "mid", "carry": "none", "tokens": 64_000}
    stages = {
        "base": BASE,
        "mid": {**BASE, "init": {"llm": "base", "vit": "new"}, "carry": "all"},
        "next": {**eyes_only, "count": "vit", "rope": "none"},
    }
    assert "trains-nothing" in rules_of(stages)


# Tokens are those of the LLM, or of the ViT where there is none


def test_without_an_llm_a_stage_says_whose_positions_it_counts() -> None:
    assert plan_of({"eyes": EYES}).stage("eyes").count == "vit"
    assert plan_of({"base": BASE}).stage("base").count == "llm"
    bare = {k: v for k, v in EYES.items() if k != "count"}
    assert rules_of({"eyes": bare}) == ["count-unsaid"]
    assert rules_of({"eyes": {**EYES, "count": "captioner"}}) == ["count-unknown"]


# Mixtures


def test_a_list_shares_by_size() -> None:
    stage = plan_of({"base": {**BASE, "mixture": ["a", "b"]}}).stage("base")
    assert stage.mixture.end_ratios() == {"a": Fraction(3, 4), "b": Fraction(1, 4)}
    group = {"g": {"ratio": "1/3", "of": ["a", "b"]}, "c": "rest"}
    stage = plan_of({"base": {**BASE, "mixture": group}}).stage("base")
    assert stage.mixture.end_ratios() == {
        "a": Fraction(1, 4), "b": Fraction(1, 12), "c": Fraction(2, 3),
    }  # fmt: skip
    assert rules_of({"base": {**BASE, "mixture": ["a", "c"]}}) == ["size-unknown"]


RAMP = [{"shape": "constant", "from": 0, "for": "25%"}, {"shape": "linear", "to": ".5"}]
MIXED: Tree = {
    "mm": {"ratio": RAMP, "of": {"c": 1}},
    "text": {"ratio": "rest", "of": {"a": ".8", "b": ".2"}},
}


@pytest.mark.parametrize(
    ("replay", "ratios"),
    [
        ("base", {"a": ".4", "b": ".1", "c": ".5"}),
        ("base@end", {"a": ".4", "b": ".1", "c": ".5"}),
        ("base@25%", {"a": ".8", "b": ".2", "c": 0}),
        ("base@step 40", {"a": ".72", "b": ".18", "c": ".1"}),
        ("base@40%/text", {"a": ".8", "b": ".2"}),
        ("base/text/a", {"a": 1}),
        ("base/mm", {"c": 1}),
    ],
)
def test_a_replay_is_the_mixture_at_its_end_or_mark_or_a_part_of_it(
    replay: str, ratios: Tree
) -> None:
    plan = two({"mixture": MIXED}, {"mixture": {"replay": replay}})
    known = {k: v for k, v in plan.stage("next").mixture.end_ratios().items() if k in ratios or v}
    assert known == {name: Fraction(x) for name, x in ratios.items()}
    assert plan.stage("next").at(0).ratios == plan.stage("next").at(49).ratios


def test_a_replay_in_a_group_takes_the_share_of_the_group() -> None:
    new = {
        "new": {"ratio": ".5", "of": {"b": 1}},
        "old": {"ratio": "rest", "of": {"replay": "base"}},
    }
    shares = two({"mixture": MIXED}, {"mixture": new}).stage("next").mixture.end_shares()
    assert shares["old/text/a"] == Fraction(1, 5)
    assert shares["old/mm/c"] == Fraction(1, 4)


@pytest.mark.parametrize("replay", ["nobody", "base/nothing", "base/text/z", "seen"])
def test_a_replay_of_nothing_is_refused(replay: str) -> None:
    stages = {
        "seen": {"checkpoint": {"gives": ["vit"]}},
        "base": {**BASE, "mixture": MIXED},
        "next": {**NEXT, "mixture": {"replay": replay}},
    }
    assert rules_of(stages) == ["replay-of-nothing"]


@pytest.mark.parametrize(
    ("mixture", "words"),
    [
        ({"a": ".77", "b": ".25"}, "sum to 1.02 (a 0.77, b 0.25)"),
        ({"a": "1/3", "b": "1/3"}, "sum to 2/3"),
        ({"a": "1.25", "b": "rest"}, "the ratio of `a` is 1.25"),
        ({"a": "rest", "b": "rest"}, "says `rest` twice (a, b)"),
        (
            {"a": [{"shape": "linear", "from": 0, "to": "1.1"}], "b": "rest"},
            "the ratio of `a` is 1.078 at step 98",
        ),
        ({"a": [{"shape": "linear", "from": ".1", "to": ".2"}], "b": ".9"}, "sum to"),
        ({"g": {"ratio": 1, "of": {"a": ".5", "b": ".4"}}}, "the shares of `g` sum to 0.9"),
    ],
)
def test_siblings_sum_to_one(mixture: Tree, words: str) -> None:
    found = compiled({"base": {**BASE, "mixture": mixture}})
    assert found.plan is None
    assert words in str(found.findings[0])


def test_a_wrong_sum_in_a_group_is_said_once_and_at_the_group() -> None:
    groups = {
        "f": {"ratio": ".5", "of": {"a": ".5", "b": ".5"}},
        "g": {"ratio": ".5", "of": {"a": ".5", "b": ".4"}},
    }
    (found,) = compiled({"base": {**BASE, "mixture": groups}}).findings
    assert "the shares of `g` sum to 0.9 (a 0.5, b 0.4)" in found.message
    assert found.span is not None
    outer = {"base": {**BASE, "mixture": {"a": ".5", "b": ".4"}}}
    (above,) = compiled(outer).findings
    assert above.span is not None
    assert found.span.column > above.span.column  # the place of the group, not of the mixture


def test_a_moving_ratio_does_not_hide_what_is_wrong_in_the_groups_beside_it() -> None:
    moving = [{"shape": "linear", "from": ".5", "to": ".4"}]
    groups = {
        "f": {"ratio": moving, "of": {"a": 1}},
        "g": {"ratio": "rest", "of": {"a": ".5", "b": ".4"}},
    }
    stages = {"base": {**BASE, "mixture": groups, "train": ["vit"]}}
    assert sorted(rules_of(stages)) == ["siblings-sum", "trains-what-it-lacks"]


def test_ratios_run_constant_or_linear() -> None:
    mixture = {"a": [{"shape": "cosine", "from": 0, "to": 1}], "b": "rest"}
    assert rules_of({"base": {**BASE, "mixture": mixture}}) == ["ratio-shape"]


# Optimizers and sources


def test_an_optimizer_is_what_is_said_and_the_table_of_defaults() -> None:
    muon = {
        "kind": "muon", "update_rms": ".2", "weight_decay": ".1", "nesterov": "false",
        "llm/norms": {"kind": "adamw", "weight_decay": 0, "beta2": ".99"},
    }  # fmt: skip
    plan = plan_of({"base": BASE}, optimizers={"adam": muon})
    stage = plan.stage("base")
    assert stage.optimizer_of("llm").values == {
        "momentum": 0.95, "nesterov": False, "ns_steps": 5, "beta1": 0.9, "beta2": 0.95,
        "eps": 1e-8, "clip_norm": None, "update_rms": 0.2, "weight_decay": 0.1,
    }  # fmt: skip
    assert stage.optimizer_of("llm/norms").values == {
        "beta1": 0.9, "beta2": 0.99, "eps": 1e-8, "clip_norm": None, "weight_decay": 0,
    }  # fmt: skip
    defaults = {p.path for p in plan.provenance if p.kind == "default"}
    assert "optimizers.adam.momentum" in defaults
    assert "optimizers.adam.nesterov" not in defaults
    assert "seed" in defaults


def test_a_holdout_leaves_less_to_read() -> None:
    sources = {"a": {"modality": "text", "tokens": "3M", "holdout": "2%"}}
    plan = plan_of({"base": {**BASE, "mixture": {"a": 1}}}, sources=sources)
    assert plan.sources["a"].holdout == Fraction(1, 50)
    assert plan.sources["a"].readable_tokens == 2_940_000
    bad = {"a": {"modality": "text", "tokens": "3M", "holdout": "102%"}}
    assert rules_of({"base": {**BASE, "mixture": {"a": 1}}}, sources=bad) == ["wrong-value"]


# Seeds


def test_a_stage_deals_with_its_ancestors_seed_or_its_own() -> None:
    stages = {"base": {**BASE, "seed": 5}, "next": NEXT, "eyes": EYES}
    plan = plan_of(stages, seed=2)
    found = {s.name: (s.seed, s.own_seed) for s in plan.stages}
    assert found == {"base": (5, True), "eyes": (2, False), "next": (5, False)}
    joint = {**BASE, "init": {"llm": "base", "vit": "eyes"}, "carry": "none", "lr": "1e-4"}
    assert rules_of({**stages, "joint": joint}, seed=2) == ["seeds-disagree"]


# unknown, and where values come from


def test_an_unknown_learning_rate_spreads_to_what_reads_it() -> None:
    later = {"lr": [{"shape": "linear", "from": "current", "to": 0}]}
    plan = two({"lr": "unknown"}, later)
    assert plan.stage("base").at(0).lr == plan.stage("next").at(0).lr == {"llm": None}
    assert not plan.is_executable
    assert [p.path for p in plan.provenance if p.kind == "unknown"] == [
        "sources.c.tokens", "stages.base.lr",
    ]  # fmt: skip
    said = two({"lr": "unknown"}, {"lr": "1e-4"})
    assert said.stage("next").at(0).lr == {"llm": 1e-4}


def test_an_unknown_end_makes_the_whole_curve_unknown() -> None:
    schedules = {"main": [WARM, {"shape": "linear", "to": "unknown"}]}
    plan = plan_of({"base": BASE}, schedules=schedules)
    assert plan.stage("base").at(0).lr == {"llm": None}
    assert plan.stage("base").steps == 100


@pytest.mark.parametrize("key", ["tokens", "seq_len", "batch", "mixture"])
def test_an_unknown_budget_makes_the_stage_and_its_followers_unknown(key: str) -> None:
    stages = {"base": BASE, "next": {**NEXT, key: "unknown"}, "last": {**NEXT, "init": "next"}}
    plan = plan_of(stages)
    assert [s.name for s in plan.stages] == ["base"]
    next_, last = plan.unknown
    assert (next_.name, next_.parents) == ("next", ("base",))
    assert next_.missing == (f"stages.next.{key}",)
    assert next_.asked_tokens == (None if key == "tokens" else 32_000)
    assert (last.name, last.missing, last.asked_tokens) == ("last", ("stages.next",), 32_000)
    assert not plan.is_executable


def test_a_replay_of_an_unknown_stage_makes_the_stage_unknown() -> None:
    stages = {
        "base": BASE,
        "side": {**NEXT, "tokens": "unknown"},
        "next": {**NEXT, "mixture": {"old": {"ratio": 1, "of": {"replay": "side"}}}},
    }
    plan = plan_of(stages)
    assert [s.name for s in plan.stages] == ["base"]
    assert {u.name: u.missing for u in plan.unknown} == {
        "side": ("stages.side.tokens",), "next": ("stages.side",),
    }  # fmt: skip


def test_of_a_conflict_the_first_value_is_used_and_all_are_listed() -> None:
    stages = {
        "base": {**BASE, "tokens": "!conflict [64_000, 65_000]", "lr": "!conflict [3e-4, 1e-4]"}
    }
    plan = plan_of(stages)
    assert plan.stage("base").budget.tokens == 64_000
    assert plan.stage("base").at(0).lr == {"llm": 3e-4}
    conflicts = {p.path: p.value for p in plan.provenance if p.kind == "conflict"}
    assert conflicts == {
        "stages.base.tokens": "[64_000, 65_000]",
        "stages.base.lr": "[3e-4, 1e-4]",
    }
    assert plan == plan_of({"base": {**BASE, "lr": "3e-4"}})


def test_a_conflict_may_stand_wherever_a_number_does() -> None:
    stages = {
        "base": {
            **BASE,
            "seq_len": "!conflict [64, 128]",
            "batch": {"seqs": "!conflict [10, 12]"},
            "rope": {"llm": {"base": "!conflict [50_000, 10_000]"}},
        }
    }
    assert plan_of(stages) == plan_of({"base": BASE})


def test_a_tag_covers_what_it_holds() -> None:
    stages = {"base": {**BASE, "mixture": "!assumed {a: .75, b: !derived .25}"}}
    plan = plan_of(stages)
    tagged = [(p.kind, p.path, p.value) for p in plan.provenance if p.path.startswith("stages")]
    assert tagged == [("assumed", "stages.base.mixture", "{a: .75, b: .25}")]
    place = plan.provenance[-1].span or plan.provenance[0].span
    assert place is not None


# All problems of a file in one run, at their places


def test_all_problems_are_found_in_one_run() -> None:
    text = """plan: many
modules: {llm: {preset: moonlight-prox}}
sources: {a: {modality: txt}}
stages:
  a: {init: {llm: new}, tokens: 10 apples, lr: 1e-3}
  b: {init: c, tokens: 5M, colour: red}
"""
    found = compile_text(text, "many.yaml").findings
    places = [(f.rule, f.span.line) for f in found if f.span]
    assert ("module-shape", 2) in places
    assert ("wrong-value", 3) in places
    assert ("wrong-value", 5) in places
    assert ("unknown-key", 6) in places
    assert ("missing-parent", 6) in places
    assert [line for _, line in places] == sorted(line for _, line in places)


def test_what_stands_in_a_text_may_delete_extend_and_reach_below_too() -> None:
    text = """
plan: x
modules: {llm: {preset: moonlight-proxy}}
optimizers: {adam: {kind: adamw, weight_decay: .1}}
sources: {a: {modality: text, tokens: 1M}}
stages:
  one: {init: {llm: new}, tokens: 64_000, train: [llm], optimizer: adam, loss: {next_token: 1},
        lr: 1e-3, seq_len: 64, batch: {seqs: 10}, packing: best-fit, rope: {llm: {base: 5e4}},
        mixture: {a: 1}}
  two: {extends: one, rope.llm.base: 8e5, seed: 1}
"""
    plan = right(compile_text(text))
    assert plan.stage("two").rope["llm"].base == 800_000
    assert plan.stage("two").at(0).lr == {"llm": 1e-3}
    assert plan.stage("one").settings == {}
    refused = compile_text(text.replace("plan: x", "plan: x\nextends: y.yaml"))
    assert [f.rule for f in refused.findings] == ["extends"]


def test_a_kept_learning_rate_is_that_of_modules_that_had_one() -> None:
    more = {"init": {"llm": "base", "projector": "new"}, "train": ["llm", "projector"]}
    base = {**BASE, "lr": [{"shape": "linear", "from": "1e-3", "to": "1e-4"}]}
    assert rules_of({"base": base, "next": {**NEXT, **more}}) == ["lr-missing"]
    plan = two(base, {**more, "lr.projector": "3e-4"})
    assert plan.stage("next").at(7).lr == {"llm": 1e-4, "projector": 3e-4}
