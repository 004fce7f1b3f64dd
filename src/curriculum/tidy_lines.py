"""The lines of a plan's text: how deep each stands, its tokens, its comment"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from curriculum.source_map import Token

INDENT = 2
"""Spaces a level."""

_WHOLE_LINE = ("DocumentStart", "DocumentEnd", "Directive")
_OPENING = ("FlowMappingStart", "FlowSequenceStart")
_CLOSING = ("FlowMappingEnd", "FlowSequenceEnd")


@dataclass(slots=True)
class Line:
    """One line: its tokens with their words, its comment, and by how many columns it moves.

    `anchor` is the open bracket that it moves with. `part` is what belongs to a scalar that began
    in a line above, already moved; it ends at `part_end` in the text.
    """

    number: int
    column: int = 0
    moved: int = 0
    anchor: Token | None = None
    tokens: list[Token] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    comment: str = ""
    comment_column: int = 0
    part: str | None = None
    part_end: int = 0

    @property
    def is_blank(self) -> bool:
        return not self.tokens and not self.comment and self.part is None

    @property
    def is_comment(self) -> bool:
        """Say whether it holds a comment alone."""
        return not self.tokens and self.part is None

    @property
    def end_column(self) -> int:
        """The column behind its last token."""
        return self.tokens[-1].column + len(self.words[-1]) if self.tokens else self.part_end

    def gap(self, at: int) -> int:
        """Return the columns between a token and what stands before it in the line."""
        if at == 0:
            return self.tokens[0].column - self.part_end if self.part is not None else 0
        return self.tokens[at].column - self.tokens[at - 1].column - len(self.words[at - 1])


def lines_of(text: str, tokens: Sequence[Token]) -> list[Line]:
    """Return the lines of a text with what its tokens say of them."""
    reader = _Reader(text)
    for token in tokens:
        reader.read(token)
    return reader.lines


@dataclass(frozen=True, slots=True)
class _Level:
    """A block collection: the column it stands in, and the one where it should.

    A bare list is no deeper than the key that holds it: no token begins or ends it.
    """

    column: int
    indent: int
    is_map: bool
    is_bare: bool = False


class _Reader:
    """Goes through the tokens, with the collections that are open around each."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.raw = text.split("\n")
        self.lines = [Line(number) for number in range(len(self.raw))]
        self.levels: list[_Level] = []
        self.above: list[_Level] = []  # those that were open around the last token
        self.brackets: list[Token] = []
        self.is_key = False
        self.at = self.line = self.column = 0  # behind the last token

    def read(self, token: Token) -> None:
        """Take one token, and what stands between the last one and it."""
        if not self.brackets:
            self._open_or_close(token)
        if token.end == token.start and token.kind != "StreamEnd":
            self.is_key = self.is_key or token.kind == "Key"
            return
        self._between(token)
        if token.kind == "StreamEnd":
            return
        self._put(token)
        self.is_key = False
        self.above = list(self.levels)
        self.at, self.line, self.column = token.end, token.end_line, token.end_column

    # Collections

    def _open_or_close(self, token: Token) -> None:
        match token.kind:
            case "BlockMappingStart" | "BlockSequenceStart":
                self._open(token, is_map=token.kind == "BlockMappingStart")
            case "BlockEnd":
                self._close_bare()
                self.levels.pop()
            case "Key":
                self._close_bare()
            case "BlockEntry" if self.levels[-1].is_map:
                self._open(token, is_bare=True)

    def _open(self, token: Token, is_map: bool = False, is_bare: bool = False) -> None:
        indent = self.levels[-1].indent + INDENT if self.levels else 0
        self.levels.append(_Level(token.column, indent, is_map, is_bare))

    def _close_bare(self) -> None:
        if self.levels and self.levels[-1].is_bare:
            self.levels.pop()

    def _indent_of(self, token: Token) -> int:
        """Return the column where a line should begin whose first token this is."""
        if not self.levels or token.kind in _WHOLE_LINE:
            return 0
        begins = self.is_key or token.kind in ("BlockEntry", "Key", "Value")
        return self.levels[-1].indent + (0 if begins else INDENT)

    def _moved(self) -> int:
        """Return by how much the innermost block collection moves."""
        return self.levels[-1].indent - self.levels[-1].column if self.levels else 0

    # Lines

    def _put(self, token: Token) -> None:
        line = self.lines[token.line]
        if not line.tokens and line.part is None:
            line.column = token.column
            if self.brackets:
                self._move_with_bracket(line, token.column)
            else:
                line.moved = self._indent_of(token) - token.column
        line.tokens.append(token)
        if token.kind in _OPENING:
            self.brackets.append(token)
        elif token.kind in _CLOSING:
            self.brackets.pop()
        if token.end_line == token.line:
            line.words.append(self.text[token.start : token.end])
        else:
            self._put_parts(line, token)

    def _put_parts(self, line: Line, token: Token) -> None:
        """Put a scalar of several lines; what its lines hold is its own, but for where it begins.

        Of a block (`|`, `>`) the blank lines behind it count only if it says `+`.
        """
        first = self.raw[token.line][token.column :]
        is_block = token.style in ("|", ">")
        line.words.append(first if token.style == '"' else first.rstrip())
        last = token.end_line
        if is_block and "+" not in first.partition("#")[0]:
            while last > token.line and not self.raw[last][: self._end_in(token, last)]:
                last -= 1
        for number in range(token.line + 1, last + 1):
            if number == token.end_line and not token.end_column:
                continue
            raw = self.raw[number][: self._end_in(token, number)]
            part = self.lines[number]
            part.moved, part.part_end = self._moved(), len(raw)
            blanks = len(raw) - len(raw.lstrip(" "))
            part.part = (" " * max(0, blanks + part.moved) if raw else "") + raw[blanks:]

    def _end_in(self, token: Token, number: int) -> int:
        """Return the column where a scalar ends in one of its lines."""
        return token.end_column if number == token.end_line else len(self.raw[number])

    def _move_with_bracket(self, line: Line, column: int) -> None:
        """Let a line within brackets move with the innermost one if it stands further right."""
        line.moved = max(self._moved(), -column)
        if column > self.brackets[-1].column:
            line.anchor = self.brackets[-1]

    # Comments

    def _between(self, token: Token) -> None:
        """Note the comments between the last token and this one."""
        chunks = self.text[self.at : token.start].split("\n")
        for number, chunk in enumerate(chunks, self.line):
            comment = chunk.strip()
            if not comment.startswith("#"):
                continue
            line = self.lines[number]
            begin = self.column if number == self.line else 0
            line.comment = comment
            line.comment_column = begin + len(chunk) - len(chunk.lstrip())
            if line.is_comment:
                line.column = line.comment_column
                self._move_comment(line, token)

    def _move_comment(self, line: Line, following: Token) -> None:
        """Let a comment in a line of its own move with what it stands over, or behind."""
        column = line.column
        if self.brackets:
            self._move_with_bracket(line, column)
            return
        indents = {level.column: level.indent for level in self.above}
        if following.kind != "StreamEnd":
            indents[following.column] = self._indent_of(following)
        nearest = max((c for c in indents if c <= column), default=None)
        line.moved = (0 if nearest is None else indents[nearest]) - column
