"""Rotary position embedding: the base, and the rotation speed of every pair of dimensions"""

from dataclasses import dataclass
from fractions import Fraction
from math import pi


@dataclass(frozen=True, slots=True)
class Rope:
    """RoPE of one module: its base (the field also says theta)."""

    base: Fraction

    def inv_freq(self, head_dim: int) -> list[float]:
        """Return the rotation speed of each pair of dimensions, in rad/token, fastest first.

        Source: Su et al. 2021 (arXiv:2104.09864), eq. 15. `head_dim` is even.

        >>> Rope(Fraction(10_000)).inv_freq(4)
        [1.0, 0.01]
        """
        base = float(self.base)
        return [1.0 / base ** (2 * i / head_dim) for i in range(head_dim // 2)]

    def longest_wavelength_tokens(self, head_dim: int) -> float:
        """Return the wavelength of the slowest pair, in tokens.

        >>> round(Rope(Fraction(50_000)).longest_wavelength_tokens(64))
        224030
        >>> round(Rope(Fraction(800_000)).longest_wavelength_tokens(64))
        3286989
        """
        return 2 * pi / self.inv_freq(head_dim)[-1]
