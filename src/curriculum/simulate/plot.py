"""The run as a picture: LR, batch, mixture, context and RoPE base over one axis of tokens

    title, notes
    stage names          one band a stage, none too narrow for its name; what it starts from beside
                         the band before it; a diamond where its end waits for a check
    LR | batch | mixture | context | RoPE base       legends to the right; nothing is drawn empty

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
from curriculum.simulate import plot_mixture
from curriculum.simulate.areas import Area, By, areas, named
from curriculum.simulate.bands import Band, bands, is_to_scale
from curriculum.simulate.lr_scale import Scale, lr_scale
from curriculum.simulate.notes import notes_of, title_of
from curriculum.simulate.output import write_whole
from curriculum.simulate.plot_levels import batch, context
from curriculum.simulate.plot_lr import lr
from curriculum.simulate.plot_mixture import lines_of_legend, mixture
from curriculum.simulate.plot_names import draw_names, label_of_band, names_fit, needed_px, text_px
from curriculum.simulate.plot_rope import rope
from curriculum.simulate.plot_sheet import Sheet, label_of
from curriculum.units import rounded_in_words

MOST_LEAST_WIDTH = 0.085  # of the axis; where names need more, those of short stages stand upright
UPRIGHT_PX = 54  # of a band whose name stands upright, beside its tokens and its note
LEAST_APART = 0.03  # of the axis: from a border to the next round number
MOST_DIGITS = 7  # of a label of the token axis
WIDTH = 1600  # pixels
LEFT_PX, FOOT_PX, GAP_PX = 104, 62, 30  # left of the panels, below them, between two
TITLE_PX, LINE_PX = 48, 15  # of the title, and of a line of notes below it
MIXTURE_PX = 250  # at least
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

Panel = Callable[[Axes, Sheet], None]


def draw(
    plan: Plan,
    table: pl.DataFrame,
    path: Path,
    size_px: tuple[int, int] | None = None,
    by: By = "source",
    scale: Scale | None = None,
) -> None:
    """Write the picture as PNG or SVG, by the path's ending; the same plan, the same bytes."""
    # The stubs of matplotlib 3.11 know every key by name; a dict outside the call they do not.
    with rc_context(STYLE):  # type: ignore[arg-type]
        whole = figure(plan, table, size_px, by, scale)
        metadata = {"Date": None} if path.suffix.lower() == ".svg" else {}
        write_whole(path, lambda unfinished: whole.savefig(unfinished, metadata=metadata))


def figure(
    plan: Plan,
    table: pl.DataFrame,
    size_px: tuple[int, int] | None = None,
    by: By = "source",
    scale: Scale | None = None,
) -> Figure:
    """Return the picture; `table` is `timeline.outline(plan)`.

    `by` says what the areas of the mixture are, `scale` of the learning rate overrules
    `lr_scale.lr_scale`. Without a size the page is as high as what stands on it.
    """
    width = WIDTH if size_px is None else size_px[0]
    page = Figure(figsize=(width / DOTS_PER_INCH, 10), dpi=DOTS_PER_INCH)
    FigureCanvasAgg(page)
    found = areas(plan, table, by)
    left, right = LEFT_PX / width, 1 - _legend_px(page, plan, found) / width
    axis_px = (right - left) * width
    axis = _bands(page, plan, axis_px)
    sheet = Sheet(plan, axis, table, found, by, lr_scale(plan, scale))
    labels = [label_of_band(page, band, axis_px) for band in axis]
    names_px = max(label.height_px for label in labels) + 14
    notes = notes_of(plan, axis, has_lr=sheet.knows("lr."))
    head_px = TITLE_PX + LINE_PX * len(notes) + names_px + GAP_PX / 2

    rows = _rows(sheet)
    high = [px for px, _ in rows]
    whole_px = head_px + sum(high) + GAP_PX * (len(rows) - 1) + FOOT_PX
    height = round(whole_px) if size_px is None else size_px[1]
    stretch = (height - whole_px + sum(high)) / sum(high)
    page.set_size_inches(width / DOTS_PER_INCH, height / DOTS_PER_INCH)
    drawn: list[Axes] = []
    top = height - head_px
    for row, (px, panel) in enumerate(rows):
        box = (left, (top - px * stretch) / height, right - left, px * stretch / height)
        axes = page.add_axes(box, sharex=drawn[0] if drawn else None)
        _stripe(axes, axis)
        panel(axes, sheet)
        axes.tick_params(labelbottom=row == len(rows) - 1)
        drawn.append(axes)
        top -= px * stretch + GAP_PX
    _token_axis(page, drawn[-1], axis, axis_px)
    box = (left, (height - head_px + GAP_PX / 2) / height, right - left, names_px / height)
    draw_names(page, axis, labels, box)
    title = title_of(plan)
    page.text(left, 1 - 14 / height, title, fontsize=15, weight="bold", va="top")
    for number, note in enumerate(notes):
        y = 1 - (TITLE_PX - 10 + LINE_PX * number) / height
        page.text(left, y, note, fontsize=9, color="#666666", va="top")
    page.align_ylabels(drawn)
    return page


def _bands(page: Figure, plan: Plan, axis_px: float) -> tuple[Band, ...]:
    """Return the bands, wide enough for their names, which else stand upright in some."""
    longest = max(needed_px(page, band) for band in bands(plan, 0))
    least = min((longest + 10) / axis_px, MOST_LEAST_WIDTH)
    axis = bands(plan, least)
    if all(names_fit(page, band, axis_px) for band in axis):
        return axis
    return bands(plan, UPRIGHT_PX / axis_px)


def _rows(sheet: Sheet) -> list[tuple[float, Panel]]:
    """Return the panels that have something to show, with their heights in pixels."""
    areas_px = max(MIXTURE_PX, lines_of_legend(sheet) * plot_mixture.LINE_PX)
    rows: list[tuple[float, Panel]] = [(210, lr)] if sheet.knows("lr.") else []
    rows += [(140, batch), (areas_px, mixture), (90, context)]
    return [*rows, (95, rope)] if sheet.knows("rope_base.") else rows


def _legend_px(page: Figure, plan: Plan, found: Sequence[Area]) -> float:
    """Return the width that the widest name in a legend needs, handles included."""
    groups = [[area.name] for area in named(found)]
    for stage in plan.stages:
        groups += [[name] for name in stage.train] + [list(stage.train)]
    lines = {line for names in groups for line in label_of(names).splitlines()}
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
