"""FLOPs: the stated convention, on numbers."""

import pytest

from curriculum.models.flops import (
    Gradient,
    attention_width,
    flops_params,
    flops_per_patch,
    forward_flops_per_token,
    train_flops_per_token,
)
from curriculum.models.presets import PRESETS


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


def test_work_per_patch() -> None:
    assert flops_per_patch(PRESETS["siglip-so400m-text"]) == 6 * 2 * 1152**2
    assert flops_per_patch(PRESETS["tiny-decoder"], Gradient.NONE) == 2 * 2 * 10 * 512 * 1152
    assert flops_per_patch(PRESETS["moonvit-so400m"]) == 0


def test_a_vit_multiplies_its_patch_embedding() -> None:
    vit = PRESETS["moonvit-so400m"]
    layers_and_norm = vit.num_params(without_embeddings=True)
    assert flops_params(vit) == layers_and_norm + 1152 * 3 * 14 * 14
