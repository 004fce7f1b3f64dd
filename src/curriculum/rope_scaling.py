"""What stretches RoPE to longer contexts: six published scalings, each formula once

    base, head_dim --inv_freq_of_base--> theta_i --inv_freq of a scaling--> what the buffer holds
                                        factor of queries and keys <--attention-- YaRN, LongRoPE

`head_dim` counts the dimensions of a head that RoPE turns: an even number, at least 4 for the two
NTK kinds. Speeds are in rad/token, fastest pair first. Equal to transformers' own functions
(`ROPE_INIT_FUNCTIONS` of modeling_rope_utils) to float32: a test holds it.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, floor, log, pi, sqrt
from typing import ClassVar

from curriculum.errors import ValueProblem
from curriculum.rope import inv_freq_of_base


@dataclass(frozen=True, slots=True)
class Scaling(ABC):
    """What all scalings answer. `kind` is the plan's word for the leaf; `factor` is at least 1."""

    kind: ClassVar[str]
    reads_context: ClassVar[bool] = False
    factor: Fraction

    @abstractmethod
    def inv_freq(self, base: float, head_dim: int) -> list[float]:
        """Return the rotation speed of each pair of dimensions, in rad/token."""

    def attention(self) -> float:
        """Return the factor of queries and keys; the softmax scale is times its square."""
        return 1.0

    def at_context(self, seq_len: int) -> "Scaling":
        """Return this scaling for a context, in tokens."""
        return self

    @property
    def num_pairs(self) -> int | None:
        """Pairs of dimensions that it has factors for; None where its formula gives them all."""
        return None


@dataclass(frozen=True, slots=True)
class Linear(Scaling):
    """Position interpolation: every pair turns `factor` times slower."""

    kind: ClassVar[str] = "linear"

    def inv_freq(self, base: float, head_dim: int) -> list[float]:
        """Return theta_i / factor.

        Source: Chen et al. 2023 (arXiv:2306.15595), eq. 4.

        >>> Linear(Fraction(4)).inv_freq(10_000.0, 4)
        [0.25, 0.0025]
        """
        return [speed / float(self.factor) for speed in inv_freq_of_base(base, head_dim)]


@dataclass(frozen=True, slots=True)
class Ntk(Scaling):
    """NTK-aware: a larger base, so that the slowest pair turns `factor` times slower
    and the fastest as before."""

    kind: ClassVar[str] = "ntk"

    def inv_freq(self, base: float, head_dim: int) -> list[float]:
        """Return the speeds of the base b factor^(d / (d - 2)).

        Source: Peng et al. 2023 (arXiv:2309.00071), 3.1, definition 1.

        >>> Ntk(Fraction(4)).inv_freq(10_000.0, 4)
        [1.0, 0.0025]
        """
        return inv_freq_of_base(_ntk_base(base, float(self.factor), head_dim), head_dim)


@dataclass(frozen=True, slots=True)
class DynamicNtk(Scaling):
    """NTK-aware with a factor that grows with the context: none up to `original` tokens.

    `seq_len` is the context that the formula reads: the stage's target, else what it trains on.
    """

    kind: ClassVar[str] = "dynamic-ntk"
    reads_context: ClassVar[bool] = True
    original: int
    seq_len: int = 0

    def inv_freq(self, base: float, head_dim: int) -> list[float]:
        """Return the speeds of the base b (f L / L0 - (f - 1))^(d / (d - 2)), L = max(seq_len, L0).

        Source: Peng et al. 2023 (arXiv:2309.00071), 3.3; with a factor f as in transformers.

        >>> DynamicNtk(Fraction(2), 100, seq_len=250).inv_freq(10_000.0, 4)
        [1.0, 0.0025]
        >>> DynamicNtk(Fraction(2), 100, seq_len=64).inv_freq(10_000.0, 4)
        [1.0, 0.01]
        """
        factor, length = float(self.factor), max(self.seq_len, self.original)
        stretch = factor * length / self.original - (factor - 1)
        return inv_freq_of_base(_ntk_base(base, stretch, head_dim), head_dim)

    def at_context(self, seq_len: int) -> "DynamicNtk":
        """Return this scaling for a context, in tokens."""
        return replace(self, seq_len=seq_len)


@dataclass(frozen=True, slots=True)
class Llama3(Scaling):
    """Llama 3.1: slow pairs turn `factor` times slower, fast ones as before.

    A pair is slow where it turns less than `low_freq_factor` times in `original` tokens, and fast
    from `high_freq_factor` times on.
    """

    kind: ClassVar[str] = "llama3"
    low_freq_factor: Fraction
    high_freq_factor: Fraction
    original: int

    def __post_init__(self) -> None:
        if self.low_freq_factor >= self.high_freq_factor:
            raise ValueProblem(
                "`low_freq_factor` is not below `high_freq_factor`: it is where slow pairs end",
                "low_freq_factor: 1, high_freq_factor: 4",
            )

    def inv_freq(self, base: float, head_dim: int) -> list[float]:
        """Return theta_i, theta_i / factor, or a mix that is linear in the turns between the two.

        Source: Llama 3.1's published code (`apply_scaling`); the report, arXiv:2407.21783, 3.4.1,
        names its base only.

        >>> from math import pi
        >>> rope = Llama3(Fraction(8), Fraction(1), Fraction(4), original=100)
        >>> [round(speed * 100 / (2 * pi), 3) for speed in rope.inv_freq(10_000.0, 4)]
        [15.915, 0.02]
        """
        factor, low, high = map(float, (self.factor, self.low_freq_factor, self.high_freq_factor))
        speeds = []
        for speed in inv_freq_of_base(base, head_dim):
            turns = self.original * speed / (2 * pi)
            kept = min(max((turns - low) / (high - low), 0.0), 1.0)
            speeds.append((1 - kept) * speed / factor + kept * speed)
        return speeds


@dataclass(frozen=True, slots=True)
class Yarn(Scaling):
    """YaRN: slow pairs turn `factor` times slower, fast ones as before, and attention
    is sharper.

    `beta_fast` and `beta_slow` are turns in `original` tokens: pairs that turn more often than the
    first are kept, those that turn less often than the second are slowed down whole.

    `attention_factor` is the paper's sqrt(1/t), the factor of queries and of keys; None is
    0.1 ln(factor) + 1. DeepSeek writes it as two numbers, `mscale` and `mscale_all_dim`: their code
    turns with m(mscale) / m(mscale_all_dim), where m(x) = 0.1 x ln(factor) + 1, and scales the
    softmax by m(mscale_all_dim)^2. All their models have the two equal, which is this one number:
    `attention_factor` = m(mscale), and for DeepSeek-V3's 1.0 what None gives. Where RoPE turns all
    of a head, unequal ones are m(mscale) as well.
    """

    kind: ClassVar[str] = "yarn"
    original: int
    beta_fast: Fraction
    beta_slow: Fraction
    attention_factor: Fraction | None = None

    def __post_init__(self) -> None:
        if self.beta_slow > self.beta_fast:  # equal in Kimi K2's: the ramp is one pair wide
            raise ValueProblem(
                "`beta_slow` is above `beta_fast`: both are turns in `original` tokens",
                "beta_fast: 32, beta_slow: 1",
            )

    def inv_freq(self, base: float, head_dim: int) -> list[float]:
        """Return theta_i, theta_i / factor, or a mix that is linear in i between the two.

        Source: Peng et al. 2023 (arXiv:2309.00071), 3.2, in the form of its published code: the
        ramp runs over the pairs i, not over their turns, from floor(c(beta_fast)) to
        ceil(c(beta_slow)) with c(r) = d ln(original / (2 pi r)) / (2 ln base).

        >>> rope = Yarn(Fraction(10), 4096, Fraction(32), Fraction(1))
        >>> rope.inv_freq(10_000.0, 8)  # c is 1.3 and 2.8: the ramp runs from pair 1 to pair 3
        [1.0, 0.1, 0.0055, 0.0001]
        """
        first = max(floor(self._pair_of(float(self.beta_fast), base, head_dim)), 0)
        last = min(ceil(self._pair_of(float(self.beta_slow), base, head_dim)), head_dim - 1)
        width = last - first if last != first else 0.001  # as published: no division by 0
        speeds = []
        for i, speed in enumerate(inv_freq_of_base(base, head_dim)):
            slowed = min(max((i - first) / width, 0.0), 1.0)
            speeds.append(speed / float(self.factor) * slowed + speed * (1 - slowed))
        return speeds

    def _pair_of(self, turns: float, base: float, head_dim: int) -> float:
        """Return the pair, as a fraction, that turns so often in `original` tokens."""
        return head_dim * log(self.original / (turns * 2 * pi)) / (2 * log(base))

    def attention(self) -> float:
        """Return sqrt(1/t) = 0.1 ln(factor) + 1, or what was said.

        Source: Peng et al. 2023 (arXiv:2309.00071), 3.4; DeepSeek-V3 (arXiv:2412.19437), 4.3.

        >>> round(Yarn(Fraction(40), 4096, Fraction(32), Fraction(1)).attention(), 6)
        1.368888
        """
        if self.attention_factor is not None:
            return float(self.attention_factor)
        return 0.1 * log(self.factor) + 1.0


@dataclass(frozen=True, slots=True)
class LongRope(Scaling):
    """LongRoPE: a factor for every pair, one list up to `original` tokens and one beyond.

    `seq_len` is the context that chooses the list: the stage's target, else what it trains on.
    `attention_factor` is that of queries and keys; None is sqrt(1 + ln(factor) / ln(original)).
    """

    kind: ClassVar[str] = "longrope"
    reads_context: ClassVar[bool] = True
    original: int
    short: tuple[Fraction, ...]
    long: tuple[Fraction, ...]
    attention_factor: Fraction | None = None
    seq_len: int = 0

    def __post_init__(self) -> None:
        if len(self.short) != len(self.long):
            raise ValueProblem(
                f"`short` has {len(self.short)} factors and `long` {len(self.long)}: one a pair"
            )

    def inv_freq(self, base: float, head_dim: int) -> list[float]:
        """Return theta_i / factor_i; there is a factor for each of the head_dim / 2 pairs.

        Source: Ding et al. 2024 (arXiv:2402.13753), 3; the two lists are those of Phi-3's code.

        >>> half, tenth = Fraction(2), Fraction(10)
        >>> rope = LongRope(Fraction(4), 100, (half, half), (half, tenth), seq_len=400)
        >>> rope.inv_freq(10_000.0, 4)
        [0.5, 0.001]
        """
        factors = self.long if self.seq_len > self.original else self.short
        pairs = zip(inv_freq_of_base(base, head_dim), factors, strict=True)
        return [speed / float(factor) for speed, factor in pairs]

    def attention(self) -> float:
        """Return sqrt(1 + ln(factor) / ln(original)), 1 where nothing is stretched, or what was
        said.

        Source: Phi-3's published code (arXiv:2404.14219); `original` is at least 2.

        >>> two = (Fraction(2),)
        >>> round(LongRope(Fraction(32), 4096, two, two).attention(), 6)
        1.190238
        """
        if self.attention_factor is not None:
            return float(self.attention_factor)
        return sqrt(1 + log(self.factor) / log(self.original)) if self.factor > 1 else 1.0

    def at_context(self, seq_len: int) -> "LongRope":
        """Return this scaling for a context, in tokens."""
        return replace(self, seq_len=seq_len)

    @property
    def num_pairs(self) -> int:
        """Pairs of dimensions that it has factors for."""
        return len(self.short)


def _ntk_base(base: float, factor: float, head_dim: int) -> float:
    return base * float(factor ** (head_dim / (head_dim - 2)))


SCALINGS: Mapping[str, type[Scaling]] = {
    leaf.kind: leaf for leaf in (Linear, Ntk, DynamicNtk, Llama3, Yarn, LongRope)
}
"""The leaves by the plan's words. `seq_len` is not said: the stage's context fills it in."""
