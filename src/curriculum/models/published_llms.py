"""Language models at their published sizes, each with its source

Sizes are those of the published configuration files; the source named is the report that has them
too. What a training adds and leaves out again (multi-token prediction) is not counted. Routing
limited to groups (DeepSeek-V3) changes no size, and is not built. `max_positions` is what
pretraining read. Only the standard library is imported here: the planner reads presets.
"""

import types
from collections.abc import Mapping

from curriculum.models.counted_shape import CountedShape
from curriculum.models.dense_shape import DenseDecoderShape
from curriculum.models.shapes import DecoderShape, Shape


def _dense(
    hidden: int,
    num_layers: int,
    heads: tuple[int, int],
    ffn_dim: int,
    vocab: int,
    max_positions: int,
    rms_eps: float,
    *,
    tied: bool = False,
    qkv_bias: bool = False,
    nope_every: int | None = None,
    qk_norm: bool = False,
    head_dim: int | None = None,
) -> DenseDecoderShape:
    """A gated decoder with norms in front; `heads` of queries, and of keys and values.

    Heads fill `hidden` where `head_dim` is not said.
    """
    return DenseDecoderShape(
        hidden=hidden,
        num_layers=num_layers,
        num_heads=heads[0],
        num_kv_heads=heads[1],
        head_dim=head_dim or hidden // heads[0],
        ffn_dim=ffn_dim,
        gated=True,
        qkv_bias=qkv_bias,
        qk_norm=qk_norm,
        qk_norm_whole=False,
        norm_after=False,
        nope_every=nope_every,
        window=None,
        full_attention_every=None,
        vocab=vocab,
        max_positions=max_positions,
        rms_eps=rms_eps,
        tied_embeddings=tied,
    )


def _qwen3(
    hidden: int, num_layers: int, heads: tuple[int, int], ffn_dim: int, *, tied: bool = False
) -> DenseDecoderShape:
    """Qwen3 (arXiv 2505.09388, table 1): heads of 128 whose queries and keys are normed."""
    return _dense(
        hidden, num_layers, heads, ffn_dim, 151_936, 4096, 1e-6,
        tied=tied, qk_norm=True, head_dim=128,
    )  # fmt: skip


def _olmo2(hidden: int, num_layers: int, heads: tuple[int, int], ffn_dim: int) -> DenseDecoderShape:
    """OLMo 2 (arXiv 2501.00656, 2): norms behind, queries and keys normed as a whole."""
    return DenseDecoderShape(
        hidden=hidden,
        num_layers=num_layers,
        num_heads=heads[0],
        num_kv_heads=heads[1],
        head_dim=128,
        ffn_dim=ffn_dim,
        gated=True,
        qkv_bias=False,
        qk_norm=True,
        qk_norm_whole=True,
        norm_after=True,
        nope_every=None,
        window=None,
        full_attention_every=None,
        vocab=100_352,
        max_positions=4096,
        rms_eps=1e-6,
        tied_embeddings=False,
    )


def _deepseek(
    num_dense_layers: int, num_heads: int, num_experts: int, routed_scaling: float, vocab: int
) -> DecoderShape:
    """DeepSeek-V3 (arXiv 2412.19437, 4.2) and what was made after it."""
    return DecoderShape(
        hidden=7168,
        num_layers=61,
        num_dense_layers=num_dense_layers,
        num_heads=num_heads,
        kv_lora_rank=512,
        q_lora_rank=1536,
        qk_nope_head_dim=128,
        qk_rope_head_dim=64,
        v_head_dim=128,
        ffn_dim=18_432,
        expert_dim=2048,
        num_experts=num_experts,
        num_shared_experts=1,
        top_k=8,
        routed_scaling=routed_scaling,
        vocab=vocab,
        max_positions=4096,
        rms_eps=1e-6,
        tied_embeddings=False,
    )


def _pythia(
    params: int, hidden: int, num_layers: int, num_heads: int, vocab: int = 50_304
) -> CountedShape:
    """Pythia (arXiv 2304.01373, table 1): parallel residuals and LayerNorm, which are not built."""
    return CountedShape(
        kind="llm",
        params=params,
        hidden=hidden,
        num_layers=num_layers,
        num_heads=num_heads,
        vocab=vocab,
        tied_embeddings=False,
    )


LLMS: Mapping[str, Shape] = types.MappingProxyType(
    {
        # arXiv 2304.01373; the vocabulary is padded to 128 x the tensor parallelism of the run.
        "pythia-14m": _pythia(14_067_712, 128, 6, 4),
        "pythia-31m": _pythia(30_494_720, 256, 6, 8),
        "pythia-70m": _pythia(70_426_624, 512, 6, 8),
        "pythia-160m": _pythia(162_322_944, 768, 12, 12),
        "pythia-410m": _pythia(405_334_016, 1024, 24, 16),
        "pythia-1b": _pythia(1_011_781_632, 2048, 16, 8),
        "pythia-1.4b": _pythia(1_414_647_808, 2048, 24, 16),
        "pythia-2.8b": _pythia(2_775_208_960, 2560, 32, 32),
        "pythia-6.9b": _pythia(6_857_302_016, 4096, 32, 32, 50_432),
        "pythia-12b": _pythia(11_846_072_320, 5120, 36, 40, 50_688),
        # github.com/huggingface/smollm, text/pretraining; arXiv 2502.02737 (SmolLM2).
        "smollm-1.7b": _dense(2048, 24, (32, 32), 8192, 49_152, 2048, 1e-5, tied=True),
        "smollm2-135m": _dense(576, 30, (9, 3), 1536, 49_152, 2048, 1e-5, tied=True),
        "smollm2-360m": _dense(960, 32, (15, 5), 2560, 49_152, 2048, 1e-5, tied=True),
        "smollm2-1.7b": _dense(2048, 24, (32, 32), 8192, 49_152, 2048, 1e-5, tied=True),
        "smollm3-3b": _dense(
            2048, 36, (16, 4), 11_008, 128_256, 4096, 1e-6, tied=True, nope_every=4
        ),
        # arXiv 2501.00656; github.com/allenai/OLMo-core (32B, 1B).
        "olmo2-1b": _olmo2(2048, 16, (16, 16), 8192),
        "olmo2-7b": _olmo2(4096, 32, (32, 32), 11_008),
        "olmo2-13b": _olmo2(5120, 40, (40, 40), 13_824),
        "olmo2-32b": _olmo2(5120, 64, (40, 8), 27_648),
        # arXiv 2407.21783, table 3.
        "llama-3.1-8b": _dense(4096, 32, (32, 8), 14_336, 128_256, 8192, 1e-5),
        "llama-3.1-70b": _dense(8192, 80, (64, 8), 28_672, 128_256, 8192, 1e-5),
        "llama-3.1-405b": _dense(16_384, 126, (128, 8), 53_248, 128_256, 8192, 1e-5),
        # github.com/marin-community/marin: Llama 3's shape at 8B, its tokenizer too.
        "marin-8b": _dense(4096, 32, (32, 8), 14_336, 128_256, 4096, 1e-5),
        # arXiv 2412.15115, table 1.
        "qwen2.5-0.5b": _dense(
            896, 24, (14, 2), 4864, 151_936, 4096, 1e-6, tied=True, qkv_bias=True
        ),
        "qwen2.5-1.5b": _dense(
            1536, 28, (12, 2), 8960, 151_936, 4096, 1e-6, tied=True, qkv_bias=True
        ),
        "qwen2.5-3b": _dense(
            2048, 36, (16, 2), 11_008, 151_936, 4096, 1e-6, tied=True, qkv_bias=True
        ),
        "qwen2.5-7b": _dense(3584, 28, (28, 4), 18_944, 152_064, 4096, 1e-6, qkv_bias=True),
        "qwen2.5-32b": _dense(5120, 64, (40, 8), 27_648, 152_064, 4096, 1e-6, qkv_bias=True),
        "qwen2.5-72b": _dense(8192, 80, (64, 8), 29_568, 152_064, 4096, 1e-6, qkv_bias=True),
        # arXiv 2505.09388, table 1.
        "qwen3-0.6b": _qwen3(1024, 28, (16, 8), 3072, tied=True),
        "qwen3-1.7b": _qwen3(2048, 28, (16, 8), 6144, tied=True),
        "qwen3-4b": _qwen3(2560, 36, (32, 8), 9728, tied=True),
        "qwen3-8b": _qwen3(4096, 36, (32, 8), 12_288),
        "qwen3-14b": _qwen3(5120, 40, (40, 8), 17_408),
        "qwen3-32b": _qwen3(5120, 64, (64, 8), 25_600),
        # arXiv 2505.07608, 2.2; its one layer of multi-token prediction (211M) left aside.
        "mimo-7b": _dense(4096, 36, (32, 8), 11_008, 151_680, 8192, 1e-5, qkv_bias=True),
        # github.com/InternLM/InternLM, arXiv 2403.17297.
        "internlm2.5-7b": _dense(4096, 32, (32, 8), 14_336, 92_544, 4096, 1e-5),
        "internlm2.5-20b": _dense(6144, 48, (48, 8), 16_384, 92_544, 4096, 1e-5),
        # arXiv 2412.19437, 4.2: 671B, 37B of them active; multi-token prediction (14B) left aside.
        "deepseek-v3": _deepseek(3, 128, 256, 2.5, 129_280),
        # arXiv 2507.20534, table 2. The report says 1.04T and 32.6B; its weights are 1.026T.
        "kimi-k2": _deepseek(1, 64, 384, 2.827, 163_840),
        # arXiv 2501.08313, 2: seven of eight layers have linear attention, so no heads are said.
        "minimax-text-01": CountedShape(
            kind="llm",
            params=456_000_000_000,
            active_params=45_900_000_000,
            hidden=6144,
            num_layers=80,
            vocab=200_064,
        ),
        # arXiv 2403.08295, table 1: norms at 1 + w, GELU gates and scaled embeddings.
        "gemma-2b": CountedShape(
            kind="llm",
            params=2_506_172_416,
            hidden=2048,
            num_layers=18,
            num_heads=8,
            head_dim=256,
            vocab=256_000,
            tied_embeddings=True,
        ),
        # Ours, for one GPU: the Llama family's shape.
        "dense-350m": _dense(1024, 24, (16, 8), 3072, 50_304, 4096, 1e-5, tied=True),
        "dense-1b": _dense(2048, 16, (32, 8), 8192, 50_304, 4096, 1e-5, tied=True),
    }
)
"""Presets by name; counts are in tests/models/test_published.py."""
