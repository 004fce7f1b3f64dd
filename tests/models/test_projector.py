"""Projector: one embedding for 2x2 neighbours, in the order of merged cells."""

import pytest
import torch

from curriculum.models.presets import shape_of
from curriculum.models.projector import Projector, merge_order
from curriculum.models.vlm import build

CPU = torch.device("cpu")


def projector() -> Projector:
    shape = shape_of("pixel-shuffle-mlp-proxy", {"vit_hidden": 8, "llm_hidden": 12})
    module = build(shape, "cpu", seed=0)
    assert isinstance(module, Projector)
    return module


def test_order_of_cells() -> None:
    # 4 x 4 patches: cells row by row, each its four patches row by row; then a 2 x 2 image.
    assert merge_order(((4, 4), (2, 2)), 2, CPU).tolist() == [
        0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15, 16, 17, 18, 19,
    ]  # fmt: skip
    assert merge_order((), 2, CPU).tolist() == []


def test_each_cell_reads_its_own_four_patches() -> None:
    model = projector()
    x = torch.randn(24, 8, generator=torch.Generator().manual_seed(0), requires_grad=True)
    out = model(x, [(4, 4), (2, 4)])
    assert out.shape == (6, 12)
    out[3].sum().backward()  # cell (1, 1) of the first image
    assert x.grad is not None
    assert x.grad.abs().sum(1).nonzero().flatten().tolist() == [10, 11, 14, 15]


def test_equal_to_a_loop() -> None:
    model = projector()
    x = torch.randn(8, 8, generator=torch.Generator().manual_seed(0))
    y = model.norm(x).view(2, 4, 8)
    for cell, columns in enumerate((slice(0, 2), slice(2, 4))):
        row = y[:, columns].reshape(-1)
        expected = model.ffn["down"](torch.nn.functional.gelu(model.ffn["up"](row)))
        torch.testing.assert_close(model(x, [(2, 4)])[cell], expected)


def test_odd_grids_are_refused() -> None:
    with pytest.raises(ValueError, match="3 x 4 patches cannot be merged by 2"):
        projector()(torch.zeros(12, 8), [(3, 4)])
