"""The weighted average of the weights of several checkpoints"""

from collections.abc import Iterable, Mapping
from fractions import Fraction

import torch
from torch import Tensor

from curriculum.errors import RunError


@torch.no_grad()
def averaged(parents: Iterable[tuple[Mapping[str, Tensor], Fraction]]) -> dict[str, Tensor]:
    """Return sum_i w_i x_i of every tensor, added up in float64 in the order given, in the dtype
    it had; of one parent with weight 1 its own bits.

    Parents are taken one after the other, so that only one of them is in memory beside the sum.
    RunError where they do not hold tensors of the same names, sizes and kinds, or whole numbers
    that differ. Source: uniform and weighted soups, Wortsman et al. 2022 (arXiv:2203.05482), eq. 2.

    >>> one, other = {"w": torch.tensor([1.0, 2.0])}, {"w": torch.tensor([3.0, 6.0])}
    >>> averaged([(one, Fraction(3, 4)), (other, Fraction(1, 4))])
    {'w': tensor([1.5000, 3.0000])}
    """
    sums: dict[str, Tensor] = {}
    kinds: dict[str, torch.dtype] = {}
    for tensors, weight in parents:
        if sums and sums.keys() != tensors.keys():
            odd = min(sums.keys() ^ tensors.keys())
            raise RunError(f"the parents of an average do not all hold {odd}")
        for name, tensor in tensors.items():
            if name not in sums:
                kinds[name] = tensor.dtype
                is_float = tensor.is_floating_point()
                sums[name] = tensor.double() * float(weight) if is_float else tensor.clone()
                continue
            if sums[name].shape != tensor.shape or kinds[name] != tensor.dtype:
                raise RunError(f"the parents of an average hold {name} in different sizes or kinds")
            if tensor.is_floating_point():
                sums[name] += tensor.double() * float(weight)
            elif not torch.equal(sums[name], tensor):
                raise RunError(f"the parents of an average hold other whole numbers in {name}")
    return {name: total.to(kinds[name]) for name, total in sums.items()}
