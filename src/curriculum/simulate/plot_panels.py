"""The panels of the picture: each draws its lines or areas, its scale, its unit and its legend

All of them take the same arguments, so that the page can stack them; a panel that has nothing to
show is left out by the page.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import ceil, floor, log2

import polars as pl
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from curriculum.plan import Plan
from curriculum.simulate.bands import Band
from curriculum.simulate.colours import LINES, fills
from curriculum.units import rate_in_words

Points = tuple[list[float], list[float]]


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
        label = ", ".join(modules)
        for x, y in lines:
            axes.plot(x, y, color=colour, ls=dashes, lw=2, label=label, solid_capstyle="butt")
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
        most, least = max(most, *y), min(least, *y)
    low, high = floor(log2(least)) - 1, ceil(log2(most)) + 1
    each = 1 + (high - low) // 8
    axes.set_yscale("log", base=2)
    axes.set_ylim(2**low, 2**high)
    axes.yaxis.set_major_locator(FixedLocator([2**k for k in range(low + 1, high, each)]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: _binary(y)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylabel("sequences; tokens (log2)")
    _legend(axes, "batch and context")


def mixture(axes: Axes, plan: Plan, axis: Sequence[Band], table: pl.DataFrame) -> None:
    """Stacked shares: text at the bottom, and each kind of source with a hatch of its own."""
    drawn = fills(plan, table)
    handles = {}
    for band in axis:
        rows = table.filter(pl.col("stage") == band.stage)
        below: list[float] | None = None
        for name, fill in drawn.items():
            shares = [100 * value for value in rows[f"ratio.{name}"].to_list()]
            x, y = _points(band, rows, shares)
            below = below or [0.0] * len(y)
            above = [a + b for a, b in zip(below, y, strict=True)]
            if any(y):
                handles[name] = axes.fill_between(
                    x,
                    below,
                    above,
                    facecolor=fill.colour,
                    hatch=fill.hatch,
                    edgecolor=fill.ink,
                    linewidth=0.4,
                    zorder=2,
                )
            below = above
    axes.set_ylim(0, 100)
    axes.set_ylabel("share of tokens [%]")
    names = [name for name in reversed(drawn) if name in handles]
    columns = 1 + (len(names) - 1) // 22
    axes.legend(
        [handles[name] for name in names],
        names,
        title="sources",
        loc="upper left",
        bbox_to_anchor=(1.008, 1.04),
        alignment="left",
        fontsize=9 if len(names) <= 14 else 7,
        labelspacing=0.4,
        handlelength=2.6,
        handleheight=1.15,
        borderpad=0,
        ncols=columns,
    )


def rope(axes: Axes, plan: Plan, axis: Sequence[Band], table: pl.DataFrame) -> None:
    """The RoPE base of every module that has one, over the stages in which it has one."""
    seen: set[float] = set()
    for number, name in enumerate(columns_of(table, "rope_base.")):
        colour, dashes = LINES[number % len(LINES)]
        label = name.removeprefix("rope_base.")
        for band in axis:
            rows = table.filter(pl.col("stage") == band.stage)
            values = rows[name].drop_nulls().to_list()
            if values:
                seen.update(values)
                x, y = _points(band, rows, values)
                axes.plot(x, y, color=colour, ls=dashes, lw=2, label=label)
                label = "_"
    axes.set_yscale("log")
    axes.set_ylim(min(seen) / 2.5, max(seen) * 2.5)
    ticks = sorted(seen)
    if len(ticks) <= 4 and all(b > 2 * a for a, b in pairwise(ticks)):
        axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,.0f}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylabel("RoPE base (log)")
    _legend(axes, "RoPE base of")


def _legend(axes: Axes, title: str) -> None:
    axes.legend(
        title=title,
        loc="upper left",
        bbox_to_anchor=(1.008, 1.08),
        alignment="left",
        handlelength=2.6,
        borderpad=0,
    )


def _whole_line(axis: Sequence[Band], table: pl.DataFrame, column: str) -> Points:
    xs: list[float] = []
    ys: list[float] = []
    for band in axis:
        rows = table.filter(pl.col("stage") == band.stage)
        x, y = _points(band, rows, rows[column].to_list())
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


def _binary(value: float) -> str:
    """Write a power of two in its binary suffix.

    >>> _binary(256), _binary(8192), _binary(2**20)
    ('256', '8Ki', '1Mi')
    """
    for power, suffix in ((20, "Mi"), (10, "Ki")):
        if value >= 2**power:
            return f"{value / 2**power:g}{suffix}"
    return f"{value:g}"
