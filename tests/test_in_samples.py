"""What is told to who counts in samples, and to who says words where the language has others"""

import pytest

from curriculum.compile import compile_text
from small_plan import small

WEB = "web: {modality: text, tokens: 10M}"
AMOUNT = "seqs x `seq_len`: 4M of 1,024 are 4_096_000_000"
PACKINGS = (
    "one of best-fit (documents stay whole where they fit; attention stays inside each), "
    "concat (one behind the other, cut where full; attention stays inside each), "
    "concat-across (as concat, and attention crosses documents)"
)


def told(*changes: tuple[str, str]) -> list[str]:
    found = compile_text(small(*changes)).findings
    return [f"{f.rule}: {f.message}; {f.help}" for f in found]


@pytest.mark.parametrize("key", ["seqs", "samples", "examples"])
def test_a_source_in_samples_is_told_the_formula(key: str) -> None:
    asked = f"web: {{modality: text, {key}: 4M}}"
    message = f"unknown-key: a source has no key `{key}`; a size is `tokens` ({AMOUNT})"
    assert told((WEB, asked)) == [message]
    message = f"unknown-key: a source has no key `{key}`; a size is `tokens` (seqs x `seq_len`)"
    assert told((WEB, asked.replace("4M", "many"))) == [message]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            WEB,
            WEB.replace("10M", "4M seqs"),
            f"wrong-unit: an amount in seqs cannot stand here; write it in tokens ({AMOUNT})",
        ),
        (
            WEB,
            WEB.replace("10M", "4M samples"),
            f"wrong-value: `4M samples` is not an amount; write it in tokens ({AMOUNT})",
        ),
        (
            "for: 10 steps",
            "for: 4M seqs",
            "wrong-unit: an amount in seqs cannot stand here; "
            f"write it in tokens ({AMOUNT}) or steps or share",
        ),
    ],
)
def test_an_amount_in_samples_is_told_the_formula(old: str, new: str, message: str) -> None:
    assert told((old, new)) == [message]


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        (
            "seqs.first == 4M",
            "claims know no `seqs`; count tokens, seqs x `seq_len`: `tokens.first == 4M * 1024`",
        ),
        (
            "samples.total <= 4M",
            "claims know no `samples`; count tokens, seqs x `seq_len`: `tokens.total == 4M * 1024`",
        ),
        (
            "first: seqs == 16",
            "claims know no `seqs`; those of a step are `batch.seqs`; "
            "a stage's are `tokens.STAGE / SEQ_LEN`",
        ),
    ],
)
def test_a_claim_in_samples_is_told_the_formula(claim: str, message: str) -> None:
    change = ("plan: small", f'plan: small\nrequire: ["{claim}"]')
    assert told(change) == [f"claim-syntax: {message}"]


@pytest.mark.parametrize(
    ("loss", "key", "whole"),
    [
        ("{next_token: 1, over: answers}", "over", "{weight: 1, over: answers}"),
        ("{over: answers, next_token: 1}", "over", "{weight: 1, over: answers}"),
        ("{weight: 1, reduce: samples}", "weight", "{weight: 1, reduce: samples}"),
        (
            "{z_loss: 1e-4, next_token: {weight: .5}, over: answers, reduce: samples}",
            "over",
            "{weight: .5, over: answers, reduce: samples}",
        ),
    ],
)
def test_what_belongs_to_one_term_is_shown_there(loss: str, key: str, whole: str) -> None:
    message = f"wrong-value: `{key}` is no term of a loss: each term says its own"
    assert told(("{next_token: 1}", loss)) == [f"{message}; write `next_token: {whole}`"]


def test_each_word_of_packing_is_told_with_what_it_means() -> None:
    message = "wrong-value: `none` is not one of the words for this"
    assert told(("packing: best-fit", "packing: none")) == [f"{message}; {PACKINGS}"]
    near = "wrong-value: `bestfit` is not one of the words for this; did you mean `best-fit`?"
    assert told(("packing: best-fit", "packing: bestfit")) == [near]
