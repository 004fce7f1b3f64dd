"""Rotary position embedding: the base, its scaling, and the rotation speed of every pair

    plan's words --> Rope(base, scaling) --inv_freq--> floats --> the model's buffer
                                         \\-> attention_factor --> the softmax's scale

A formula stands once: what a check reads are the floats that the buffer is filled from.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import cos, floor, pi
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from curriculum.rope_scaling import Scaling  # 2 ms to load, and most plans scale nothing


def inv_freq_of_base(base: float, head_dim: int) -> list[float]:
    """Return theta_i = base^(-2i / head_dim), in rad/token, for each pair of dimensions.

    Source: Su et al. 2021 (arXiv:2104.09864), eq. 15.

    >>> inv_freq_of_base(10_000.0, 4)
    [1.0, 0.01]
    """
    return [1.0 / base ** (2 * i / head_dim) for i in range(head_dim // 2)]


@dataclass(frozen=True, slots=True)
class Rope:
    """RoPE of a module or of a part: its base (the field also says theta), and what stretches it.

    `base` is None where nothing is turned (NoPE).
    """

    base: Fraction | None
    scaling: "Scaling | None" = None

    def inv_freq(self, head_dim: int) -> list[float]:
        """Return the rotation speed of each pair of dimensions, in rad/token, fastest first.

        Source: Su et al. 2021 (arXiv:2104.09864), eq. 15, and that of the scaling. `head_dim` is
        even.

        >>> Rope(Fraction(10_000)).inv_freq(4)
        [1.0, 0.01]
        >>> Rope(None).inv_freq(4)
        [0.0, 0.0]
        """
        if self.base is None:
            return [0.0] * (head_dim // 2)
        if self.scaling is None:
            return inv_freq_of_base(float(self.base), head_dim)
        return self.scaling.inv_freq(float(self.base), head_dim)

    @property
    def attention_factor(self) -> float:
        """The factor of queries and keys: the softmax's scale is times its square.

        It is the paper's sqrt(1/t) (arXiv:2309.00071, 3.4), of whole queries and keys; code that
        multiplies the cosines and sines by it does the same where RoPE turns all of a head.
        """
        return 1.0 if self.scaling is None else self.scaling.attention()

    @property
    def reads_context(self) -> bool:
        """Whether the speeds depend on the context that the stage prepares for."""
        return self.scaling is not None and self.scaling.reads_context

    def at_context(self, seq_len: int) -> "Rope":
        """Return this RoPE for a context, in tokens; the same one where no formula reads it."""
        if self.scaling is None or not self.scaling.reads_context:
            return self
        return replace(self, scaling=self.scaling.at_context(seq_len))

    def longest_wavelength_tokens(self, head_dim: int) -> float:
        """Return the wavelength of the slowest pair, in tokens; there is a base.

        >>> round(Rope(Fraction(50_000)).longest_wavelength_tokens(64))
        224030
        >>> round(Rope(Fraction(800_000)).longest_wavelength_tokens(64))
        3286989
        """
        return 2 * pi / min(self.inv_freq(head_dim))


def ropes_by_layer(
    ropes: Mapping[str, Rope],
    module: str,
    layers: Iterable[int],
    parts: Mapping[str, Sequence[int]],
) -> dict[int, Rope | None]:
    """Return the RoPE of each layer of a module; None where nothing says it.

    `parts` are the layers of each part that may say its own; a part not named follows the module.

    >>> ropes = {"llm": Rope(Fraction(10_000)), "llm/full": Rope(None)}
    >>> {i: rope.base for i, rope in ropes_by_layer(ropes, "llm", range(2), {"full": [1]}).items()}
    {0: Fraction(10000, 1), 1: None}
    """
    found: dict[int, Rope | None] = dict.fromkeys(layers, ropes.get(module))
    for part, members in parts.items():
        own = ropes.get(f"{module}/{part}")
        if own is not None:
            found |= {layer: own for layer in members if layer in found}
    return found


def base_of(inv_freq: Sequence[float]) -> float | None:
    """Return the base that the first two speeds speak of, (theta_0 / theta_1)^(d / 2).

    It is the plan's where nothing is scaled. None where nothing turns.

    >>> base_of([1.0, 0.01]), base_of([0.0, 0.0])
    (10000.0, None)
    """
    first, second = inv_freq[:2]
    if first <= 0 or second <= 0:
        return None
    return float((first / second) ** len(inv_freq))


def first_negative_distance(inv_freq: Sequence[float], limit: int = 1 << 20) -> int | None:
    """Return the first distance in tokens at which B_m = sum_i cos(m theta_i) is below 0.

    Up to there attention can tell a similar token from a random one. Models that read further do
    work (Llama 2 at 4096), so this is a number to show, and no error. None where it is not below
    `limit`. Exact, without looking at each distance: where the sum of what every cosine is at
    least, over a run of them, is above 0, the whole run is left aside.

    Source: Xu et al. 2024 (arXiv:2405.14591), theorem 1. Not monotone in the base: with 64
    dimensions 5e5 gives 9,937 and 6e5 gives 5,148.

    >>> first_negative_distance(Rope(Fraction(10_000)).inv_freq(128))
    1707
    >>> first_negative_distance(Rope(Fraction(10_000)).inv_freq(64))
    725
    """
    waiting = [(1, limit)]
    while waiting:
        first, end = waiting.pop()
        if end - first <= _FEW:
            for distance in range(first, end):
                if sum(cos(distance * speed) for speed in inv_freq) < 0:
                    return distance
        elif _at_least(inv_freq, first, end - 1) <= _NOTHING:
            middle = (first + end) // 2
            waiting += [(middle, end), (first, middle)]
    return None


_FEW = 4
"""Distances that are looked at one by one."""

_NOTHING = 1e-9
"""More than what rounding can take from a sum of cosines."""


def _at_least(inv_freq: Sequence[float], first: int, last: int) -> float:
    """Return a sum that B_m is never below, for any m from `first` to `last`."""
    total = 0.0
    for speed in inv_freq:
        end = last * speed
        if end <= pi:
            total += cos(end)  # it only falls
            continue
        begin = first * speed
        if floor((end / pi + 1) / 2) > floor((begin / pi + 1) / 2):
            total -= 1.0  # an odd multiple of pi lies between
        else:
            total += min(cos(begin), cos(end))
    return total
