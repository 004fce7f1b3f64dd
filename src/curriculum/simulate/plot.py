"""The run as a picture: LR, batch and context, mixture, RoPE base over one axis of tokens

    title, subtitle
    stage names          one band a stage, none too narrow for its name; where it does not follow
                         the band before it, what it starts from
    LR | batch, context | mixture | RoPE base        legends to the right; nothing is drawn empty

The table's rows are joined by lines, so it holds every step at which something jumps and the step
before it (`timeline.outline`).
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

import polars as pl
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator

from curriculum.plan import Plan
from curriculum.simulate import plot_panels as panels
from curriculum.simulate.bands import Band, bands, is_to_scale, side_by_side
from curriculum.simulate.colours import named_sources
from curriculum.simulate.output import write_whole
from curriculum.simulate.plot_names import draw_names, label_of_band, names_fit, needed_px, text_px
from curriculum.units import rounded_in_words

MOST_LEAST_WIDTH = 0.085  # of the axis; where names need more, those of short stages stand upright
UPRIGHT_PX = 54  # of a band whose name stands upright, beside its tokens and its note
LEAST_APART = 0.03  # of the axis: from a border to the next round number
MOST_DIGITS = 7  # of a label of the token axis
SUBTITLE_WIDTH = 190  # characters
LEGEND_PX = (240, 420)  # the least and the most that legends take of the width
DOTS_PER_INCH = 100
INK, FAINT = "#222222", "#d9d9d9"
STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#888888",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "legend.frameon": False,
    "legend.fontsize": 9,
    "hatch.linewidth": 0.7,
    "text.parse_math": False,
    "svg.hashsalt": "curriculum",
}

Panel = Callable[[Axes, Plan, Sequence[Band], pl.DataFrame], None]


def draw(
    plan: Plan, table: pl.DataFrame, path: Path, size_px: tuple[int, int] = (1600, 1000)
) -> None:
    """Write the picture as PNG or SVG, by the path's ending; the same plan, the same bytes."""
    # The stubs of matplotlib 3.11 know every key by name; a dict outside the call they do not.
    with rc_context(STYLE):  # type: ignore[arg-type]
        whole = figure(plan, table, size_px)
        metadata = {"Date": None} if path.suffix.lower() == ".svg" else {}
        write_whole(path, lambda unfinished: whole.savefig(unfinished, metadata=metadata))


def figure(plan: Plan, table: pl.DataFrame, size_px: tuple[int, int] = (1600, 1000)) -> Figure:
    """Return the picture; `table` is `timeline.outline(plan)`."""
    width, height = size_px
    page = Figure(figsize=(width / DOTS_PER_INCH, height / DOTS_PER_INCH), dpi=DOTS_PER_INCH)
    FigureCanvasAgg(page)
    left, right = 92 / width, 1 - _legend_px(page, plan, table) / width
    axis_px = (right - left) * width
    longest = max(needed_px(page, band) for band in bands(plan, 0))
    least = min((longest + 10) / axis_px, MOST_LEAST_WIDTH)
    axis = bands(plan, least)
    if not all(names_fit(page, band, axis_px) for band in axis):
        least = UPRIGHT_PX / axis_px
        axis = bands(plan, least)
    labels = [label_of_band(page, band, axis_px) for band in axis]
    names_px = max(label.height_px for label in labels) + 14
    top = 1 - (84 + names_px) / height

    rows: list[tuple[int, Panel]] = [(20, panels.batch), (42, panels.mixture)]
    if _any_lr(table):
        rows.insert(0, (30, panels.lr))
    if any(table[name].drop_nulls().len() for name in panels.columns_of(table, "rope_base.")):
        rows.append((14, panels.rope))
    grid = page.add_gridspec(
        len(rows),
        1,
        left=left,
        right=right,
        top=top,
        bottom=62 / height,
        hspace=0.22,
        height_ratios=[share for share, _ in rows],
    )
    drawn: list[Axes] = []
    for row, (_, panel) in enumerate(rows):
        axes = page.add_subplot(grid[row, 0], sharex=drawn[0] if drawn else None)
        _stripe(axes, axis)
        panel(axes, plan, axis, table)
        axes.tick_params(labelbottom=row == len(rows) - 1)
        drawn.append(axes)
    _token_axis(page, drawn[-1], axis, axis_px)
    box = (left, top + 18 / height, right - left, names_px / height)
    draw_names(page, axis, labels, box)
    _titles(page, plan, table, axis, left, height)
    page.align_ylabels(drawn)
    return page


def _any_lr(table: pl.DataFrame) -> bool:
    return any(table[name].drop_nulls().len() for name in panels.columns_of(table, "lr."))


def _titles(
    page: Figure,
    plan: Plan,
    table: pl.DataFrame,
    axis: Sequence[Band],
    left: float,
    height: int,
) -> None:
    tokens = rounded_in_words(sum(stage.tokens for stage in plan.stages))
    steps = sum(stage.steps for stage in plan.stages)
    title = f"{plan.name}: {tokens} tokens, {len(plan.stages)} stages, {steps:,} steps"
    page.text(left, 1 - 14 / height, title, fontsize=15, weight="bold", va="top")
    pairs = [f"{one} and {other}" for one, other in side_by_side(plan)]
    notes = []
    if len(pairs) > 2:
        beside = {name for pair in side_by_side(plan) for name in pair}
        notes.append(
            f"not one path: {len(beside)} stages run beside others, and are drawn one after the "
            "other, as in the plan"
        )
    elif pairs:
        who = "; ".join(pairs)
        notes.append(f"{who} run side by side: drawn one after the other, as in the plan")
    elif not all(band.follows for band in axis):
        notes.append("drawn one after the other, as in the plan")
    if not all(band.follows for band in axis):
        notes.append("`from` in a band: it does not go on where the band before it ends")
    if not _any_lr(table):
        notes.append("no learning rate is known")
    if plan.composed:
        notes.append("composed, without steps: " + ", ".join(c.name for c in plan.composed))
    if plan.unknown:
        notes.append("unknown and not drawn: " + ", ".join(s.name for s in plan.unknown))
    text = "; ".join(notes) or "each stage starts where the one before it ended"
    lines = wrap(text, SUBTITLE_WIDTH, max_lines=2, placeholder=" ...")
    page.text(left, 1 - 38 / height, "\n".join(lines), fontsize=9, color="#666666", va="top")


def _legend_px(page: Figure, plan: Plan, table: pl.DataFrame) -> float:
    """Return the width that the widest name in a legend needs, handles included."""
    groups = [[name] for name in named_sources(plan, table)]
    for stage in plan.stages:
        groups += [[name] for name in stage.train] + [list(stage.train)]
    lines = {line for names in groups for line in panels.label_of(names).splitlines()}
    widest = max(text_px(page, line, "normal", 9) for line in lines)
    least, most = LEGEND_PX
    return min(max(widest + 85, least), most)


def _stripe(axes: Axes, axis: Sequence[Band]) -> None:
    """Shade every second band and rule its border, dashed where the next does not follow it."""
    for number, band in enumerate(axis):
        if number % 2 == 0:
            axes.axvspan(band.left, band.right, color="#f6f8fa", lw=0, zorder=0)
        style: dict[str, Any] = {"color": "#b5bcc4", "lw": 0.8, "zorder": 1}
        if not band.follows:
            style = {"color": "#6b7480", "lw": 1.2, "ls": (0, (4, 2)), "zorder": 3}
        if number:
            axes.axvline(band.left, **style)
    axes.set_xlim(0, 1)
    axes.grid(axis="y", color=FAINT, lw=0.6, zorder=0.5)
    axes.set_axisbelow(True)


def _token_axis(page: Figure, axes: Axes, axis: Sequence[Band], axis_px: float) -> None:
    end = axis[-1].tokens_before + axis[-1].tokens
    places = [(0.0, 0), (1.0, end), *((band.left, band.tokens_before) for band in axis[1:])]
    borders = [x for x, _ in places]
    for band in axis:
        for tokens in _round_marks(band.tokens_before, band.tokens_before + band.tokens):
            x = band.place(tokens - band.tokens_before)
            if all(abs(x - border) > LEAST_APART for border in borders):
                places.append((x, tokens))
    counts = [tokens for _, tokens in sorted(places)]
    words = dict(zip(counts, _apart(counts), strict=True))
    kept: list[tuple[float, float, str]] = []
    for x, tokens in places:  # the ends first, then the borders of stages, then round numbers
        half = (text_px(page, words[tokens], "normal") / 2 + 5) / axis_px
        if all(abs(x - other) > half + theirs for other, theirs, _ in kept):
            kept.append((x, half, words[tokens]))
    kept.sort()
    axes.xaxis.set_major_locator(FixedLocator([x for x, _, _ in kept]))
    axes.xaxis.set_major_formatter(FixedFormatter([text for _, _, text in kept]))
    label = "tokens of all stages drawn so far (K, M, B, T: 10^3, 10^6, 10^9, 10^12)"
    if not is_to_scale(axis):
        least = min(band.right - band.left for band in axis)
        label += f"; not to scale: short stages are widened to {least:.0%} of the axis"
    axes.set_xlabel(label, labelpad=8)


def _apart(counts: Sequence[int]) -> list[str]:
    """Write counts to as few digits as tell each from its neighbours.

    >>> _apart([0, 14_800_000_000_000, 14_862_000_000_000, 14_926_000_000_000])
    ['0', '14.8T', '14.86T', '14.93T']
    """
    words: list[str] = []
    for i, count in enumerate(counts):
        others = {*counts[max(0, i - 1) : i], *counts[i + 1 : i + 2]} - {count}
        digits = 3
        while digits < MOST_DIGITS and any(
            rounded_in_words(count, digits) == rounded_in_words(other, digits) for other in others
        ):
            digits += 1
        words.append(rounded_in_words(count, digits))
    return words


def _round_marks(first: int, end: int) -> range:
    """Multiples of a round number of tokens inside a band, at most seven.

    >>> list(_round_marks(0, 5_200))
    [1000, 2000, 3000, 4000, 5000]
    """
    each = 1
    for factor in _round_factors():
        each = factor
        if (end - first) // each <= 7:
            break
    return range((first // each + 1) * each, end, each)


def _round_factors() -> Sequence[int]:
    return [digit * 10**power for power in range(24) for digit in (1, 2, 5)]
