"""The comments of a plan file that allow findings, and the lines for which each of them counts

lr: 3e-4  # curriculum: allow RULE reason        this line
# curriculum: allow RULE reason                  the next line with a key, in a line of its own
long:  # curriculum: allow RULE reason           the line and the block that its key opens
"""

import re
from collections.abc import Sequence

from curriculum.allowances import Allow
from curriculum.errors import Span
from curriculum.source_map import scan
from curriculum.tidy_lines import Line, lines_of

_COMMENT = re.compile(r"#+\s*curriculum: allow(?:\s+(\S+))?(?:\s+(\S.*))?$")
_BREAKS = re.compile("\r\n?|[\x85\u2028\u2029]")


def allows_in(text: str, file: str, is_below: bool = False) -> tuple[Allow, ...]:
    """Return what the comments of a plan's text allow; the text is one that `read_text` reads.

    >>> (allow,) = allows_in("plan: x\\nseed: 3  # curriculum: allow some-rule as it was\\n", "x")
    >>> allow.rule, allow.reason, allow.first_line, allow.last_line
    ('some-rule', 'as it was', 2, 2)
    """
    text = _BREAKS.sub("\n", text)
    lines = lines_of(text, scan(text))
    found = []
    for line in lines:
        said = _COMMENT.match(line.comment)
        if said is None:
            continue
        number = line.number + 1
        column = line.comment_column + 1
        span = Span(file, number, column, number, column + len(line.comment))
        end = line.end_column + 1 if line.tokens else line.part_end + 1
        whole = span._replace(column=end)
        if line.is_comment:
            whole = Span(file, number, 1, number + 1, 1)
        rule_place = span.part(line.comment, *said.span(1)) if said[1] else span
        first = _stands_over(lines, line) if line.is_comment else line.number
        last = first - 1 if first == len(lines) else _block_end(lines, first)
        reason = said[2] or ""
        found.append(
            Allow(said[1] or "", reason, span, rule_place, whole, first + 1, last + 1, is_below)
        )
    return tuple(found)


def _stands_over(lines: Sequence[Line], comment: Line) -> int:
    """Return the next line that says something; the number of lines where there is none."""
    below = (line.number for line in lines[comment.number :] if line.tokens)
    return next(below, len(lines))


def _block_end(lines: Sequence[Line], first: int) -> int:
    """Return the last line of the block that the key of a line opens: the line itself without one.

    What is more indented than the key is within it, and so is a list in the key's own column.
    """
    key = next((t for t in lines[first].tokens if t.kind not in _NO_KEY), None)
    if key is None:
        return first
    opens = lines[first].tokens[-1].kind == "Value"
    last = first
    for line in lines[first + 1 :]:
        if line.part is not None:  # a text of several lines goes on
            last = line.number
        if not line.tokens:
            continue
        column = line.tokens[0].column
        is_item = opens and line.tokens[0].kind == "BlockEntry" and column == key.column
        closes = line.tokens[0].kind in _CLOSING and column == key.column
        if column <= key.column and not is_item and not closes and line.part is None:
            break
        last = line.number
    return last


_NO_KEY = ("BlockEntry", "Key", "StreamStart", "DocumentStart")
_CLOSING = ("FlowMappingEnd", "FlowSequenceEnd")
