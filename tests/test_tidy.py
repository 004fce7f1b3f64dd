from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curriculum.errors import FindingsError
from curriculum.source_map import read_text
from curriculum.tidy import tidied
from strategies import Tree, plans, text_of

PLANS = Path(__file__).parents[1] / "plans"
drawn = settings(max_examples=60, suppress_health_check=list(HealthCheck), deadline=None)


def laid(text: str) -> str:
    """Lay a text out, and hold that its layout is at rest."""
    new = tidied(text, "x.yaml")
    assert tidied(new, "x.yaml") == new
    return new


@pytest.mark.parametrize("plan", sorted(PLANS.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_plans_of_this_project_are_tidied(plan: Path) -> None:
    text = plan.read_text(encoding="utf-8")
    assert tidied(text, str(plan)) == text


@pytest.mark.parametrize(
    ("text", "new"),
    [
        ("a:   1", "a: 1\n"),
        ("a: 1   \n\n\n\nb: 2\n\n\n", "a: 1\n\nb: 2\n"),
        ("\n\na: 1\r\nb: 2\r\n", "a: 1\nb: 2\n"),
        ("a: 1 # x\nb: 2      # y\n", "a: 1  # x\nb: 2      # y\n"),
        ("a: 1\t# x\n", "a: 1  # x\n"),
        ("a: { b : [ 1,2 ,3 ],c:  d }\n", "a: {b: [1, 2, 3], c: d}\n"),
        ("a: {  }\nb: [ ]\n", "a: {}\nb: []\n"),
        ("a: { b: , c: }\n", "a: {b: , c: }\n"),
        ('a: {"b":1, c: !assumed   2}\n', 'a: {"b": 1, c: !assumed 2}\n'),
        ("a:\n      b:\n         c: 1\n", "a:\n  b:\n    c: 1\n"),
        ("a:\n- 1\n-   b: 2\n    c: 3\nd: 4\n", "a:\n  - 1\n  - b: 2\n    c: 3\nd: 4\n"),
        ("a:\n - - 1\n   - 2\n -\n   b: 1\n", "a:\n  - - 1\n    - 2\n  -\n    b: 1\n"),
        ("a:\n     x\nb:\n   !assumed\n      {c: 1}\n", "a:\n  x\nb:\n  !assumed\n  {c: 1}\n"),
        ("? a\n: b\n", "? a\n: b\n"),
        ("---\na: 1\n...\n", "---\na: 1\n...\n"),
    ],
)
def test_spaces_and_blank_lines(text: str, new: str) -> None:
    assert laid(text) == new


@pytest.mark.parametrize(
    "text",
    [
        "a:    {x: 1,   y: 20}\nlong: {x: 100, y: 3}\n",
        "a:    {x: 1}\nverylong: {x: 2}\nlong: {x: 3}\n",
        "a:    {x:   1, y: 2}\nlong: {x: 100, y: 3}\n",
        "a: 1       # one\nbb: 2      # two\n\nccc: 333   # three\n",
        "a: 1\n# of b\nb:\n  c: 1\n  # of d\n  d: 1\n  # behind d\n# of e\ne: 1\n# the end\n",
        "a: |\n  x\n\n\n    y  \nb: >-\n  z\n",
        'a: "x\n  y"\nb: x\n  y\n',
        "a: [1,\n    2,  # two\n    # three\n    3]\nb: {\n  c: 1,\n}\n",
        "%YAML 1.2\n---\na: 1\n",
    ],
)
def test_what_people_line_up_stays(text: str) -> None:
    assert laid(text) == text


def test_a_column_moves_as_a_whole() -> None:
    wide = "s:\n     a:    { x: 1,   y: 20 }  # a\n     long: { x: 100, y: 3 }   # b\n"
    assert laid(wide) == "s:\n  a:    {x: 1,    y: 20}   # a\n  long: {x: 100,  y: 3}    # b\n"
    lists = "s:\n    a:   [1,\n          2]\n"
    assert laid(lists) == "s:\n  a: [1,\n      2]\n"


def test_comments_move_with_what_they_speak_of() -> None:
    text = "a:\n    # of b\n    b: 1\n      # deep\n    # behind b\n# of c\nc: 1\n"
    assert laid(text) == "a:\n  # of b\n  b: 1\n  # deep\n  # behind b\n# of c\nc: 1\n"


def test_blocks_keep_what_they_hold() -> None:
    text = "a:\n      b: |+\n         x\n           y\n\n\nc: |2\n    z\n\n\nd: 1\n"
    new = laid(text)
    assert new == "a:\n  b: |+\n     x\n       y\n\n\nc: |2\n    z\n\nd: 1\n"


def test_what_is_no_plan_is_refused_at_its_place() -> None:
    for text, message in [
        ("a: [1\n", "x.yaml:1:4: error[yaml-syntax]"),
        ("a: 1\na: 2\n", "x.yaml:2:1: error[duplicate-key]"),
        ("", "x.yaml:1:1: error[empty-plan]"),
        ("a: 1\nb: x\u2028y\n", "x.yaml:2:5: error[line-break]: the character U+2028"),
        ("a: 1\rb: 2\n", "x.yaml:1:5: error[line-break]: the character U+000D"),
    ]:
        with pytest.raises(FindingsError, match=r".*") as caught:
            tidied(text, "x.yaml")
        assert str(caught.value).startswith(message)


def blocks(value: Any, random: Random, indent: int = 0) -> str:
    """Write a tree with any indentation, spaces and comments a person could come up with."""
    pad, blank = " " * indent, " " * random.choice((1, 1, 2, 5))
    if not isinstance(value, dict | list) or not value or random.random() < 0.2:
        return f"{blank}{flow(value, random)}{random.choice(('', '', ' # x', '   '))}\n"
    lines = [random.choice(("\n", "  # y\n", " \n"))]
    deeper = indent + random.choice((1, 2, 4))
    if isinstance(value, list):
        lines += [f"{pad}-{blocks(item, random, deeper + 2)}" for item in value]
    else:
        for key, item in value.items():
            lines.append(random.choice(("", "", f"{pad}# of it\n", "\n\n")))
            is_list = isinstance(item, list) and random.random() < 0.5
            lines.append(f"{pad}{key}:{blocks(item, random, indent if is_list else deeper)}")
    return "".join(lines)


def flow(value: Any, random: Random) -> str:
    def blank() -> str:
        return " " * random.choice((0, 0, 1, 3))

    if isinstance(value, dict):
        pairs = (f"{k}: {blank()}{flow(v, random)}" for k, v in value.items())
        return f"{{{blank()}{f'{blank()},{blank()} '.join(pairs)}{blank()}}}"
    if isinstance(value, list):
        items = f"{blank()},{blank()}".join(flow(item, random) for item in value)
        return f"[{blank()}{items}{blank()}]"
    return f"{random.choice(('', '', '!assumed '))}{value}"


@drawn
@given(plans(), st.randoms(use_true_random=False))
def test_any_way_of_writing_a_plan_is_tidied(tree: Tree, random: Random) -> None:
    laid(text_of(tree))
    laid(blocks(tree, random).lstrip("\n"))


@drawn
@given(st.text(alphabet=" \n:-ab,{}[]#'\"|>!?1", max_size=40))
def test_any_text_that_can_be_read_is_tidied(text: str) -> None:
    try:
        read_text(text, "x.yaml")
    except FindingsError:
        return
    laid(text)
