"""Merges: OLMo 2's soups, SmolLM3's weighted merge, Llama 3's average of anneal checkpoints"""

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from curriculum.check.rules import broken_rules
from curriculum.composed import ComposedStage, Share
from curriculum.errors import Severity
from curriculum.lock import read_lock, write_lock
from curriculum.plan import Plan, Start
from curriculum.screen import screen
from small import BASE, EYES, compiled, message_of, plan_in, plan_of, rules_of
from strategies import Tree

NEXT: Tree = {"keep": "text", "carry": "none", "tokens": 6_400, "lr": "1e-4"}
SIBLING: Tree = {**NEXT, "init": "text", "carry": "all", "lr": {"curve": "1e-4", "jump": "true"}}
SIBLINGS: Tree = {
    "text": BASE,
    "a": {**SIBLING, "seed": 42},
    "b": {**SIBLING, "seed": 666},
    "c": {**SIBLING, "seed": 42069},
}
LAST: Tree = {"average": "text", "last": 3, "every": "10 steps"}


def shares(*named: tuple[str, int, Any]) -> tuple[Share, ...]:
    return tuple(Share(Start(name, step), Fraction(weight)) for name, step, weight in named)


def only(plan: Plan) -> ComposedStage:
    (composed,) = plan.composed
    return composed


def refused(init: Any, **more: Any) -> str:
    """The one finding about a stage that starts so."""
    return message_of({**SIBLINGS, "z": {**NEXT, "keep": "a", "seed": 1, "init": init, **more}})


# What is said


def test_a_soup_is_a_stage_that_only_composes() -> None:
    plan = plan_of({**SIBLINGS, "soup": {"init": {"average": ["a", "b", "c"]}}})
    thirds = shares(("a", 10, "1/3"), ("b", 10, "1/3"), ("c", 10, "1/3"))
    assert only(plan) == ComposedStage("soup", {"llm": thirds}, digest=only(plan).digest)
    assert only(plan).parents == ("a", "b", "c")
    assert [(s.name, step) for s, step in plan.ancestors("soup")] == [
        ("text", 100), ("a", 10), ("b", 10), ("c", 10),
    ]  # fmt: skip


def test_a_merge_stands_wherever_a_parent_does() -> None:
    stages = {**SIBLINGS, "z": {**NEXT, "init": {"llm": {"average": ["a", "b@50%"]}}, "seed": 1}}
    plan = plan_of(stages)
    assert plan.stage("z").init == {"llm": Start("z+llm")}
    assert only(plan).averages == {"llm": shares(("a", 10, ".5"), ("b", 5, ".5"))}
    assert [s.name for s, _ in plan.ancestors("z")] == ["text", "a", "b"]
    whole = plan_of({**SIBLINGS, "z": {**stages["z"], "init": {"average": ["a", "b@50%"]}}})
    assert whole.stage("z").init == {"llm": Start("z+all")}
    assert only(whole).averages == only(plan).averages


def test_smollm3_is_nine_tenths_soup_and_one_tenth_what_came_before() -> None:
    apo = {"init": {"average": ["a", "b"]}}
    merge = {"init": {"llm": {"average": {"apo": ".9", "c@60%": ".1"}}}}
    plan = plan_of({**SIBLINGS, "apo": apo, "merge": merge})
    assert [c.name for c in plan.composed] == ["apo", "merge"]
    assert plan.composed[1].averages == {"llm": shares(("apo", 0, ".9"), ("c", 6, ".1"))}
    assert plan.origins(Start("merge"), "llm") == (Start("c", 6), Start("a", 10), Start("b", 10))


def test_llama_3_averages_the_last_checkpoints_of_its_anneal() -> None:
    for every in ("10 steps", 6_400):
        plan = plan_of({"text": BASE, "polyak": {"init": {**LAST, "every": every}}})
        thirds = shares(("text", 80, "1/3"), ("text", 90, "1/3"), ("text", 100, "1/3"))
        assert only(plan).averages == {"llm": thirds}
    at_mark = {"init": {**LAST, "average": "text@50%", "last": 2}}
    assert only(plan_of({"text": BASE, "polyak": at_mark})).averages == {
        "llm": shares(("text", 40, ".5"), ("text", 50, ".5"))
    }


def test_olmo_2_1b_selects_the_run_of_seed_42() -> None:
    chosen = {"init": {"select": "a", "of": ["a", "b", "c"]}}
    plan = plan_of({**SIBLINGS, "final": chosen})
    assert only(plan).averages == {"llm": shares(("a", 10, 1))}
    assert only(plan).among == {"llm": (Start("a", 10), Start("b", 10), Start("c", 10))}
    assert [s.name for s, _ in plan.ancestors("final")] == ["text", "a"]
    after = plan_of({**SIBLINGS, "z": {**NEXT, **chosen, "keep": "a", "carry": "all"}})
    assert after.composed == ()
    assert after.stage("z").init == {"llm": Start("a", 10, carries_state=True)}
    assert after.stage("z").among == only(plan).among
    assert after.stage("z").seed == 42


def test_what_a_stage_passes_through_comes_from_behind_it() -> None:
    both: Tree = {"init": {"llm": {"average": ["a", "b"]}, "vit": "eyes"}}
    after = {**NEXT, "init": "both", "keep": "a", "carry": ["vit"], "seed": 1}
    after |= {"train": ["llm"], "mixture": {"a": 1}}
    plan = plan_of({**SIBLINGS, "eyes": {**EYES, "seed": 9}, "both": both, "z": after})
    assert plan.stage("z").init == {
        "llm": Start("both"),
        "vit": Start("eyes", 100, carries_state=True),
    }


def test_what_all_parents_agree_on_passes_through() -> None:
    on = {"init": "text", "keep": "text", "carry": "all", "tokens": 6_400}
    one: Tree = {**on, "seed": 1}
    other: Tree = {**on, "seed": 2}
    after = {"init": {"average": ["a", "b"]}, "keep": "a", "tokens": 6_400, "seed": 3}
    plan = plan_of({"text": BASE, "a": one, "b": other, "z": after})
    ride = plan.stage("z").rides["llm"]
    assert (ride.schedule, ride.instance, ride.tokens_before) == ("main", "text", 70_400)
    assert plan.stage("z").at(0).lr == plan.stage("a").at(10).lr
    rewarm = {"shape": "linear", "from": "current", "to": "1e-3", "for": "5 steps"}
    again = plan_of(
        {"text": BASE, "a": one, "b": other, "z": {**after, "lr": "rewarm"}},
        schedules={
            "main": [
                {"shape": "linear", "from": 0, "to": "1e-3", "for": "10 steps"},
                {"shape": "constant"},
            ],
            "rewarm": [rewarm, {"shape": "constant"}],
        },
    )
    assert again.stage("z").at(0).lr == {"llm": 1e-3}


# Locks and digests


def test_a_lock_with_merges_reads_back() -> None:
    merge = {"init": {"average": {"a": ".9", "b": ".1"}}, "status": "side"}
    chosen = {"init": {"select": "a", "of": ["a", "b"]}}
    plan = plan_of({**SIBLINGS, "merge": merge, "final": chosen})
    text = write_lock(plan)
    assert read_lock(text, "x") == plan
    assert write_lock(read_lock(text, "x")) == text
    assert "composed" not in write_lock(plan_of(SIBLINGS))


def test_the_order_of_an_average_means_nothing() -> None:
    here, there = ({**SIBLINGS, "soup": {"init": {"average": x}}} for x in (["a", "b"], ["b", "a"]))
    assert plan_of(here) == plan_of(there)


def test_digests_cover_weights_and_parents_and_not_what_became_of_them() -> None:
    def digest(**merge: Any) -> str:
        return plan_of({**SIBLINGS, "merge": merge}).digest

    here = digest(init={"average": {"a": ".9", "b": ".1"}})
    assert digest(init={"average": {"a": ".9", "b": ".1"}}, status="side") == here
    assert digest(init={"average": {"a": ".8", "b": ".2"}}) != here
    assert digest(init={"average": {"a": ".9", "c": ".1"}}) != here
    assert digest(init={"average": {"a@50%": ".9", "b": ".1"}}) != here
    steps = [digest(init={"average": {f"a@step {n}": ".9", "b": ".1"}}) for n in (4, 5)]
    assert len({here, *steps}) == 3  # the rate of `a` is constant: 4 steps and 5 read the same


def test_a_stage_behind_an_average_has_another_digest_when_a_parent_changes() -> None:
    def digest(**changes: Any) -> str:
        after = {**NEXT, "init": {"average": ["a", "b"]}, "seed": 1}
        stages = {**SIBLINGS, "b": {**SIBLINGS["b"], **changes}, "z": after}
        return plan_of(stages).stage("z").digest

    assert digest() == digest()
    assert digest() != digest(seed=7)


def test_the_screen_tells_what_is_averaged() -> None:
    merge = {"init": {"average": {"soup": ".9", "c@60%": ".1"}}, "status": "probe"}
    soup = {"init": {"average": ["a", "b"]}}
    lines = screen(plan_of({**SIBLINGS, "soup": soup, "merge": merge})).splitlines()
    assert "soup  llm: average of a, b" in lines
    assert "merge llm: 0.1 c@step 6 + 0.9 soup; status: probe" in lines


def test_many_parents_are_counted_on_the_screen() -> None:
    plan = plan_of({"text": BASE, "polyak": {"init": {**LAST, "last": 9}}})
    line = "polyak llm: average of 9, from text@step 20 to text"
    assert line in screen(plan).splitlines()


# What is refused


@pytest.mark.parametrize(
    ("init", "words"),
    [
        ({"average": {"a": ".9", "b": ".2"}}, "the weights of this average sum to 1.1, not 1"),
        ({"average": {"a": "0", "b": "1"}}, "a weight of an average is greater than 0"),
        ({"average": ["a"]}, "an average has at least two parents"),
        ({"average": ["a", "a@end"]}, "`llm` of `a` at step 10 stands twice in this average"),
        ({"average": ["a", "b"], "last": 2}, "`last` belongs to an average of one stage"),
        ({"average": "a"}, "an average of one stage says how many of its checkpoints, and how far"),
        ({"average": "a", "last": 1, "every": "1 steps"}, "`last` takes 2 to 1000 checkpoints"),
        (
            {"average": "a", "last": 3, "every": "5 steps"},
            "3 checkpoints of `a`, 5 steps apart, reach back to before its first step (10 steps)",
        ),
        (
            {"average": "a", "last": 3, "every": 100},
            "3 checkpoints of `a`, 100 tokens apart, are less than a step apart",
        ),
        ({"average": "a", "last": 3, "every": "10%"}, "a share cannot stand here"),
        ({"select": "a"}, "`select` does not say `of` which candidates"),
        ({"select": "a", "of": ["b", "c"]}, "`a` is none of the candidates `b`, `c`"),
        ({"select": "a", "of": ["a", "b"], "every": 5}, "`select` reads no `every`"),
        ({"select": "a", "average": ["a", "b"]}, "a merge says `average` or `select`"),
        ({"llm": {"averge": ["a", "b"]}}, "a merge has no key `averge`"),
        ({"average": ["a", "nobody"]}, "there is no stage `nobody` to start from"),
        ({"vit": {"average": ["a", "b"]}}, "stage `a` has no module `vit`"),
    ],
)
def test_a_wrong_merge_is_refused_in_words(init: Any, words: str) -> None:
    found = compiled({**SIBLINGS, "z": {**NEXT, "keep": "a", "seed": 1, "init": init}})
    assert found.plan is None
    assert any(words in str(f) and f.span is not None for f in found.findings), found.findings


def test_no_optimizer_state_comes_out_of_an_average() -> None:
    words = refused({"average": ["a", "b"]}, carry=["llm"])
    assert "no parent leaves optimizer state for `llm`" in words


def test_parents_that_disagree_give_no_current_and_no_clock() -> None:
    other = {**SIBLINGS["b"], "lr": {"curve": "2e-4", "jump": "true"}}
    rewarm = [{"shape": "linear", "from": "current", "to": 0}]
    after = {**NEXT, "init": {"average": ["a", "b"]}, "seed": 1, "lr": {"curve": rewarm}}
    words = message_of({**SIBLINGS, "b": other, "z": after})
    assert "`current` has several values: `llm` was left at 0.0001 by `a@step 10`, 0.0002" in words
    rides = {**NEXT, "init": "text", "carry": "all", "lr": "main"}
    one, two = {**rides, "seed": 1}, {**rides, "seed": 2, "tokens": 12_800}
    after = {"init": {"average": ["a", "b"]}, "keep": "a", "tokens": 6_400, "seed": 3}
    assert "clocks-disagree" in rules_of({"text": BASE, "a": one, "b": two, "z": after})


def test_siblings_of_different_seeds_leave_none() -> None:
    stage = {**NEXT, "init": {"average": ["a", "b"]}}
    assert rules_of({**SIBLINGS, "z": stage}) == ["seeds-disagree"]


def test_a_composed_stage_has_no_marks_nothing_to_keep_and_no_mixture() -> None:
    soup = {"init": {"average": ["a", "b"]}}
    for change, words in (
        ({"init": "soup@50%"}, "`soup` only composes: it has no steps, and no mark `50%`"),
        ({"keep": "soup"}, "`soup` only composes, and leaves nothing to keep but its modules"),
        ({"mixture": {"replay": "soup"}}, "there is no stage `soup` with a mixture to replay"),
    ):
        stage = {**NEXT, "init": "soup", "keep": "a", "seed": 1, **change}
        found = compiled({**SIBLINGS, "soup": soup, "z": stage})
        assert any(words in str(f) for f in found.findings), found.findings


def test_only_what_there_is_can_be_composed() -> None:
    soup = {"init": {"llm": {"average": ["a", "b"]}, "vit": "new"}}
    assert "stage `soup` only composes, and `vit` is new" in message_of({**SIBLINGS, "soup": soup})
    both = {"init": {"average": ["a", "eyes"]}}
    words = message_of({**SIBLINGS, "eyes": {**EYES, "seed": 9}, "both": both})
    assert "has no module `captioner`, another parent of this merge has it" in words


@pytest.mark.parametrize(
    ("stage", "unsaid"),
    [
        ({"init": "a", "train": ["llm"]}, "its budget, `optimizer`, `loss`"),
        ({"init": "a", "keep": "a"}, "its budget"),
        ({"init": "a", "tokns": "3B"}, "`train`, `optimizer`"),
        ({"init": {"llm": "new"}}, "its budget, `train`"),
        ({"status": "side"}, "its budget, `train`"),
    ],
)
def test_a_stage_that_says_anything_of_training_or_no_parent_is_unfinished(
    stage: Tree, unsaid: str
) -> None:
    told = [f for f in compiled({**SIBLINGS, "z": stage}).errors if f.rule == "missing-key"]
    assert any(f.message.startswith(f"stage `z` does not say {unsaid}") for f in told), told


@pytest.mark.parametrize(
    ("init", "rule", "words"),
    [
        ({"average": ["a", "nobody"]}, "missing-parent", "there is no stage `nobody` to start"),
        ({"average": {"a": ".9", "b": ".2"}}, "average-sum", "the weights of this average sum"),
        ("nobody", "missing-parent", "there is no stage `nobody` to start from"),
        ("a@200%", "mark-beyond-stage", "`200%` lies past the end of stage `a`"),
        ("A b", "wrong-name", "`A b` is not the name of a stage"),
        ({"llm": "a", "vit": "b"}, "parent-lacks-module", "stage `b` has no module `vit`"),
        ({"llm": "a", "vit": "new"}, "composes-new", "stage `soup` only composes, and `vit` is"),
    ],
)
def test_of_a_broken_composed_stage_only_the_true_error_is_told(
    init: Any, rule: str, words: str
) -> None:
    stages = {
        **SIBLINGS,
        "soup": {"init": init},
        "again": {"init": {"average": ["soup", "b"]}},
        "z": {**BASE, "init": "soup", "seed": 1},
        "y": {**NEXT, "init": "soup", "keep": "a", "seed": 1},
    }
    (finding,) = compiled(stages).errors
    assert finding.rule == rule
    assert words in finding.message


# Another name for a point


def test_a_stage_that_says_one_parent_alone_is_another_name_for_it() -> None:
    plan = plan_of({**SIBLINGS, "recall": {"init": "a@50%"}})
    assert only(plan).averages == {"llm": shares(("a", 5, 1))}
    assert only(plan).other_name_of == Start("a", 5)
    assert "recall llm: another name for a@step 5" in screen(plan).splitlines()
    assert read_lock(write_lock(plan), "x") == plan
    chosen = plan_of({**SIBLINGS, "final": {"init": {"select": "a", "of": ["a", "b"]}}})
    assert only(chosen).other_name_of is None
    assert "final llm: as a left it" in screen(chosen).splitlines()


def test_what_starts_from_another_name_starts_from_the_point_itself() -> None:
    after = {**NEXT, "carry": "all", "lr": {"curve": "1e-4", "jump": "true"}}
    named = plan_of({"text": BASE, "z": {**after, "init": "text@50%", "keep": "text"}}).stage("z")
    for keep in ("text", "recall", "same"):
        through = {
            "recall": {"init": "text@50%"},
            "same": {"init": {"llm": "recall"}},
            "z": {**after, "init": "same", "keep": keep},
        }
        assert plan_of({"text": BASE, **through}).stage("z") == named
    at_mark = {"text": BASE, **through, "z": {**after, "init": "same@50%", "keep": "text"}}
    assert "`same` only composes: it has no steps, and no mark `50%`" in message_of(at_mark)


def test_another_name_stands_for_an_outside_checkpoint_too() -> None:
    stages = {"seen": {"checkpoint": {"gives": ["llm"]}}, "start": {"init": "seen"}}
    plan = plan_of({**stages, "text": {**BASE, "init": "start"}})
    assert plan.stage("text").init == {"llm": Start("seen")}
    assert "start llm: another name for seen" in screen(plan).splitlines()


def test_what_is_kept_through_an_average_is_as_it_was_left_there() -> None:
    mixture = [{"of": {"a": 1}, "until": "60%"}, {"of": {"b": 1}}]
    stages = {**SIBLINGS, "a": {**SIBLING, "seed": 42, "mixture": mixture}}
    after = {**NEXT, "keep": "a", "seed": 1}
    early = plan_of({**stages, "z": {**after, "init": {"average": ["a@50%", "b"]}}})
    soup = {"init": {"average": ["a@50%", "b"]}}
    through = plan_of({**stages, "soup": soup, "z": {**after, "init": "soup"}})
    for plan in (early, through):
        assert [node.name for node in plan.stage("z").mixture.roots] == ["a"]


def test_an_unknown_parent_makes_what_is_composed_of_it_unknown() -> None:
    hidden = {**SIBLINGS["b"], "tokens": "unknown"}
    soup = {"init": {"average": ["a", "b"]}}
    plan = plan_of({**SIBLINGS, "b": hidden, "soup": soup})
    assert [(u.name, u.asked_tokens) for u in plan.unknown] == [("b", None), ("soup", 0)]
    assert plan.composed == ()
    chosen = {"init": {"select": "a", "of": ["a", "b"]}}
    assert [u.name for u in plan_of({**SIBLINGS, "b": hidden, "z": chosen}).unknown] == ["b"]


# Side branches may read what others read, where nothing comes of both


def test_side_branches_may_read_the_same_documents_until_something_follows_both() -> None:
    twins = {"text": BASE, "a": SIBLING, "b": {**SIBLING, "status": "side"}}
    rule = "separate-stages-deal-their-own-samples"

    def told(stages: Tree) -> bool:
        findings = broken_rules(plan_of(stages))
        return any(f.rule == rule and f.severity is Severity.ERROR for f in findings)

    assert told({**twins, "b": SIBLING})
    assert not told(twins)
    assert told({**twins, "soup": {"init": {"average": ["a", "b"]}}})


def test_a_proxy_takes_its_checkpoints_at_the_same_shares_of_the_stage(tmp_path: Path) -> None:
    stages: Tree = {
        "text": BASE,
        "polyak": {"init": LAST},
        "late": {"init": {**LAST, "every": 6_400}},
        "mixed": {"init": {"average": {"text": ".5", f"text@{32_000}": ".5"}}},
    }
    found = plan_in(tmp_path, "scale: {tokens: 1/2}\n", stages)
    assert found.plan is not None, found.findings
    steps = {c.name: [share.start.step for share in c.averages["llm"]] for c in found.plan.composed}
    assert steps == {"polyak": [40, 45, 50], "late": [40, 45, 50], "mixed": [25, 50]}
    short = plan_in(tmp_path, "scale: {tokens: 1/20}\n", stages)
    assert any("are less than a step apart" in str(f) for f in short.errors), short.errors
