"""Rows of words in columns as wide as their content: long names apart, what is too wide wrapped

    stage    tokens   steps
    text       5.2T 160,933
             trains llm 16B
    spoonbill-z-loss                 a name wider than what the other columns leave it
              68.9B   5,476
             epochs 2.08             a column that no width is left for stands below, with its head

Nothing is ever cut: a number that lost its end is another number.
"""

from collections.abc import Sequence
from textwrap import wrap
from typing import NamedTuple

WIDTH = 100
LEAST_NAME, MOST_NAME = 8, 20  # columns of names, however wide the rest is or they are
HANGING = 2
GLUE = "\xa0"
"""A space at which no line is broken: between `step` and its number."""


class Row(NamedTuple):
    """A name and its cells, or words in place of all cells; lines that stand below it."""

    name: str
    cells: tuple[str, ...] = ()
    words: str = ""
    below: tuple[str, ...] = ()


def laid_out(
    heads: Sequence[str], rows: Sequence[Row], left: Sequence[str] = (), width: int = WIDTH
) -> list[str]:
    """Return the lines of a table, none longer than `width`; columns of `left` begin alike.

    The first head is that of the names.
    """
    name_head, *cell_heads = heads
    widths = [
        max([len(head), *(len(row.cells[i]) for row in rows if row.cells)])
        for i, head in enumerate(cell_heads)
    ]
    shown = len(widths)
    while shown > 1 and LEAST_NAME + shown + sum(widths[:shown]) > width:
        shown -= 1
    room = min(max(width - shown - sum(widths[:shown]), LEAST_NAME), MOST_NAME)
    names = max([len(name_head), *(len(row.name) for row in rows if len(row.name) <= room)])

    def line(name: str, cells: Sequence[str]) -> str:
        placed = [
            cell.ljust(wide) if head in left else cell.rjust(wide)
            for cell, head, wide in zip(cells[:shown], cell_heads, widths, strict=False)
        ]
        return " ".join([name.ljust(names), *placed]).rstrip()

    lines = [line(name_head, cell_heads)]
    for row in rows:
        name = row.name
        if len(name) > names:
            lines += wrapped(name, width=width)
            name = ""
        if row.cells:
            lines.append(line(name, row.cells))
        else:
            lines += wrapped(row.words, names + 1, name, width)
        more = zip(cell_heads[shown:], row.cells[shown:], strict=False)
        spilled = ", ".join(f"{head.strip()} {cell.strip()}" for head, cell in more if cell)
        for words in (spilled, *row.below):
            lines += wrapped(words, names + 1, width=width) if words else []
    return lines


def wrapped(words: str, indent: int = 0, first: str = "", width: int = WIDTH) -> list[str]:
    """Return words as lines of at most `width`, behind what the first line begins with.

    >>> wrapped("trains llm 16B", 3, "a")
    ['a  trains llm 16B']
    """
    lines = wrap(
        words,
        width,
        initial_indent=first.ljust(indent),
        subsequent_indent=" " * (indent + HANGING),
        break_on_hyphens=False,
    )
    return [line.replace(GLUE, " ") for line in lines]
