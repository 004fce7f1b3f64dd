"""The vision transformer: images of any size, packed; positions interpolated, and 2D RoPE

    patches [P, 3 p p] --linear--> + positions of each image's grid --layers--> norm --> [P, C]

P patches of all images, one image behind the other, row by row; C hidden; I images. Every image
sees itself only. Source: MoonViT (arXiv 2504.07491, 2.1): the learned grid is resized by bicubic
interpolation; in RoPE even pairs turn with the column, odd pairs with the row. SigLIP has no RoPE.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from curriculum.models.encoder import EncoderLayer
from curriculum.models.patches import Grids, layout_of, resizing, rope_2d, taps_of
from curriculum.models.shapes import VitShape

FEW_SIZES = 16
"""Sizes of images in a batch up to which each size has its positions made once, by a product."""


class Vit(nn.Module):
    """See the module's text. `grids` stand on the host, so that nothing waits for the device."""

    def __init__(self, shape: VitShape) -> None:
        super().__init__()
        self.shape = shape
        self.embed = nn.Linear(shape.patch_dim, shape.hidden)
        self.positions = nn.Parameter(
            torch.empty(shape.position_rows, shape.position_columns, shape.hidden)
        )
        self.layers = nn.ModuleList(
            EncoderLayer(shape.hidden, shape.num_heads, shape.mlp_dim, shape.layer_norm_eps)
            for _ in range(shape.num_layers)
        )
        self.norm = nn.LayerNorm(shape.hidden, eps=shape.layer_norm_eps)

    def forward(self, patches: Tensor, grids: Grids) -> Tensor:
        """[P, channels * patch * patch] in [-1, 1] -> features [P, C]."""
        layout = layout_of(tuple(grids), patches.device)
        base = self.shape.rope_base
        turn = None if base is None else rope_2d(layout, self.shape.head_dim, base)
        x = self.embed(patches) + self.positions_of(grids)
        for layer in self.layers:
            x = layer(x, layout.spans, turn)
        out: Tensor = self.norm(x)
        return out

    def positions_of(self, grids: Grids) -> Tensor:
        """Learned positions of every patch [P, C], interpolated to its image's grid.

        Bicubic resizing is linear and separable. Few sizes: each is resized once, by two small
        matrices, whose gradient is a matrix product as well, in a fixed order. Many: each patch
        gathers the 16 positions that it reads, all of them in one operation.
        """
        rows, columns, hidden = self.positions.shape
        sizes, device = dict.fromkeys(grids), self.positions.device
        if len(sizes) > FEW_SIZES:
            which, weights = taps_of(tuple(grids), rows, columns, device)
            table = self.positions.view(rows * columns, hidden)
            return functional.embedding_bag(which, table, per_sample_weights=weights, mode="sum")
        tables = {}
        for grid in sizes:
            down, across = resizing(rows, grid[0], device), resizing(columns, grid[1], device)
            table = torch.einsum("hr,rkc,wk->hwc", down, self.positions, across)
            tables[grid] = table.flatten(0, 1)
        return torch.cat([tables[grid] for grid in grids])
