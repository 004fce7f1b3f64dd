"""Which lines a comment that allows a finding counts for"""

import pytest

from curriculum.allow_comments import allows_in
from curriculum.source_map import read_text
from curriculum.tidy import tidied

A = "# curriculum: allow some-rule as published"


def lines(text: str) -> list[tuple[int, int]]:
    read_text(text, "x.yaml")
    return [(allow.first_line, allow.last_line) for allow in allows_in(text, "x.yaml")]


@pytest.mark.parametrize(
    ("text", "covered"),
    [
        (f"a: 1\nb: 2  {A}\nc: 3\n", [(2, 2)]),
        (f"a: 1\n{A}\nb: 2\nc: 3\n", [(3, 3)]),
        (f"a: 1\n\n{A}\n# and why\n\nb: 2\nc: 3\n", [(6, 6)]),
        (f"a:  {A}\n  b: 1\n\n  c:\n    d: 2\ne: 3\n", [(1, 5)]),
        (f"{A}\na:\n  b: 1\n  # a word\n  c: 2\nd: 3\n", [(2, 5)]),
        (f"a:  {A}\n- b: 1\n- c\nd: 3\n", [(1, 3)]),
        (f"a:\n  - b: 1  {A}\n    c: 2\n  - d: 3\n", [(2, 2)]),
        (f"a:\n  - b:  {A}\n      c: 2\n    d: 3\n", [(2, 3)]),
        (f"a: {{  {A}\n  b: 1,\n}}\nc: 2\n", [(1, 3)]),
        (f"{A}\na: |\n  b: 1\n\n  c\nd: 2\n", [(2, 5)]),
        (f"{A}\n{A}\na: 1\n", [(3, 3), (3, 3)]),
        (f"a: 1\r\nb: 2  {A}\r\nc: 3\r\n", [(2, 2)]),
        (f"a: 1\n{A}\n", [(4, 3)]),
        (f'a: "x {A}"\nb: |\n  {A}\n', []),
        ("a: 1  # curriculum: allows nothing\n", []),
        ("a: 1  # see curriculum: allow some-rule\n", []),
    ],
)
def test_the_lines_that_a_comment_counts_for(text: str, covered: list[tuple[int, int]]) -> None:
    assert lines(text) == covered


@pytest.mark.parametrize(
    ("comment", "rule", "reason"),
    [
        (A, "some-rule", "as published"),
        ("#curriculum: allow  some-rule   as  it # was ", "some-rule", "as  it # was"),
        ("# curriculum: allow some-rule", "some-rule", ""),
        ("# curriculum: allow", "", ""),
    ],
)
def test_its_rule_and_reason(comment: str, rule: str, reason: str) -> None:
    (allow,) = allows_in(f"a: 1\nb: 2   {comment}\n", "x.yaml")
    assert (allow.rule, allow.reason) == (rule, reason)
    assert str(allow.span) == "x.yaml:2:8"
    assert allow.span.end_column == 8 + len(comment.rstrip())


def test_the_layout_of_a_file_keeps_comments_at_their_lines() -> None:
    text = f"plan:   x\nstages:   {A}\n     a:\n          b : [1,2]   {A}\n     {A}\n     c: 1\n"
    new = tidied(text, "x.yaml")
    assert lines(new) == lines(text) == [(2, 6), (4, 4), (6, 6)]
    assert [a.reason for a in allows_in(new, "x.yaml")] == ["as published"] * 3
