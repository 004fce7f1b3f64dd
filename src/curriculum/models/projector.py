"""From ViT features to LLM embeddings: 2x2 patches side by side, then two layers

P patches of all images, row by row within an image; a merged cell holds merge x merge neighbours.
Source: arXiv 2504.07491, 2.1 (pixel shuffle and MLP); sizes as torchtitan's Kimi-VL.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from curriculum.models.batch import to_device
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
        order = merge_order(tuple(grids), self.merge, features.device)
        inverse = torch.empty_like(order)
        inverse[order] = torch.arange(len(order), device=order.device)
        cells = permute_rows(self.norm(features), order, inverse)
        merged = cells.reshape(-1, self.merge**2 * features.shape[-1])
        out: Tensor = self.ffn["down"](functional.gelu(self.ffn["up"](merged)))
        return out


@lru_cache(maxsize=8)
def merge_order(grids: tuple[tuple[int, int], ...], merge: int, device: torch.device) -> Tensor:
    """Patches [P] in the order of merged cells, on a device.

    >>> merge_order(((2, 4),), 2, torch.device("cpu")).tolist()
    [0, 1, 4, 5, 2, 3, 6, 7]
    """
    orders, start = [np.empty(0, dtype=np.int64)], 0
    for rows, columns in grids:
        orders.append(_cells(rows, columns, merge) + start)
        start += rows * columns
    return to_device(np.concatenate(orders), device)


@lru_cache(maxsize=1024)
def _cells(rows: int, columns: int, merge: int) -> NDArray[np.int64]:
    if rows % merge or columns % merge:
        raise ValueError(f"an image of {rows} x {columns} patches cannot be merged by {merge}")
    grid = np.arange(rows * columns).reshape(rows // merge, merge, columns // merge, merge)
    return grid.transpose(0, 2, 1, 3).reshape(-1)
