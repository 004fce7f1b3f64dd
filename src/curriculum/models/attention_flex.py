"""Packed attention by FlexAttention: a mask in blocks, made on the device from the starts

It differentiates and compiles by itself, so it is no part of the operator. It only runs where
CURRICULUM_ATTENTION=flex asks for it; its forward is tested on a CPU, and it has never run on a
GPU. T query and S key positions, H heads, K length of a query and key, V of a value; blocks of
BLOCK rows, I of them in T and J in S.
"""

import functools
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from curriculum.models.packing import Packing

BLOCK = 128


def attend(q: Tensor, k: Tensor, v: Tensor, packing: Packing) -> Tensor:
    """Attention [T, H, V]; compiled, for plain FlexAttention would write all scores out."""
    run = flex_attention if torch.compiler.is_compiling() or not q.is_cuda else _compiled()
    queries, keys, values = (x.transpose(0, 1).unsqueeze(0) for x in (q, k, v))
    mask = block_mask(packing, q.shape[0], k.shape[0])
    out: Tensor = run(queries, keys, values, block_mask=mask, scale=packing.scale)
    return out.squeeze(0).transpose(0, 1)


@functools.cache
def _compiled() -> Any:
    return torch.compile(flex_attention, dynamic=True)


def block_mask(packing: Packing, num_q: int, num_k: int) -> BlockMask:
    """Say which blocks of keys [I, J] each block of queries sees: in part, in full, or not.

    O(I J) on the device, and no copy to the host: `create_block_mask` would ask of T S pairs.
    """
    cu_q, cu_k = packing.cu_q.long(), packing.cu_k.long()
    rows, columns = (torch.arange(n, device=cu_q.device) for n in (num_q, num_k))
    of_row, of_column = (
        torch.searchsorted(cu[1:].contiguous(), at, right=True)
        for cu, at in ((cu_q, rows), (cu_k, columns))
    )

    def sees(_batch: Tensor, _head: Tensor, row: Tensor, column: Tensor) -> Tensor:
        same = of_row[row] == of_column[column]
        return same & (row >= column) if packing.causal else same

    first = torch.arange(0, num_q, BLOCK, device=cu_q.device)
    last = (first + BLOCK).clamp(max=num_q) - 1
    begin = cu_k[of_row[first]].unsqueeze(1)
    end = cu_k[of_row[last] + 1].unsqueeze(1)
    left = torch.arange(0, num_k, BLOCK, device=cu_q.device)
    right = left + BLOCK
    touched = (left < end) & (right > begin)
    is_full = touched & (left >= begin) & (right <= end)
    is_full &= ((of_row[first] == of_row[last]) & (first + BLOCK <= num_q)).unsqueeze(1)
    if packing.causal:
        touched &= left <= last.unsqueeze(1)
        is_full &= right - 1 <= first.unsqueeze(1)
    return BlockMask.from_kv_blocks(
        *_listed(touched & ~is_full),
        *_listed(is_full),
        BLOCK_SIZE=BLOCK,
        mask_mod=sees,
        seq_lengths=(num_q, num_k),
    )


def _listed(marked: Tensor) -> tuple[Tensor, Tensor]:
    """Of [I, J] bool: how many are marked per row [1, 1, I], and which, first [1, 1, I, J]."""
    which = torch.argsort(marked.int(), dim=-1, descending=True, stable=True)
    return marked.sum(-1).int()[None, None], which.int()[None, None]
