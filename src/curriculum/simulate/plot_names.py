"""The strip of stage names above the picture: level where a band is wide enough, else upright

|          text           |  vit-coca   | c |      a name, its tokens, and where it starts from if
|          5.2T           |     2T      | o |      that is not the end of the band before it, or
|                         | from siglip | o |      what became of it
"""

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

from matplotlib.figure import Figure

from curriculum.simulate.bands import Band
from curriculum.units import rounded_in_words

NAME, NOTE = 9.5, 8  # points
LINE_PX = 14
SHADES = ("#dfe5ec", "#eef1f5")


@dataclass(frozen=True, slots=True)
class Label:
    """What is written in a band: the name, and smaller lines below it or beside it."""

    name: str
    lines: tuple[str, ...]
    is_upright: bool
    height_px: float


def text_px(page: Figure, text: str, weight: str = "bold", size: float = NAME) -> float:
    """Return how wide a text is drawn, in pixels."""
    probe = page.text(0, 0, text, fontsize=size, weight=weight)
    extent = probe.get_window_extent()
    probe.remove()
    return float(extent.width)


def needed_px(page: Figure, band: Band) -> float:
    """Return the width that a name needs that stands level, and every word of its note."""
    words = [text_px(page, word, "normal", NOTE) for word in band.note.split()]
    return max([text_px(page, band.stage), *words]) + 4


def names_fit(page: Figure, band: Band, axis_px: float) -> bool:
    """Say whether a band is wide enough for its name to stand level."""
    return needed_px(page, band) <= (band.right - band.left) * axis_px


def label_of_band(page: Figure, band: Band, axis_px: float) -> Label:
    """Return what is written in a band, and how high that is."""
    tokens = rounded_in_words(band.tokens)
    if names_fit(page, band, axis_px):
        room = (band.right - band.left) * axis_px
        lines = (tokens, *_lines(page, band.note, room - 4))
        return Label(band.stage, lines, False, LINE_PX * (1 + len(lines)))
    lines = (tokens, *((band.note,) if band.note else ()))
    high = max(text_px(page, line, "normal", NOTE) for line in lines)
    return Label(band.stage, lines, True, max(high, text_px(page, band.stage)))


def _lines(page: Figure, note: str, room: float) -> list[str]:
    """Break a note into lines of a width in pixels; every word of it fits."""
    characters = len(note)
    while characters > 1:
        lines = wrap(note, characters, break_long_words=False, break_on_hyphens=False)
        if all(text_px(page, line, "normal", NOTE) <= room for line in lines):
            return lines
        characters -= 1
    return wrap(note, 1, break_long_words=False, break_on_hyphens=False)


def draw_names(
    page: Figure,
    axis: Sequence[Band],
    labels: Sequence[Label],
    box: tuple[float, float, float, float],
) -> None:
    """Draw the strip into a box of the page: left, bottom, width and height in its parts."""
    strip = page.add_axes(box)
    strip.set_axis_off()
    strip.set(xlim=(0, 1), ylim=(0, 1))
    line = LINE_PX / (box[3] * page.bbox.height)
    across = (LINE_PX - 1) / (box[2] * page.bbox.width)
    middle: dict[str, Any] = {"ha": "center", "va": "center"}
    for number, (band, label) in enumerate(zip(axis, labels, strict=True)):
        strip.axvspan(band.left, band.right, color=SHADES[number % 2], lw=0)
        if band.waits:
            strip.plot(band.right, 0, "D", color="#444444", ms=6, clip_on=False, zorder=3)
        bold: dict[str, Any] = {"size": NAME, "weight": "bold", "gid": "stage", **middle}
        small: dict[str, Any] = {"size": NOTE, "color": "#444444", **middle}
        if label.is_upright:
            x = band.middle - across * len(label.lines) / 2
            strip.text(x, 0.5, label.name, rotation=90, **bold)
            for right, words in enumerate(label.lines, start=1):
                strip.text(x + across * right, 0.5, words, rotation=90, **small)
            continue
        y = 0.5 + line * len(label.lines) / 2
        strip.text(band.middle, y, label.name, **bold)
        for below, words in enumerate(label.lines, start=1):
            strip.text(band.middle, y - line * below, words, **small)
