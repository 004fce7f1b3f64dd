"""The panels of what stays level for long: sequences and tokens per step, and the context

Their scales are logarithmic (base 2) and marked at the values themselves: the one held longest, the
ends, and others that there is room for. In the panel of the batch a factor of 2 is as high on the
left as on the right.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from math import log2

import polars as pl
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from curriculum.short_forms import short_length
from curriculum.simulate.colours import LINES
from curriculum.simulate.plot_sheet import Points, Sheet, legend, whole_line
from curriculum.units import rounded_in_words

MARK_PX = 14  # of the height of a panel, from one mark to the next
RIGHT_PX = 52  # of the width, for the marks of the right axis
TOKENS = "tokens_per_step"


def batch(axes: Axes, sheet: Sheet) -> None:
    """Draw sequences per step, with their axis on the left, and tokens, with one on the right."""
    seqs = whole_line(sheet, "batch_seqs")
    product = (pl.col("batch_seqs") * pl.col("seq_len")).alias(TOKENS)
    tokens = whole_line(replace(sheet, table=sheet.table.with_columns(product)), TOKENS)
    right = axes.twinx()
    right.spines["right"].set_visible(True)
    (low, high), (least, most) = _ends(seqs), _ends(tokens)
    # Tokens at the top and sequences at the foot, an octave apart where both change alike.
    span = max(high - low, most - least) + 1.9
    axes.set_ylim(2 ** (low - 0.6), 2 ** (low - 0.6 + span))
    right.set_ylim(2 ** (most + 0.6 - span), 2 ** (most + 0.6))
    _draw(axes, seqs, 0, "sequences (left)", lambda y: f"{y:,.0f}")
    _draw(right, tokens, 1, "tokens (right)", lambda y: rounded_in_words(round(y)))
    axes.set_ylabel("sequences\nper step (log)")
    # One legend names the lines of both axes.
    (drawn,) = right.get_lines()
    axes.plot([], [], color=drawn.get_color(), ls=LINES[1][1], lw=2, label=drawn.get_label())
    legend(axes, "in one step", RIGHT_PX)


def context(axes: Axes, sheet: Sheet) -> None:
    """Draw the tokens of a sequence."""
    line = whole_line(sheet, "seq_len")
    low, high = _ends(line)
    axes.set_ylim(2 ** (low - 0.8), 2 ** (high + 0.8))
    _draw(axes, line, 0, "_", lambda y: short_length(round(y)))
    axes.set_ylabel("context\n[tokens, log]")


def _draw(axes: Axes, line: Points, number: int, label: str, words: Callable[[float], str]) -> None:
    colour, dashes = LINES[number]
    axes.plot(*line, color=colour, ls=dashes, lw=2, label=label, drawstyle="steps-post")
    low, high = axes.get_ylim()
    axes.set_yscale("log", base=2)
    axes.set_ylim(low, high)
    per_octave = axes.get_window_extent().height / log2(high / low)
    marks = level_marks(line, MARK_PX / per_octave)
    axes.yaxis.set_major_locator(FixedLocator(marks))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: words(y)))
    axes.yaxis.set_minor_locator(NullLocator())


def _ends(line: Points) -> tuple[float, float]:
    known = [log2(value) for value in line[1] if value == value]
    return min(known), max(known)


def level_marks(line: Points, octaves: float) -> Sequence[float]:
    """Return values of a line at least `octaves` apart: the longest held, the ends, then others.

    >>> level_marks(([0, 0.1, 0.4, 1.0], [8, 9, 32, 32]), 1)
    [8, 32]
    """
    held: dict[float, float] = {}
    for (x, value), (end, _) in pairwise(zip(*line, strict=True)):
        if value == value:
            held[value] = held.get(value, 0.0) + end - x
    kept: list[float] = []
    longest = sorted(held, key=lambda value: (-held[value], value))
    for value in dict.fromkeys([longest[0], max(held), min(held), *longest]):
        if all(abs(log2(value / other)) >= octaves for other in kept):
            kept.append(value)
    return sorted(kept)
