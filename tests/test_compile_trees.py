"""Replays of replays: exact, small, and with every path still there; normalized ratios; parts."""

from fractions import Fraction
from typing import Any

import pytest

from curriculum.compile import Compiled
from curriculum.compile_trees import MAX_LEVELS, MAX_PARTS
from curriculum.errors import Severity
from curriculum.plan import Plan
from curriculum.usage import epochs
from small import BASE, compiled, message_of, plan_of, right, rules_of
from strategies import Tree


def follower(parent: str, mix: Any) -> Tree:
    return {
        "init": parent, "keep": parent, "carry": "all", "tokens": 6_400, "mixture": mix,
    }  # fmt: skip


def chain(length: int, mix: Any, *last: tuple[str, Any]) -> Compiled:
    """Compile stages that each replay the one before; `mix` makes a mixture of its name."""
    stages: Tree = {"s0": {**BASE, "lr": "towers"}}
    for k in range(1, length + 1):
        stages[f"s{k}"] = follower(f"s{k - 1}", mix(f"s{k - 1}"))
    for name, tree in last:
        stages[name] = follower(f"s{length}", tree)
    return compiled(stages)


def parts(plan: Plan, stage: str) -> int:
    return sum(1 for root in plan.stage(stage).mixture.roots for _ in root.paths())


def quarter(before: str) -> Tree:
    return {
        "new": {"ratio": "25%", "of": {"b": 1}},
        "old": {"ratio": "rest", "of": {"replay": before}},
    }


def test_a_replay_of_a_replay_has_the_shares_of_both() -> None:
    """Kimi-VL's second long stage: 25 % of 128K, 18.75 % of 32K, 56.25 % of 8K."""
    stages = {
        "cooldown": {**BASE, "lr": "towers", "mixture": {"short": {"ratio": 1, "of": {"a": 1}}}},
        "long-32k": follower("cooldown", quarter("cooldown")),
        "long-128k": follower("long-32k", quarter("long-32k")),
    }
    shares = plan_of(stages).stage("long-128k").mixture.end_shares()
    assert shares["new"] == Fraction(1, 4)
    assert shares["old/new"] == Fraction(3, 16)
    assert shares["old/old/short"] == Fraction(9, 16)


def test_a_long_chain_of_replays_is_small_and_exact() -> None:
    length = 60
    plan = right(chain(length, quarter))
    for k in range(1, length + 1):
        ratios = plan.stage(f"s{k}").mixture.end_ratios()
        assert ratios == {"a": Fraction(3, 4) ** (k + 1), "b": 1 - Fraction(3, 4) ** (k + 1)}
    small = plan.stage(f"s{MAX_LEVELS - 1}").mixture
    assert small.shares(0)["old/" * (MAX_LEVELS - 1) + "a"] == 0.75**MAX_LEVELS
    assert max(parts(plan, f"s{k}") for k in range(length + 1)) <= 4 * MAX_LEVELS
    assert set(plan.stage(f"s{length}").mixture.shares(0)) == {
        "new", "new/b", "old", "old/a", "old/b",
    }  # fmt: skip


def test_paths_into_a_long_chain_are_still_there() -> None:
    below = "/old" * 40
    plan = right(
        chain(
            50,
            quarter,
            ("within", {"replay": f"s50{below}"}),
            ("new", {"replay": f"s50{below}/new"}),
            ("first", {"replay": f"s50{below}/old/old/old/old/old/old/old/old/old/old/a"}),
        )
    )
    same = plan.stage("s10").mixture.end_ratios()
    assert plan.stage("within").mixture.end_ratios() == same
    assert plan.stage("new").mixture.ratios(0) == {"b": 1.0}
    assert plan.stage("first").mixture.ratios(0) == {"a": 1.0}


def test_replays_that_double_do_not_double_the_plan() -> None:
    def twice(before: str) -> Tree:
        half = {"ratio": "rest", "of": {"replay": before}}
        return {"x": {**half, "ratio": ".5"}, "y": half}

    plan = right(chain(40, twice))
    assert max(parts(plan, f"s{k}") for k in range(41)) <= 2 * MAX_PARTS + 2
    assert plan.stage("s40").mixture.end_ratios() == {"a": Fraction(3, 4), "b": Fraction(1, 4)}


def test_what_is_kept_of_a_long_chain_can_be_changed_in_one_place() -> None:
    stages: Tree = {"s0": {**BASE, "lr": "towers"}}
    for k in range(1, 31):
        stages[f"s{k}"] = follower(f"s{k - 1}", quarter(f"s{k - 1}"))
    last = {k: v for k, v in follower("s30", None).items() if k != "mixture"}
    top = {**last, "mixture.new": ".5", "mixture.old": "rest"}
    deep = {**last, "mixture.old.old.new": ".5", "mixture.old.old.old": "rest"}
    plan = plan_of({**stages, "top": top, "deep": {**deep, "init": "top", "keep": "s30"}})
    b29 = 1 - Fraction(3, 4) ** 30  # the share of b in s29, which s30 replays
    assert plan.stage("top").mixture.end_ratios()["b"] == Fraction(1, 2) + b29 / 2
    b27 = 1 - Fraction(3, 4) ** 28
    below = Fraction(1, 4) + Fraction(3, 4) * (Fraction(1, 2) + b27 / 2)
    assert plan.stage("deep").mixture.end_ratios()["b"] == Fraction(1, 4) + Fraction(3, 4) * below


def test_a_share_finer_than_a_plan_can_hold_is_refused() -> None:
    def tiny(before: str) -> Tree:
        return {
            "new": {"ratio": "1e-290", "of": {"b": 1}},
            "old": {"ratio": "rest", "of": {"replay": before}},
        }

    found = chain(20, tiny).findings
    assert found[0].rule == "mixture-too-fine"
    assert "has a denominator of" in found[0].message


def test_a_mixture_with_too_many_parts_is_refused() -> None:
    sources = {f"s{k}": {"modality": "text", "tokens": "1M"} for k in range(3_000)}
    wide = {"text": {**BASE, "lr": "towers", "mixture": list(sources)}}
    groups = {f"g{k}": {"ratio": f"{k}/300", "of": {"replay": "text"}} for k in range(25)}
    stages = {**wide, "next": follower("text", groups)}
    assert rules_of(stages, sources=sources) == ["mixture-too-large"]


# Normalized ratios


def test_smollm3_decay_weights_are_divided_by_their_sum() -> None:
    """Its weights sum to 1.00565: FineWeb-Edu's .2 is .19888, DCLM's .3 is .29831."""
    names = {"fwe": ".2", "dclm": ".3", "others": ".50565"}
    sources = {name: {"modality": "text", "tokens": "1T"} for name in names}
    found = compiled({"text": {**BASE, "mixture": {"normalize": "true", **names}}}, sources=sources)
    (note,) = found.findings
    assert note.severity is Severity.INFO
    assert note.rule == "normalized"
    assert note.message == "the ratios of the mixture sum to 1.00565, and are divided by their sum"
    ratios = right(found).stage("text").mixture.end_ratios()
    assert {name: round(float(x), 5) for name, x in ratios.items()} == {
        "fwe": 0.19888, "dclm": 0.29831, "others": 0.50281,
    }  # fmt: skip
    assert ratios["fwe"] == Fraction(20_000, 100_565)
    assert sum(ratios.values()) == 1


def test_a_group_is_normalized_by_itself() -> None:
    group = {"ratio": ".5", "normalize": "true", "of": {"a": 3, "b": 1}}
    inner = {"ratio": "rest", "of": {"normalize": "true", "a": 1, "b": 1}}
    shares = plan_of({"text": {**BASE, "mixture": {"g": group, "h": inner}}})
    assert shares.stage("text").mixture.ratios(0) == {"a": 0.625, "b": 0.375}


def test_ratios_that_move_are_divided_where_their_sum_does_not() -> None:
    up = [{"shape": "linear", "from": 0, "to": 2}]
    down = [{"shape": "linear", "from": 2, "to": 0}]
    stage = {**BASE, "mixture": {"normalize": "true", "a": up, "b": down}}
    assert plan_of({"text": stage}).stage("text").mixture.ratios(50) == {"a": 0.5, "b": 0.5}
    said = message_of({"text": {**BASE, "mixture": {"normalize": "true", "a": up, "b": 1}}})
    assert (
        "error[normalize]: the ratios of the mixture sum to 1 to 3: there is no one number" in said
    )


def test_ratios_that_sum_to_one_are_left_alone() -> None:
    found = compiled({"text": {**BASE, "mixture": {"normalize": "true", "a": ".5", "b": ".5"}}})
    assert not found.findings
    assert right(found).stage("text").mixture.ratios(0) == {"a": 0.5, "b": 0.5}


@pytest.mark.parametrize(
    ("mix", "said"),
    [
        (
            {"normalize": "true", "a": ".5", "b": "rest"},
            "error[two-rests]: `normalize` divides ratios, and nodes without one take what is "
            "left; keep one way to share; groups may differ",
        ),
        (
            {"normalize": "true", "a": 0, "b": 0},
            "error[normalize]: the ratios of the mixture sum to 0 or less: there is no one number "
            "to divide by; let them sum to the same at every step, or leave one out and say `rest`",
        ),
        (
            {"g": {"ratio": 1, "normalize": "true", "of": ["a"]}},
            "error[normalize]: `normalize` divides written ratios by their sum, and `of` writes "
            "none here; leave it out",
        ),
        (
            {"normalize": "true", "a": "-1", "b": 2},
            "error[ratio-range]: the ratio of `a` is -1; ratios lie in 0..1",
        ),
    ],
)
def test_what_cannot_be_normalized_is_refused(mix: Tree, said: str) -> None:
    assert message_of({"text": {**BASE, "mixture": mix}}).partition(": ")[2] == said


# Parts of sources

SOURCES: Tree = {
    "a": {"modality": "text", "tokens": "100_000", "holdout": "10%", "path": "there"},
    "a-first": {"of": "a", "part": "first 25%"},
    "a-long": {"of": "a", "min_tokens": "32Ki", "max_tokens": "128Ki", "tokens": "20_000"},
}


def test_a_part_takes_from_its_whole_what_it_does_not_say() -> None:
    mix = {"a-first": ".5", "a-long": ".25", "a": ".25"}
    plan = plan_of({"text": {**BASE, "mixture": mix}}, sources=SOURCES)
    first, long = plan.sources["a-first"], plan.sources["a-long"]
    assert (first.tokens, first.path, first.modality) == (25_000, "there", "text")
    assert first.readable_tokens == 22_500
    assert (long.tokens, long.min_tokens, long.max_tokens) == (20_000, 32_768, 131_072)
    read = epochs(plan)["text"]
    assert read["a-first"] == Fraction(32_000, 22_500)
    assert read["a"] == Fraction(64_000, 90_000)  # with what its parts read
    assert not any(path.startswith("sources") for path in plan.unused)


def test_a_stage_that_reads_a_part_counts_for_the_whole() -> None:
    stages = {
        "text": {**BASE, "lr": "towers", "mixture": {"a": 1}},
        "next": follower("text", {"a-first": 1}),
    }
    read = epochs(plan_of(stages, sources=SOURCES))["next"]
    assert read == {"a-first": Fraction(6_400, 22_500), "a": Fraction(70_400, 90_000)}


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (
            {"of": "b", "part": "first 10%"},
            "error[unknown-source]: there is no source `b`; known: a",
        ),
        (
            {"of": "a"},
            "error[part-of-nothing]: `p` says which documents of the other source it is: by order "
            "or by length; add one of `part: first 10%` and `min_tokens: 32Ki`, "
            "`max_tokens: 128Ki`",
        ),
        (
            {"modality": "text", "part": "first 10%"},
            "error[part-of-nothing]: `part` chooses documents of another source, and `p` names "
            "none; add `of: SOURCE`",
        ),
        (
            {"of": "a", "part": "first 10%", "modality": "text"},
            "error[part-says-less]: `p` is a part of another source, which says its `modality`; "
            "leave it out",
        ),
        (
            {"of": "a", "part": "first 10%", "tokens": "1M"},
            "error[part-says-less]: the tokens of `p` follow from its whole; leave them out",
        ),
        (
            {"of": "a", "part": "10%"},
            "error[wrong-value]: `10%` is no part of a source; `first 10%`, `last 5%` or "
            "`10% to 30%`",
        ),
        (
            {"of": "a", "part": "30% to 10%"},
            "error[wrong-value]: `30% to 10%` holds nothing, or more than there is; `first 10%`",
        ),
        (
            {"of": "a", "part": "first 10B"},
            "error[wrong-value]: `first 10B` is no share of a source; write it in percent: "
            "`first 10%`",
        ),
        (
            {"of": "a", "min_tokens": "8Ki", "max_tokens": "4Ki"},
            "error[wrong-value]: no document is shorter than 4096 and not below 8192",
        ),
    ],
)
def test_what_is_no_part_is_refused(part: Tree, said: str) -> None:
    whole = {"a": {"modality": "text", "tokens": "1M"}}
    stages = {"text": {**BASE, "mixture": {"p": 1}}}
    found = message_of(stages, sources={**whole, "p": part})
    assert found.partition(": ")[2] == said


def test_a_part_of_a_part_is_refused() -> None:
    sources = {
        "a": {"modality": "text", "tokens": "1M"},
        "p": {"of": "a", "part": "first 10%"},
        "q": {"of": "p", "part": "first 10%"},
    }
    said = message_of({"text": {**BASE, "mixture": {"q": 1}}}, sources=sources)
    assert said.endswith("error[unknown-source]: `p` is a part itself; name the whole source")


def test_a_share_that_nobody_knows_has_a_way_out() -> None:
    mixed = {"base": {**BASE, "mixture": {"a": "unknown", "b": "rest"}}}
    (found,) = compiled(mixed).findings
    assert (found.rule, found.help) == (
        "ratio-unknown",
        "write a share (`!assumed 80%` if it is a guess) or `rest`, or `mixture: unknown`",
    )
    nobody_knows = plan_of({"base": {**BASE, "mixture": "unknown"}})
    assert [stage.missing for stage in nobody_knows.unknown] == [("stages.base.mixture",)]
