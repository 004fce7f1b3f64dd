"""Shapes for one GPU of 80 GB: experts, a ViT with its towers, and what joins them

Ours, no published model: Kimi-VL's mechanisms at a size that is trained whole on one GPU (1.28B
together: 15 GB of fp32 weights, gradients and momentum; activations come to that). Queries, keys
and values of the language model are 128 long, so no attention kernel pads values; every inner width
is a multiple of 64, and the experts' of 128. The dense ones stand in published_llms.py. Only the
standard library is imported here: the planner reads presets.
"""

import types
from collections.abc import Mapping

from curriculum.models.shapes import (
    CaptionerShape,
    DecoderShape,
    ProjectorShape,
    Shape,
    TextTowerShape,
    VitShape,
)

ONE_GPU: Mapping[str, Shape] = types.MappingProxyType(
    {
        # Moonlight's router and experts (64, 6 of them and 2 shared), half as wide: 1.00B, .25B.
        "moe-1b-a250m": DecoderShape(
            hidden=1024,
            num_layers=12,
            num_dense_layers=1,
            num_heads=8,
            kv_lora_rank=256,
            q_lora_rank=None,
            qk_nope_head_dim=64,
            qk_rope_head_dim=64,
            v_head_dim=128,
            ffn_dim=2816,
            expert_dim=384,
            num_experts=64,
            num_shared_experts=2,
            top_k=6,
            routed_scaling=2.446,
            vocab=50_304,
            max_positions=8192,
            rms_eps=1e-5,
            tied_embeddings=False,
        ),
        # MoonViT's mechanisms at ViT-B's width and depth.
        "moonvit-89m": VitShape(
            hidden=768,
            num_layers=12,
            num_heads=12,
            mlp_dim=3072,
            patch=14,
            position_rows=64,
            position_columns=64,
            rope_base=10_000.0,
            merge=2,
            channels=3,
            layer_norm_eps=1e-5,
        ),
        "pixel-shuffle-mlp-13m": ProjectorShape(
            vit_hidden=768, llm_hidden=1024, merge=2, layer_norm_eps=1e-5
        ),
        # SigLIP-B's text encoder, with the longer captions of the demo's data.
        "siglip-text-117m": TextTowerShape(
            hidden=768,
            num_layers=12,
            num_heads=12,
            mlp_dim=3072,
            vocab=32_000,
            max_positions=128,
            vit_hidden=768,
            pool_mlp_dim=3072,
            layer_norm_eps=1e-6,
        ),
        "tiny-decoder-60m": CaptionerShape(
            hidden=512,
            num_layers=6,
            num_heads=8,
            mlp_dim=2048,
            vocab=32_000,
            max_positions=128,
            vit_hidden=768,
            layer_norm_eps=1e-5,
        ),
    }
)
"""Presets by name; counts are in tests/models/test_one_gpu.py."""
