"""What a step did to the bias of the experts: its rate, from the change and the counts

L layers with experts, E experts. The rule is b += u s, with s = sign(e) - mean(sign(e)) and
e = mean count - count of a layer (arXiv 2502.16982, appendix C); u is what fits the change best.
"""

from collections.abc import Sequence
from math import fsum

Layers = Sequence[Sequence[float]]
"""[L, E] numbers."""

_HALF_ULP = 2.0**-24
"""Of a float32, relative: what rounding a number to it may change."""


def measured_rate(before: Layers, after: Layers, counts: Layers) -> tuple[float, float] | None:
    """Return u and how far rounding can have moved it; None where nothing shows it.

    u is 0 where no bias changed, unless the counts would hide any u: they are there, and equal in
    every layer. A bias that moved although no count moves it gives the largest change, for u.

    >>> measured_rate([[0.0, 0.0]], [[-0.5, 0.5]], [[3, 1]])[0]
    0.5
    >>> measured_rate([[0.0, 0.0]], [[0.0, 0.0]], [[2, 2]]) is None
    True
    """
    signs = [sign for layer in counts for sign in _signs(layer)]
    starts = [bias for layer in before for bias in layer]
    ends = [bias for layer in after for bias in layer]
    moves = [end - start for start, end in zip(starts, ends, strict=True)]
    squares = fsum(sign * sign for sign in signs)
    if not squares:
        largest = max(map(abs, moves), default=0.0)
        is_counted = any(count for layer in counts for count in layer)
        return None if is_counted and not largest else (largest, 0.0)
    rate = fsum(move * sign for move, sign in zip(moves, signs, strict=True)) / squares
    # b and u s were each rounded to float32 once.
    error = _HALF_ULP * max(abs(end) + abs(move) for end, move in zip(ends, moves, strict=True))
    return rate, error * fsum(map(abs, signs)) / squares


def _signs(counts: Sequence[float]) -> list[float]:
    mean = fsum(counts) / len(counts)
    signs = [float((count < mean) - (count > mean)) for count in counts]
    shift = fsum(signs) / len(signs)
    return [sign - shift for sign in signs]
