"""Colours of lines and areas that stay apart in grey: by dash, by hatch, by lightness

A source's hue and hatch say what kind it is (its modality), its lightness which one it is. Of a
kind with many sources every seventh begins a family, with a hatch of its own and a hue beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import polars as pl

from curriculum.plan import Plan

LINES: Sequence[tuple[str, str | tuple[int, tuple[float, ...]]]] = (
    ("#1b4f8f", "-"),
    ("#d9631e", (0, (5, 1.6))),
    ("#1f7a4d", (0, (1.2, 1.2))),
    ("#7b3fa0", (0, (7, 1.5, 1.2, 1.5))),
    ("#b3261e", (0, (3, 1, 1, 1, 1, 1))),
    ("#555555", (0, (9, 3))),
    ("#0e8a94", (0, (2.5, 2.5))),
)

# Hue in degrees and the hatch of each kind, in the order in which kinds are met.
_KINDS = ((212, ""), (26, "///"), (150, "..."), (285, "xxx"), (350, "---"), (60, "+++"))
FAMILY = 7  # sources of one kind that lightness alone keeps apart
_FAMILIES = (
    (0, ""),
    (-45, "\\\\\\"),
    (45, "oo"),
    (-90, "||"),
)  # turn of the hue, hatch added to the kind's
MOST_SOURCES = 14  # that a picture names; the others are one area
REST = "#e4e4e4"


@dataclass(frozen=True, slots=True)
class Fill:
    """How one source's area looks; `ink` is the colour of its hatch and border."""

    colour: tuple[float, float, float]
    hatch: str
    ink: str

    @property
    def luminance(self) -> float:
        """Relative luminance in 0..1 (ITU-R BT.709 weights on linear light): its grey.

        >>> Fill((1.0, 1.0, 1.0), "", "white").luminance
        1.0
        """
        red, green, blue = (_linear(c) for c in self.colour)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    @property
    def lightness(self) -> float:
        """CIE lightness in 0..100: equal steps look equal.

        >>> Fill((1.0, 1.0, 1.0), "", "white").lightness
        100.0
        """
        y = self.luminance
        return 116 * y ** (1 / 3) - 16 if y > 216 / 24389 else y * 24389 / 27


def fills(plan: Plan, table: pl.DataFrame) -> dict[str, Fill]:
    """Return how each source that is named is drawn, from the bottom of the stack to its top."""
    kinds: dict[str, list[str]] = {}
    for name in sorted(named_sources(plan, table)):
        kinds.setdefault(plan.sources[name].modality, []).append(name)
    found: dict[str, Fill] = {}
    order = sorted(kinds, key=lambda kind: (kind != "text", kind))
    for number, kind in enumerate(order):
        hue, hatch = _KINDS[number % len(_KINDS)]
        size = _family_size(len(kinds[kind]))
        for i, name in enumerate(kinds[kind]):
            turn, more = _FAMILIES[i // size]
            in_family = min(size, len(kinds[kind]) - i // size * size)
            lightness = 38 + 50 * (i % size) / max(1, in_family - 1)
            ink = "#ffffff" if lightness < 60 else "#444444"
            found[name] = Fill(_with_lightness((hue + turn) % 360, lightness), hatch + more, ink)
    return found


def named_sources(plan: Plan, table: pl.DataFrame) -> list[str]:
    """Return the sources that are read, or of many those with the largest shares in any step."""
    most = {
        name: table[f"ratio.{name}"].max()
        for name in sorted(plan.sources)
        if f"ratio.{name}" in table.columns and table[f"ratio.{name}"].max() != 0
    }
    if len(most) <= MOST_SOURCES + 1:  # one other would need as much room as its name
        return list(most)
    return sorted(most, key=lambda name: (-float(str(most[name])), name))[:MOST_SOURCES]


def _family_size(sources: int) -> int:
    """Share sources out over as few families as hold them.

    >>> _family_size(5), _family_size(9), _family_size(15)
    (5, 5, 5)
    """
    return max(1, ceil(sources / ceil(sources / FAMILY)))


def _with_lightness(hue: float, lightness: float) -> tuple[float, float, float]:
    """The colour of a hue whose grey has this CIE lightness, found by halving."""
    from colorsys import hls_to_rgb

    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        saturation = 0.62
        colour = hls_to_rgb(hue / 360, middle, saturation)
        if Fill(colour, "", "").lightness < lightness:
            low = middle
        else:
            high = middle
    return colour


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4
