"""Mistakes that were really made, put back into the published plans: each is told at its place

The list is D2 of published trainings: rates, ends, warm-ups, switches and batches.
"""

from pathlib import Path

import pytest

from curriculum.check.advice import advice
from curriculum.check.rules import broken_rules
from curriculum.compile import compile_file
from curriculum.errors import Diagnostic

PLANS = Path(__file__).parents[2] / "plans"

# What was done wrong, in which plan, by which edit; the rule that tells it, and the text there.
MADE = [
    (
        "OLMo 2's decays begin 0.24 % above the end of stage 1, and carry Adam's state",
        ("olmo2-7b", ["stages.seed-42.lr=anneal"]),
        ("carried-modules-go-on-at-their-rate", "error", "anneal"),
        "begins at LR 6.1499e-05, where `stage1` left it at 6.13511e-05",
    ),
    (
        "the same without the state: nothing would ever tell",
        ("olmo2-7b", ["stages.seed-42.lr=anneal", "stages.seed-42.carry=none"]),
        ("fresh-modules-go-on-at-their-rate", "warning", "anneal"),
        "and `stage1` left it at 6.13511e-05: 1.002 times that",
    ),
    (
        "SmolVLM's third stage has a horizon of half of its steps",
        ("smolvlm-256m", []),
        ("no-stage-outlasts-its-learning-rate", "warning", "0}"),
        "is 0 from step 2,000 of stage `stage-3` on: 2,000 of its 4,000 steps",
    ),
    (
        "SmolVLM's first stage stops long before its horizon",
        ("smolvlm-256m", []),
        ("schedules-are-seen-to-their-end", "warning", "step 500_000}"),
        "stops with 60.2% of the decay",
    ),
    (
        "Llama 3 stops at 96 % of its horizon",
        ("llama-3.1-405b", []),
        ("schedules-are-seen-to-their-end", "info", "step 1_200_000"),
        "its learning rate is left at 2.141e-06, the decay goes on to 8e-07",
    ),
    (
        "a horizon of 20T in a run of 5.2T",
        ("moonlight-16b-a3b", ["schedules.pretrain[1].until=20T"]),
        ("schedules-are-seen-to-their-end", "warning", "20T"),
        "stage `text` stops with 74.1% of the decay of `llm` unseen",
    ),
    (
        "Llama 3's batch changes inside the warm-up",
        ("llama-3.1-405b", []),
        ("batches-hold-through-warm-ups", "warning", "{tokens: 8Mi, seq_len: 8192"),
        "changes from 4,096 to 8,192 tokens at step 61 of stage `pretrain`",
    ),
    (
        "Moonlight's batch doubles at 20B, not at 200B",
        ("moonlight-16b-a3b", ["stages.text.batch[0].until=20B"]),
        ("batches-hold-through-warm-ups", "warning", "{seqs: 4096}"),
        "at step 1,193 of stage `text`, inside the warm-up of `llm`, which goes on to step 2,000",
    ),
    (
        "SmolLM3's decay ends one step past the run",
        ("smollm3-3b", []),
        ("decays-end-with-their-stage", "info", "522_000 steps"),
        "ends 1 step after stage `decay` does: its last step has LR 7.66e-10",
    ),
    (
        "OLMo 2's decays are over 10 steps before their runs",
        ("olmo2-7b", []),
        ("decays-end-with-their-stage", "info", "50B}"),
        "ends 10 steps before stage `seed-42` does",
    ),
    (
        "SmolLM2's mixture begins at 10T and its decay at step 4,716,000",
        ("smollm2-1.7b", ["stages.stage3.until=10T",
                          "stages.long-8k.init=stage4@step 430_000"]),
        ("decays-and-switches-meet", "warning", "{shape: linear, to: 0, for: 524_000 steps}"),
        "begins 110B tokens (1.1% of what lies before) before the mixture changes to that of "
        "stage `stage4`",
    ),
    (
        "SmolLM3's decay begins one step after its mixture",
        ("smollm3-3b", []),
        ("decays-and-switches-meet", "info", "{shape: linear, to: 0, for: 522_000 steps}"),
        "begins 2.36M tokens (2.4e-05% of what lies before) after the mixture changes",
    ),
    (
        "the 300B decay has the end of the 100B one",
        ("olmo2-13b", ["schedules.anneal-300b[0].until=100B"]),
        ("decays-end-where-their-own-stage-does", "warning", "100B"),
        "in stage `seed-2662-300b` says 100B, which is the end of stage `seed-1110`",
    ),
    (
        "Marin's reheat without any of the old data",
        ("marin-8b", ["stages.phoenix.mixture={nemotron-medium: 1}"]),
        ("rewarming-replays", "warning", "{nemotron-medium: 1}"),
        "from the 0.00017 that `jellyfish` left to 0.0017",
    ),
    (
        "a decay of 1 % where a tenth was meant",
        ("smollm2-360m", ["schedules.wsd[1].until=step 2_574_000",
                          "schedules.wsd[2].for=26_000 steps"]),
        ("decays-take-their-share", "info", "{shape: linear, to: 0, for: 520_000 steps}"),
        "takes 1% of its schedule, after a constant rate over 98.9%",
    ),
    (
        "a peak of 3e-3 whose exponent is another model's",
        ("smollm2-360m", ["schedules.wsd[0].to=3e-5"]),
        ("rates-are-near-published-laws", "info", "wsd"),
        "3e-5, is 0.055 times the lowest that published laws give",
    ),
    (
        "MiniMax's batch doubles three times at one rate",
        ("minimax-text-01", []),
        ("rates-answer-the-batch", "info", "{tokens: 32Mi, until: 790B}"),
        "goes from 16.8M to 134M tokens, 8 times",
    ),
    (
        "DeepSeek-V3's first step has 12.6M tokens",
        ("deepseek-v3", []),
        ("large-batches-are-grown", "info", "batch:"),
        "with 12.6M tokens in its first step",
    ),
    (
        "DeepSeek-V3's long contexts are read at the floor of its rate",
        ("deepseek-v3", []),
        ("new-data-is-read-warm", "info", "long-32k"),
        "at an LR of 7.3e-06 at most: 3.3% of the path's highest",
    ),
    (
        "Kimi-VL's joint stage begins new optimizer state at once",
        ("kimi-vl", []),
        ("fresh-modules-warm-up", "info", "joint"),
        "begins `projector`, `vit` at LR 4.2e-05 at once",
    ),
]  # fmt: skip


def found(name: str, edits: list[str]) -> tuple[Diagnostic, ...]:
    compiled = compile_file(PLANS / f"{name}.yaml", tuple(edits))
    assert compiled.plan is not None, [str(error) for error in compiled.errors]
    return (*compiled.findings, *broken_rules(compiled.plan), *advice(compiled.plan))


@pytest.mark.parametrize(
    ("made", "rule", "message"), [m[1:] for m in MADE], ids=[m[0] for m in MADE]
)
def test_the_mistake_is_told_at_its_place(
    made: tuple[str, list[str]], rule: tuple[str, str, str], message: str
) -> None:
    name, edits = made
    code, severity, text = rule
    mine = [f for f in found(name, edits) if f.rule == code and message in f.message]
    assert mine, [str(f) for f in found(name, edits) if f.rule == code]
    assert {str(f.severity) for f in mine} == {severity}
    span = mine[0].span
    assert span is not None
    written = span.file.removeprefix("--set ")
    if written == span.file:
        written = (PLANS / f"{name}.yaml").read_text().splitlines()[span.line - 1]
    assert written[span.column - 1 :].startswith(text)


DONE = {
    "llama-3.1-405b": ["batches-hold-through-warm-ups"],
    "smolvlm-256m": ["no-stage-outlasts-its-learning-rate", "schedules-are-seen-to-their-end"],
}
"""What the rules of this list warn of in the published plans as they are: it was really done."""


@pytest.mark.parametrize("name", sorted(path.stem for path in PLANS.glob("*.yaml")))
def test_published_plans_are_warned_of_nothing_else(name: str) -> None:
    codes = {made[2][0] for made in MADE}
    worse = [f.rule for f in found(name, []) if f.rule in codes and f.severity != "info"]
    assert sorted(worse) == DONE.get(name, [])
