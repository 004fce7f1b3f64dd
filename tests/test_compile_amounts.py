"""Amounts and sizes: what a group reads is what it says, exactly, however it stands in its tree."""

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curriculum.compile import compile_text
from curriculum.compile_amounts import root_of
from curriculum.lock import read_lock, write_lock
from curriculum.mixture import Mixture
from curriculum.usage import epochs, tokens_asked
from small import BASE, EYES, compiled, message_of, plan_in, plan_of, right
from small_plan import small
from strategies import Tree


def mixture(mix: Tree, **more: object) -> Mixture:
    return plan_of({"text": {**BASE, "mixture": mix, **more}}).stage("text").mixture


def asked(found: Mixture) -> dict[str, Fraction]:
    return found.asked_tokens(found.steps)


RAMP = [{"shape": "linear", "from": 0, "to": ".5"}]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 9_000), st.integers(60_000, 64_640))
def test_a_group_reads_the_tokens_it_says(of_a: int, of_b: int, tokens: int) -> None:
    rising = {"ratio": RAMP, "of": {"a": {"tokens": of_a}, "b": "rest"}}
    falling = {"ratio": "rest", "of": {"b": {"tokens": of_b}, "a": {"size": 1}}}
    found = mixture({"rising": rising, "falling": falling}, tokens=tokens)
    (rising_a,) = [path for path in found.end_shares() if path == "rising/a"]
    parts = {
        path: sum(found.part_of(s, s.nodes[path]) for s in found.segments)
        for path in (rising_a, "falling/b")
    }
    over = found.batch.tokens_before(found.steps) - tokens
    last = found.segments[-1]
    for path, wanted in ((rising_a, of_a), ("falling/b", of_b)):
        at_last = last.nodes[path].exact(found.steps - 1 - last.first_step)
        assert parts[path] - max(over, 0) * at_last == wanted
    assert sum(asked(found).values()) == tokens


@pytest.mark.parametrize(
    ("mix", "message"),
    [
        (
            {"a": {"tokens": "4.105M"}, "b": {"tokens": "1.2M"}},
            "the amounts of the mixture sum to 5.305M of 64K, ",
        ),
        (
            {
                "g": {"ratio": ".5", "of": {"a": {"tokens": 8_000}, "b": {"epochs": ".1"}}},
                "b": ".5",
            },
            "the amounts of `g` sum to 108K of 32K, ",
        ),
        (
            {"a": {"tokens": 80_000}, "b": "1.75"},
            "the amounts and ratios of the mixture sum to 192K of 64K, ",
        ),
    ],
)
def test_what_is_normalized_over_amounts_is_told_in_tokens(mix: Tree, message: str) -> None:
    normal = {"normalize": "true"}
    mix = {"g": {**mix["g"], **normal}, "b": mix["b"]} if "g" in mix else {**normal, **mix}
    (note,) = compiled({"text": {**BASE, "mixture": mix}}).findings
    assert (note.rule, note.message) == ("normalized", f"{message}and are divided by their sum")


def test_an_amount_is_a_share_of_what_the_stage_asks_for() -> None:
    found = mixture({"a": {"tokens": 16_000}, "b": "rest"}, tokens="63_999")
    assert asked(found) == {"a": 16_000, "b": 47_999}
    assert found.roots[0].ratio is not None
    assert found.roots[0].ratio.pieces[0].a == Fraction(16_000, 63_999)


def test_a_budget_rounded_down_reads_the_amount_too() -> None:
    found = mixture({"a": {"tokens": 16_000}, "b": "rest"}, tokens="64_639", round="down")
    assert found.asked_tokens(found.steps) == {"a": 16_000, "b": 48_000}


def test_epochs_are_of_what_training_may_read() -> None:
    sources = {
        "a": {"modality": "text", "tokens": "10_000", "holdout": "10%"},
        "b": {"modality": "text", "tokens": "1_000"},
    }
    stage = {**BASE, "mixture": {"both": {"epochs": 2, "of": ["a", "b"]}, "a": "rest"}}
    plan = plan_of({"text": stage}, sources=sources)
    found = plan.stage("text").mixture
    assert found.end_shares()["both"] == Fraction(2 * 10_000, 64_000)
    twice = plan_of(
        {"text": {**stage, "mixture": {"a": "rest", "b": {"epochs": 3}}}}, sources=sources
    )
    assert epochs(twice)["text"]["b"] == 3


def test_epochs_of_a_stage_that_counts_patches_are_counted_in_patches() -> None:
    sources = {
        "a": {"modality": "image-text", "tokens": "1_000", "image_share": ".5"},
        "b": {"modality": "image-text", "tokens": "9M", "image_share": ".25"},
    }
    mix = {"a": {"epochs": 4}, "b": "rest"}
    plan = plan_of({"eyes": {**EYES, "mixture": mix}}, sources=sources)
    assert plan.stage("eyes").mixture.end_ratios()["a"] == Fraction(4 * 1_000 * 2, 64_000)
    assert epochs(plan)["eyes"]["a"] == 4


def test_sizes_share_what_is_left_in_proportion() -> None:
    found = mixture({"a": {"size": 1}, "b": {"size": 5}})
    assert found.end_ratios() == {"a": Fraction(3, 8), "b": Fraction(5, 8)}
    left = mixture({"first": {"ratio": RAMP, "of": {"b": 1}}, "a": {"size": 1}, "b": {"size": 9}})
    assert left.end_shares() == {
        "first": Fraction(1, 2), "first/b": Fraction(1, 2),
        "a": Fraction(1, 8), "b": Fraction(3, 8),
    }  # fmt: skip
    assert left.shares(0) == {"first": 0.0, "first/b": 0.0, "a": 0.25, "b": 0.75}


def test_high_quality_is_size_times_oversampling() -> None:
    """Marin's cooldown: 70 % web, 30 % by size, five times over, FLAN and math ten times."""
    sources = {
        "web": {"modality": "text", "tokens": "2T"},
        "wiki": {"modality": "text", "tokens": "4B"},
        "flan": {"modality": "text", "tokens": "17B"},
        "math": {"modality": "text", "tokens": "21B"},
    }
    hq = {"wiki": {"size": 5}, "flan": {"size": 10}, "math": {"size": 10}}
    mix = {"web": ".7", "hq": {"ratio": ".3", "of": hq}}
    found = plan_of({"text": {**BASE, "mixture": mix}}, sources=sources).stage("text").mixture
    assert found.end_ratios() == {
        "web": Fraction(7, 10),
        "wiki": Fraction(3, 10) * Fraction(20, 400),
        "flan": Fraction(3, 10) * Fraction(170, 400),
        "math": Fraction(3, 10) * Fraction(210, 400),
    }


def test_square_roots_share_inside_top_level_rates() -> None:
    """Molmo's multitask mixture: a rate for each group, the roots of the sizes inside."""
    sources = {
        name: {"modality": "text", "tokens": size}
        for name, size in {"a": "9M", "b": "1M", "c": "2M"}.items()
    }
    by_root = {"a": {"sqrt_size": 1}, "b": {"sqrt_size": 1}}
    mix = {"top": {"ratio": ".4", "of": by_root}, "c": ".6"}
    found = plan_of({"text": {**BASE, "mixture": mix}}, sources=sources).stage("text").mixture
    assert found.end_ratios() == {
        "a": Fraction(3, 10), "b": Fraction(1, 10), "c": Fraction(6, 10),
    }  # fmt: skip
    mix = {"ab": {"sqrt_size": 1, "of": ["a", "b"]}, "c": {"sqrt_size": 1}}
    found = plan_of({"text": {**BASE, "mixture": mix}}, sources=sources).stage("text").mixture
    ab, c = root_of(10_000_000), root_of(2_000_000)
    assert found.end_shares()["ab"] == ab / (ab + c)
    assert sum(found.end_ratios().values()) == 1
    assert abs(float(ab / c) - 5**0.5) < 1e-9


def test_a_size_counts_as_at_most_what_is_said(tmp_path: Path) -> None:
    """Molmo again: a large set counts as so many of its examples, and then the roots share."""
    capped = {"a": {"sqrt_size": 2, "at_most": "250_000"}, "b": {"sqrt_size": 1}}
    assert mixture(capped).end_ratios() == {"a": Fraction(1, 2), "b": Fraction(1, 2)}
    small = {"a": {"size": 1, "at_most": "4M"}, "b": {"size": 1, "at_most": "250_000"}}
    assert mixture(small).end_ratios() == {"a": Fraction(12, 13), "b": Fraction(1, 13)}
    both = {"ab": {"size": 1, "at_most": "1M", "of": ["a", "b"]}, "b": {"size": 1}}
    assert mixture(both).end_shares()["ab"] == Fraction(1, 2)
    # A proxy divides it as it divides sizes.
    overlay = "scale: {tokens: 1/100, seqs: 1/10}\n"
    proxy = right(plan_in(tmp_path, overlay, {"text": {**BASE, "mixture": capped}}))
    assert proxy.stage("text").mixture.end_ratios()["a"] == Fraction(1, 2)


def test_the_size_of_a_replay_is_that_of_its_sources() -> None:
    mix = {"old": {"size": 1, "of": {"replay": "text"}}, "b": {"size": 4}}
    next_ = {"init": "text", "keep": "text", "carry": "all", "tokens": 6400, "mixture": mix}
    found = plan_of({"text": BASE, "next": next_}).stage("next").mixture
    assert found.end_shares()["old"] == Fraction(1, 2)


def test_a_lock_holds_parts_of_the_rest_exactly() -> None:
    mix = {"a": {"sqrt_size": 2}, "b": {"sqrt_size": 5}}
    plan = plan_of({"text": {**BASE, "mixture": mix}})
    text = write_lock(plan)
    again = read_lock(text, "lock")
    assert again == plan
    assert write_lock(again) == text
    assert '"of_rest"' in text
    assert '"of_rest"' not in write_lock(plan_of({"text": BASE}))


def test_a_proxy_divides_amounts_as_it_divides_its_budget(tmp_path: Path) -> None:
    mix = {"a": {"tokens": 16_000}, "b": "rest"}
    overlay = "scale: {tokens: 1/20, seqs: 1/10}\n"
    plan = right(plan_in(tmp_path, overlay, {"text": {**BASE, "mixture": mix}}))
    stage = plan.stage("text")
    assert stage.budget.tokens == 3_200
    assert asked(stage.mixture) == {"a": 800, "b": 2_400}


GROUP = {"ratio": ".5", "of": {"b": {"tokens": 40_000}, "a": "rest"}}


@pytest.mark.parametrize(
    ("mix", "said"),
    [
        (
            {"a": {"tokens": 65_000}, "b": "rest"},
            "error[amount-too-large]: `a` is to read 65,000 tokens, and the stage asks for 64,000; "
            "make it smaller, or ask for more",
        ),
        (
            {"a": {"tokens": 60_000}, "b": {"tokens": 5_000}},
            "error[amount-too-large]: `a`, `b` are to read 65,000 tokens, and the stage asks for "
            "64,000; make it smaller, or ask for more",
        ),
        (
            {"g": GROUP, "a": "rest"},
            "error[amount-too-large]: `b` is to read 40,000 tokens, and `g` reads 32,000; "
            "make it smaller, or ask for more",
        ),
        (
            {"c": {"epochs": 1}, "a": "rest"},
            "error[size-unknown]: `c` cannot be counted: its size is unknown; write a ratio, or "
            "say it of the source",
        ),
        (
            {"c": {"size": 1}, "a": {"size": 1}},
            "error[size-unknown]: `c` cannot be counted: its size is unknown; write a ratio, or "
            "say it of the source",
        ),
        (
            {"a": {"size": 1}, "b": {"sqrt_size": 1}},
            "error[two-rests]: some of these share by `size` and some by `sqrt_size`; keep one way "
            "to share; groups may differ",
        ),
        (
            {"a": {"size": 1}, "b": "rest"},
            "error[two-rests]: `b` takes the rest, and nothing is left by size; keep one way to "
            "share; groups may differ",
        ),
        (
            {"a": {"size": 1, "ratio": 1}, "b": 0},
            "error[one-measure]: `a` says `ratio` and `size`: one of them is how much it reads; "
            "keep one of them",
        ),
        (
            {"a": {"ratio": 1, "at_most": "5M"}, "b": 0},
            "error[one-measure]: `a` says `ratio`: `at_most` is about the size that `size` and "
            "`sqrt_size` count; leave it out; what all stages may read of a source is its "
            "`max_epochs`",
        ),
        (
            {"a": {"size": 1, "at_most": "5 steps"}, "b": {"size": 1}},
            "error[wrong-unit]: an amount in steps cannot stand here; write it in tokens",
        ),
        (
            {"a": {"size": 1, "at_most": 0}, "b": {"size": 1}},
            "error[wrong-value]: `at_most` is more than nothing",
        ),
        (
            {"a": {"size": 0}, "b": 0},
            "error[wrong-value]: `size` is a number above 0",
        ),
        (
            {"a": {"epochs": "-1"}, "b": 0},
            "error[wrong-value]: `epochs` is a number from 0 on",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_shared_is_refused(mix: Tree, said: str) -> None:
    assert message_of({"text": {**BASE, "mixture": mix}}).partition(": ")[2] == said


def test_epochs_of_a_stage_that_counts_patches_want_an_image_share() -> None:
    mix = {"a": {"epochs": 1}, "b": "rest"}
    said = message_of({"eyes": {**EYES, "mixture": mix}})
    assert "`a` cannot be counted: its `image_share` is not said" in said


def test_asked_tokens_leave_out_what_rounding_added() -> None:
    plan = plan_of({"text": {**BASE, "tokens": "63_700", "mixture": {"a": RAMP, "b": "rest"}}})
    assert sum(x for x in tokens_asked(plan)["text"].values() if x) == 63_700


def test_one_source_alone_is_all_of_it_whatever_its_size() -> None:
    unknown = ("web: {modality: text, tokens: 10M}", "web: {modality: text, tokens: unknown}")
    mixture = "    mixture: {web: .75, code: .25}"
    alone = compile_text(small(unknown, (mixture, "    mixture: [web]")))
    known = compile_text(small((mixture, "    mixture: [web]")))
    assert (alone.findings, known.findings) == ((), ())
    assert alone.plan is not None
    assert known.plan is not None
    assert alone.plan.stage("first").mixture == known.plan.stage("first").mixture
    within = compile_text(
        small(unknown, (mixture, "    mixture: {g: {ratio: .3, of: [web]}, code: rest}"))
    )
    assert within.findings == ()
    (finding,) = compile_text(small(unknown, (mixture, "    mixture: [web, code]"))).findings
    assert finding.message == "the size of `web` is unknown"
