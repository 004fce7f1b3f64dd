"""Amounts in tokens that are less than a step, and steps that nobody meant"""

import pytest

from curriculum.compile import compile_text
from small_plan import SMALL

BIG = SMALL
for old, new in (
    ("tokens: 10M", "tokens: 10T"),
    ("tokens: 1M", "tokens: 4T"),
    ("tokens: 500K", "tokens: 1T"),
    ("seqs: 16", "seqs: 1024"),
    ("seq_len: 128", "seq_len: 4Ki"),
    ("seq_len: 256", "seq_len: 8Ki"),
    ("for: 10 steps", "for: 2000 steps"),
):
    BIG = BIG.replace(old, new)
LESS = "{:,} tokens are less than a step of 4Mi tokens; did you mean `{}`?"
COSINE = "{shape: cosine, to: 10%}"
ASKS = "stage `first` asks for {}, less than one step of {}; {}"


def told(old: str, new: str, text: str = BIG) -> str:
    """Return the one finding of a plan with one text replaced: its rule, message and help."""
    assert old in text
    (found,) = compile_text(text.replace(old, new, 1)).findings
    return f"{found.rule}: {found.message}; {found.help}"


def test_the_big_plan_is_fine() -> None:
    assert compile_text(BIG).plan is not None


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("for: 2000 steps", "for: 2000", LESS.format(2000, "2000 steps")),
        ("for: 2000 steps", "until: 2000", LESS.format(2000, "step 2000")),
        ("for: 2000 steps", "for: 1", "1 tokens are less than a step of 4Mi tokens; "
         "make it longer, or leave it out"),
        (COSINE, "{shape: constant, until: 5000}", LESS.format(5000, "step 5000")),
        (COSINE, "{shape: constant, until: 500}", "500 tokens are less than a step of 4Mi tokens; "
         "make it longer, or leave it out"),
        (COSINE, "{shape: rsqrt, timescale: 2000}", LESS.format(2000, "2000 steps")),
        (COSINE, "{shape: exponential, half_life: 900}", LESS.format(900, "900 steps")),
        ("{web: .75, code: .25}", "[{of: {web: 1}, until: 2000}, {of: {code: 1}}]",
         LESS.format(2000, "step 2000")),
        ("{web: .75,", "{web: [{shape: constant, from: .75, for: 2000}, {shape: constant}],",
         LESS.format(2000, "2000 steps")),
        ("weight_decay: .1", "weight_decay: [{shape: linear, from: 0, to: .1, for: 2000}, "
         "{shape: constant}]", LESS.format(2000, "2000 steps")),
        ("tokens: 4T", "tokens: 100",
         ASKS.format("100 tokens", "4.19M tokens", "did you mean `steps: 100`?")),
        ("tokens: 4T", "tokens: 4_194_303",
         ASKS.format("4194303 tokens", "4.19M tokens", "did you mean `steps: 4194303`?")),
        ("tokens: 4T", "until: 2000",
         ASKS.format("2K tokens", "4.19M tokens", "did you mean `until: step 2000`?")),
        ("tokens: 4T", "seqs: 100", ASKS.format("100 seqs", "1,024 sequences",
         "ask for more, or make the batch smaller")),
        ("init: first", "init: first@2000", "the mark 2,000 of stage `first` is less than a step "
         "of 4Mi tokens; did you mean `first@step 2000`?"),
        ("init: first", "init: first@2_000_000", "the mark 2,000,000 of stage `first` is less than "
         "a step of 4Mi tokens; let it be a step, or 0"),
    ],
)  # fmt: skip
def test_less_than_a_step_is_refused_and_steps_are_named(old: str, new: str, expected: str) -> None:
    assert told(old, new) == f"shorter-than-a-step: {expected}"


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        ("[{seqs: 512, until: 2000}, {seqs: 1024}]",
         "2,000 tokens are less than a step of 2Mi tokens; did you mean `step 2000`?"),
        ("{seqs: {from: 16, to: 1024, by: 16}, until: 2000}",
         "2,000 tokens are less than a step of 64Ki tokens; let it run for more"),
    ],
)  # fmt: skip
def test_a_mark_of_the_batch_is_a_step_at_least(batch: str, expected: str) -> None:
    assert told("{seqs: 1024}", batch) == f"batch-mark: {expected}"


def test_checkpoints_that_are_tokens_apart_are_named_in_steps() -> None:
    found = told("init: first", "init: {average: first, last: 5, every: 1000}")
    assert found.endswith("are less than a step apart (953,675 steps); "
                          "did you mean `every: 1000 steps`?")  # fmt: skip


def test_a_mark_on_the_path_that_was_meant_in_steps_is_named() -> None:
    assert told("tokens: 1T", "until: 1_000_000").endswith("did you mean `until: step 1000000`?")
    assert told("tokens: 1T", "until: 2000").endswith("or start from an earlier one")


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        ("{seqs: 4Mi}", "4,194,304 sequences of 4,096 are 17.2B tokens a step; "
         "did you mean `tokens: 4Mi`?"),
        ("{seqs: 4M}", "4,000,000 sequences of 4,096 are 16.4B tokens a step; "
         "did you mean `tokens: 4Mi`?"),
        ("{seqs: 3_000_000}", "3,000,000 sequences of 4,096 are 12.3B tokens a step; "
         "did you mean `tokens: 2928Ki`?"),
        ("[{seqs: 1Mi, until: 469B}, {seqs: 4Mi}]", "1,048,576 sequences of 4,096 are 4.29B tokens "
         "a step; did you mean `tokens: 1Mi`?"),
        ("{seqs: {from: 1Mi, to: 4Mi, by: 1Mi}, until: 469B}", "4,194,304 sequences of 4,096 are "
         "17.2B tokens a step; did you mean `tokens: 4Mi`?"),
    ],
)  # fmt: skip
def test_sequences_that_were_meant_in_tokens_are_told_at_the_batch(
    batch: str, expected: str
) -> None:
    assert told("{seqs: 1024}", batch) == f"step-too-large: {expected}"


def test_a_step_that_is_more_than_its_whole_stage_is_told_at_the_batch() -> None:
    text = BIG.replace("tokens: 4T", "tokens: 1B", 1).replace("for: 2000 steps", "for: 1%", 1)
    assert told("{seqs: 1024}", "{seqs: 256Ki}", text) == (
        "step-too-large: 262,144 sequences of 4,096 are 1.07B tokens a step; "
        "did you mean `tokens: 256Ki`?"
    )


def test_whole_steps_are_not_asked_twice() -> None:
    for mark in ("4_194_304", "1 steps", "0.0001%"):
        assert compile_text(BIG.replace("for: 2000 steps", f"for: {mark}", 1)).plan is not None
    text = BIG.replace("tokens: 4T", "tokens: 4Mi", 1).replace("for: 2000 steps", "for: 50%", 1)
    assert compile_text(text).plan is not None
