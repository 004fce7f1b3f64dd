"""What every panel of the picture is drawn from, and the lines and labels that all of them use"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from textwrap import wrap

import polars as pl
from matplotlib.axes import Axes
from matplotlib.legend import Legend

from curriculum.plan import Plan
from curriculum.simulate.areas import Area, By
from curriculum.simulate.bands import Band
from curriculum.simulate.lr_scale import Scale

Points = tuple[list[float], list[float]]

LEGEND_PX, ABOVE_PX = 18, 2  # from a panel to its legend, and above the panel's upper edge
LABEL_WIDTH, LABEL_LINES = 34, 3  # characters and lines of a name in a legend


@dataclass(frozen=True, slots=True)
class Sheet:
    """A plan, its outline and its bands, and how the reader wants to see them."""

    plan: Plan
    bands: tuple[Band, ...]
    table: pl.DataFrame  # `timeline.outline(plan)`
    areas: tuple[Area, ...]
    by: By
    lr_scale: Scale

    def rows(self, band: Band) -> pl.DataFrame:
        """Return the rows of a band's stage."""
        return self.table.filter(pl.col("stage") == band.stage)

    def names(self, prefix: str) -> list[str]:
        """Return what the columns of one kind are of: `names("lr.")` are modules."""
        columns = (name for name in self.table.columns if name.startswith(prefix))
        return [name.removeprefix(prefix) for name in columns]

    def knows(self, prefix: str) -> bool:
        """Say whether any column of a kind holds a value."""
        return any(self.table[prefix + name].drop_nulls().len() for name in self.names(prefix))


def points(band: Band, rows: pl.DataFrame, values: Sequence[float]) -> Points:
    """Return the line of one stage; the last step's value holds to the end of its band."""
    x = [band.place(tokens) for tokens in rows["tokens_stage"].to_list()]
    return [*x, band.right], [*values, values[-1]]


def whole_line(sheet: Sheet, column: str) -> Points:
    """Return the line of all stages, broken where one does not follow the band before it."""
    xs: list[float] = []
    ys: list[float] = []
    for band in sheet.bands:
        rows = sheet.rows(band)
        x, y = points(band, rows, rows[column].to_list())
        if not band.follows:  # nothing leads from the band before it to here
            xs.append(band.left)
            ys.append(nan)
        xs += x
        ys += y
    return xs, ys


def legend(axes: Axes, title: str, px: float = 0) -> Legend:
    """Put the legend of the lines to the right of a panel, `px` further for a second axis."""
    panel = axes.get_window_extent()
    made = axes.legend(
        title=title,
        loc="upper left",
        bbox_to_anchor=(1 + (LEGEND_PX + px) / panel.width, 1 + ABOVE_PX / panel.height),
        borderaxespad=0,
        alignment="left",
        handlelength=2.6,
        borderpad=0,
    )
    for line in made.get_lines():
        line.set_linewidth(2)
    return made


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
