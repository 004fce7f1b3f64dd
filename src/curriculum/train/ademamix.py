"""AdEMAMix: AdamW with a second, slow average of the gradient beside the fast one

    gradient --beta1--> m1 (bias-corrected)  \
             --beta3--> m2 (slow, not corrected) --> (m1 + alpha m2) / (sqrt(v) + eps)
             --beta2--> v  (bias-corrected)  /       W <- W - lr (that + decay W)

Source: arXiv:2409.03137, algorithm 1. beta3 and alpha warm up there, by half-life and linearly: in
a plan they are curves over the steps of the state.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class AdEMAMixRule:
    """The numbers of one group at a step."""

    beta1: float
    beta2: float
    beta3: float
    alpha: float
    eps: float
    weight_decay: float


@dataclass(frozen=True, slots=True)
class AdEMAMixState:
    """The averages of one parameter, in its own shape, and the updates they have seen."""

    fast: Tensor
    slow: Tensor
    square: Tensor
    step: int  # this update counted


@torch.no_grad()
def ademamix_step(
    weights: Sequence[Tensor],
    gradients: Sequence[Tensor],
    states: Sequence[AdEMAMixState],
    lr: float,
    rule: AdEMAMixRule,
) -> None:
    """Update weights and their averages in place.

    >>> weight, zero = torch.tensor([2.0]), torch.zeros(1)
    >>> state = AdEMAMixState(zero.clone(), zero.clone(), zero.clone(), 1)
    >>> rule = AdEMAMixRule(0.9, 0.999, 0.75, 4.0, 0.0, 0.0)
    >>> ademamix_step([weight], [torch.tensor([3.0])], [state], 0.5, rule)
    >>> round(weight.item(), 4)  # 2 - 0.5 (3 + 4 * 0.75) / 3
    1.0
    """
    found = list(gradients)
    squares = [state.square for state in states]
    torch._foreach_lerp_([state.fast for state in states], found, 1 - rule.beta1)
    torch._foreach_lerp_([state.slow for state in states], found, 1 - rule.beta3)
    torch._foreach_mul_(squares, rule.beta2)
    torch._foreach_addcmul_(squares, found, found, 1 - rule.beta2)
    torch._foreach_mul_(list(weights), 1 - lr * rule.weight_decay)
    for weight, state in zip(weights, states, strict=True):
        fast = state.fast / (1 - rule.beta1**state.step)
        size = (state.square / (1 - rule.beta2**state.step)).sqrt() + rule.eps
        weight.addcdiv_(fast.add(state.slow, alpha=rule.alpha), size, value=-lr)
