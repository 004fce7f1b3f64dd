"""Vision encoders and projectors at their published sizes, each with its source

What our ViT cannot be (class tokens, layer scales, windows, SwiGLU) is known by counts, and so are
projectors that are no LayerNorm and two linears over merged patches. Only the standard library is
imported here: the planner reads presets.
"""

import types
from collections.abc import Mapping

from curriculum.models.counted_shape import CountedShape
from curriculum.models.shapes import ProjectorShape, Shape, VitShape


def _siglip(
    hidden: int, num_layers: int, num_heads: int, mlp_dim: int, patch: int, grid: int, merge: int
) -> VitShape:
    """SigLIP (arXiv 2303.15343) without its pooling head, for images of grid x grid patches."""
    return VitShape(
        hidden=hidden,
        num_layers=num_layers,
        num_heads=num_heads,
        mlp_dim=mlp_dim,
        patch=patch,
        position_rows=grid,
        position_columns=grid,
        rope_base=None,
        merge=merge,
        channels=3,
        layer_norm_eps=1e-6,
    )


def _projector(params: int) -> CountedShape:
    return CountedShape(kind="projector", params=params)


VISION: Mapping[str, Shape] = types.MappingProxyType(
    {
        # PaliGemma (arXiv 2407.07726, 3.1) reads 224 x 224 first: every patch is a position.
        "siglip-so400m-14-224": _siglip(1152, 27, 16, 4304, 14, 16, 1),
        "siglip-so400m-14-384": _siglip(1152, 27, 16, 4304, 14, 27, 1),
        # SmolVLM (arXiv 2504.05299) makes one position of 4 x 4 patches.
        "siglip-base-16-512": _siglip(768, 12, 12, 3072, 16, 32, 4),
        # InternVL (arXiv 2312.14238; 2412.05271): class token and layer scale, tiles of 448 x 448.
        "internvit-300m-448": CountedShape(
            kind="vit",
            params=304_012_288,
            hidden=1024,
            num_layers=24,
            num_heads=16,
            merge=2,
            image_patches=1024,
        ),
        # Version 2.5, 45 layers; queries and keys are normed.
        "internvit-6b-448": CountedShape(
            kind="vit",
            params=5_536_496_000,
            hidden=3200,
            num_layers=45,
            num_heads=25,
            merge=2,
            image_patches=1024,
        ),
        # CLIP (arXiv 2103.00020) at 336 pixels, as Molmo (arXiv 2409.17146) reads it: class token.
        "clip-vit-l-14-336": CountedShape(
            kind="vit",
            params=303_507_456,
            hidden=1024,
            num_layers=24,
            num_heads=16,
            merge=2,
            image_patches=576,
        ),
        # arXiv 2502.13923, 2.1: SwiGLU, 28 of 32 layers see windows, so no heads are said.
        "qwen2.5-vl-vit": CountedShape(
            kind="vit", params=631_975_680, hidden=1280, num_layers=32, merge=2
        ),
        # 2 x 2 patches of 1280: RMSNorm, then 5120 -> 5120 -> 3584 (arXiv 2502.13923, 2.1).
        "qwen2.5-vl-7b-merger": _projector(44_574_464),
        # 2 x 2 patches side by side: LayerNorm, then linear, GELU, linear (arXiv 2412.05271).
        "internvl2.5-8b-mlp": _projector(33_570_816),  # 4096 -> 4096 -> 4096
        "internvl2.5-26b-mlp": _projector(116_429_824),  # 12800 -> 6144 -> 6144
        "internvl2.5-78b-mlp": _projector(172_008_448),  # 12800 -> 8192 -> 8192
        "internvl3-8b-mlp": _projector(27_540_480),  # 4096 -> 3584 -> 3584 (arXiv 2504.10479)
        # arXiv 2407.07726, 3.1: one linear, 1152 -> 2048.
        "paligemma-3b-linear": _projector(2_361_344),
        # arXiv 2504.05299: one linear without bias over 4 x 4 patches, 12288 -> 576.
        "smolvlm-256m-linear": _projector(7_077_888),
    }
)
"""Presets by name; counts are in tests/models/test_published.py."""

_WIDTHS: Mapping[str, tuple[int, int]] = types.MappingProxyType(
    {
        "qwen2.5-vl-7b-merger": (5120, 3584),
        "internvl2.5-8b-mlp": (4096, 4096),
        "internvl2.5-26b-mlp": (12_800, 6144),
        "internvl2.5-78b-mlp": (12_800, 8192),
        "internvl3-8b-mlp": (4096, 3584),
        "paligemma-3b-linear": (1152, 2048),
        "smolvlm-256m-linear": (12_288, 576),
    }
)


def projector_widths(shape: Shape) -> tuple[int, int] | None:
    """Return the width that a projector reads, merge x merge patches, and that it writes.

    None where only its parameters are known, and those are not a preset's.

    >>> projector_widths(VISION["smolvlm-256m-linear"])
    (12288, 576)
    """
    if isinstance(shape, ProjectorShape):
        return shape.merged, shape.llm_hidden
    return next((pair for name, pair in _WIDTHS.items() if VISION[name] == shape), None)
