"""The run as plain text: LR, multimodal share and context as bars over one axis of tokens

Each column of characters is a place on the axis, and shows the step that reads there. No markup, no
colour, and no line is longer than the width that was asked for.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import fsum, log
from textwrap import wrap

from curriculum.plan import Now, Plan
from curriculum.short_forms import short_length
from curriculum.simulate.bands import Band, bands, is_to_scale
from curriculum.simulate.lr_scale import Scale, lr_scale
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
        lines += ["", " " * (GUTTER + 1) + chart.title, *_bars(chart, edges, glyphs)]
    if numbered:
        named = [
            f"{i:>{GUTTER}} {b.stage}{': ' * bool(b.note)}{b.note}" for i, b in enumerate(axis, 1)
        ]
        indent = " " * (GUTTER + 3)
        lines += [
            "",
            *(part for line in named for part in wrap(line, width, subsequent_indent=indent)),
        ]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _head(plan: Plan, axis: Sequence[Band], width: int, numbered: bool) -> list[str]:
    tokens = rounded_in_words(sum(band.tokens for band in axis))
    steps = sum(stage.steps for stage in plan.stages)
    lines = [f"{plan.name}: {tokens} tokens, {len(axis)} stages, {steps:,} steps"]
    if not is_to_scale(axis):
        lines.append("not to scale: short stages are widened")
    told = [f"{band.stage} {band.note}" for band in axis if band.note]
    if told and numbered:
        lines.append("not one path: stages that do not follow the one before them say it below")
    elif told:
        lines.append(f"drawn one after the other: {'; '.join(told)}")
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
    charts: list[Chart] = []
    rates = [max((x for x in now.lr.values() if x is not None), default=None) for now in nows]
    known = [rate for rate in rates if rate and rate > 0]
    if known:
        several = any(len(set(now.lr.values())) > 1 for now in nows)
        title = f"learning rate ({scale}{', the highest of the modules' if several else ''})"
        lowest = sorted(known)[len(known) // 20] / 2  # what falls to 0 leaves the scale
        low = lowest if scale == "log" else 0
        charts.append(Chart(title, 7, rates, low, max(known), scale == "log", rate_in_words))
    text = {name for name, source in plan.sources.items() if source.modality == "text"}
    shares = [fsum(x for name, x in now.ratios.items() if name not in text) for now in nows]
    if any(shares):
        title = "multimodal share of tokens"
        charts.append(Chart(title, 4, shares, 0, 1, False, lambda x: f"{x:.0%}"))
    lens = [float(now.seq_len) for now in nows]
    title = "context [tokens] (log)"
    charts.append(Chart(title, 4, lens, min(lens) / 2, max(lens), True, _length))
    return charts


def _length(tokens: float) -> str:
    words = f"{tokens:,.0f}"
    return words if len(words) <= GUTTER else short_length(int(tokens))


def _bars(chart: Chart, edges: Sequence[tuple[int, int]], glyphs: str) -> list[str]:
    parts = len(glyphs) - 1
    borders = {first for first, _ in edges if first}
    heights = [_height(chart, value, chart.rows * parts) for value in chart.values]
    lines: list[str] = []
    for row in reversed(range(chart.rows)):
        cells = [glyphs[max(0, min(parts, height - row * parts))] for height in heights]
        for border in borders:
            if cells[border] == " ":
                cells[border] = "|"
        label = chart.words(chart.high) if row == chart.rows - 1 else ""
        label = chart.words(chart.low) if row == 0 else label
        lines.append(f"{label:>{GUTTER}} " + "".join(cells))
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
