"""Mistakes that were really made with data, contexts and parents, put into published plans

Each is an edit of a plan in plans/ (or what stands there, where the run itself made it), the rule
that tells of it, and what it says; its place is the edit. See also the mistakes with clocks.
"""

from pathlib import Path

import pytest

from curriculum.check.advice import advice
from curriculum.check.rules import broken_rules
from curriculum.compile import compile_file
from curriculum.errors import Diagnostic

PLANS = Path(__file__).parents[2] / "plans"


def findings(plan: str, *edits: str) -> tuple[Diagnostic, ...]:
    compiled = compile_file(PLANS / f"{plan}.yaml", edits)
    if compiled.plan is None:
        return compiled.findings
    return (*compiled.findings, *broken_rules(compiled.plan), *advice(compiled.plan))


# plan, edits (the first is where it is told), rule, what is said
MADE: list[tuple[str, tuple[str, ...], str, str]] = [
    (  # SmolLM3's decay: two sets about 1,600 and 1,750 times
        "smollm3-3b",
        ("sources.dolmino-gsm8k.tokens=280_000",),
        "repeated-sources-are-capped",
        "source `dolmino-gsm8k` is read 1749 times by the end of stage `decay`: 490M tokens "
        "worth 4.59M new ones; from about 40 times on it gains nothing (Muennighoff et al., "
        "arXiv 2305.16264)",
    ),
    (  # sets too small to be drawn
        "llama-3.1-405b",
        ("stages.anneal.mixture={best: rest, code: .01%}",),
        "every-source-is-drawn",
        "source `code` rounds to no sequence in stage `anneal`: its ratio asks for 0.038 of "
        "one in 384",
    ),
    (  # Marin: two groups' weights
        "olmo2-13b",
        (
            "stages.seed-2662.mixture={normalize: true, dclm-best: 50.2%, dolmino-math: 16.7%, "
            "flan: 17.5%, pes2o: 9.52%, wiki: 3.57%, stackexchange: 2.47%}",
        ),
        "shares-are-not-swapped",
        "in stage `seed-2662` `dolmino-math` has exactly the share of `flan`, and `flan` "
        "that of `dolmino-math`, in what its sibling, `seed-1110`, reads; all else is the "
        "same",
    ),
    (
        "smollm2-1.7b",
        (
            "stages.stage3.mixture={web: {ratio: 75%, of: {fineweb-edu: 60%, dclm: 40%}}, "
            "starcoderdata: 5%, owm: 20%}",
        ),
        "shares-are-not-swapped",
        "in stage `stage3` `owm` has exactly the share of `starcoderdata`, and "
        "`starcoderdata` that of `owm`, in what the stage before it, `stage2`, reads; all "
        "else is the same",
    ),
    (  # Marin: steps taken for samples at a hand-over
        "marin-8b",
        ("stages.spoonbill-z-loss.init=spoonbill@step 13_897_728",),
        "mark-beyond-stage",
        "`13897728 steps` lies past the end of stage `spoonbill` (125829.12M tokens, 10,000 steps)",
    ),
    (
        "marin-8b",
        ("stages.raccoon.seqs=79_500", "stages.raccoon.steps=null"),
        "steps-are-not-sequences",
        "stage `raccoon` has 79,500 sequences, and `jellyfish`, from which it starts, as "
        "many steps",
    ),
    (  # the wrong parent checkpoint
        "smollm3-3b",
        ("stages.long-64k.init=decay", "stages.long-64k.keep=decay"),
        "parents-are-the-newest",
        "stage `long-64k` starts from the end of `decay`, which `long-32k` continued, and "
        "nothing comes of `long-32k`",
    ),
    (  # RoPE left at the old context's value, and changed without a longer one
        "mimo-7b",
        ("stages.stage-3.seq_len=32_768", "stages.stage-3.rope.llm.base=null"),
        "rope-grows-with-context",
        "stage `stage-3` grows the context of `llm` from 8,192 to 32,768 and leaves its "
        "RoPE base at 10000",
    ),
    (
        "mimo-7b",
        (
            "stages.stage-3.rope.llm.base=640_000",
            "stages.stage-3.seq_len=8192",
            "stages.stage-3.batch={seqs: 2560}",
        ),
        "rope-changes-are-read",
        "stage `stage-3` gives `llm` the RoPE base 640000 for base 10000, and reads nothing "
        "longer than the 8,192 tokens of `stage-2`",
    ),
    (
        "mimo-7b",
        ("stages.stage-3.rope.llm.base=64_000",),
        "rope-bases-reach-their-context",
        "stage `stage-3` reads 32,768 tokens, and at a RoPE base of 64000 a similar token "
        "4,903 tokens away gets no more of `llm`'s attention than a random one",
    ),
    (
        "qwen2.5-vl-7b",
        ("stages.long-context.packing=concat-across",),
        "long-contexts-keep-documents-apart",
        "stage `long-context` packs documents across into sequences of 32,768 tokens: most "
        "of what a token attends to is of other documents",
    ),
    (  # a long context of a few steps
        "kimi-vl",
        ("stages.long-128k.tokens=5B",),
        "longest-contexts-are-read",
        "5.03B of 7.46T tokens are read in sequences of 131,072, which stage `long-128k` "
        "brings in: less than 0.1 %",
    ),
    (  # MiMo: the parts are 23.8T, the report says 25T
        "mimo-7b",
        ("require=[tokens.total == 25T]",),
        "claims-hold",
        "`tokens.total == 25T` does not hold: 23.784T == 25T is false",
    ),
    (  # the data order restarts
        "smollm2-1.7b",
        ("stages.stage4.seed=8",),
        "documents-are-not-dealt-anew",
        "stage `stage4` deals its sources anew: about 95% of what it reads of `dclm` was "
        "read before",
    ),
    (  # a cap that the last stage passes, with what is lacking
        "smollm2-1.7b",
        ("sources.owm.max_epochs=5",),
        "no-source-passes-its-cap",
        "by the end of stage `stage2` source `owm` is read 8.333 times, its cap is 5: 40B "
        "tokens are lacking",
    ),
]


# What the runs themselves did, as their plans say: rule, the text of its line, what is said
PUBLISHED: list[tuple[str, str, str, str]] = [
    (
        "marin-8b",
        "rope-changes-are-read",
        "      llm:",
        "stage `ocelot` gives `llm` the RoPE base 500000 with llama3 by 8 for base 10000, "
        "and reads nothing longer than the 4,096 tokens of `kestrel`",
    ),
    (
        "marin-8b",
        "sizes-are-not-copied",
        "  arxiv-md: ",
        "`arxiv-md` and `dolmino-pes2o` have exactly the 58.1B tokens of `pes2o`",
    ),
    (
        "smollm2-1.7b",
        "repeated-sources-are-capped",
        "  owm: ",
        "source `owm` is read 12.04 times by the end of stage `stage4`: 144B tokens worth "
        "107B new ones (Muennighoff et al., arXiv 2305.16264)",
    ),
    (
        "smollm3-3b",
        "no-source-starves",
        "fw2-vie: .0000448",
        "source `fw2-vie` is drawn about 65 times in the 20,000 steps of stage `long-32k`",
    ),
    (
        "smollm3-3b",
        "long-contexts-keep-documents-apart",
        "packing: !derived concat-across",
        "stage `reasoning` packs documents across into sequences of 32,768 tokens: most of "
        "what a token attends to is of other documents",
    ),
    (
        "deepseek-v3",
        "long-contexts-keep-documents-apart",
        "    seq_len: 32Ki",
        "stage `long-32k` packs documents across into sequences of 32,768 tokens: most of "
        "what a token attends to is of other documents",
    ),
    (
        "mimo-7b",
        "shares-change-gradually",
        "math-code: 70%",
        "`math-code` goes from 30% to 70% of the tokens where stage `stage-2` begins",
    ),
    (
        "llama-3.1-405b",
        "rope-bases-reach-their-context",
        "    seq_len: !assumed 96Ki",
        "stage `long-96k` reads 98,304 tokens, and at a RoPE base of 500000 with llama3 "
        "scaling a similar token 85,133 tokens away gets no more of `llm`'s attention than "
        "a random one",
    ),
]


def lines(plan: str) -> list[str]:
    return (PLANS / f"{plan}.yaml").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(("plan", "edits", "rule", "message"), MADE)
def test_the_mistake_is_told_at_its_place(
    plan: str, edits: tuple[str, ...], rule: str, message: str
) -> None:
    assert message not in [finding.message for finding in findings(plan)]
    (finding,) = [found for found in findings(plan, *edits) if found.message == message]
    assert finding.rule == rule
    places = [finding.span, *(related.span for related in finding.related)]
    assert f"--set {edits[0]}" in [span.file for span in places if span is not None]


@pytest.mark.parametrize(("plan", "rule", "line", "message"), PUBLISHED)
def test_what_a_run_did_is_told_where_its_plan_says_it(
    plan: str, rule: str, line: str, message: str
) -> None:
    found = [f for f in findings(plan) if f.rule == rule and f.message == message]
    (finding,) = found
    assert finding.span is not None
    assert line in lines(plan)[finding.span.line - 1]


def test_a_stage_that_skips_one_is_told_by_its_schedules_clock() -> None:
    edits = ("stages.stage-3.init=stage-1", "stages.stage-3.keep=stage-1")
    assert [f.rule for f in findings("mimo-7b", *edits)] == ["endless-piece"]


def test_a_swap_that_was_abandoned_is_told_once_it_is_not() -> None:
    found = findings("marin-8b", "stages.dessert-1.status=side")
    assert [f.message for f in found if f.rule == "shares-are-not-swapped"] == [
        "in stage `dessert-2` `dessert` has exactly the share of `hq`, and `hq` that of `dessert`, "
        "in what its sibling, `dessert-1`, reads; all else is the same"
    ]
    assert [f for f in findings("marin-8b") if f.rule == "shares-are-not-swapped"] == []
