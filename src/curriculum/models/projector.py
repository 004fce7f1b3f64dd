"""From ViT features to LLM embeddings: 2x2 patches side by side, then two layers

P patches of all images, row by row within an image; a merged cell holds merge x merge neighbours.
Source: arXiv 2504.07491, 2.1 (pixel shuffle and MLP); sizes as torchtitan's Kimi-VL.
"""

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from curriculum.models.rows import permute_rows
from curriculum.models.shapes import ProjectorShape


class Projector(nn.Module):
    """LayerNorm, merge, linear, GELU, linear."""

    def __init__(self, shape: ProjectorShape) -> None:
        super().__init__()
        self.merge = shape.merge
        self.norm = nn.LayerNorm(shape.vit_hidden, eps=shape.layer_norm_eps)
        self.ffn = nn.ModuleDict(
            {
                "up": nn.Linear(shape.merged, shape.merged),
                "down": nn.Linear(shape.merged, shape.llm_hidden),
            }
        )

    def forward(self, features: Tensor, grids: Sequence[tuple[int, int]]) -> Tensor:
        """Features [P, vit] of images of `grids` (rows, columns) to [P / merge^2, llm].

        Cells come image by image, row by row; within a cell patches stand row by row.
        """
        order = merge_order(tuple(grids), self.merge).to(features.device)
        inverse = torch.empty_like(order)
        inverse[order] = torch.arange(len(order), device=order.device)
        cells = permute_rows(self.norm(features), order, inverse)
        merged = cells.reshape(-1, self.merge**2 * features.shape[-1])
        out: Tensor = self.ffn["down"](functional.gelu(self.ffn["up"](merged)))
        return out


def merge_order(grids: Sequence[tuple[int, int]], merge: int) -> Tensor:
    """Patches [P] in the order of merged cells.

    >>> merge_order([(2, 4)], 2).tolist()
    [0, 1, 4, 5, 2, 3, 6, 7]
    """
    orders, start = [torch.empty(0, dtype=torch.int64)], 0
    for rows, columns in grids:
        orders.append(_cells(rows, columns, merge) + start)
        start += rows * columns
    return torch.cat(orders)


@lru_cache(maxsize=1024)
def _cells(rows: int, columns: int, merge: int) -> Tensor:
    if rows % merge or columns % merge:
        raise ValueError(f"an image of {rows} x {columns} patches cannot be merged by {merge}")
    grid = torch.arange(rows * columns).view(rows // merge, merge, columns // merge, merge)
    return grid.transpose(1, 2).flatten()
