"""Rules about rates, batches and switches along the path: what they say, and where they are silent

What trips each of them once stands in the handbook; here are the bounds of their domains.
"""

from pathlib import Path

import pytest

from curriculum.check.advice import advice
from curriculum.check.explained import entry
from curriculum.check.law_advice import non_embedding_params, optimal_rates
from curriculum.check.rules import broken_rules
from curriculum.compile import compile_file
from curriculum.lock import read_lock, write_lock
from curriculum.models.dense_shape import DenseDecoderShape
from curriculum.models.presets import shape_of
from curriculum.plan import Plan

SAID = {
    "fresh-modules-go-on-at-their-rate": (
        "23:9 warning stage `more` begins `llm` at LR 7.4487e-05, and `text` left it at "
        "7.4379e-05: 1.001 times that"
    ),
    "no-stage-outlasts-its-learning-rate": (
        "8:7 warning the learning rate of `llm` is 0 from step 200 of stage `text` on: 289 of its "
        "489 steps read 592K tokens and learn nothing"
    ),
    "schedules-are-seen-to-their-end": (
        "7:51 warning stage `text` stops with 80% of the decay of `llm` unseen: its learning rate "
        "is left at 0.0009141, the decay goes on to 0.0001"
    ),
    "rewarming-replays": (
        "24:14 warning stage `more` warms `llm` up again, from the 0.0001 that `text` left to "
        "0.001, and reads nothing of what was read before"
    ),
    "batches-hold-through-warm-ups": (
        "14:38 warning the batch changes from 16 to 32 sequences at step 49 of stage `text`, "
        "inside the warm-up of `llm`, which goes on to step 100"
    ),
    "decays-and-switches-meet": (
        "8:7 warning the decay of `llm` begins 12.3K tokens (1.2% of what lies before) before the "
        "mixture changes to that of stage `last`"
    ),
    "decays-end-where-their-own-stage-does": (
        "7:51 warning the decay of `llm` in stage `long` says 500K, which is the end of stage "
        "`short`; `long` asks for 1M"
    ),
    "fresh-modules-warm-up": (
        "23:9 info stage `more` begins `llm` at LR 0.0005 at once, without optimizer state; `text` "
        "left it at 1e-05"
    ),
    "decays-end-with-their-stage": (
        "7:49 info the decay of `llm` ends 1 step after stage `text` does: its last step has LR "
        "4.08e-6"
    ),
    "decays-take-their-share": (
        "8:7 info the decay of `llm` takes 2% of its schedule, after a constant rate over 98%: "
        "published ones take 5 to 25%"
    ),
    "new-data-is-read-warm": (
        "23:9 info stage `more` reads 100% of sources that `llm` never read, at an LR of 1e-05 at "
        "most: 1% of the path's highest"
    ),
    "rates-answer-the-batch": (
        "17:38 info a step of stage `text` goes from 2.05K to 8.19K tokens, 4 times, and nobody "
        "says what the learning rate does: by Adam's square root it would be 2 times as high"
    ),
    "large-batches-are-grown": (
        "14:12 info stage `text` begins a new `llm` with 8.39M tokens in its first step: early on, "
        "batches of that size cost tokens and gain nothing"
    ),
    "rates-are-near-published-laws": (
        "12:9 info the highest learning rate of `llm` in stage `text`, 5e-1, is 69 times the "
        "highest that published laws give for 1.75M parameters and 1M tokens: DeepSeek-LLM "
        "7.23e-3, Step Law 4.4e-3, Moonlight 2.28e-3"
    ),
}


def example(folder: Path, rule: str, *edits: str) -> Plan:
    """Compile the handbook's plan that trips a rule, after some edits."""
    path = folder / "example.yaml"
    path.write_text(entry(rule).trips or "")
    compiled = compile_file(path, edits)
    assert compiled.plan is not None, [str(error) for error in compiled.errors]
    return compiled.plan


def said(plan: Plan, rule: str) -> list[str]:
    """Return what a rule says of a plan, as `line:column severity message`."""
    found = [f for f in (*broken_rules(plan), *advice(plan)) if f.rule == rule]
    lines = [f"{f.span.line}:{f.span.column} " if f.span else "" for f in found]
    return [f"{at}{f.severity} {f.message}" for at, f in zip(lines, found, strict=True)]


@pytest.mark.parametrize(("rule", "message"), SAID.items())
def test_what_a_rule_says_of_its_example(rule: str, message: str, tmp_path: Path) -> None:
    assert said(example(tmp_path, rule), rule) == [message]


@pytest.mark.parametrize("rule", SAID)
def test_a_lock_is_told_the_same_without_places(rule: str, tmp_path: Path) -> None:
    again = read_lock(write_lock(example(tmp_path, rule)), "x.lock.json")
    assert said(again, rule) == [SAID[rule].partition(" ")[2]]


SILENT = [
    # A rate that is plainly another one is the stage's own; a warm-up, a jump that is said.
    ("fresh-modules-go-on-at-their-rate", "stages.more.lr=[{shape: linear, from: 3e-4, to: 0}]"),
    (
        "fresh-modules-go-on-at-their-rate",
        "stages.more.lr[0]={shape: linear, from: 7e-5, to: 1e-4}",
    ),
    ("fresh-modules-go-on-at-their-rate", "stages.more.lr={curve: 7.44e-5, jump: true}"),
    ("fresh-modules-warm-up", "stages.more.lr={curve: 5e-4, jump: true}"),
    ("fresh-modules-warm-up", "stages.more.lr=unknown"),
    # What rests all through is `every-trained-module-moves`; a few steps are advice.
    ("no-stage-outlasts-its-learning-rate", "schedules.main[0].for=485 steps"),
    ("no-stage-outlasts-its-learning-rate", "schedules.main[0].to=1e-9"),
    ("schedules-are-seen-to-their-end", "schedules.main[0].until=1_005_000"),
    ("schedules-are-seen-to-their-end", "schedules.main[0]={shape: constant, from: 1e-3}"),
    # Below half of the path's highest rate little is overwritten.
    ("rewarming-replays", "stages.more.lr[0].to=4.9e-4"),
    ("rewarming-replays", "stages.more.mixture={code: .99, web: .01}"),
    ("rewarming-replays", "stages.more.lr=[{shape: constant, from: current}]"),
    ("batches-hold-through-warm-ups", "stages.text.lr[0].for=49 steps"),
    (
        "batches-hold-through-warm-ups",
        "stages.text.batch=[{seqs: {from: 16, to: 64, shape: linear, multiple_of: 16}, "
        "until: 900K}, {seqs: 64}]",
    ),
    ("decays-and-switches-meet", "stages.last.mixture={web: 1}"),
    ("decays-and-switches-meet", "schedules.main[0].until=step 470"),
    ("decays-end-where-their-own-stage-does", "schedules.main[0].until=501K"),
    ("decays-end-where-their-own-stage-does", "stages.short.tokens=499K"),
    (
        "decays-end-where-their-own-stage-does",
        "stages.short={init: long, keep: long, carry: none, tokens: 500K, lr: 1e-4}",
    ),
    ("decays-end-with-their-stage", "schedules.main[0].until=step 600"),
    ("decays-take-their-share", "schedules.main[0].for=75%"),
    ("decays-take-their-share", "schedules.main[1].to=5e-4"),
    ("new-data-is-read-warm", "stages.more.mixture={code: .4, web: .6}"),
    ("new-data-is-read-warm", "stages.text.lr[0].to=1e-4"),
    ("rates-answer-the-batch", "stages.text.batch[1].seqs=31"),
    ("rates-answer-the-batch", "stages.text.lr={schedule: main, with_batch: sqrt}"),
    (
        "rates-answer-the-batch",
        "optimizers.adam={kind: muon, update_rms: .2, weight_decay: .1, llm/head: {kind: adamw}}",
    ),
    (
        "rates-answer-the-batch",
        "schedules.main=[{shape: constant, from: 1e-3, until: 500K}, "
        "{shape: constant, from: 2e-3}]",
    ),
    ("large-batches-are-grown", "stages.text.batch.seqs=1024"),
    ("rates-are-near-published-laws", "modules.llm.preset=moonlight-proxy"),
    ("rates-are-near-published-laws", "stages.text.lr=8.7e-3"),
    ("rates-are-near-published-laws", "stages.text.lr=1.2e-3"),
]


@pytest.mark.parametrize(("rule", "edit"), SILENT)
def test_where_a_rule_is_silent(rule: str, edit: str, tmp_path: Path) -> None:
    assert said(example(tmp_path, rule, edit), rule) == []


TOLD = [
    ("fresh-modules-go-on-at-their-rate", "stages.more.lr[0].from=1.4e-4", "1.882 times that"),
    ("no-stage-outlasts-its-learning-rate", "schedules.main[0].for=484 steps", "5 of its 489"),
    ("schedules-are-seen-to-their-end", "schedules.main[0].until=2M", "info stage `text` stops"),
    ("rewarming-replays", "stages.more.lr[0].to=5e-4", "from the 0.0001 that"),
    ("batches-hold-through-warm-ups", "stages.text.lr[0].for=50 steps", "on to step 50"),
    (
        "batches-hold-through-warm-ups",
        "stages.text.batch=[{seqs: 16, until: 100K}, {seqs: 8, seq_len: 256}]",
        "context changes from 128 to 256 tokens and the batch from 16 to 8 sequences",
    ),
    ("decays-and-switches-meet", "stages.text.mixture=[{of: {web: 1}, until: step 480}, "
     "{of: {code: 1}}]",
     "after the mixture changes at step 480 of stage `text`"),
    ("decays-end-with-their-stage", "schedules.main=[{shape: linear, from: 1e-3, to: 1e-4, "
     "until: step 487}, {shape: constant}]", "2 steps before stage `text` does"),
    ("decays-take-their-share", "schedules.main[0].for=70%", "takes 30% of its schedule"),
    ("rates-answer-the-batch", "stages.text.batch[1].seqs=8", "0.5 times"),
    ("rates-are-near-published-laws", "stages.text.lr=1e-3", "0.44 times the lowest"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "edit", "part"), TOLD)
def test_where_a_rule_begins_to_tell(rule: str, edit: str, part: str, tmp_path: Path) -> None:
    (found,) = said(example(tmp_path, rule, edit), rule)
    assert part in found


SEEN = "schedules-are-seen-to-their-end"


def test_what_is_stretched_is_seen_to_its_end(tmp_path: Path) -> None:
    edits = [
        "schedules.longer=[{stretch: main, until: 2M}]",
        "stages.more={init: text, keep: text, carry: all, tokens: 1M, lr: longer}",
    ]
    assert said(example(tmp_path, "schedules-are-seen-to-their-end", *edits), SEEN) == []
    assert said(example(tmp_path, "schedules-are-seen-to-their-end"), SEEN) != []


def test_who_rides_on_behind_a_stage_that_rides_on_something_else(tmp_path: Path) -> None:
    between = "stages.more={init: text, keep: text, carry: all, tokens: 1M, lr: other}"
    edits = [
        "schedules.other=[{shape: constant, from: current}]",
        between,
        "stages.back={init: more, keep: text, carry: none, tokens: 4M, lr: main}",
    ]
    assert said(example(tmp_path, SEEN, *edits), SEEN) == []


def test_unknown_stages_may_ride_on(tmp_path: Path) -> None:
    edit = "stages.more={init: text, keep: text, carry: all, tokens: unknown}"
    assert said(example(tmp_path, SEEN, edit), SEEN) == []


def test_what_comes_from_outside_has_a_past_that_nobody_knows(tmp_path: Path) -> None:
    edits = [
        "stages.given={checkpoint: {gives: [llm], lr: {llm: 1e-3}}}",
        "stages.text.init={llm: given}",
        "stages.text.carry=none",
    ]
    assert said(example(tmp_path, "rewarming-replays", *edits), "rewarming-replays") == []


def test_a_batch_that_changes_where_the_next_stage_rides_on(tmp_path: Path) -> None:
    edits = [
        "stages.text.batch={seqs: 16}",
        "stages.more={init: text, keep: text, carry: all, tokens: 1M, batch: {seqs: 48}}",
    ]
    (found,) = said(example(tmp_path, "rates-answer-the-batch", *edits), "rates-answer-the-batch")
    assert "stage `more` goes from 2.05K to 6.14K tokens, 3 times" in found


def test_the_laws_at_a_published_size() -> None:
    shape = shape_of("olmo2-7b", {})
    assert isinstance(shape, DenseDecoderShape)
    laws = optimal_rates(shape, 4096, 3_900_000_000_000)
    assert {name: f"{rate:.2g}" for name, rate in laws.items()} == {
        "DeepSeek-LLM": "0.00039",
        "Step Law": "0.0013",
        "Moonlight": "0.0006",
    }
    layer = 4 * 4096**2 + 3 * 4096 * 11_008 + 4 * 4096  # attention, FFN, four norms
    assert non_embedding_params(shape) == 32 * layer + 4096
