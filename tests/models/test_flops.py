"""FLOPs: the stated convention, on numbers."""

import pytest

from curriculum.models.flops import (
    Gradient,
    attention_products,
    attention_width,
    flops_params,
    flops_per_patch,
    forward_flops_per_token,
    lacks_attention,
    train_flops_per_token,
)
from curriculum.models.presets import PRESETS, counted_shape, shape_of


def test_moonlight() -> None:
    shape = PRESETS["moonlight-16b-a3b"]
    active_and_head = 2_243_685_888 + 163_840 * 2048
    assert flops_params(shape) == active_and_head
    assert attention_width(shape) == 27 * 16 * (192 + 128)
    assert train_flops_per_token(shape, 8192) == (
        6 * active_and_head + 6 * 27 * 16 * (192 + 128) * 8192
    )


@pytest.mark.parametrize("name", PRESETS)
def test_frozen_modules_cost_less(name: str) -> None:
    shape = PRESETS[name]
    forward = forward_flops_per_token(shape, 100)
    assert train_flops_per_token(shape, 100, Gradient.TRAINED) == 3 * forward
    assert train_flops_per_token(shape, 100, Gradient.NONE) == forward
    through = train_flops_per_token(shape, 100, Gradient.THROUGH)
    assert 3 * forward - through == 2 * flops_params(shape)


def test_a_dense_decoder() -> None:
    llama = PRESETS["llama-3.1-8b"]
    assert flops_params(llama) == 8_030_261_248 - 128_256 * 4096
    assert attention_width(llama) == 32 * 32 * (128 + 128)
    tied = PRESETS["smollm3-3b"]
    assert flops_params(tied) == tied.num_params()  # the embeddings multiply, as the head


def test_experts_under_grouped_queries() -> None:
    qwen = PRESETS["qwen3-30b-a3b"]
    assert flops_params(qwen) == qwen.num_active_params() - 151_936 * 2048
    assert attention_width(qwen) == 48 * 32 * (128 + 128)
    idle = 48 * (128 - 8) * 3 * 768 * 2048
    assert qwen.num_params() - qwen.num_active_params() == idle
    tied = shape_of("qwen3-30b-a3b", {"tied_embeddings": True})
    assert flops_params(tied) == flops_params(qwen)  # the embeddings multiply, as the head


def test_a_window_is_all_that_a_local_layer_sees() -> None:
    local = shape_of("dense-proxy", {"window": 64})
    assert attention_products(local, 32) == attention_width(local) * 32
    assert attention_products(local, 4096) == attention_width(local) * 64


def test_counts_alone_cost_six_for_each_parameter() -> None:
    said: dict[str, object] = {"params": 456_000, "active_params": 45_900}
    bare = counted_shape("llm", said)
    assert train_flops_per_token(bare, 8192) == 6 * 45_900
    assert lacks_attention(bare)
    wide = counted_shape("llm", said | {"hidden": 64, "vocab": 100})
    assert flops_params(wide) == 45_900 - 6400
    headed = counted_shape("llm", said | {"hidden": 64, "num_layers": 3, "num_heads": 4})
    assert attention_width(headed) == 3 * 64 * 2
    assert not lacks_attention(headed)
    longer = counted_shape("llm", said | {"head_dim": 32, "num_layers": 3, "num_heads": 4})
    assert attention_width(longer) == 3 * 4 * 32 * 2
    assert lacks_attention(counted_shape("vit", {"params": 9, "num_layers": 3, "num_heads": 4}))
    assert not lacks_attention(counted_shape("projector", {"params": 9}))


def test_counts_and_sizes_give_the_same_flops() -> None:
    llama = PRESETS["llama-3.1-8b"]
    counted = counted_shape(
        "llm",
        {
            "params": 8_030_261_248,
            "hidden": 4096,
            "num_layers": 32,
            "num_heads": 32,
            "vocab": 128_256,
        },
    )
    for seq_len in (1, 8192):
        assert train_flops_per_token(counted, seq_len) == train_flops_per_token(llama, seq_len)


def test_work_per_patch() -> None:
    assert flops_per_patch(PRESETS["siglip-so400m-text"]) == 6 * 2 * 1152**2
    assert flops_per_patch(PRESETS["tiny-decoder"], Gradient.NONE) == 2 * 2 * 10 * 512 * 1152
    assert flops_per_patch(PRESETS["moonvit-so400m"]) == 0


def test_a_vit_multiplies_its_patch_embedding() -> None:
    vit = PRESETS["moonvit-so400m"]
    layers_and_norm = vit.num_params(without_embeddings=True)
    assert flops_params(vit) == layers_and_norm + 1152 * 3 * 14 * 14
