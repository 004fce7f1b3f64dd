"""Packed attention in bf16 on a CPU: plain products over blocks of queries

    queries [a, b) of many documents at once:   scores [N, b - a, S] --softmax--> p --> out

N documents times heads, S keys that these queries see; attention_layout.py says which go together.
Torch's flash kernel for CPUs has its products in small pieces, which costs most for short
documents; here they are as large as memory that stays in a cache allows. Scores and what is summed
over blocks are float32, as there. The backward pass makes the scores again.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from math import log

import torch
from torch import Tensor

from curriculum.models.attention_layout import Block, layout_of
from curriculum.models.packing import Packing

SCORES_AT_ONCE = 1 << 22
"""Scores that are held together, 16 MiB of them: more leave the cache, fewer are small products."""

# Autocast reaches into operators of ours, and would make the scores bf16 in the forward pass alone.
_as_written = torch.autocast("cpu", enabled=False)

_NOTHING = torch.zeros(1, 1, 1)  # added to products, times 0


@_as_written  # type: ignore[untyped-decorator]
def forward(q: Tensor, k: Tensor, v: Tensor, packing: Packing) -> tuple[Tensor, Tensor]:
    """Output [T, H, V] and log-sums [T, H]; a document without keys gives zeros."""
    layout = layout_of(packing, q.shape[1], SCORES_AT_ONCE)
    queries = [group.of_q.take(q) for group in layout.groups]
    keys, values = ([group.of_k.take(x) for group in layout.groups] for x in (k, v))
    parts = [x.new_empty(*x.shape[:2], v.shape[-1]) for x in queries]
    sums = [x.new_empty(*x.shape[:2], 1, dtype=torch.float32) for x in queries]
    for block in layout.blocks:
        scores = _scores(block.own(queries), block.seen(keys), block, packing)
        top = scores.amax(-1, keepdim=True)
        p = scores.sub_(top).exp2_()
        total = p.sum(-1, keepdim=True)
        block.put(sums, top + total.log2())
        block.put(parts, p.div_(total).to(q.dtype) @ block.seen(values))
    lse = layout.of_q.put(sums, 1, torch.float32).squeeze(-1)
    return layout.of_q.put(parts, v.shape[-1], v.dtype), lse.mul_(log(2))


@_as_written  # type: ignore[untyped-decorator]
def backward(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, packing: Packing
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of q, k and v from that of the output."""
    layout = layout_of(packing, q.shape[1], SCORES_AT_ONCE)
    own = (grad.float() * out).sum(-1, keepdim=True)
    queries, seeds, owns = ([group.of_q.take(x) for group in layout.groups] for x in (q, grad, own))
    keys, values = ([group.of_k.take(x) for group in layout.groups] for x in (k, v))
    # Rows that pad a document have probability 0 everywhere, so they add nothing.
    log2 = (lse / log(2)).unsqueeze(-1)
    taken = [(group.of_q.take(log2), group.of_q.padding) for group in layout.groups]
    sums = [rows.masked_fill_(padding, torch.inf) for rows, padding in taken]
    by_q = [torch.empty_like(x) for x in queries]
    by_k, by_v = ([torch.zeros_like(x, dtype=torch.float32) for x in of] for of in (keys, values))
    for block in layout.blocks:
        rows, columns, seed = block.own(queries), block.seen(keys), block.own(seeds)
        p = _scores(rows, columns, block, packing).sub_(block.own(sums)).exp2_()
        block.add(by_v, p.to(q.dtype).mT @ seed)
        by_p = (seed @ block.seen(values).mT).float()
        by_scores = by_p.sub_(block.own(owns)).mul_(p).to(q.dtype)
        block.put(by_q, (by_scores @ columns).mul_(packing.scale))
        block.add(by_k, by_scores.mT @ rows)
    dk = [part.mul_(packing.scale).to(k.dtype) for part in by_k]
    dv = [part.to(v.dtype) for part in by_v]
    return (
        layout.of_q.put(by_q, q.shape[-1], q.dtype),
        layout.of_k.put(dk, k.shape[-1], k.dtype),
        layout.of_k.put(dv, v.shape[-1], v.dtype),
    )


def _scores(rows: Tensor, columns: Tensor, block: Block, packing: Packing) -> Tensor:
    """Scores [N, b, S] in float32, over log 2: exp2 takes a third of the time of exp.

    A causal query does not see what comes after it.
    """
    # Products of bf16 numbers are exact in float32, in whichever of the two they are held.
    wide, scale = (rows.float(), columns.float().mT), packing.scale / log(2)
    with _products_of_bf16():
        scores = torch.baddbmm(_NOTHING, *wide, beta=0, alpha=scale)
    if packing.causal:
        at = block.at.start
        scores[:, :, at:] += _later(len(rows[0]), block.num_keys - at)
    return scores


@contextmanager
def _products_of_bf16() -> Iterator[None]:
    """Let products of float32 round what they multiply to bf16, and sum in float32."""
    settings = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    was, settings.fp32_precision = settings.fp32_precision, "bf16"
    try:
        yield
    finally:
        settings.fp32_precision = was


@lru_cache(maxsize=8)
def _later(queries: int, keys: int) -> Tensor:
    """Minus infinity where a key comes after the query, else 0."""
    return torch.full((queries, keys), -torch.inf).triu_(1)
