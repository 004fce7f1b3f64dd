"""The run as a picture: LR, batch and context, mixture, RoPE base over one axis of tokens

    title, subtitle
    stage names          one band a stage, none too narrow for its name
    LR | batch, context | mixture | RoPE base        legends to the right; nothing is drawn empty

The table's rows are joined by lines, so it holds every step at which something jumps and the step
before it (`timeline.outline`).
"""

from collections.abc import Callable, Sequence
from pathlib import Path
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
from curriculum.simulate.output import write_whole
from curriculum.units import rounded_in_words

MOST_LEAST_WIDTH = 0.085  # of the axis; where names need more, all of them stand upright
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
    left, right = 92 / width, 1 - 240 / width
    longest = max(_text_px(page, stage.name) for stage in plan.stages)
    least = min((longest + 14) / ((right - left) * width), MOST_LEAST_WIDTH)
    axis = bands(plan, least)
    upright = longest + 4 > min(b.right - b.left for b in axis) * (right - left) * width
    names_px = longest + 16 if upright else 42
    top = 1 - (84 + names_px) / height

    rows: list[tuple[int, Panel]] = [(20, panels.batch), (42, panels.mixture)]
    if any(table[name].drop_nulls().len() for name in panels.columns_of(table, "lr.")):
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
    _token_axis(drawn[-1], axis, least)
    _names(page, axis, (left, top + 18 / height, right - left, names_px / height), upright)
    _titles(page, plan, left, height)
    page.align_ylabels(drawn)
    return page


def _titles(page: Figure, plan: Plan, left: float, height: int) -> None:
    tokens = rounded_in_words(sum(stage.tokens for stage in plan.stages))
    steps = sum(stage.steps for stage in plan.stages)
    title = f"{plan.name}: {tokens} tokens, {len(plan.stages)} stages, {steps:,} steps"
    page.text(left, 1 - 14 / height, title, fontsize=15, weight="bold", va="top")
    pairs = [f"{one} and {other}" for one, other in side_by_side(plan)]
    notes = []
    if pairs:
        more = f" and {len(pairs) - 2} more pairs" if len(pairs) > 2 else ""
        who = "; ".join(pairs[:2]) + more
        notes.append(f"{who} run side by side: drawn one after the other, as in the plan")
    if plan.unknown:
        notes.append("unknown and not drawn: " + ", ".join(s.name for s in plan.unknown))
    text = "; ".join(notes) or "each stage starts where one before it ended"
    page.text(left, 1 - 40 / height, text, fontsize=10, color="#666666", va="top")


def _text_px(page: Figure, text: str) -> float:
    probe = page.text(0, 0, text, fontsize=9.5, weight="bold")
    extent = probe.get_window_extent()
    probe.remove()
    return float(extent.width)


def _names(
    page: Figure, axis: Sequence[Band], box: tuple[float, float, float, float], upright: bool
) -> None:
    strip = page.add_axes(box)
    strip.set_axis_off()
    strip.set(xlim=(0, 1), ylim=(0, 1))
    where: dict[str, Any] = {"ha": "center", "va": "center"}
    for number, band in enumerate(axis):
        shade = "#dfe5ec" if number % 2 == 0 else "#eef1f5"
        strip.axvspan(band.left, band.right, color=shade, lw=0)
        y, turn = (0.5, 90) if upright else (0.68, 0)
        name = strip.text(
            band.middle, y, band.stage, rotation=turn, size=9.5, weight="bold", **where
        )
        name.set_gid("stage")
        if not upright:
            strip.text(band.middle, 0.27, rounded_in_words(band.tokens), size=8.5, **where)


def _stripe(axes: Axes, axis: Sequence[Band]) -> None:
    """Shade every second band and rule its border, behind everything."""
    for number, band in enumerate(axis):
        if number % 2 == 0:
            axes.axvspan(band.left, band.right, color="#f6f8fa", lw=0, zorder=0)
        axes.axvline(band.right, color="#b5bcc4", lw=0.8, zorder=1)
    axes.set_xlim(0, 1)
    axes.grid(axis="y", color=FAINT, lw=0.6, zorder=0.5)
    axes.set_axisbelow(True)


def _token_axis(axes: Axes, axis: Sequence[Band], least: float) -> None:
    ends = [*(band.left for band in axis), 1.0]
    places = [(x, band.tokens_before) for x, band in zip(ends, axis, strict=False)]
    places.append((1.0, axis[-1].tokens_before + axis[-1].tokens))
    for band in axis:
        for tokens in _round_marks(band.tokens_before, band.tokens_before + band.tokens):
            x = band.place(tokens - band.tokens_before)
            if all(abs(x - other) > 0.05 for other, _ in places):
                places.append((x, tokens))
    places.sort()
    axes.xaxis.set_major_locator(FixedLocator([x for x, _ in places]))
    axes.xaxis.set_major_formatter(FixedFormatter([rounded_in_words(t) for _, t in places]))
    label = "tokens of all stages drawn so far (K, M, B, T: 10^3, 10^6, 10^9, 10^12)"
    if not is_to_scale(axis):
        label += f"; not to scale: short stages are widened to {least:.0%} of the axis"
    axes.set_xlabel(label, labelpad=8)


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
