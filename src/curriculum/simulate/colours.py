"""Colours of lines and areas that stay apart in grey: by dash, by hatch, by lightness

An area's hue says what kind it is (its modality), its lightness which one it is, and neighbours are
light and dark in turn. A hatch means images or video. Only of a kind with more areas than lightness
keeps apart a further family begins, with a hatch of its own and a hue beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from curriculum.simulate.areas import MIXED, Area

LINES: Sequence[tuple[str, str | tuple[int, tuple[float, ...]]]] = (
    ("#1b4f8f", "-"),
    ("#d9631e", (0, (5, 1.6))),
    ("#1f7a4d", (0, (1.2, 1.2))),
    ("#7b3fa0", (0, (7, 1.5, 1.2, 1.5))),
    ("#b3261e", (0, (3, 1, 1, 1, 1, 1))),
    ("#555555", (0, (9, 3))),
    ("#0e8a94", (0, (2.5, 2.5))),
)

# Hue in degrees and hatch of each kind, from the bottom of the stack: the same in every picture.
_KINDS = {
    "text": (212, ""), "image-text": (26, "///"), "video-text": (150, "..."), MIXED: (285, "xxx"),
}  # fmt: skip
FAMILY = 10  # areas of one kind that lightness alone keeps apart
DARKEST, LIGHTEST = 28, 91
_FAMILIES = (
    (0, ""),
    (-45, "\\\\\\"),
    (45, "oo"),
    (-90, "||"),
)  # turn of the hue, hatch added to the kind's
REST = "#e4e4e4"


@dataclass(frozen=True, slots=True)
class Fill:
    """How one area looks; `ink` is the colour of its hatch and border."""

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


def fills(areas: Sequence[Area]) -> dict[str, Fill]:
    """Return how each area is drawn, from the bottom of the stack to its top.

    Text lies at the bottom; of each kind the first lies on top, where a legend begins.
    """
    kinds: dict[str, list[str]] = {}
    for area in areas:
        kinds.setdefault(area.kind, []).append(area.name)
    found: dict[str, Fill] = {}
    for kind, (hue, hatch) in _KINDS.items():
        if kind not in kinds:
            continue
        size = _family_size(len(kinds[kind]))
        for i, name in reversed(list(enumerate(kinds[kind]))):
            turn, more = _FAMILIES[i // size]
            in_family = min(size, len(kinds[kind]) - i // size * size)
            lightness = _lightness(i % size, in_family)
            ink = "#ffffff" if lightness < 60 else "#444444"
            found[name] = Fill(_with_lightness((hue + turn) % 360, lightness), hatch + more, ink)
    return found


def _lightness(index: int, areas: int) -> float:
    """Return the lightness of one of a family: evenly apart, and dark and light in turn.

    >>> [round(_lightness(i, 4)) for i in range(4)]
    [28, 70, 49, 91]
    """
    level = index // 2 + (index % 2) * ceil(areas / 2)
    return DARKEST + (LIGHTEST - DARKEST) * level / max(1, areas - 1)


def _family_size(areas: int) -> int:
    """Share areas out over as few families as hold them.

    >>> _family_size(5), _family_size(12), _family_size(15)
    (5, 6, 8)
    """
    return max(1, ceil(areas / ceil(areas / FAMILY)))


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
