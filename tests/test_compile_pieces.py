"""Mixtures in pieces: windows, lines between two mixtures, and what stands for the one before."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curriculum.lock import prefix_digest, read_lock, write_lock
from curriculum.plan import Plan
from small import BASE, message_of, plan_in, plan_of, right
from strategies import Tree


def text(pieces: Sequence[Mapping[str, Any]], **more: Any) -> Tree:
    return {"text": {**BASE, "lr": "towers", "mixture": pieces, **more}}


def ratios(plan: Plan, step: int, stage: str = "text") -> dict[str, float]:
    return plan.stage(stage).mixture.ratios(step)


def test_smollm_changes_its_mixture_at_a_step() -> None:
    """SmolLM1: 500,000 steps, a source more from step 300,000 on."""
    names = ["web", "cosmo", "code", "math", "stack", "new"]
    first = dict(zip(names, [".70", ".15", ".06", ".08", ".01"], strict=False))
    then = dict(zip(names, [".70", ".15", ".055", ".08", ".01", ".005"], strict=True))
    sources = {name: {"modality": "text", "tokens": "1T"} for name in names}
    stage = text(
        [{"of": first, "until": "step 300_000"}, {"of": then}],
        steps="500_000", tokens="null", seq_len=2048, batch={"seqs": 1024},
    )  # fmt: skip
    stage["text"].pop("tokens")
    plan = plan_of(stage, sources=sources)
    before, after = ratios(plan, 299_999), ratios(plan, 300_000)
    assert before == {**{k: float(v) for k, v in first.items()}, "new": 0.0}
    assert after == {k: float(v) for k, v in then.items()}
    ideal = plan.stage("text").mixture.ideal_seqs(500_000)
    assert ideal["code"] == 1024 * (300_000 * Fraction(6, 100) + 200_000 * Fraction(55, 1000))


OLD: Tree = {"ratio": "rest", "of": {"replay": "previous"}}
WINDOW: list[Tree] = [
    {"of": {"a": ".75", "b": ".25"}, "until": "80%"},
    {"of": {"qa": {"ratio": "10%", "of": {"b": 1}}, "old": OLD}},
]


def test_a_window_adds_to_the_mixture_before() -> None:
    """MiniMax: 10 % long QA in the last 20 % of a stage."""
    plan = plan_of(text(WINDOW))
    assert ratios(plan, 79) == {"a": 0.75, "b": 0.25}
    assert ratios(plan, 80) == {"a": 0.675, "b": 0.325}
    shares = plan.stage("text").mixture.shares(99)
    assert shares["piece-2/old/a"] == 0.675
    assert shares["piece-1"] == 0.0


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from(["steps", "tokens"]))
def test_between_two_mixtures_every_share_is_a_line(first: int, over: int, unit: str) -> None:
    factor = 1 if unit == "steps" else 640
    pieces: list[Tree] = [
        {"of": {"a": "1", "b": "0"}, "until": f"{first * factor} {unit}"},
        {"shape": "linear", "for": f"{over * factor} {unit}"},
        {"of": {"b": ".8", "a": ".2"}},
    ]
    mixture = plan_of(text(pieces)).stage("text").mixture
    for step in range(101):
        p = min(max(Fraction(step - first, over), Fraction(0)), Fraction(1))
        assert mixture.ratios(step)["b"] == float(p * Fraction(4, 5))
    assert sum(mixture.ideal_seqs(100).values()) == 1000


def test_amounts_are_of_what_their_piece_reads() -> None:
    pieces: list[Tree] = [
        {"of": ["a"], "until": "50%"},
        {"shape": "linear", "for": "20%"},
        {"of": {"b": {"tokens": 10_000}, "a": "rest"}},
    ]
    mixture = plan_of(text(pieces)).stage("text").mixture
    assert mixture.asked_tokens(100) == {"a": 54_000, "b": 10_000}


NEXT: Tree = {"init": "text", "keep": "text", "carry": "all", "tokens": 6_400}


@pytest.mark.parametrize(
    ("point", "of_b"),
    [("text", 0.8), ("text@50%", 0.0), ("text@60%", 0.2), ("text@80%", 0.6), ("text@end", 0.8)],
)
def test_pieces_are_left_as_one_tree(point: str, of_b: float) -> None:
    pieces: list[Tree] = [
        {"of": {"web": {"ratio": 1, "of": ["a"]}}, "until": "50%"},
        {"shape": "linear", "for": "40%"},
        {"of": {"b": ".8", "web": {"ratio": ".2", "of": {"a": "1"}}}},
    ]
    stages = {**text(pieces), "next": {**NEXT, "init": point, "batch": {"seqs": 10}}}
    found = plan_of(stages).stage("next").mixture
    assert found.ratios(0).get("b", 0.0) == pytest.approx(of_b, abs=1e-15)
    assert sum(found.end_ratios().values()) == 1
    assert found.shares(0)["web/a"] == pytest.approx(1 - of_b)
    assert not any(root.is_piece for root in found.roots)
    again = {**text(pieces), "next": {**NEXT, "mixture": {"replay": f"{point}/web"}}}
    assert plan_of(again).stage("next").mixture.ratios(0) == {"a": 1.0}


def test_a_group_and_a_source_of_one_name_add_up() -> None:
    pieces: list[Tree] = [
        {"of": {"a": ".5", "b": ".5"}, "until": "50%"},
        {"shape": "linear"},
        {"of": {"b": {"ratio": ".5", "of": {"a": 1}}, "a": ".5"}, "for": "10%"},
    ]
    stages = {**text(pieces), "next": {**NEXT, "init": "text@70%", "batch": {"seqs": 10}}}
    plan = plan_of(stages)
    left = plan.stage("next").mixture
    assert left.ratios(0) == plan.stage("text").mixture.ratios(70) == {"a": 0.75, "b": 0.25}
    assert left.shares(0) == {"a": 0.5, "b": 0.5, "b/a": 0.25, "b/b": 0.25}


def test_the_first_piece_may_go_over_from_what_is_kept() -> None:
    over: list[Tree] = [{"shape": "linear", "for": "50%"}, {"of": {"b": 1}}]
    plan = plan_of({"text": BASE, "next": {**NEXT, "mixture": over}})
    assert [ratios(plan, step, "next") for step in (0, 5, 10)] == [
        {"a": 0.75, "b": 0.25}, {"a": 0.0, "b": 1.0}, {"a": 0.0, "b": 1.0},
    ]  # fmt: skip
    assert ratios(plan, 4, "next") == {"a": 0.15, "b": 0.85}
    kept: list[Tree] = [{"of": "previous", "until": "50%"}, {"of": {"b": 1}}]
    plan = plan_of({"text": BASE, "next": {**NEXT, "mixture": kept}})
    assert ratios(plan, 4, "next") == {"a": 0.75, "b": 0.25}
    assert ratios(plan, 5, "next") == {"a": 0.0, "b": 1.0}


def test_a_path_below_the_piece_before() -> None:
    pieces: list[Tree] = [
        {"of": {"x": {"ratio": ".5", "of": {"a": ".5", "b": ".5"}}, "a": ".5"}, "until": "10%"},
        {"of": {"replay": "previous/x"}},
        {"of": "previous", "for": "10%"},
    ]
    plan = plan_of(text(pieces))
    assert ratios(plan, 50) == ratios(plan, 95) == {"a": 0.5, "b": 0.5}


def test_a_lock_brings_pieces_back_and_a_later_piece_is_no_part_of_the_start() -> None:
    plan = plan_of(text(WINDOW))
    written = write_lock(plan)
    assert read_lock(written, "lock") == plan
    assert write_lock(read_lock(written, "lock")) == written
    other = plan_of(text([WINDOW[0], {"of": {"b": 1}}]))
    assert prefix_digest(plan, "text", 60) == prefix_digest(other, "text", 60)
    assert prefix_digest(plan, "text", 90) != prefix_digest(other, "text", 90)


def test_a_proxy_moves_the_marks_of_pieces(tmp_path: Any) -> None:
    pieces: list[Tree] = [
        {"of": ["a"], "until": "32_000"},
        {"shape": "linear", "for": "20 steps"},
        {"of": ["b"]},
    ]
    overlay = "scale: {tokens: 1/20, seqs: 1/10}\n"
    plan = right(plan_in(tmp_path, overlay, text(pieces)))
    mixture = plan.stage("text").mixture
    assert mixture.steps == 50
    assert mixture.ratios(25) == {"a": 1.0, "b": 0.0}
    assert mixture.ratios(30) == {"a": 0.5, "b": 0.5}


OF_A: Tree = {"of": ["a"], "until": "50%"}


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        (
            [OF_A, {"shape": "linear", "for": "10%"}],
            "error[mixture-piece]: a piece with a `shape` goes over from a mixture before it to "
            "one after it; put a piece with `of` behind it",
        ),
        (
            [{"shape": "linear", "for": "10%"}, {"of": ["a"]}],
            "error[no-previous]: nothing is before the first piece: the stage keeps no mixture; "
            "begin with `{of: {replay: STAGE}, until: MARK}`, or add `keep: ANCESTOR`",
        ),
        (
            [{"of": "previous", "until": "10%"}, {"of": ["a"]}],
            "error[no-previous]: nothing is before the first piece: the stage keeps no mixture; "
            "begin with `{of: {replay: STAGE}, until: MARK}`, or add `keep: ANCESTOR`",
        ),
        (
            [OF_A],
            "error[mixture-piece]: the pieces of a mixture fill the stage, and all of these say "
            "where they end; leave out the `until` of the last",
        ),
        (
            [OF_A, {"of": ["b"], "shape": "linear"}],
            "error[mixture-piece]: a piece of a mixture says `of` or a `shape`; {of: MIXTURE, "
            "until: 80%}, or {shape: linear, for: 2000 steps} between two of them",
        ),
        (
            [OF_A, {"shape": "cosine", "for": "10%"}, {"of": ["b"]}],
            "error[wrong-value]: `cosine` is not one of the words for this; known: linear",
        ),
        (
            [OF_A, {"of": {"a": ".5", "b": ".6"}}],
            "error[siblings-sum]: the shares of `piece-2` sum to 1.1 (a 0.5, b 0.6); make them sum "
            "to 1, let one say `rest`, or say `normalize: true`",
        ),
        (
            [OF_A, {"of": ["b"], "until": "30%"}, {"of": ["a"]}],
            "error[piece-ends-before-start]: this piece ends where or before it starts; move the "
            "mark, or leave the piece out",
        ),
        (
            {"g": {"ratio": 1, "of": [OF_A, {"of": ["b"]}]}},
            "error[mixture-piece]: pieces are of a whole mixture, not of a group; let the mixture "
            "of the stage be the pieces, or the ratio of the group a curve",
        ),
        (
            [OF_A, {"of": {"replay": "previous/x"}}],
            "error[replay-of-nothing]: that mixture has no part `x`; known: a",
        ),
    ],
)  # fmt: skip
def test_pieces_that_do_not_fit_are_refused(pieces: Any, said: str) -> None:
    assert message_of({"text": {**BASE, "mixture": pieces}}).partition(": ")[2] == said
