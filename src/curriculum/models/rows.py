"""Rows gathered and permuted, with gradients that gather as well

The gradient of an index is a scatter: slow on a CPU, in random order on CUDA. Letters:
N rows, M taken rows, C width.
"""

from typing import Any

import torch
from torch import Tensor


def permute_rows(x: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
    """Rows of x [N, C] in `order` [N], a permutation; `inverse` [N] undoes it."""
    return _Permute.apply(x, order, inverse)  # type: ignore[no-untyped-call]


def take_rows(x: Tensor, index: Tensor) -> Tensor:
    """Rows `index` [M] of x [N, C]; no row may be taken twice."""
    return _Take.apply(x, index)  # type: ignore[no-untyped-call]


def put_rows(x: Tensor, index: Tensor, rows: Tensor) -> Tensor:
    """x [N, C] with its rows `index` [M], all different, replaced by `rows` [M, C]."""
    return _Put.apply(x, index, rows)  # type: ignore[no-untyped-call]


def spread_rows(x: Tensor, order: Tensor, inverse: Tensor, copies: int) -> Tensor:
    """Rows of x [N, C], each `copies` times, in `order` [N * copies] of those copies.

    Slot s of the copies is copy s % copies of row s // copies; `inverse` undoes `order`.
    """
    return _Spread.apply(x, order, inverse, copies)  # type: ignore[no-untyped-call]


class _Permute(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
        ctx.save_for_backward(inverse)
        return x.index_select(0, order)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (inverse,) = ctx.saved_tensors
        return grads[0].index_select(0, inverse), None, None


class _Take(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.size = x.shape
        return x.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (index,) = ctx.saved_tensors
        return grads[0].new_zeros(ctx.size).index_copy_(0, index, grads[0]), None


class _Put(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor, rows: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        return x.index_copy(0, index, rows)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (index,) = ctx.saved_tensors
        return grads[0].index_fill(0, index, 0.0), None, grads[0].index_select(0, index)


class _Spread(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, order: Tensor, inverse: Tensor, copies: int) -> Tensor:
        ctx.save_for_backward(inverse)
        ctx.copies = copies
        return x.index_select(0, order // copies)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (inverse,) = ctx.saved_tensors
        copies = grads[0].index_select(0, inverse).unflatten(0, (-1, ctx.copies))
        return copies.sum(1), None, None, None
