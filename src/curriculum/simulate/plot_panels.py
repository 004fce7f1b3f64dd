"""The panels of the picture: each draws its lines or areas, its scale, its unit and its legend

All of them take the same arguments, so that the page can stack them; a panel that has nothing to
show is left out by the page.
"""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from math import ceil, floor, log2, nan
from textwrap import wrap

import polars as pl
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from curriculum.plan import Plan
from curriculum.rope import Rope
from curriculum.short_forms import short_count, short_length
from curriculum.simulate.bands import Band
from curriculum.simulate.colours import LINES, REST, fills
from curriculum.units import rate_in_words

Points = tuple[list[float], list[float]]

LABEL_WIDTH, LABEL_LINES = 34, 3  # characters and lines of a name in a legend
LINE_PX_PER_POINT = 2.05  # of a legend: its font, the space around it, at 100 dots per inch
MOST_GROUPS = 9  # of modules in the legend of their LRs
LEAST_SHOWN = 1e-6  # percent of an area: what sums of floats leave is none
DENSE = 120  # turns of a curve across the page from which on its line is drawn thin


def lr(axes: Axes, plan: Plan, axis: Sequence[Band], table: pl.DataFrame) -> None:
    """One line for each group of modules that share their LR in a stage."""
    groups: dict[tuple[str, ...], list[Points]] = {}
    peaks: list[float] = []
    middles: list[float] = []
    for band in axis:
        rows = table.filter(pl.col("stage") == band.stage)
        curves: dict[tuple[float | None, ...], list[str]] = {}
        for name in columns_of(table, "lr."):
            values = tuple(rows[name].to_list())
            if values[0] is not None:
                curves.setdefault(values, []).append(name.removeprefix("lr."))
        for shared, names in curves.items():
            numbers = [value for value in shared if value is not None]
            groups.setdefault(tuple(names), []).append(_points(band, rows, numbers))
            peaks.append(max(numbers))
            middles.append(sorted(numbers)[len(numbers) // 2])
    for number, (modules, lines) in enumerate(groups.items()):
        colour, dashes = LINES[number % len(LINES)]
        label = label_of(modules) if number < MOST_GROUPS else "_"
        if number == MOST_GROUPS - 1 and len(groups) > MOST_GROUPS:
            label = f"and {len(groups) - number} more groups"
        for x, y in lines:
            width = 0.5 if _turns(y) > DENSE * (x[-1] - x[0]) else 2.0
            axes.plot(x, y, color=colour, ls=dashes, lw=width, label=label, solid_capstyle="butt")
            label = "_"
    if min(peaks) > 0 and max(peaks) > 8 * min(peaks):
        lowest = min(middle or peak for middle, peak in zip(middles, peaks, strict=True))
        axes.set_yscale("log", nonpositive="clip")
        axes.set_ylim(lowest / 5, max(peaks) * 1.6)
        axes.set_ylabel("learning rate (log)")
    else:
        axes.set_ylim(0, max(max(peaks) * 1.1, 1e-30))
        axes.set_ylabel("learning rate")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: rate_in_words(y)))
    axes.yaxis.set_minor_locator(NullLocator())
    _legend(axes, "learning rate of")


def batch(axes: Axes, plan: Plan, axis: Sequence[Band], table: pl.DataFrame) -> None:
    """Sequences per step and tokens per sequence: both are powers of two, or near."""
    lines = (
        ("batch_seqs", "batch [sequences per step]"),
        ("seq_len", "context [tokens]"),
    )
    most, least = 1.0, float("inf")
    for (name, label), (colour, dashes) in zip(lines, LINES, strict=False):
        x, y = _whole_line(axis, table, name)
        axes.plot(x, y, color=colour, ls=dashes, lw=2, label=label, drawstyle="steps-post")
        known = [value for value in y if value == value]
        most, least = max(most, *known), min(least, *known)
    low, high = floor(log2(least)) - 1, ceil(log2(most)) + 1
    each = 1 + (high - low) // 8
    axes.set_yscale("log", base=2)
    axes.set_ylim(2**low, 2**high)
    axes.yaxis.set_major_locator(FixedLocator([2**k for k in range(low + 1, high, each)]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: short_length(int(y))))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylabel("sequences;\ntokens (log2)")
    _legend(axes, "batch and context")


def mixture(axes: Axes, plan: Plan, axis: Sequence[Band], table: pl.DataFrame) -> None:
    """Stacked shares: text at the bottom, and each kind of source with a hatch of its own."""
    drawn = fills(plan, table)
    read = [name for name in columns_of(table, "ratio.") if table[name].max() != 0]
    others = len(read) - len(drawn)
    rest = f"{others} smaller sources"
    handles = {}
    for band in axis:
        rows = table.filter(pl.col("stage") == band.stage)
        below: list[float] | None = None
        for name, fill in drawn.items():
            shares = [100 * value for value in rows[f"ratio.{name}"].to_list()]
            x, y = _points(band, rows, shares)
            above = [a + b for a, b in zip(below or [0.0] * len(y), y, strict=True)]
            if any(y):
                handles[name] = axes.fill_between(
                    x,
                    below or 0.0,
                    above,
                    facecolor=fill.colour,
                    hatch=fill.hatch,
                    edgecolor=fill.ink,
                    linewidth=0.4,
                    zorder=2,
                )
            below = above
        if others and below is not None and min(below) < 100 - LEAST_SHOWN:
            x, _ = _points(band, rows, [0.0] * rows.height)
            handles[rest] = axes.fill_between(x, below, 100, facecolor=REST, lw=0, zorder=2)
    axes.set_ylim(0, 100)
    axes.set_ylabel("share of tokens [%]")
    names = [name for name in (rest, *reversed(drawn)) if name in handles]
    room = axes.get_window_extent().height / (
        len(names) + 1
    )  # pixels of each line, the title's too
    axes.legend(
        [handles[name] for name in names],
        [name if name == rest else label_of([name]) for name in names],
        title="sources",
        loc="upper left",
        bbox_to_anchor=(1.008, 1.04),
        alignment="left",
        fontsize=min(9, max(6, room / LINE_PX_PER_POINT)),
        labelspacing=0.35,
        handlelength=2.6,
        handleheight=1.15,
        borderpad=0,
    )


def rope(axes: Axes, plan: Plan, axis: Sequence[Band], table: pl.DataFrame) -> None:
    """The RoPE base of every module that has one, each value said where it begins."""
    seen: set[float] = set()
    told: set[tuple[float, str]] = set()
    for number, name in enumerate(columns_of(table, "rope_base.")):
        colour, dashes = LINES[number % len(LINES)]
        label = module = name.removeprefix("rope_base.")
        before = ""
        for band in axis:
            rope = plan.stage(band.stage).rope.get(module)
            if rope is None or rope.base is None:
                before = ""
                continue
            base, words = float(rope.base), rope_words(rope)
            seen.add(base)
            ends = ([band.left, band.right], [base, base])
            axes.plot(*ends, color=colour, ls=dashes, lw=2, label=label)
            label = "_"
            if words != before and (band.left, words) not in told:
                told.add((band.left, words))
                axes.annotate(
                    words,
                    (band.left, base),
                    xytext=(4, 3),
                    textcoords="offset points",
                    fontsize=8,
                    gid="rope",
                )
            before = words
    axes.set_yscale("log")
    axes.set_ylim(min(seen) / 3, max(seen) * 6)
    axes.yaxis.set_major_locator(LogLocator(base=10, numticks=4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: short_count(Fraction(y))))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylabel("RoPE base\n(log)")
    _legend(axes, "RoPE base of")


def rope_words(rope: Rope) -> str:
    """Write a base and what stretches it.

    >>> rope_words(Rope(base=Fraction(10_000_000)))
    '10M'
    """
    words = "none" if rope.base is None else short_count(rope.base)
    return (
        words
        if rope.scaling is None
        else f"{words} {rope.scaling.kind} x{float(rope.scaling.factor):g}"
    )


def label_of(names: Sequence[str]) -> str:
    """Write names for a legend, in lines; of many the first, and how many more.

    >>> label_of(["llm", "vit", "projector"])
    'llm, vit, projector'
    """
    for shown in range(len(names), 0, -1):
        more = f" and {len(names) - shown} more" if shown < len(names) else ""
        lines = wrap(", ".join(names[:shown]) + more, LABEL_WIDTH, break_on_hyphens=False)
        if len(lines) <= LABEL_LINES:
            break
    return "\n".join(lines)


def _turns(values: Sequence[float]) -> int:
    """Return how often a line turns from rising to falling or back."""
    moves = [b - a for a, b in pairwise(values) if a != b]
    return sum(a * b < 0 for a, b in pairwise(moves))


def _legend(axes: Axes, title: str) -> None:
    legend = axes.legend(
        title=title,
        loc="upper left",
        bbox_to_anchor=(1.008, 1.08),
        alignment="left",
        handlelength=2.6,
        borderpad=0,
    )
    for line in legend.get_lines():
        line.set_linewidth(2)


def _whole_line(axis: Sequence[Band], table: pl.DataFrame, column: str) -> Points:
    xs: list[float] = []
    ys: list[float] = []
    for band in axis:
        rows = table.filter(pl.col("stage") == band.stage)
        x, y = _points(band, rows, rows[column].to_list())
        if not band.follows:  # nothing leads from the band before it to here
            xs.append(band.left)
            ys.append(nan)
        xs += x
        ys += y
    return xs, ys


def _points(band: Band, rows: pl.DataFrame, values: Sequence[float]) -> Points:
    """Return the line of one stage; the last step's value holds to the end of its band."""
    x = [band.place(tokens) for tokens in rows["tokens_stage"].to_list()]
    return [*x, band.right], [*values, values[-1]]


def columns_of(table: pl.DataFrame, prefix: str) -> list[str]:
    """Return the names of the columns of one kind, such as `lr.`."""
    return [name for name in table.columns if name.startswith(prefix)]
