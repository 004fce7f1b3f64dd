"""What is wrong with a text that is no YAML, in plain words, and what to write instead

A parser stops where it can go no further, which may be lines after the mistake. Here the text
around that place is looked at again for what was most likely done.
"""

import re
from typing import NamedTuple

from curriculum.errors import text_lines

Place = tuple[int, int]
"""A line and a column, from 0."""

_CLOSES = {"[": "]", "{": "}"}
_NO_SPACE = re.compile(r"\s*(?:- +)?([A-Za-z0-9_./-]+):([^\s/].*)")
_NO_COLON = re.compile(r"\s*(?:- +)?([A-Za-z0-9_./-]+)(?:\s*=\s*|\s+)(\S.*)")
_ENTRY = re.compile(r"\s*(?:- +)?([A-Za-z0-9_./-]+):\s+(\S.*)")


class Stop(NamedTuple):
    """Where a parser stopped, its own words for it, and what it was reading from where on."""

    at: Place
    problem: str
    context: str = ""
    begin: Place | None = None


class Mistake(NamedTuple):
    """What is wrong at a place, and what to write instead."""

    place: Place
    message: str
    help: str | None = None


def mistake_of(text: str, stop: Stop) -> Mistake:
    """Say what is wrong with a text that a parser could not read to its end.

    >>> mistake_of("a: [1, 2", Stop((0, 8), "no end", "while parsing a flow sequence", (0, 3)))
    Mistake(place=(0, 3), message='this `[` is not closed', help='write `]` where it ends')
    """
    lines = text_lines(text)
    line, column = stop.at
    rest = _line(lines, line)[column:]
    begin = stop.begin or stop.at
    for number, one in enumerate(lines):
        if one.startswith("<<<<<<< "):
            what = "the file holds conflict markers: two versions of it were merged"
            way_out = (
                "keep one of the two, and take out the lines of `<<<<<<<`, `=======`, `>>>>>>>`"
            )
            return Mistake((number, 0), what, way_out)
    for near in (line - 1, line):
        if (odd := re.match(r" *([\xa0\u2000-\u200b\u3000])", _line(lines, near))) is not None:
            what = (
                f"a character that only looks like a space indents this line: U+{ord(odd[1]):04X}"
            )
            return Mistake((near, odd.start(1)), what, "indent with spaces")
    if "cannot start any token" in stop.problem:
        return _first_character(stop.at, rest)
    if "directive" in stop.context:
        return _first_character((line, 0), _line(lines, line))
    if "flow" in stop.context:
        return _in_brackets(lines, begin, stop.at)
    if rest[:1] in ("]", "}"):
        return Mistake(stop.at, f"this `{rest[0]}` closes nothing", "leave it out")
    if "quoted" in stop.context:
        return _in_quotes(lines, begin, stop)
    if "simple key" in stop.context:
        return _without_colon(_line(lines, begin[0]), begin)
    if "plain scalar" in stop.context and rest[:1] == ":":
        return Mistake(stop.at, "a space is missing after `:`", "write `: `")
    if any(what in stop.context for what in ("block scalar", "an alias", "an anchor")):
        return _first_character(begin, _line(lines, begin[0])[begin[1] :])
    if "mapping values" in stop.problem:
        return _second_colon(lines, stop.at)
    if "entries are not allowed" in stop.problem or "keys are not allowed" in stop.problem:
        return _first_character(stop.at, rest)
    if "while parsing a block" in stop.context:
        return _indented(lines, stop.at)
    if "document start" in stop.problem:
        way_out = "a plan is one mapping: begin it with `plan: NAME`"
        return Mistake(stop.at, "this belongs to nothing: what is above it has ended", way_out)
    words = ", ".join(part for part in (stop.context, stop.problem) if part)
    return Mistake(stop.at, f"this is no YAML: {words}")


def _line(lines: list[str], index: int) -> str:
    return lines[index] if 0 <= index < len(lines) else ""


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _first_character(place: Place, rest: str) -> Mistake:
    """Tell of a character with which no value begins."""
    first = rest[:1]
    if first == "\t":
        return Mistake(place, "a tab indents this line", "indent with spaces")
    what = f"no value begins with {'a backtick' if first == '`' else f'`{first}`'}"
    value = re.split(r" #|[,\]}]" if first == "%" else r" #", rest)[0].strip()
    bare = value.lstrip("%@`|>?-*& ")
    if first == "%" and re.fullmatch(r"[0-9.]+", bare):
        return Mistake(place, what, f"write `{bare}%`")
    if first == "-":
        what = "a list does not begin in the line of its key"
        return Mistake(place, what, f"write `[{bare}]`, or the items below it, one a line")
    if first in ("|", ">", "?", "`"):
        return Mistake(place, what, f"write `{bare.rstrip('`')}`, or put it in quotation marks")
    return Mistake(place, what, "put it in quotation marks")


def _in_brackets(lines: list[str], begin: Place, at: Place) -> Mistake:
    """Tell of a bracket that is not closed, or of what is missing between two entries in it."""
    is_empty = _line(lines, begin[0])[begin[1] : begin[1] + 1] not in _CLOSES
    if is_empty:  # a value is wanted and nothing that begins one stands here
        begin = _bracket_before(lines, at) or begin
    line, column = begin
    text = _line(lines, line)[column:]
    opening = text[:1]
    if opening not in _CLOSES:
        return Mistake(at, "a value is missing here")
    closing = _CLOSES[opening]
    if text.rstrip() == opening:  # over several lines, as it seems
        text = "\n".join([text, *lines[line + 1 :]])
    end = _end_of(text)
    if end is None:
        way_out = f"write `{closing}` where it ends"
        if closing in text.partition(" #")[2]:
            way_out = f"write `{closing}` before the `#`: behind it all is a comment"
        return Mistake(begin, f"this `{opening}` is not closed", way_out)
    if text[end] != closing and "\n" not in text:
        what = f"a `{opening}` is closed by `{text[end]}`"
        return Mistake((line, column + end), what, f"write `{closing}`")
    if is_empty:
        return Mistake(at, "a value is missing here", "write it, or leave the comma out")
    what = f"a comma is missing between two entries of this `{opening} {closing}`"
    return Mistake(at, what, "write `, ` between them; what holds `, ` stands in quotation marks")


def _bracket_before(lines: list[str], at: Place) -> Place | None:
    """Return the last bracket that opens before a place."""
    for line in range(min(at[0], len(lines) - 1), -1, -1):
        text = lines[line][: at[1]] if line == at[0] else lines[line]
        if (column := max(text.rfind("["), text.rfind("{"))) >= 0:
            return line, column
    return None


def _end_of(text: str) -> int | None:
    """Return where the first bracket of a text ends: at its own closing one, or at a wrong one."""
    waiting: list[str] = []
    quote, before = "", " "
    for index, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'" and before in " ,[{":
            quote = character
        elif character == "#" and before == " ":
            return None
        elif character in _CLOSES:
            waiting.append(_CLOSES[character])
        elif character in "]}" and (waiting.pop() != character or not waiting):
            return index
        before = character
    return None


def _in_quotes(lines: list[str], begin: Place, stop: Stop) -> Mistake:
    quote = _line(lines, begin[0])[begin[1] : begin[1] + 1]
    if "escape" in stop.problem:
        what = "a backslash between double quotation marks means nothing here"
        return Mistake(stop.at, what, "write it twice, or use single quotation marks")
    if "unexpected" in stop.problem:
        return Mistake(begin, f"this {quote} is not closed", f"write {quote} where its text ends")
    return Mistake(stop.at, f"this is no YAML: {stop.problem}")


def _without_colon(line: str, place: Place) -> Mistake:
    """Tell of a line that has no `: ` after its key."""
    if (joined := _NO_SPACE.fullmatch(line)) is not None:
        return Mistake(place, "a space is missing after `:`", f"write `{joined[1]}: {joined[2]}`")
    what, entry = "this line has no `:` after its key", _NO_COLON.fullmatch(line)
    return Mistake(place, what, f"write `{entry[1]}: {entry[2]}`" if entry else None)


def _second_colon(lines: list[str], at: Place) -> Mistake:
    """Tell of a second `: ` in a value, or of a key below a line that has its value."""
    line, column = at
    here, above = _line(lines, line), _line(lines, line - 1)
    if (entry := _ENTRY.match(here)) is not None and entry.start(2) < column:
        what = f"the value of `{entry[1]}` holds a second `:`"
        value = entry[2].partition(" #")[0].rstrip()
        marks = "'" if '"' in value else '"'
        way_out = f"put it in quotation marks: `{entry[1]}: {marks}{value}{marks}`"
        return Mistake(at, what, way_out if marks not in value else "put it in quotation marks")
    if line == 0:
        return Mistake(at, "this line holds a second `:`", "put the whole value in quotation marks")
    place = line - 1, _indent(above)
    if _NO_SPACE.fullmatch(above) is not None or ":" not in above:
        return _without_colon(above, place)
    return _indented(lines, (line, _indent(here)))


def _indented(lines: list[str], at: Place) -> Mistake:
    """Tell of a line that fits to none above it."""
    line, column = at
    here = _line(lines, line)
    if here[:column].strip():
        what = "this stands behind a value that has ended"
        return Mistake(at, what, "put the whole value in quotation marks, or leave it out")
    told = (one for one in reversed(lines[:line]) if one.strip() and one.strip()[0] != "#")
    above: list[int] = []
    for one in told:
        if not above or _indent(one) < above[-1]:
            above.append(_indent(one))
    last = above[0] if above else 0
    if column > last:
        what = "this line is indented deeper than the one above it, which has its value"
        return Mistake(at, what, f"indent it by {_spaces(last)}")
    if column == last:
        if here[column : column + 1] == "-":
            what, way_out = (
                "an item of a list stands among keys",
                "indent it below the key it is of",
            )
        else:
            what, way_out = "a key stands among the items of a list", "begin it with `- `"
        return Mistake(at, what, f"{way_out}, or leave it out")
    more, less = (
        min(n for n in above if n > column),
        max((n for n in above if n < column), default=0),
    )
    what = f"this line is indented by {_spaces(column)}, those above it by {less} or {more}"
    return Mistake(at, what, "indent it like the line that it stands beside")


def _spaces(count: int) -> str:
    return "1 space" if count == 1 else f"{count} spaces"
