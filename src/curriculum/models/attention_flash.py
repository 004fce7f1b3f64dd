"""Packed attention by flash-attn-3 and flash-attn-4, called below their own autograd

Read in Dao-AILab/flash-attention at 0251105a (2026-08): hopper/flash_api.cpp for the operators
`flash_attn_3::fwd` and `bwd`, flash_attn/cute/interface.py for `_flash_attn_fwd` and `_bwd`.
Everything that is not the default goes by name, so that arguments added later do no harm.
Never run: no machine with a GPU and one of these packages was at hand.
"""

from typing import Any

import torch
from torch import Tensor

from curriculum.models.packing import Packing


def fa3_forward(q: Tensor, k: Tensor, v: Tensor, packing: Packing) -> tuple[Tensor, Tensor]:
    """Output [T, H, V] and log-sums [H, T]."""
    out, lse, *_ = torch.ops.flash_attn_3.fwd(
        q,
        k,
        v,
        **_places(packing),
        softmax_scale=packing.scale,
        is_causal=packing.causal,
        num_splits=1,  # more would add parts of a sum in the order they come
    )
    return out, lse


def fa3_backward(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, packing: Packing
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of q, k and v; written in place, since versions differ in what they return."""
    dq, dk, dv = (torch.empty_like(x, memory_format=torch.contiguous_format) for x in (q, k, v))
    torch.ops.flash_attn_3.bwd(
        grad,
        q,
        k,
        v,
        out,
        lse,
        dq,
        dk,
        dv,
        **_places(packing),
        softmax_scale=packing.scale,
        is_causal=packing.causal,
        deterministic=is_deterministic(),
    )
    return dq, dk, dv


def fa4_forward(q: Tensor, k: Tensor, v: Tensor, packing: Packing) -> tuple[Tensor, Tensor]:
    """Output [T, H, V] and log-sums [H, T]."""
    from flash_attn.cute import interface

    out, lse, *_ = interface._flash_attn_fwd(
        q,
        k,
        v,
        **_places(packing),
        softmax_scale=packing.scale,
        causal=packing.causal,
        return_lse=True,
    )
    return out, lse


def fa4_backward(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, packing: Packing
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of q, k and v."""
    from flash_attn.cute import interface

    dq, dk, dv, *_ = interface._flash_attn_bwd(
        q,
        k,
        v,
        out,
        grad,
        lse,
        **_places(packing),
        softmax_scale=packing.scale,
        causal=packing.causal,
        deterministic=is_deterministic(),
    )
    return dq, dk, dv


def is_deterministic() -> bool:
    """Whether torch was told to compute the same bits every time, or to raise."""
    is_on = torch.are_deterministic_algorithms_enabled()
    return is_on and not torch.is_deterministic_algorithms_warn_only_enabled()


def _places(packing: Packing) -> dict[str, Any]:
    return {
        "cu_seqlens_q": packing.cu_q,
        "cu_seqlens_k": packing.cu_k,
        "max_seqlen_q": packing.max_q,
        "max_seqlen_k": packing.max_k,
    }
