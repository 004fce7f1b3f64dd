"""What is no YAML: one plain sentence, its place, and what to write"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.compile import compile_text
from curriculum.fixes import with_fixes
from curriculum.source_map import read_text
from curriculum.yaml_words import Stop, mistake_of
from small_plan import SMALL, small

MISTAKES = [
    (
        "    tokens: 1M\n",
        "<<<<<<< HEAD\n    tokens: 1M\n=======\n    tokens: 2M\n>>>>>>> longer\n",
        "17:1: the file holds conflict markers: two versions of it were merged; "
        "keep one of the two, and take out the lines of `<<<<<<<`, `=======`, `>>>>>>>`",
    ),
    ("    init: {llm", "\tinit: {llm", "16:1: a tab indents this line; indent with spaces"),
    ("[llm]", "[llm", "18:12: this `[` is not closed; write `]` where it ends"),
    ("{llm: new}", "{llm: new", "16:11: this `{` is not closed; write `}` where it ends"),
    ("{llm: new}", "{llm: new}}", "16:21: this `}` closes nothing; leave it out"),
    ("[llm]", "[llm}", "18:16: a `[` is closed by `}`; write `]`"),
    (
        "{web: .75, code: .25}",
        "{web: .75 # most, code: .25}",
        "26:14: this `{` is not closed; write `}` before the `#`: behind it all is a comment",
    ),
    (
        "{web: .75, code: .25}",
        "{web: .75 code: .25}",
        "26:28: a comma is missing between two entries of this `{ }`; "
        "write `, ` between them; what holds `, ` stands in quotation marks",
    ),
    (
        "{llm: new}",
        "{\n      llm: new\n      vit: new}",
        "18:10: a comma is missing between two entries of this `{ }`; "
        "write `, ` between them; what holds `, ` stands in quotation marks",
    ),
    ("[llm]", "[, llm]", "18:13: a value is missing here; write it, or leave the comma out"),
    (
        "    optimizer",
        "   optimizer",
        "19:4: this line is indented by 3 spaces, those above it by 2 or 4; "
        "indent it like the line that it stands beside",
    ),
    (
        "    optimizer",
        "      optimizer",
        "19:7: this line is indented deeper than the one above it, which has its value; "
        "indent it by 4 spaces",
    ),
    (
        "1M\n",
        "1M\n      steps: 3\n",
        "18:7: this line is indented deeper than the one above it, which has its value; "
        "indent it by 4 spaces",
    ),
    (
        "{shape: cosine, to: 10%}\n",
        "{shape: cosine, to: 10%}\n    shape: linear\n",
        "14:5: a key stands among the items of a list; begin it with `- `, or leave it out",
    ),
    (
        "init: first\n",
        "init: first\n    - second\n",
        "29:5: an item of a list stands among keys; "
        "indent it below the key it is of, or leave it out",
    ),
    (
        "seed: 1",
        "source: Our run: it was fun",
        "2:16: the value of `source` holds a second `:`; "
        'put it in quotation marks: `source: "Our run: it was fun"`',
    ),
    (
        "seed: 1",
        'source: Our "run": fun',
        "2:18: the value of `source` holds a second `:`; "
        "put it in quotation marks: `source: 'Our \"run\": fun'`",
    ),
    ("web: .75", "web: %75", "26:20: no value begins with `%`; write `75%`"),
    (
        "seed: 1",
        "%seed: 1",
        "2:1: no value begins with `%`; put it in quotation marks",
    ),
    (
        "init: first",
        "init: @first",
        "28:11: no value begins with `@`; put it in quotation marks",
    ),
    (
        "init: first",
        "init: `first`",
        "28:11: no value begins with a backtick; write `first`, or put it in quotation marks",
    ),
    (
        "tokens: 1M",
        "tokens: | 1M",
        "17:13: no value begins with `|`; write `1M`, or put it in quotation marks",
    ),
    (
        "init: first",
        "init: ? first",
        "28:11: no value begins with `?`; write `first`, or put it in quotation marks",
    ),
    (
        "init: first",
        "init: - first",
        "28:11: a list does not begin in the line of its key; "
        "write `[first]`, or the items below it, one a line",
    ),
    ("seed: 1", "seed:1", "2:1: a space is missing after `:`; write `seed: 1`"),
    ("tokens: 1M", "tokens:1M", "17:5: a space is missing after `:`; write `tokens: 1M`"),
    (
        "seed: 1",
        "seed 1",
        "2:1: this line has no `:` after its key; write `seed: 1`",
    ),
    (
        "tokens: 1M",
        "tokens = 1M",
        "17:5: this line has no `:` after its key; write `tokens: 1M`",
    ),
    ("{web: .75,", "{web:[.75],", "26:18: a space is missing after `:`; write `: `"),
    ("best-fit", '"best-fit', '24:14: this " is not closed; write " where its text ends'),
    (
        "best-fit",
        '"best\\-fit"',
        "24:19: a backslash between double quotation marks means nothing here; "
        "write it twice, or use single quotation marks",
    ),
    (
        "best-fit",
        '"best" fit',
        "24:21: this stands behind a value that has ended; "
        "put the whole value in quotation marks, or leave it out",
    ),
    (
        "    tokens: 1M",
        "\u00a0\u00a0\u00a0\u00a0tokens: 1M",
        "17:1: a character that only looks like a space indents this line: U+00A0; "
        "indent with spaces",
    ),
    (
        "stages:",
        "...\nstages:",
        "15:1: this belongs to nothing: what is above it has ended; "
        "a plan is one mapping: begin it with `plan: NAME`",
    ),
    (
        "plan: small",
        "plan: sm\aall",
        "1:9: a plan holds no character U+0007; leave it out",
    ),
]


@pytest.mark.parametrize(("old", "new", "expected"), MISTAKES)
def test_what_is_no_yaml_is_told_in_plain_words(old: str, new: str, expected: str) -> None:
    (finding,) = compile_text(small((old, new))).findings
    assert finding.rule == "yaml-syntax"
    assert finding.span is not None
    place = f"{finding.span.line}:{finding.span.column}"
    assert f"{place}: {finding.message}; {finding.help}" == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("{base: 8,000,000}", "`8,000,000` is cut up at its commas; write 8_000_000"),
        ("{base: 10,000 }", "`10,000` is cut up at its commas; write 10_000"),
    ],
)
def test_a_number_with_commas_between_braces_is_told_once(value: str, expected: str) -> None:
    (finding,) = compile_text(small(("{base: 10_000}", value))).findings
    assert f"{finding.message}; {finding.help}" == expected
    assert str(finding.span) == "plan.yaml:25:24"


@pytest.mark.parametrize("tag", ["", "!assumed ", "!derived   "])
@pytest.mark.parametrize("number", ["10,000", "50,000,000,000", "1,000,000,000,000"])
def test_a_number_with_commas_keeps_its_tag_when_it_is_mended(tag: str, number: str) -> None:
    text = small(("{base: 10_000}", f"{{base: {tag}{number}}}"))
    (finding,) = compile_text(text).findings
    mended = number.replace(",", "_")
    assert f"{finding.message}; {finding.help}" == (
        f"`{number}` is cut up at its commas; write {mended}"
    )
    assert finding.fix is not None
    wanted = small(("{base: 10_000}", f"{{base: {tag}{mended}}}"))
    assert with_fixes(text, [finding.fix])[0] == wanted


def test_a_key_that_is_a_number_is_no_number_with_commas() -> None:
    text = "{a: 8, 000: 1}"
    assert [key.text for key, _ in read_text(text, "x.yaml").entries] == ["a", "000"]


def test_lines_are_counted_where_yaml_breaks_them() -> None:
    """Found by the fuzzer: a number with commas behind line breaks that few editors know."""
    for mark in ("\x85", "\u2028", "\r"):
        (finding,) = compile_text(
            small(("{base: 10_000}", "{base: 10,000}")).replace("\n", mark)
        ).findings
        assert str(finding.span) == "plan.yaml:25:24"


def test_a_second_colon_in_the_first_line_is_told_there() -> None:
    found = compile_text("e30, to: 4608, shape: linear").findings
    assert [(str(f.span), f.message) for f in found] == [
        ("plan.yaml:1:21", "this line holds a second `:`")
    ]


def test_what_nobody_thought_of_is_told_in_the_words_of_the_parser() -> None:
    found = mistake_of("a", Stop((0, 0), "odd", "while scanning"))
    assert found == ((0, 0), "this is no YAML: while scanning, odd", None)


@given(
    st.lists(st.tuples(st.integers(0, len(SMALL) - 1), st.sampled_from(" \t\n[]{}:,-\"'%@|?#&*\\")))
)
def test_a_plan_with_characters_replaced_is_read_or_refused(
    changes: list[tuple[int, str]],
) -> None:
    text = list(SMALL)
    for index, character in changes:
        text[index] = character
    found = compile_text("".join(text)).findings
    assert all(d.span and d.span.line >= 1 and d.message for d in found)
