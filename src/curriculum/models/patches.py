r"""Where the patches of packed images are: worked out for all of them at once, on the host

    grids (rows, columns) --> spans, row and column of each patch --> RoPE in two directions
                                                                 \--> taps of learned positions

P patches of all images, one image behind the other, row by row. What follows from the grids alone
is made once for a batch and kept while it is used; it goes to a device without waiting for it.
Sources: MoonViT (arXiv 2504.07491, 2.1); RoPE: arXiv 2104.09864, eq. 34.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from curriculum.models.batch import to_device
from curriculum.models.encoder import Spans

Grids = Sequence[tuple[int, int]]  # patches of each image: rows, columns

TAPS = 4
"""Of bicubic interpolation, along one side."""


@dataclass(frozen=True, slots=True)
class PatchLayout:
    """Where each patch stands, on a device."""

    spans: Spans
    rows: Tensor  # [P] int64
    columns: Tensor  # [P] int64
    longest_side: int


@lru_cache(maxsize=8)
def layout_of(grids: tuple[tuple[int, int], ...], device: torch.device) -> PatchLayout:
    """Work out where the patches of a batch stand."""
    rows, columns, sizes = _places(grids)
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    spans = Spans(to_device(starts, device), int(sizes.max(initial=0)))
    longest = max((max(grid) for grid in grids), default=0)
    return PatchLayout(spans, to_device(rows, device), to_device(columns, device), longest)


def patch_spans(grids: Grids, device: torch.device) -> Spans:
    """Where each image's patches begin."""
    return layout_of(tuple(grids), device).spans


def rope_2d(layout: PatchLayout, head_dim: int, base: float) -> Tensor:
    """Turns of every patch [P, 1, head_dim / 2, 2]: even pairs by the column, odd ones by the row.

    Speeds are base^(-4i/head_dim), i < head_dim / 4, for both directions.
    """
    places = 1 << max(layout.longest_side - 1, 0).bit_length()  # few tables, whatever the images
    table = _turns(places, head_dim, base, layout.rows.device)
    both = (table.index_select(0, layout.columns), table.index_select(0, layout.rows))
    return torch.stack(both, dim=2).flatten(1, 2).unsqueeze(1)


@lru_cache(maxsize=16)
def _turns(places: int, head_dim: int, base: float, device: torch.device) -> Tensor:
    """Turns of one direction at every place [places, head_dim / 4, 2]."""
    speeds = base ** (-torch.arange(0, head_dim, 4, dtype=torch.float64) / head_dim)
    angles = torch.outer(torch.arange(places, dtype=torch.float64), speeds)
    turns = torch.polar(torch.ones_like(angles), angles).to(torch.complex64)
    return torch.view_as_real(turns).to(device)


@lru_cache(maxsize=256)
def resizing(size: int, new_size: int, device: torch.device | str = "cpu") -> Tensor:
    """Matrix [new_size, size] of bicubic interpolation along one side; the identity where equal.

    >>> bool((resizing(8, 8) == torch.eye(8)).all())
    True
    """
    unit = torch.eye(size).view(1, 1, size, size)
    matrix = functional.interpolate(unit, size=(new_size, size), mode="bicubic")[0, 0]
    return matrix.to(device)


@lru_cache(maxsize=8)
def taps_of(
    grids: tuple[tuple[int, int], ...], rows: int, columns: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Learned positions, of a table of rows x columns, that each patch reads, and how much of each.

    [P, 16] int64 numbers of positions, row by row, and [P, 16] float32.
    """
    row, column, sizes = _places(grids)
    down, down_weights = _taps_along(rows, [grid[0] for grid in grids], sizes, row)
    across, across_weights = _taps_along(columns, [grid[1] for grid in grids], sizes, column)
    which = down[:, :, None] * columns + across[:, None, :]
    weights = down_weights[:, :, None] * across_weights[:, None, :]
    count = len(row)
    return (
        to_device(which.reshape(count, -1), device),
        to_device(weights.reshape(count, -1), device),
    )


def _taps_along(
    size: int, new_sizes: Sequence[int], patches: NDArray[np.int64], place: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Of each patch, the places along one side that it reads [P, 4], and their weights [P, 4].

    `new_sizes` and `patches` are of the images, `place` [P] of the patches along this side.
    """
    kinds = sorted(set(new_sizes))
    tables = [_taps(size, new_size) for new_size in kinds]
    firsts = dict(zip(kinds, np.cumsum([0, *kinds]).tolist(), strict=False))
    at = np.repeat(np.array([firsts[n] for n in new_sizes], dtype=np.int64), patches) + place
    which, weights = (np.concatenate(parts) for parts in zip(*tables, strict=True))
    return which[at], weights[at]


@lru_cache(maxsize=256)
def _taps(size: int, new_size: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    matrix = resizing(size, new_size)
    # At an edge taps fall together, and there are fewer: the others weigh nothing.
    which = matrix.abs().topk(min(TAPS, size), dim=1).indices.sort(dim=1).values
    return which.numpy(), matrix.gather(1, which).numpy()


def _places(
    grids: Grids,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Row and column of each patch [P], and how many patches each image has."""
    sides = np.array(grids, dtype=np.int64).reshape(-1, 2)
    sizes = sides[:, 0] * sides[:, 1]
    within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    row, column = np.divmod(within, np.repeat(sides[:, 1], sizes))
    return row, column, sizes
