"""ViT: images of any size, apart; positions interpolated; 2D RoPE; SigLIP's layers."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from curriculum.models.patches import layout_of, patch_spans, resizing, rope_2d
from curriculum.models.presets import shape_of
from curriculum.models.vit import Vit
from curriculum.models.vlm import build

GRIDS = [(8, 8), (4, 6), (4, 6), (12, 2)]


def vit(**overrides: object) -> Vit:
    shape = shape_of("moonvit-proxy", {"hidden": 48, "mlp_dim": 64, **overrides})
    module = build(shape, "cpu", seed=4)
    assert isinstance(module, Vit)
    return module


def patches(grids: list[tuple[int, int]]) -> Tensor:
    total = sum(rows * columns for rows, columns in grids)
    return torch.rand(total, 48, generator=torch.Generator().manual_seed(6)) * 2 - 1


def test_packed_images_equal_images_one_by_one() -> None:
    model, x = vit(), patches(GRIDS)
    sizes = [rows * columns for rows, columns in GRIDS]
    alone = [model(part, [grid]) for part, grid in zip(x.split(sizes), GRIDS, strict=True)]
    torch.testing.assert_close(model(x, GRIDS), torch.cat(alone), atol=1e-5, rtol=1e-5)


def test_images_permuted_are_features_permuted() -> None:
    model, x = vit(), patches(GRIDS)
    parts, order = x.split([rows * columns for rows, columns in GRIDS]), [2, 0, 3, 1]
    features = model(x, GRIDS).split([len(part) for part in parts])
    permuted = model(torch.cat([parts[i] for i in order]), [GRIDS[i] for i in order])
    expected = torch.cat([features[i] for i in order])
    torch.testing.assert_close(permuted, expected, atol=1e-5, rtol=1e-5)


def test_positions_at_the_native_grid_are_the_learned_ones() -> None:
    model = vit()
    assert torch.equal(model.positions_of([(8, 8)]), model.positions.flatten(0, 1))


@pytest.mark.parametrize("grid", [(4, 6), (12, 2), (16, 10)])
def test_positions_elsewhere_are_bicubic(grid: tuple[int, int]) -> None:
    model = vit()
    table = model.positions.permute(2, 0, 1).unsqueeze(0)
    expected = functional.interpolate(table, size=grid, mode="bicubic")[0].permute(1, 2, 0)
    found = model.positions_of([grid])
    torch.testing.assert_close(found, expected.flatten(0, 1), atol=1e-6, rtol=1e-6)


def test_resizing_keeps_a_constant() -> None:
    torch.testing.assert_close(resizing(8, 5).sum(1), torch.ones(5), atol=1e-6, rtol=0)


def test_rope_turns_by_column_and_row() -> None:
    layout = layout_of(((3, 4),), torch.device("cpu"))
    turn = torch.view_as_complex(rope_2d(layout, 8, 10_000.0))  # speeds 1 and 10_000^(-1/2) = .01
    angles = turn.view(3, 4, 4)[2, 3].angle()
    expected = torch.tensor([3.0, 2.0, 0.03, 0.02])
    torch.testing.assert_close(angles, expected, atol=1e-6, rtol=1e-6)
    assert math.isclose(turn.abs().max().item(), 1.0, rel_tol=1e-6)


def test_the_position_of_a_patch_matters() -> None:
    model, x = vit(), patches([(4, 4)])
    flipped = x.view(4, 4, -1).flip(1).reshape(16, -1)
    back = model(flipped, [(4, 4)]).view(4, 4, -1).flip(1).reshape(16, -1)
    assert (model(x, [(4, 4)]) - back).abs().max() > 1e-2


def test_without_a_base_positions_are_learned_alone() -> None:
    """And patches without positions are a set: what turns would tell them apart."""
    for base, differs in ((None, False), (10_000.0, True)):
        model, x = vit(rope_base=base), patches([(4, 4)])
        with torch.no_grad():
            model.positions.zero_()
        order = torch.randperm(16, generator=torch.Generator().manual_seed(1))
        moved = model(x[order], [(4, 4)]) - model(x, [(4, 4)])[order]
        assert bool(moved.abs().max() > 1e-3) is differs


def test_a_layer_equals_siglip() -> None:
    """transformers' SigLIP encoder layer on our weights, without RoPE."""
    from transformers.models.siglip.configuration_siglip import SiglipVisionConfig
    from transformers.models.siglip.modeling_siglip import SiglipEncoderLayer

    model = vit()
    shape, layer = model.shape, model.layers[0]
    config = SiglipVisionConfig(
        hidden_size=48, intermediate_size=64, num_attention_heads=shape.num_heads,
        layer_norm_eps=shape.layer_norm_eps, attn_implementation="eager",
    )  # fmt: skip
    theirs = SiglipEncoderLayer(config).eval()
    names = (
        ("attn.", "self_attn."), ("attn_norm", "layer_norm1"), ("ffn_norm", "layer_norm2"),
        ("q.", "q_proj."), ("k.", "k_proj."), ("v.", "v_proj."), (".out.", ".out_proj."),
        ("ffn.up", "mlp.fc1"), ("ffn.down", "mlp.fc2"),
    )  # fmt: skip
    state = {}
    for name, value in layer.state_dict().items():
        for ours, their in names:
            name = name.replace(ours, their)
        state[name] = value
    theirs.load_state_dict(state)
    x = torch.randn(24, 48, generator=torch.Generator().manual_seed(1))
    expected = theirs(x[None], attention_mask=None)
    expected = expected[0] if isinstance(expected, tuple) else expected
    found = layer(x, patch_spans([(4, 6)], x.device))
    torch.testing.assert_close(found, expected.view(24, 48), atol=1e-5, rtol=1e-5)
