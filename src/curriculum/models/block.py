r"""Blocks: the layers that stand many times in a module, recomputed and compiled one by one

    forward:   x --body--> y, activations kept         none         all of them
                                           \--------> selective    what products and attention made
                                                       full         x alone
    backward:  what was not kept is made again from what was

Selective recomputation makes norms, activations, rotations and gathers again, which cost memory
traffic and no products; what a router chose is kept, so that a tie cannot fall another way. Source:
arXiv 2205.05198, 5; torch's own contexts, because xformers' fail with torch 2.13.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, TypeVar

import torch
from torch import nn
from torch.utils.checkpoint import (
    CheckpointPolicy,
    checkpoint,
    create_selective_checkpoint_contexts,
)

from curriculum.models.fusion import fuse

Recompute = Literal["none", "selective", "full"]
T = TypeVar("T")

aten = torch.ops.aten
KEPT = frozenset(
    {
        aten.mm.default,
        aten.addmm.default,
        aten.bmm.default,
        aten.baddbmm.default,
        aten._grouped_mm.default,
        aten.topk.default,
        aten.sort.stable,
    }
)
"""What selective recomputation keeps the results of; attention, an operator of ours, is another."""

GRAPHS = 64
"""Of one sort of layer: with and without experts, with and without gradient, of few sizes. Torch
would leave off at 8 and go on without, and nobody would see it."""


class Block(nn.Module):
    """One layer of a stack: what is recomputed in one go, and compiled in one piece."""

    recompute: Recompute = "none"


def set_blocks(module: nn.Module, recompute: Recompute, compiles: bool) -> None:
    """Say of all blocks in a module how they are run, and compile what is `fused` if they are.

    Equal layers share what is compiled: it takes the time of one. A graph holds the recomputation
    in it, so that the compiler may fuse what is made again.
    """
    fuse(compiles)
    if compiles:
        import torch._dynamo  # takes a second, which a run without it need not spend

        torch._dynamo.config.recompile_limit = GRAPHS
    for block in module.modules():
        if isinstance(block, Block):
            block.recompute = recompute
            if compiles:
                block.compile()


def recomputed(how: Recompute, body: Callable[..., T], *args: Any) -> T:
    """Return body(*args), whose activations are kept as `how` says.

    `body` may change nothing but what it returns: it is called again in the backward pass.
    """
    if how == "none" or not torch.is_grad_enabled():
        return body(*args)
    contexts: dict[str, Any] = {}
    if how == "selective":
        contexts["context_fn"] = partial(create_selective_checkpoint_contexts, _policy)
    return checkpoint(body, *args, use_reentrant=False, **contexts)


def _policy(context: Any, operator: Any, *args: Any, **kwargs: Any) -> CheckpointPolicy:
    if operator in KEPT or operator is torch.ops.curriculum.packed_attention.default:
        return CheckpointPolicy.MUST_SAVE
    return CheckpointPolicy.PREFER_RECOMPUTE
