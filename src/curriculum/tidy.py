"""The canonical layout of a plan's text: `curriculum fmt`

Two spaces a level, one space after `:` and `,`, none inside brackets, two before a comment, at most
one blank line, no blanks at a line's end. What a person lined up stays lined up: a column of values
or of comments. Values, comments, their order and the breaks of lines stay as they were written.

    text --scan--> tokens --tidy_lines--> lines, their depth --> text, until it comes to rest
"""

import itertools
import re
from collections.abc import Sequence

from curriculum.errors import CurriculumError, Diagnostic, FindingsError, Span
from curriculum.nodes import Map, Node, Scalar, Seq
from curriculum.source_map import Token, read_text, scan
from curriculum.tidy_lines import Line, lines_of

_MOST_PASSES = 20
_NEAR = 4
"""Rows above and below with which a row may make a column: one of them may be too long for it."""

_BREAK = re.compile("\r(?!\n)|[\x85\u2028\u2029]")
_NUMBER = re.compile(r"[-+.]*\d")
_OPENING = ("FlowMappingStart", "FlowSequenceStart")
_CLOSING = ("FlowMappingEnd", "FlowSequenceEnd")


def tidied(text: str, file: str) -> str:
    """Return a plan's text in its canonical layout; raises `FindingsError` where it is no plan.

    >>> print(tidied("plan:   x #a name\\nstages:\\n     a: { b : [1,2] }", "x.yaml"), end="")
    plan: x  #a name
    stages:
      a: {b: [1, 2]}
    """
    if (odd := _BREAK.search(text)) is not None:
        raise FindingsError((_odd_break(text, odd.start(), file),))
    text = text.replace("\r\n", "\n")
    before = read_text(text, file)
    new = _once(text)
    for _ in range(_MOST_PASSES):
        # What stands lined up is seen from line to line: one change may make another.
        if (again := _once(new)) == new:
            break
        new = again
    else:
        raise CurriculumError(f"{file}: its layout comes to no rest; {_OURS}")
    if not _is_same(before, read_text(new, file)) or _comments(text) != _comments(new):
        raise CurriculumError(f"{file}: its layout would change what it says; {_OURS}")
    return new


_OURS = "it is left as it was; this is a mistake of `curriculum fmt`, please report it"


def _odd_break(text: str, at: int, file: str) -> Diagnostic:
    line = text.count("\n", 0, at) + 1
    column = at - text.rfind("\n", 0, at)
    return Diagnostic(
        "line-break",
        f"the character U+{ord(text[at]):04X} breaks a line, which few editors show",
        Span(file, line, column, line, column + 1),
        "write a line break, or leave it out",
    )


def _is_same(one: Node, other: Node) -> bool:
    """Say whether two trees say the same in the same order."""
    match one, other:
        case Scalar(), Scalar():
            return (one.text, one.tag) == (other.text, other.tag)
        case Seq(), Seq():
            same = one.tag == other.tag and len(one.items) == len(other.items)
            return same and all(map(_is_same, one.items, other.items))
        case Map(), Map():
            keys = [[key.text for key, _ in node.entries] for node in (one, other)]
            values = [[value for _, value in node.entries] for node in (one, other)]
            return one.tag == other.tag and keys[0] == keys[1] and all(map(_is_same, *values))
    return False


def _comments(text: str) -> list[str]:
    return [line.comment for line in lines_of(text, scan(text)) if line.comment]


def _once(text: str) -> str:
    """Lay a text out by the columns that it has now."""
    tokens = scan(text)
    lines = lines_of(text, tokens)
    rows = [line for line in lines if line.tokens]
    near = {row.number: _neighbours(rows, at) for at, row in enumerate(rows)}
    columns: dict[int, int] = {}  # of every token, by where it starts in the text
    written: list[str] = []
    is_blank = True
    for line in lines:
        if not line.is_blank:
            written.append(_written(line, near.get(line.number, ()), columns))
        elif not is_blank:
            written.append("")
        is_blank = line.is_blank
    if is_blank and written:
        written.pop()
    new = "".join(f"{line}\n" for line in written)
    return new.removesuffix("\n") if _ends_in_block(text, tokens) else new


def _ends_in_block(text: str, tokens: Sequence[Token]) -> bool:
    """Say whether a line break at the end would belong to a value."""
    ends = (t for t in tokens if t.style in ("|", ">") and t.end == len(text))
    return not text.endswith("\n") and any(ends)


def _neighbours(rows: Sequence[Line], at: int) -> tuple[Line, ...]:
    """Return the next rows above and below, as far as they begin in the same column."""
    above, below = rows[max(0, at - _NEAR) : at], rows[at + 1 : at + 1 + _NEAR]
    same = [
        itertools.takewhile(lambda row: row.column == rows[at].column, side)
        for side in (reversed(above), below)
    ]
    return tuple(itertools.chain(*same))


def _written(line: Line, near: Sequence[Line], columns: dict[int, int]) -> str:
    moved = line.moved
    if line.anchor is not None:
        moved = columns[line.anchor.start] - line.anchor.column
    out = " " * max(0, line.column + moved) if line.part is None else line.part
    for at, token in enumerate(line.tokens):
        if at or line.part is not None:
            out += " " * _gap(line, at, len(out) - moved, near)
        columns[token.start] = len(out)
        out += line.words[at]
    if not line.comment:
        return out
    if line.is_comment:
        return out + line.comment
    beside = (row for row in near if row.comment and row.comment_column == line.comment_column)
    is_column = any(row.comment_column - row.end_column > 2 for row in (line, *beside))
    pad = max(2, line.comment_column + moved - len(out)) if is_column else 2
    return f"{out}{' ' * pad}{line.comment}"


def _gap(line: Line, at: int, column: int, near: Sequence[Line]) -> int:
    """Return the spaces before a token; the line ends so far at `column`, were it not moved."""
    token = line.tokens[at]
    last = line.tokens[at - 1].kind if at else ""
    if last in _OPENING:
        return 0
    if token.kind in (*_CLOSING, "FlowEntry"):
        return int(last in ("Value", "Tag"))
    if token.kind == "Value":
        return int(last in ("FlowEntry", "Tag"))
    if last == "BlockEntry" or not _is_lined_up(line, at, near):
        return 1
    return max(1, token.column - column)


def _is_lined_up(line: Line, at: int, near: Sequence[Line]) -> bool:
    """Say whether a person put this token below or above another, with spaces."""
    column = line.tokens[at].column
    return any(
        (line.gap(at) > 1 or row.gap(i) > 1)
        and (row.tokens[i].column == column or _ends_with(line, at, row, i))
        for row in near
        for i in range(1, len(row.tokens))
    )


def _ends_with(line: Line, at: int, row: Line, i: int) -> bool:
    """Say whether two numbers end in the same column."""
    ends = line.tokens[at].column + len(line.words[at]), row.tokens[i].column + len(row.words[i])
    return ends[0] == ends[1] and all(map(_NUMBER.match, (line.words[at], row.words[i])))
