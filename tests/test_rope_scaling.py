"""The scalings: equal to transformers' own functions, and right at the ends of their domains"""

from fractions import Fraction
from math import log, sqrt
from typing import Any

import pytest

from curriculum.errors import ValueProblem
from curriculum.rope import Rope, inv_freq_of_base
from curriculum.rope_scaling import (
    SCALINGS,
    DynamicNtk,
    Linear,
    Llama3,
    LongRope,
    Ntk,
    Scaling,
    Yarn,
)

F = Fraction
HEAD_DIMS = (4, 16, 64, 96, 128, 256)
BASES = (10_000, 500_000)


def theirs(
    kind: str, base: int, head_dim: int, seq_len: int | None = None, **more: Any
) -> tuple[list[float], float]:
    """What transformers computes: speeds in float32, and the factor of cosines and sines."""
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    longest = more.pop("max_position_embeddings", 4096)
    config = LlamaConfig(
        hidden_size=head_dim,
        num_attention_heads=1,
        head_dim=head_dim,
        max_position_embeddings=longest,
        rope_parameters={"rope_type": kind, "rope_theta": float(base), **more},
    )
    speeds, factor = ROPE_INIT_FUNCTIONS[kind](config, None, seq_len=seq_len)
    return speeds.tolist(), float(factor)


def require_equal(
    scaling: Scaling, base: int, head_dim: int, their: tuple[list[float], float], rel: float = 2e-6
) -> None:
    rope = Rope(F(base), scaling)
    assert rope.inv_freq(head_dim) == pytest.approx(their[0], rel=rel, abs=0)  # theirs: float32
    assert rope.attention_factor == pytest.approx(their[1], rel=1e-14)  # theirs: Python's floats


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("head_dim", HEAD_DIMS)
@pytest.mark.parametrize("factor", ["1", "2", "4", "8.5", "40"])
class TestTransformers:
    def test_linear(self, base: int, head_dim: int, factor: str) -> None:
        their = theirs("linear", base, head_dim, factor=float(factor))
        require_equal(Linear(F(factor)), base, head_dim, their)

    @pytest.mark.parametrize("seq_len", [100, 4096, 8192, 100_000])
    def test_dynamic_ntk(self, base: int, head_dim: int, factor: str, seq_len: int) -> None:
        their = theirs("dynamic", base, head_dim, seq_len, factor=float(factor))
        require_equal(DynamicNtk(F(factor), 4096, seq_len), base, head_dim, their)

    def test_ntk_is_the_dynamic_one_where_that_has_its_factor(
        self, base: int, head_dim: int, factor: str
    ) -> None:
        # f L / L0 - (f - 1) is f at L = L0 (2 f - 1) / f.
        original = 680
        exact = original * (2 * F(factor) - 1) / F(factor)
        length = int(exact)
        assert length == exact
        their = theirs(
            "dynamic", base, head_dim, length, factor=float(factor),
            max_position_embeddings=original,
        )  # fmt: skip
        require_equal(Ntk(F(factor)), base, head_dim, their)

    @pytest.mark.parametrize("original", [256, 4096, 8192])
    @pytest.mark.parametrize(("fast", "slow"), [(32, 1), (16, 2), (1000, "0.001"), (1, 1)])
    def test_yarn(
        self, base: int, head_dim: int, factor: str, original: int, fast: int, slow: int
    ) -> None:
        their = theirs(
            "yarn", base, head_dim, factor=float(factor), beta_fast=fast, beta_slow=float(slow),
            original_max_position_embeddings=original,
        )  # fmt: skip
        require_equal(Yarn(F(factor), original, F(fast), F(slow)), base, head_dim, their)

    @pytest.mark.parametrize(("low", "high"), [(1, 4), (1, 32), (2, 3)])
    @pytest.mark.parametrize("original", [1024, 8192])
    def test_llama3(
        self, base: int, head_dim: int, factor: str, original: int, low: int, high: int
    ) -> None:
        their = theirs(
            "llama3", base, head_dim, factor=float(factor), low_freq_factor=float(low),
            high_freq_factor=float(high), original_max_position_embeddings=original,
        )  # fmt: skip
        # Where pairs are mixed, float32 turns are subtracted: the factor multiplies their error.
        ours = Llama3(F(factor), F(low), F(high), original)
        require_equal(ours, base, head_dim, their, rel=3e-5)

    @pytest.mark.parametrize("seq_len", [2000, 4096, 4097, 100_000])
    def test_longrope(self, base: int, head_dim: int, factor: str, seq_len: int) -> None:
        short = [1 + i / 100 for i in range(head_dim // 2)]
        long = [1 + i / 2 for i in range(head_dim // 2)]
        their = theirs(
            "longrope", base, head_dim, seq_len, factor=float(factor), short_factor=short,
            long_factor=long, original_max_position_embeddings=4096,
        )  # fmt: skip
        lists = tuple(map(F, short)), tuple(map(F, long))
        ours = LongRope(F(factor), 4096, *lists, seq_len=seq_len)
        require_equal(ours, base, head_dim, their)


def test_an_attention_factor_that_is_said_is_taken() -> None:
    their = theirs(
        "yarn", 10_000, 64, factor=40.0, beta_fast=32, beta_slow=1, attention_factor=1.25,
        original_max_position_embeddings=4096,
    )  # fmt: skip
    require_equal(Yarn(F(40), 4096, F(32), F(1), F("1.25")), 10_000, 64, their)
    ones = (F(1),) * 2
    assert LongRope(F(2), 4096, ones, ones, F("1.5")).attention() == 1.5


def test_deepseeks_two_numbers_are_one_attention_factor() -> None:
    """Unequal ones where RoPE turns all of a head: cosines times their ratio, softmax by one."""
    for mscale, of_all in ((0.707, 1.0), (1.0, 1.0), (0.707, 0.707)):
        both = theirs(
            "yarn", 10_000, 64, factor=40.0, beta_fast=32, beta_slow=1, mscale=mscale,
            mscale_all_dim=of_all, original_max_position_embeddings=4096,
        )[1] ** 2 * (0.1 * of_all * log(40) + 1) ** 2  # fmt: skip
        said = F(0.1 * mscale * log(40) + 1)
        assert Yarn(F(40), 4096, F(32), F(1), said).attention() ** 2 == pytest.approx(both)
    assert Yarn(F(40), 4096, F(32), F(1)).attention() == 0.1 * log(40) + 1  # DeepSeek-V3


def test_yarn_keeps_fast_pairs_and_slows_slow_ones() -> None:
    plain = inv_freq_of_base(10_000.0, 64)
    scaled = Yarn(F(40), 4096, F(32), F(1)).inv_freq(10_000.0, 64)
    ratios = [p / s for p, s in zip(plain, scaled, strict=True)]
    assert ratios[:10] == [1.0] * 10
    assert ratios[-8:] == pytest.approx([40.0] * 8)
    assert ratios == sorted(ratios)


def test_a_factor_of_1_changes_nothing() -> None:
    plain = inv_freq_of_base(500_000.0, 128)
    for scaling in (
        Linear(F(1)),
        Ntk(F(1)),
        DynamicNtk(F(1), 4096, 4096),
        Llama3(F(1), F(1), F(4), 8192),
        Yarn(F(1), 4096, F(32), F(1)),
    ):
        assert scaling.inv_freq(500_000.0, 128) == pytest.approx(plain, rel=1e-15)
        assert scaling.attention() == 1.0
    ones = (F(1),) * 64
    assert LongRope(F(1), 4096, ones, ones).attention() == 1.0
    assert LongRope(F(4), 4096, ones, ones).attention() == sqrt(1 + log(4) / log(4096))


def test_what_no_formula_takes_is_refused() -> None:
    with pytest.raises(ValueProblem, match="`beta_slow` is above `beta_fast`"):
        Yarn(F(2), 4096, F(1), F(32))
    with pytest.raises(ValueProblem, match="`low_freq_factor` is not below `high_freq_factor`"):
        Llama3(F(2), F(4), F(4), 8192)
    with pytest.raises(ValueProblem, match="`short` has 1 factors and `long` 2: one a pair"):
        LongRope(F(2), 4096, (F(1),), (F(1), F(1)))


def test_the_plans_words_are_those_of_the_leaves() -> None:
    assert list(SCALINGS) == ["linear", "ntk", "dynamic-ntk", "llama3", "yarn", "longrope"]
