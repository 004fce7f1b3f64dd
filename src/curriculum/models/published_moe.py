"""Published language models with experts under grouped queries, each with its source

Sizes are those of the published configuration files. A layer of multi-token prediction (GLM-4.5) is
left aside. `max_positions` is what pretraining read first. Only the standard library is imported
here: the planner reads presets.
"""

import types
from collections.abc import Mapping

from curriculum.models.grouped_moe_shape import GroupedMoeShape
from curriculum.models.shapes import Shape


def _qwen3(hidden: int, num_layers: int, num_heads: int, expert_dim: int) -> GroupedMoeShape:
    """Qwen3-MoE (arXiv 2505.09388, 2 and table 2): 128 experts, 8 for each token, none shared."""
    return GroupedMoeShape(
        hidden=hidden,
        num_layers=num_layers,
        num_dense_layers=0,
        num_heads=num_heads,
        num_kv_heads=4,
        head_dim=128,
        rope_dim=128,
        qkv_bias=False,
        qk_norm=True,
        qk_norm_whole=False,
        ffn_dim=None,
        expert_dim=expert_dim,
        num_experts=128,
        num_shared_experts=0,
        top_k=8,
        softmax_router=True,
        routed_scaling=1.0,
        vocab=151_936,
        max_positions=4096,
        rms_eps=1e-6,
        tied_embeddings=False,
    )


def _glm(
    hidden: int,
    num_layers: int,
    num_dense_layers: int,
    ffn_dim: int,
    expert_dim: int,
    num_experts: int,
    routed_scaling: float,
    *,
    qk_norm: bool,
) -> GroupedMoeShape:
    """GLM-4.5 (arXiv 2508.06471, 2.1, table 1): 96 heads, half of each turned by RoPE."""
    return GroupedMoeShape(
        hidden=hidden,
        num_layers=num_layers,
        num_dense_layers=num_dense_layers,
        num_heads=96,
        num_kv_heads=8,
        head_dim=128,
        rope_dim=64,
        qkv_bias=True,
        qk_norm=qk_norm,
        qk_norm_whole=False,
        ffn_dim=ffn_dim,
        expert_dim=expert_dim,
        num_experts=num_experts,
        num_shared_experts=1,
        top_k=8,
        softmax_router=False,
        routed_scaling=routed_scaling,
        vocab=151_552,
        max_positions=4096,
        rms_eps=1e-5,
        tied_embeddings=False,
    )


MOES: Mapping[str, Shape] = types.MappingProxyType(
    {
        # arXiv 2505.09388: 30.5B, 3.3B of them active; 235B and 22B.
        "qwen3-30b-a3b": _qwen3(2048, 48, 32, 768),
        "qwen3-235b-a22b": _qwen3(4096, 94, 64, 1536),
        # arXiv 2401.04088, table 1: 47B, 13B of them active.
        "mixtral-8x7b": GroupedMoeShape(
            hidden=4096,
            num_layers=32,
            num_dense_layers=0,
            num_heads=32,
            num_kv_heads=8,
            head_dim=128,
            rope_dim=128,
            qkv_bias=False,
            qk_norm=False,
            qk_norm_whole=False,
            ffn_dim=None,
            expert_dim=14_336,
            num_experts=8,
            num_shared_experts=0,
            top_k=2,
            softmax_router=True,
            routed_scaling=1.0,
            vocab=32_000,
            max_positions=32_768,
            rms_eps=1e-5,
            tied_embeddings=False,
        ),
        # arXiv 2409.02060, table 1 and appendix: 6.9B, 1.3B of them active.
        "olmoe-1b-7b": GroupedMoeShape(
            hidden=2048,
            num_layers=16,
            num_dense_layers=0,
            num_heads=16,
            num_kv_heads=16,
            head_dim=128,
            rope_dim=128,
            qkv_bias=False,
            qk_norm=True,
            qk_norm_whole=True,
            ffn_dim=None,
            expert_dim=1024,
            num_experts=64,
            num_shared_experts=0,
            top_k=8,
            softmax_router=True,
            routed_scaling=None,
            vocab=50_304,
            max_positions=4096,
            rms_eps=1e-5,
            tied_embeddings=False,
        ),
        # arXiv 2508.06471: 355B, 32B of them active; 106B and 12B.
        "glm-4.5": _glm(5120, 92, 3, 12_288, 1536, 160, 2.5, qk_norm=True),
        "glm-4.5-air": _glm(4096, 46, 1, 10_944, 1408, 128, 1.0, qk_norm=False),
    }
)
"""Presets by name; counts are in tests/models/test_published.py."""
