"""The panel of learning rates: a line for each first of the modules that share theirs"""

from collections.abc import Sequence
from itertools import pairwise
from math import log10

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from curriculum.models.shapes import KINDS
from curriculum.simulate.colours import LINES
from curriculum.simulate.plot_sheet import Points, Sheet, label_of, legend, points
from curriculum.units import rate_in_words

MOST_GROUPS = 9  # of modules in the legend
DENSE = 120  # turns of a curve across the page from which on its line is drawn thin
END = 30  # times lower than its middle: there a curve is on its way to 0
FEW_DECADES = 2.3  # that have marks at 2 and 5 as well


def lr(axes: Axes, sheet: Sheet) -> None:
    """Draw the rates of all modules; what falls to 0 leaves a logarithmic scale at its foot."""
    # By the first module of those that share a line: it keeps its colour through all stages.
    groups: dict[str, list[Points]] = {}
    sharing: dict[str, list[list[str]]] = {}
    peaks: list[float] = []
    feet: list[float] = []
    for band in sheet.bands:
        rows = sheet.rows(band)
        curves: dict[tuple[float | None, ...], list[str]] = {}
        for name in sheet.names("lr."):
            values = tuple(rows[f"lr.{name}"].to_list())
            if values[0] is not None:
                curves.setdefault(values, []).append(name)
        for shared, sharers in curves.items():
            names = sorted(sharers, key=lambda name: _rank(sheet, name))
            numbers = [value for value in shared if value is not None]
            groups.setdefault(names[0], []).append(points(band, rows, numbers))
            sharing.setdefault(names[0], []).append(names)
            peaks.append(max(numbers))
            feet.append(foot(numbers))
    for number, (first, lines) in enumerate(groups.items()):
        colour, dashes = LINES[number % len(LINES)]
        label = label_of(_named(sharing[first])) if number < MOST_GROUPS else "_"
        if number == MOST_GROUPS - 1 and len(groups) > MOST_GROUPS:
            label = f"and {len(groups) - number} more groups"
        for x, y in lines:
            width = 0.5 if _turns(y) > DENSE * (x[-1] - x[0]) else 2.0
            axes.plot(x, y, color=colour, ls=dashes, lw=width, label=label, solid_capstyle="butt")
            label = "_"
    shown = [rate for rate in feet if rate > 0]
    if sheet.lr_scale == "log" and shown:
        low, high = min(shown), max(peaks) * 1.6
        axes.set_yscale("log", nonpositive="clip")
        axes.set_ylim(low, high)
        digits = (1, 2, 5) if log10(high / low) < FEW_DECADES else (1,)
        axes.yaxis.set_major_locator(LogLocator(base=10, subs=digits, numticks=9))
        axes.set_ylabel("learning rate (log)")
    else:
        axes.set_ylim(0, max(max(peaks) * 1.1, 1e-30))
        axes.set_ylabel("learning rate")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: rate_in_words(y)))
    axes.yaxis.set_minor_locator(NullLocator())
    legend(axes, "learning rate of")


def _rank(sheet: Sheet, name: str) -> int:
    """Return the place of a module's or a part's kind: the LLM, of which a plan tells most, first.

    Those of one kind stay in the order of the table.
    """
    return KINDS.index(sheet.plan.modules[name.partition("/")[0]].shape.kind)


def _named(groups: Sequence[Sequence[str]]) -> list[str]:
    """Name the modules of one line: those that it always is of, then those in some stages.

    >>> _named([["llm"], ["llm", "vit", "projector"]]), _named([["vit", "projector"]] * 2)
    (['llm', 'at times vit', 'projector'], ['vit', 'projector'])
    """
    names = list(dict.fromkeys(name for group in groups for name in group))
    always = [name for name in names if all(name in group for group in groups)]
    others = [name for name in names if name not in always]
    return [*always, *(f"at times {name}" for name in others[:1]), *others[1:]]


def foot(rates: Sequence[float]) -> float:
    """Return how low a logarithmic scale reaches for a curve: below its end, if that is not 0.

    Of a curve that falls to 0 its middle decides: the rest of the way down has no end.

    >>> foot([0, 3e-4, 3e-5]), foot([3e-4, 1e-4, 5e-5, 1e-9])
    (2e-05, 1e-05)
    """
    middle = sorted(rates)[len(rates) // 2] or max(rates)
    return rates[-1] / 1.5 if rates[-1] > middle / END else middle / 10


def _turns(values: Sequence[float]) -> int:
    """Return how often a line turns from rising to falling or back."""
    moves = [b - a for a, b in pairwise(values) if a != b]
    return sum(a * b < 0 for a, b in pairwise(moves))
