"""The panel of RoPE bases, each value written where it begins, and none over another or a line"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from matplotlib.transforms import Bbox

from curriculum.rope import Rope
from curriculum.short_forms import short_count
from curriculum.simulate.colours import LINES
from curriculum.simulate.plot_names import text_px
from curriculum.simulate.plot_sheet import Sheet, legend

FONT = 8
TEXT_PX = 12  # of the height of a line of words
RISE_PX = 13  # from one place for words to the one above it
OVER_PX = 14  # that words may stand out of the panel, short of its legend
POINTS_PER_PX = 0.72


@dataclass(frozen=True, slots=True)
class Level:
    """A base from one place of the axis to another, and what is written where it begins."""

    left: float
    right: float
    base: float
    words: str  # none where it goes on as it was


def rope(axes: Axes, sheet: Sheet) -> None:
    """Draw the RoPE base of every module that has one."""
    levels: list[Level] = []
    for number, module in enumerate(sheet.names("rope_base.")):
        colour, dashes = LINES[number % len(LINES)]
        label = module
        for level in _levels(sheet, module):
            ends = ([level.left, level.right], [level.base, level.base])
            axes.plot(*ends, color=colour, ls=dashes, lw=2, label=label)
            label = "_"
            levels.append(level)
    bases = [level.base for level in levels]
    axes.set_yscale("log")
    axes.set_ylim(min(bases) / 3, max(bases) * 6)
    axes.yaxis.set_major_locator(LogLocator(base=10, numticks=4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: short_count(Fraction(y))))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylabel("RoPE base\n(log)")
    legend(axes, "RoPE base of")
    _write(axes, levels)


def _levels(sheet: Sheet, module: str) -> list[Level]:
    found: list[Level] = []
    before = ""
    for band in sheet.bands:
        said = sheet.plan.stage(band.stage).rope.get(module)
        words = "" if said is None or said.base is None else rope_words(said)
        if said is not None and said.base is not None:
            told = "" if words == before else words
            found.append(Level(band.left, band.right, float(said.base), told))
        before = words
    return found


def _write(axes: Axes, levels: Sequence[Level]) -> None:
    """Write each value above its line, else below it, or higher: where nothing else stands."""
    whole = axes.get_window_extent()
    page = axes.figure.figure
    assert page is not None

    def to_px(x: float, y: float) -> tuple[float, float]:
        px = axes.transData.transform((x, y))
        return float(px[0]), float(px[1])

    taken = [
        Bbox((to_px(level.left, level.base), to_px(level.right, level.base))).padded(-0.5, 1.5)
        for level in levels
    ]
    told: set[tuple[float, float, str]] = set()
    for level in levels:
        place = (level.left, level.base, level.words)
        if not level.words or place in told:  # modules that change alike are told once
            continue
        told.add(place)
        wide = text_px(page, level.words, "normal", FONT)
        x, y = to_px(level.left, level.base)
        right = min(0.0, whole.x1 + OVER_PX - (x + 5 + wide))
        boxes = [
            Bbox.from_bounds(x + 5 + right, y + rise, wide, TEXT_PX)
            for rise in (4, -4 - TEXT_PX, *(4 + RISE_PX * k for k in (1, 2, 3)), -4 - RISE_PX * 2)
        ]
        inside = [box for box in boxes if box.y0 >= whole.y0 and box.y1 <= whole.y1 + 2]
        free = [box for box in inside if not any(box.overlaps(other) for other in taken)]
        box = (free or inside or boxes)[0]
        taken.append(box)
        axes.annotate(
            level.words,
            (level.left, level.base),
            xytext=((box.x0 - x) * POINTS_PER_PX, (box.y0 - y + 1) * POINTS_PER_PX),
            textcoords="offset points",
            fontsize=FONT,
            gid="rope",
            bbox={"facecolor": "white", "alpha": 0.8, "lw": 0, "pad": 0.6},
        )


def rope_words(rope: Rope) -> str:
    """Write a base and what stretches it.

    >>> rope_words(Rope(base=Fraction(10_000_000)))
    '10M'
    """
    words = "none" if rope.base is None else short_count(rope.base)
    if rope.scaling is None:
        return words
    return f"{words} {rope.scaling.kind} x{float(rope.scaling.factor):g}"
