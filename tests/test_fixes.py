"""Edits that may be made for a person: only those that say the same in the language's words"""

import pytest

from curriculum.compile import compile_text
from curriculum.errors import Fix, Span
from curriculum.fixes import with_fixes
from small_plan import small


def fixes(*changes: tuple[str, str]) -> list[tuple[str, str]]:
    """Return the edits that a plan's findings propose, as `place rule` and the text."""
    found = compile_text(small(*changes)).findings
    return [
        (f"{f.fix.span.line}:{f.fix.span.column}-{f.fix.span.end_column} {f.rule}", f.fix.text)
        for f in found
        if f.fix is not None
    ]


@pytest.mark.parametrize(
    ("change", "place", "text"),
    [
        (("    optimizer:", "    optimiser:"), "19:5-14 unknown-key", "optimizer"),
        (("modules:", "module:"), "3:1-7 unknown-key", "modules"),
        (("    rope.llm.base:", "    ropes.llm.base:"), "34:5-10 unknown-key", "rope"),
        (("weight_decay", "wieght_decay"), "6:23-35 unknown-key", "weight_decay"),
        (("best-fit", "bestfit"), "24:14-21 wrong-value", "best-fit"),
        (("best-fit", '"best_fit"'), "24:14-24 wrong-value", "best-fit"),
        (("shape: cosine", "shape: cosin"), "13:15-20 wrong-value", "cosine"),
        (("seq_len: 128", "seq_len: 8K"), "22:14-16 wrong-value", "8Ki"),
        (("tokens: 1M", "tokens: 1,000,000"), "17:13-22 wrong-value", "1_000_000"),
        (("tokens: 1M", "tokens: 1m"), "17:13-15 wrong-value", "1M"),
        (("{seqs: 16}", "{tokens: 1M}"), "23:21-23 whole-sequences", "1Mi"),
    ],
)
def test_what_is_mended(change: tuple[str, str], place: str, text: str) -> None:
    assert (place, text) in fixes(change)


@pytest.mark.parametrize("tag", ["!assumed ", "!derived   ", "!conflict\n        "])
@pytest.mark.parametrize(
    ("old", "new", "wrong", "right"),
    [
        ("best-fit", "{}", "bestfit", "best-fit"),
        ("best-fit", "{}", '"best_fit"', "best-fit"),
        ("shape: cosine", "shape: {}", "cosin", "cosine"),
        ("seq_len: 128", "seq_len: {}", "8K", "8Ki"),
        ("tokens: 1M", "tokens: {}", "1,000,000", "1_000_000"),
        ("tokens: 1M", "tokens: {}", "1m", "1M"),
        ("{seqs: 16}", "{tokens: {}}", "1M", "1Mi"),
    ],
)
def test_a_mended_value_keeps_its_tag(tag: str, old: str, new: str, wrong: str, right: str) -> None:
    text, wanted = (small((old, new.replace("{}", tag + value))) for value in (wrong, right))
    made = [f.fix for f in compile_text(text).findings if f.fix is not None]
    assert with_fixes(text, made)[0] == wanted


@pytest.mark.parametrize(
    "change",
    [
        ("    optimizer: adam", "    optimizer: adam\n    optimiser: adam"),  # it is there
        ("    lr: main", "    lr: man"),  # a name that somebody chose
        ("web: .75", "wed: .75"),
        ("keep: first", "keep: frist"),
        ("weight_decay", "beta3"),  # beta1 and beta2 are as near
        ("tokens: 1M", "tokens: 1tb"),  # bytes, perhaps
        ("tokens: 1M", "tokens: 1M bytes"),
        ("{seqs: 16}", "{tokens: 5000}"),
        ("{seqs: 16}", "{seqs: 16K}\n    colour: red"),
    ],
)
def test_what_is_for_a_person(change: tuple[str, str]) -> None:
    assert compile_text(small(change)).findings
    assert fixes(change) == []


@pytest.mark.parametrize(
    ("text", "edits", "new"),
    [
        ("a: 1\nb: 2\n", [((1, 4, 1, 5), "x"), ((2, 4, 2, 5), "yy")], "a: x\nb: yy\n"),
        ("a: 1\r\nb: 2\r\n", [((2, 4, 2, 5), "3")], "a: 1\r\nb: 3\r\n"),
        ("a: 1\u2028b: 2\n", [((2, 4, 2, 5), "3")], "a: 1\u2028b: 3\n"),
        ("a: 1  # x\nb: 2\n", [((1, 5, 1, 10), "")], "a: 1\nb: 2\n"),
        ("a: 1\n# x\nb: 2\n", [((2, 1, 3, 1), "")], "a: 1\nb: 2\n"),
        ("a: 1\n# x", [((2, 1, 3, 1), "")], "a: 1\n"),
        ("abcdef", [((1, 2, 1, 5), "X"), ((1, 4, 1, 6), "Y")], "aXef"),
        ("abcdef", [((1, 2, 1, 3), "X"), ((1, 2, 1, 3), "Y")], "aXcdef"),
        ("abcdef", [((1, 3, 1, 4), "Y"), ((1, 2, 1, 3), "X")], "aXYdef"),
    ],
)
def test_a_text_takes_edits_that_do_not_overlap(
    text: str, edits: list[tuple[tuple[int, int, int, int], str]], new: str
) -> None:
    made = [Fix(Span("x.yaml", *place), words) for place, words in edits]
    assert with_fixes(text, made)[0] == new


def test_the_edits_that_were_made_are_told() -> None:
    one, two = Fix(Span("x", 1, 2, 1, 5), "X"), Fix(Span("x", 1, 4, 1, 6), "Y")
    assert with_fixes("abcdef", [two, one])[1] == (one,)
