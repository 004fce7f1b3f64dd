"""Shapes: what they list is what the torch modules have, at full size and small."""

import pytest
import torch

from curriculum.models.counted_shape import CountedShape
from curriculum.models.dense_shape import DenseDecoderShape
from curriculum.models.grouped_moe_shape import GroupedMoeShape
from curriculum.models.presets import PRESETS, shape_of
from curriculum.models.shapes import Shape, part_of
from curriculum.models.vlm import build

PLANNED = (CountedShape, GroupedMoeShape)
BUILT = {name: shape for name, shape in PRESETS.items() if not isinstance(shape, PLANNED)}
OTHERS = {
    "q_lora": shape_of("moonlight-proxy", {"q_lora_rank": 24}),
    "no_shared": shape_of("moonlight-proxy", {"num_shared_experts": 0}),
    "untied": shape_of("dense-proxy", {"tied_embeddings": False}),
    "plain": shape_of("dense-proxy", {"gated": False, "qkv_bias": True, "num_kv_heads": 1}),
    "heads_normed": shape_of("dense-proxy", {"qk_norm": True, "norm_after": True}),
    "whole_normed": shape_of("dense-proxy", {"qk_norm": True, "qk_norm_whole": True}),
}


@pytest.mark.parametrize("shape", [*BUILT.values(), *OTHERS.values()], ids=[*BUILT, *OTHERS])
def test_weights_are_those_of_the_module(shape: Shape) -> None:
    module = build(shape, "meta", 0)
    built = {name: tuple(parameter.shape) for name, parameter in module.named_parameters()}
    assert built == shape.weights()
    assert sum(parameter.numel() for parameter in module.parameters()) == shape.num_params()
    assert all(parameter.dtype == torch.float32 for parameter in module.parameters())


def test_only_local_layers_make_parts_that_turn_apart() -> None:
    assert PRESETS["moonlight-proxy"].rope_parts() == {}
    assert PRESETS["smollm3-3b"].rope_parts() == {}
    gemma_like = {"window": 64, "full_attention_every": 6, "num_layers": 7}
    assert shape_of("dense-proxy", gemma_like).rope_parts() == {
        "full_attention": (5,),
        "sliding_attention": (0, 1, 2, 3, 4, 6),
    }
    assert shape_of("dense-proxy", {"window": 64, "num_layers": 2}).rope_parts() == {
        "sliding_attention": (0, 1)
    }
    without = shape_of("dense-proxy", gemma_like | {"nope_every": 6})
    assert without.rope_parts() == {"sliding_attention": (0, 1, 2, 3, 4, 6)}


def test_every_fourth_layer_of_smollm3_has_no_rope() -> None:
    shape = PRESETS["smollm3-3b"]
    assert isinstance(shape, DenseDecoderShape)
    nope = [layer for layer in range(36) if not shape.has_rope(layer)]
    assert nope == [3, 7, 11, 15, 19, 23, 27, 31, 35]


def test_active_parameters_count_the_chosen_experts() -> None:
    shape = PRESETS["moonlight-proxy"]
    idle = shape.num_params() - shape.num_active_params()
    assert idle == 2 * (8 - 2) * 3 * 160 * 128  # layers, idle experts, matrices


@pytest.mark.parametrize(
    ("kind", "name", "part"),
    [
        ("llm", "embed.weight", "embeddings"),
        ("llm", "layers.0.attn_norm.weight", "norms"),
        ("llm", "layers.0.attn.kv_norm.weight", "norms"),
        ("llm", "layers.0.attn.kv_b.weight", "attention"),
        ("llm", "layers.0.ffn.down.weight", "ffn"),
        ("llm", "layers.2.moe.router.weight", "router"),
        ("llm", "layers.2.moe.experts.gate", "experts"),
        ("llm", "layers.2.moe.shared.up.weight", "experts"),
        ("llm", "norm.weight", "norms"),
        ("llm", "head.weight", "head"),
        ("vit", "positions", "embeddings"),
        ("vit", "layers.1.attn.q.bias", "attention"),
        ("text_tower", "pool.probe", "pool"),
        ("text_tower", "logit_scale", "logits"),
        ("captioner", "layers.0.cross.k.weight", "cross_attention"),
        ("captioner", "layers.0.cross_norm.bias", "norms"),
        ("projector", "ffn.up.weight", "ffn"),
    ],
)
def test_part_of(kind: str, name: str, part: str) -> None:
    assert part_of(kind, name) == part
