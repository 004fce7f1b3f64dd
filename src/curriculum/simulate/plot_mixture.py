"""The panel of the mixture: stacked shares, and of each kind of data a hatch of its own"""

from matplotlib.axes import Axes

from curriculum.simulate.areas import TITLES, named
from curriculum.simulate.colours import REST, fills
from curriculum.simulate.plot_sheet import ABOVE_PX, LEGEND_PX, Sheet, label_of, points

LEAST_SHOWN = 1e-6  # percent of an area: what sums of floats leave is none
LINE_PX = 18.5  # of a line of the legend, at its full size
LINE_PX_PER_POINT = 2.05  # of a legend: its font, the space around it, at 100 dots per inch
LEAST_FONT, FONT = 6, 9


def lines_of_legend(sheet: Sheet) -> int:
    """Return how many lines the legend has, with its title and the area of the others."""
    shown = named(sheet.areas)
    return (
        1
        + (len(shown) < len(sheet.areas))
        + sum(1 + label_of([area.name]).count("\n") for area in shown)
    )


def mixture(axes: Axes, sheet: Sheet) -> None:
    """Stack the areas: text at the bottom; of many the smaller ones are one area on top."""
    shown = {area.name: area for area in named(sheet.areas)}
    drawn = fills(list(shown.values()))
    others = len(sheet.areas) - len(shown)
    rest = f"{others} smaller {TITLES[sheet.by]}"
    handles = {}
    for band in sheet.bands:
        rows = sheet.rows(band)
        x, nothing = points(band, rows, [0.0] * rows.height)
        below = nothing
        for name, fill in drawn.items():
            shares = shown[name].shares.get(band.stage)
            if shares is None:
                continue
            _, y = points(band, rows, [100 * share for share in shares])
            above = [a + b for a, b in zip(below, y, strict=True)]
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
        if others and min(below) < 100 - LEAST_SHOWN:
            handles[rest] = axes.fill_between(x, below, 100, facecolor=REST, lw=0, zorder=2)
    axes.set_ylim(0, 100)
    axes.set_ylabel("share of tokens [%]")
    names = [name for name in (rest, *reversed(drawn)) if name in handles]
    panel = axes.get_window_extent()
    room = panel.height / lines_of_legend(sheet)
    axes.legend(
        [handles[name] for name in names],
        [name if name == rest else label_of([name]) for name in names],
        title=TITLES[sheet.by],
        loc="upper left",
        bbox_to_anchor=(1 + LEGEND_PX / panel.width, 1 + ABOVE_PX / panel.height),
        borderaxespad=0,
        alignment="left",
        fontsize=min(FONT, max(LEAST_FONT, room / LINE_PX_PER_POINT)),
        labelspacing=0.35,
        handlelength=2.6,
        handleheight=1.15,
        borderpad=0,
    )
