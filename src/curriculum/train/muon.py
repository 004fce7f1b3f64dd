"""Muon: momentum, made orthogonal, at the size of an AdamW update; matrices of one shape at once

    gradient --momentum--> M --Nesterov--> U --Newton-Schulz--> O      W <- W - lr (s O + decay W)

Letters: A, B rows and columns of a matrix, N matrices of one shape together (experts' stacks are
batches too). s = update_rms sqrt(max(A, B)), so that an entry of s O has the root mean square that
an AdamW update has, and LR and weight decay may be shared with AdamW (arXiv 2502.16982, 2.2).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic iteration; steepest at 0 (Keller Jordan's Muon, which Moonlight uses as it is)."""

SMALLEST_NORM = 1e-7
STACK_NUMBERS = 1 << 25
"""Matrices are stacked up to this many numbers: all experts at once would fill the memory."""


@dataclass(frozen=True, slots=True)
class MuonRule:
    """The numbers of one Muon group; `update_rms` is .2 in Moonlight."""

    update_rms: float
    weight_decay: float
    momentum: float
    nesterov: bool
    ns_steps: int

    def scale(self, rows: int, columns: int) -> float:
        """Return the factor of the orthogonal update of one matrix.

        Source: arXiv 2502.16982, eq. 4.

        >>> MuonRule(0.2, 0.1, 0.95, True, 5).scale(400, 100)
        4.0
        """
        return self.update_rms * sqrt(max(rows, columns))


def orthogonalize(updates: Tensor, ns_steps: int, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    """Return [..., A, B] with every singular value moved to about 1, in `dtype`.

    Source: Newton-Schulz iteration of Keller Jordan's Muon; X <- a X + (b G + c G^2) X, G = X X^T.
    The values end between 0.68 and 1.13, not at 1, and that does no harm.

    >>> x = orthogonalize(torch.tensor([[3.0, 0.0], [0.0, 4.0]]), 5, torch.float32)
    >>> [round(value, 2) for value in torch.linalg.svdvals(x).tolist()]
    [1.12, 0.72]
    """
    a, b, c = COEFFICIENTS
    x = updates.to(dtype)
    is_tall = x.shape[-2] > x.shape[-1]
    if is_tall:
        x = x.mT
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=SMALLEST_NORM)
    batch = x.reshape(-1, *x.shape[-2:])
    for _ in range(ns_steps):
        gram = batch @ batch.mT
        gram = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        batch = torch.baddbmm(batch, gram, batch, beta=a)
    x = batch.reshape(x.shape)
    return x.mT if is_tall else x


@torch.no_grad()
def muon_step(
    weights: Sequence[Tensor],
    gradients: Sequence[Tensor],
    momenta: Sequence[Tensor],
    lr: float,
    rule: MuonRule,
    dtype: torch.dtype = torch.bfloat16,
) -> None:
    """Update matrices [A, B] and stacks of matrices [N, A, B], and their momenta, in place."""
    torch._foreach_lerp_(list(momenta), list(gradients), 1 - rule.momentum)
    updates = [
        gradient.lerp(momentum, rule.momentum) if rule.nesterov else momentum
        for gradient, momentum in zip(gradients, momenta, strict=True)
    ]
    for members in _stacks(updates):
        size = updates[members[0]].shape[-2:]
        flat = [updates[i].reshape(-1, *size) for i in members]
        orthogonal = orthogonalize(torch.cat(flat), rule.ns_steps, dtype)
        pieces = orthogonal.split([len(part) for part in flat])
        changed = [weights[i] for i in members]
        torch._foreach_mul_(changed, 1 - lr * rule.weight_decay)
        shaped = [piece.reshape(w.shape) for piece, w in zip(pieces, changed, strict=True)]
        torch._foreach_add_(changed, shaped, alpha=-lr * rule.scale(*size))


def _stacks(updates: Sequence[Tensor]) -> list[list[int]]:
    """Indices of updates whose matrices have one shape, in stacks of bounded size."""
    open_stacks: dict[tuple[int, ...], tuple[list[int], int]] = {}
    stacks: list[list[int]] = []
    for i, update in enumerate(updates):
        size = tuple(update.shape[-2:])
        members, numbers = open_stacks.get(size, ([], 0))
        if not members or numbers + update.numel() > STACK_NUMBERS:
            members, numbers = [], 0
            stacks.append(members)
        members.append(i)
        open_stacks[size] = (members, numbers + update.numel())
    return stacks
