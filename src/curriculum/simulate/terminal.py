"""The run as plain text: LR, multimodal share and context as bars over one axis of tokens

Each column of characters is a place on the axis, and shows the step that reads there. No markup, no
colour, and no line is longer than the width that was asked for.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import floor, fsum, log, log10
from textwrap import wrap

from curriculum.plan import Now, Plan
from curriculum.short_forms import short_length
from curriculum.simulate.bands import Band, bands, is_to_scale
from curriculum.simulate.lr_scale import Scale, lr_scale
from curriculum.simulate.notes import title_of
from curriculum.simulate.summary import lr_range
from curriculum.units import rate_in_words, rounded_in_words

GUTTER = 9  # characters left of the axis, for the values of its ends
LEAST_COLUMNS = 40
# From empty to full, in equal steps; block elements of Unicode, or what ASCII has.
BLOCKS = " \u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"
ASCII = " .:#"


@dataclass(frozen=True, slots=True)
class Chart:
    """One row of bars: a value for every column (None: nothing to draw), on its scale."""

    title: str
    rows: int
    values: Sequence[float | None]
    low: float
    high: float
    is_log: bool
    words: Callable[[float], str]
    marked: Sequence[float]  # values that are written beside the row that they reach, the first win


def picture(plan: Plan, width: int, glyphs: str = BLOCKS, scale: Scale | None = None) -> str:
    """Return the whole drawing, lines of at most `width` (at least 60) characters."""
    columns = max(LEAST_COLUMNS, width - GUTTER - 1)
    names = [stage.name for stage in plan.stages]
    widest = max(len(name) for name in names) + 2
    numbered = widest * len(names) > columns
    axis = bands(plan, (4 if numbered else widest) / columns)
    edges = _edges(axis, columns)
    nows = [now for band, edge in zip(axis, edges, strict=True) for now in _nows(plan, band, *edge)]
    labels = [str(i) if numbered else name for i, name in enumerate(names, 1)]

    lines = [*_head(plan, axis, columns + GUTTER + 1, numbered), ""]
    lines.append(" " * (GUTTER + 1) + _strip(labels, edges))
    sizes = [rounded_in_words(band.tokens) for band in axis]
    lines.append("tokens".rjust(GUTTER) + " " + _strip(sizes, edges))
    for chart in _charts(plan, nows, lr_scale(plan, scale)):
        title = wrap(chart.title, columns)
        lines += ["", *(" " * (GUTTER + 1) + part for part in title)]
        lines += _bars(chart, edges, glyphs) if chart.rows else []
    if numbered:
        named = [
            f"{i:>{GUTTER}} {band.stage}, {size}{': ' * bool(band.note)}{band.note}"
            for i, (band, size) in enumerate(zip(axis, sizes, strict=True), 1)
        ]
        indent = " " * (GUTTER + 3)
        lines += [
            "",
            *(part for line in named for part in wrap(line, width, subsequent_indent=indent)),
        ]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _head(plan: Plan, axis: Sequence[Band], width: int, numbered: bool) -> list[str]:
    lines = [title_of(plan)]
    if not is_to_scale(axis):
        lines.append("not to scale: short stages are widened")
    told = [band for band in axis if band.note]
    is_path = all(band.follows for band in axis)
    if not is_path and numbered:
        lines.append("not one path: stages that do not follow the one before them say it below")
    elif not is_path:
        words = "; ".join(f"{band.stage} {band.note}" for band in told)
        lines.append(f"drawn one after the other: {words}")
    elif told and not numbered:
        lines.append("; ".join(f"{band.stage}: {band.note}" for band in told))
    return [part for line in lines for part in wrap(line, width, subsequent_indent="  ")]


def _edges(axis: Sequence[Band], columns: int) -> list[tuple[int, int]]:
    """First and end column of every band; the first column of a band is its border."""
    cuts = [round(band.left * columns) for band in axis] + [columns]
    return list(pairwise(cuts))


def _nows(plan: Plan, band: Band, first: int, end: int) -> list[Now]:
    stage = plan.stage(band.stage)
    last = max(1, end - first - 1)
    steps = [round(i * (stage.steps - 1) / last) for i in range(end - first)]
    if len(stage.batch.pieces) > 1:  # steps differ in size: by tokens
        marks = [i * (stage.tokens - 1) // last for i in range(end - first)]
        steps = [min(stage.steps - 1, stage.batch.step_at_tokens(mark)) for mark in marks]
    return [stage.at(step) for step in steps]


def _charts(plan: Plan, nows: Sequence[Now], scale: Scale) -> list[Chart]:
    charts = [_rates(plan, nows, scale)]
    text = {name for name, source in plan.sources.items() if source.modality == "text"}
    shares = [fsum(x for name, x in now.ratios.items() if name not in text) for now in nows]
    if any(shares):
        title = "multimodal share of tokens"
        charts.append(Chart(title, 4, shares, 0, 1, False, lambda x: f"{x:.0%}", (0, 1)))
    lens = [float(now.seq_len) for now in nows]
    low, high = min(lens), max(lens)
    if low == high:
        return [*charts, _told(f"context: {low:,.0f} tokens in every step")]
    between = sorted({x for x in lens if low < x < high}, key=lens.count, reverse=True)
    title = "context [tokens] (log)"
    marked = (high, low, *between)
    return [*charts, Chart(title, 4, lens, low / 2, high, True, _length, marked)]


def _rates(plan: Plan, nows: Sequence[Now], scale: Scale) -> Chart:
    """Return the chart of the highest learning rate of the modules in every column."""
    ranges = [values for stage in plan.stages for values in lr_range(stage).values()]
    peak = max((values["peak"] for values in ranges if values is not None), default=0.0)
    rates = [max((x for x in now.lr.values() if x is not None), default=None) for now in nows]
    known = sorted(rate for rate in rates if rate and rate > 0)
    if not known:
        return _told("learning rate: " + ("unknown" if peak == 0 and None in ranges else "0"))
    several = any(len(set(now.lr.values())) > 1 for now in nows)
    title = f"learning rate ({scale}{', the highest of the modules' if several else ''})"
    low = 0.0
    if scale == "log":  # what falls to 0 leaves the scale at a round number
        low = _round_below(known[len(known) // 20] / 1.5)
    return Chart(title, 7, rates, low, peak, scale == "log", rate_in_words, (peak, low))


def _told(words: str) -> Chart:
    """Return a chart of one value: a sentence."""
    return Chart(words, 0, (), 0, 1, False, str, ())


def _round_below(value: float) -> float:
    """Return the 1, 2 or 5 times a power of ten at or below a value.

    >>> _round_below(4.2e-4), _round_below(1e-5), _round_below(9.9e-6)
    (0.0002, 1e-05, 5e-06)
    """
    power = floor(log10(value) + 1e-9)
    digit = max(d for d in (1, 2, 5) if d * 10.0**power <= value * (1 + 1e-9))
    return float(f"{digit}e{power}")


def _length(tokens: float) -> str:
    words = f"{tokens:,.0f}"
    return words if len(words) <= GUTTER else short_length(int(tokens))


def _bars(chart: Chart, edges: Sequence[tuple[int, int]], glyphs: str) -> list[str]:
    parts = len(glyphs) - 1
    borders = {first for first, _ in edges if first}
    heights = [_height(chart, value, chart.rows * parts) for value in chart.values]
    labels: dict[int, str] = {}
    for value in chart.marked:
        row = max(0, _height(chart, value, chart.rows * parts) - 1) // parts
        labels.setdefault(row, chart.words(value))
    lines: list[str] = []
    for row in reversed(range(chart.rows)):
        cells = [glyphs[max(0, min(parts, height - row * parts))] for height in heights]
        for border in borders:
            if cells[border] == " ":
                cells[border] = "|"
        lines.append(f"{labels.get(row, ''):>{GUTTER}} " + "".join(cells))
    return lines


def _height(chart: Chart, value: float | None, most: int) -> int:
    """How high a bar is in parts of a character; a value above the low end shows at least one."""
    if value is None or value <= 0 or value <= chart.low:
        return 0
    if chart.is_log:
        share = log(value / chart.low) / log(chart.high / chart.low)
    else:
        share = (value - chart.low) / (chart.high - chart.low)
    return min(most, max(1, round(share * most)))


def _strip(texts: Sequence[str], edges: Sequence[tuple[int, int]]) -> str:
    cells: list[str] = []
    for text, (first, end) in zip(texts, edges, strict=True):
        border = "|" if first else " "
        room = end - first - 1
        cells.append(border + (text if len(text) <= room else "").center(room))
    return "".join(cells)
