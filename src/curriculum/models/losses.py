"""Losses as sums: next token and z-loss in chunks, and all pairs of a step however it is cut

A step's loss is the sum over the step divided by the step's count, so every function here returns
sums and nobody averages a micro-batch. T positions, C hidden, V vocabulary, n images of the step,
m of one micro-batch, d embedding length.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from curriculum.data.packed import NO_LOSS
from curriculum.models.fusion import fused

LOGITS_AT_ONCE = 1 << 28
"""Logits that are held together: 1 GiB of them in float32, whatever the vocabulary."""

OfChunk = Callable[[Tensor, slice, bool], tuple[Tensor, Tensor | None]]
"""Logits [c, V], their positions, whether a gradient is wanted -> the sum over these
positions, and its gradient by the logits [c, V], which may take their memory."""


def next_token_loss(
    hidden: Tensor,
    head: Tensor,
    targets: Tensor,
    chunk: int | None = None,
    weights: Tensor | None = None,
) -> Tensor:
    """Sum over positions of -log softmax(hidden head')[target], in float32.

    hidden [T, C], head [V, C], targets [T] (NO_LOSS counts nothing), weights [T] of the positions
    (None: 1). Logits exist for `chunk` positions at a time (None: `positions_at_once`), and their
    gradient is made at once: [T, V] is never held. Under autocast the three products are its type's
    and what is summed is float32.
    """

    def of_chunk(logits: Tensor, at: slice, wants_grad: bool) -> tuple[Tensor, Tensor | None]:
        each = None if weights is None else weights[at].unsqueeze(1)
        return _cross_entropy(logits, targets[at].unsqueeze(1), each, wants_grad)

    return _sum_in_chunks(hidden, head, of_chunk, chunk)


@fused
def _cross_entropy(
    logits: Tensor, target: Tensor, each: Tensor | None, wants_grad: bool
) -> tuple[Tensor, Tensor | None]:
    """Sum over positions, and its gradient by the logits [c, V]; target and weight are [c, 1]."""
    bears_loss, target = target != NO_LOSS, target.clamp(min=0)
    log_p = logits.log_softmax(-1, dtype=torch.float32)
    right = log_p.gather(1, target).masked_fill(~bears_loss, 0.0)
    total = -(right if each is None else right * each).sum()
    if not wants_grad:
        return total, None
    grad = log_p.exp_()
    if torch.compiler.is_compiling():  # which fuses this, and scatters in a pass of its own
        grad = grad - (torch.arange(grad.shape[1], device=grad.device) == target).to(grad.dtype)
    else:
        grad.scatter_add_(1, target, grad.new_full(target.shape, -1.0))
    grad = grad.mul_(bears_loss)
    return total, (grad if each is None else grad.mul_(each)).to(logits.dtype)


def z_loss(
    hidden: Tensor, head: Tensor, chunk: int | None = None, weights: Tensor | None = None
) -> Tensor:
    """Sum over positions of (log sum exp of the logits)^2, in float32; see next_token_loss.

    Keeps the softmax's normaliser near 1. Source: PaLM (arXiv 2204.02311), 5.

    >>> round(z_loss(torch.ones(1, 1), torch.zeros(4, 1)).item(), 6)  # log(4)^2
    1.921812
    """

    def of_chunk(logits: Tensor, at: slice, wants_grad: bool) -> tuple[Tensor, Tensor | None]:
        logits = logits.float()
        log_z = logits.logsumexp(-1, keepdim=True)
        each = log_z if weights is None else log_z * weights[at, None]
        total = (each * log_z).sum()
        return total, (logits - log_z).exp_().mul_(2 * each) if wants_grad else None

    return _sum_in_chunks(hidden, head, of_chunk, chunk)


def positions_at_once(vocab: int) -> int:
    """Return how many positions have their logits made together: 4096, fewer of large vocabularies.

    >>> positions_at_once(50_304), positions_at_once(163_840)
    (4096, 1638)
    """
    return max(1, min(4096, LOGITS_AT_ONCE // vocab))


def _sum_in_chunks(hidden: Tensor, head: Tensor, of_chunk: OfChunk, chunk: int | None) -> Tensor:
    device, chunk = hidden.device.type, chunk or positions_at_once(len(head))
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        # Autocast does not reach products that are written into memory that is there already.
        with torch.autocast(device, enabled=False):
            hidden = hidden.to(torch.get_autocast_dtype(device))
            return _sum_in_chunks(hidden, head, of_chunk, chunk)
    return _Chunked.apply(hidden, head, of_chunk, chunk, torch.is_grad_enabled())  # type: ignore[no-untyped-call]


class _Chunked(torch.autograd.Function):
    """A sum over positions of something of their logits, with the gradient made on the way."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, head: Tensor, of_chunk: OfChunk, chunk: int, with_grad: bool
    ) -> Tensor:
        needs_hidden, needs_head = (with_grad and need for need in ctx.needs_input_grad[:2])
        weight = head.to(hidden.dtype)
        grad_hidden = torch.empty_like(hidden) if needs_hidden else None
        grad_head = torch.zeros_like(head, dtype=torch.float32) if needs_head else None
        total = torch.zeros((), device=hidden.device)
        for start in range(0, len(hidden), chunk):
            at = slice(start, start + chunk)
            rows = hidden[at]
            value, grad = of_chunk(functional.linear(rows, weight), at, needs_hidden or needs_head)
            total += value
            if grad is None:
                continue
            grad = grad.to(hidden.dtype)
            if grad_hidden is not None:
                torch.mm(grad, weight, out=grad_hidden[at])
            if grad_head is not None:
                grad_head += grad.t() @ rows
        ctx.save_for_backward(grad_hidden, grad_head)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        by_hidden, by_head = (
            None if saved is None else (saved.float() * grads[0]).to(saved.dtype)
            for saved in ctx.saved_tensors
        )
        return by_hidden, by_head, None, None, None


def siglip_loss(
    images: Tensor, texts: Tensor, scale: Tensor, bias: Tensor, offset: int = 0
) -> Tensor:
    """Sum over all pairs of -log sigmoid(z (scale x.y + bias)), z = 1 for a match, else -1.

    images [m, d] and texts [k, d] have length 1; image i belongs to text i + offset. The published
    loss divides the sum by the images of the step. Source: arXiv 2303.15343, section 3.2.

    >>> one = torch.ones(1, 1)
    >>> round(siglip_loss(one, one, torch.tensor(10.0), torch.tensor(-10.0)).item(), 6)
    0.693147
    """
    logits = scale * (images.float() @ texts.float().t()) + bias
    rows = torch.arange(len(images), device=images.device).unsqueeze(1) + offset
    match = rows == torch.arange(len(texts), device=images.device)
    return -functional.logsigmoid(torch.where(match, logits, -logits)).sum()


def siglip_share(
    images: Tensor,
    texts: Tensor,
    all_images: Tensor,
    all_texts: Tensor,
    first: int,
    scale: Tensor,
    bias: Tensor,
) -> Tensor:
    """One micro-batch's share of the loss over all pairs of a step; shares add up to it exactly.

    images and texts [m, d] carry gradient and are pairs first ... first + m - 1 of the step;
    all_images and all_texts [n, d] are the step's, without gradient, from a first pass.

    Its value is this micro-batch's images against all texts. Pair (i, j) has a gradient by image i
    and one by text j: the first comes from the share that owns i (with that of scale and bias), the
    second from the share that owns j, by a term whose value is taken off again.
    """
    rows = siglip_loss(images, all_texts.detach(), scale, bias, offset=first)
    columns = siglip_loss(all_images.detach(), texts, scale.detach(), bias.detach(), offset=-first)
    return rows + (columns - columns.detach())
