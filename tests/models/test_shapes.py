"""Shapes: what they list is what the torch modules have, at full size and small."""

import pytest
import torch

from curriculum.models.presets import PRESETS, shape_of
from curriculum.models.shapes import Shape, part_of
from curriculum.models.vlm import build

COMPRESSED = shape_of("moonlight-proxy", {"q_lora_rank": 24})
NO_SHARED = shape_of("moonlight-proxy", {"num_shared_experts": 0})


@pytest.mark.parametrize(
    "shape", [*PRESETS.values(), COMPRESSED, NO_SHARED], ids=[*PRESETS, "q_lora", "no_shared"]
)
def test_weights_are_those_of_the_module(shape: Shape) -> None:
    module = build(shape, "meta", 0)
    built = {name: tuple(parameter.shape) for name, parameter in module.named_parameters()}
    assert built == shape.weights()
    assert sum(parameter.numel() for parameter in module.parameters()) == shape.num_params()
    assert all(parameter.dtype == torch.float32 for parameter in module.parameters())


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
