"""The vision transformer: images of any size, packed; positions interpolated, and 2D RoPE

    patches [P, 3 p p] --linear--> + positions of each image's grid --layers--> norm --> [P, C]

P patches of all images, one image behind the other, row by row; C hidden; I images. Every image
sees itself only. Source: MoonViT (arXiv 2504.07491, 2.1): the learned grid is resized by bicubic
interpolation; in RoPE even pairs turn with the column, odd pairs with the row. SigLIP has no RoPE.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate

import torch
from torch import Tensor, nn
from torch.nn import functional

from curriculum.models.encoder import EncoderLayer, Spans
from curriculum.models.shapes import VitShape

Grids = Sequence[tuple[int, int]]  # patches of each image: rows, columns


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
        spans = patch_spans(grids, patches.device)
        head_dim, base = self.shape.head_dim, self.shape.rope_base
        turn = None
        if base is not None:
            turn = torch.cat([rope_2d(*grid, head_dim, base) for grid in grids])
            turn = torch.view_as_real(turn.to(patches.device).unsqueeze(1))
        x = self.embed(patches) + self.positions_of(grids)
        for layer in self.layers:
            x = layer(x, spans, turn)
        out: Tensor = self.norm(x)
        return out

    def positions_of(self, grids: Grids) -> Tensor:
        """Learned positions of every patch [P, C]; the grid is resized once for each size of image.

        Bicubic resizing is linear and separable: two small matrices, whose gradient is a matrix
        product as well, in a fixed order.
        """
        rows, columns, _ = self.positions.shape
        tables = {}
        for grid in dict.fromkeys(grids):
            down, across = resizing(rows, grid[0]), resizing(columns, grid[1])
            down, across = down.to(self.positions.device), across.to(self.positions.device)
            table = torch.einsum("hr,rkc,wk->hwc", down, self.positions, across)
            tables[grid] = table.flatten(0, 1)
        return torch.cat([tables[grid] for grid in grids])


def patch_spans(grids: Grids, device: torch.device) -> Spans:
    """Where each image's patches begin."""
    sizes = [rows * columns for rows, columns in grids]
    starts = torch.tensor([0, *accumulate(sizes)], dtype=torch.int32)
    return Spans(starts.to(device), max(sizes, default=0))


@lru_cache(maxsize=256)
def resizing(size: int, new_size: int) -> Tensor:
    """Matrix [new_size, size] of bicubic interpolation along one side; the identity where equal.

    >>> bool((resizing(8, 8) == torch.eye(8)).all())
    True
    """
    unit = torch.eye(size).view(1, 1, size, size)
    return functional.interpolate(unit, size=(new_size, size), mode="bicubic")[0, 0]


@lru_cache(maxsize=256)
def rope_2d(rows: int, columns: int, head_dim: int, base: float) -> Tensor:
    """Turns of every patch of one image [rows * columns, head_dim / 2], complex64.

    Speeds are base^(-4i/head_dim), i < head_dim / 4, for both directions.
    """
    speeds = base ** (-torch.arange(0, head_dim, 4, dtype=torch.float64) / head_dim)
    across = torch.outer(torch.arange(columns, dtype=torch.float64), speeds)
    down = torch.outer(torch.arange(rows, dtype=torch.float64), speeds)
    size = (rows, columns, len(speeds))
    angles = torch.stack((across[None].expand(size), down[:, None].expand(size)), dim=-1)
    angles = angles.reshape(rows * columns, head_dim // 2)
    return torch.polar(torch.ones_like(angles), angles).to(torch.complex64)
