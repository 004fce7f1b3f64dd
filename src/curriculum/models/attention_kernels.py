"""Packed attention on CUDA: hands padded tensors to the kernels of the backend that was chosen

q, k, v --choice_for--> Choice --zeros up to its widths--> kernels --narrowed--> out, lse
"""

from typing import assert_never

import torch
from torch import Tensor
from torch.nn import functional

from curriculum.models import attention_flash, attention_xformers
from curriculum.models.attention_found import choice_for
from curriculum.models.packing import Packing

_ALIGNED_BYTES = 16  # kernels load rows 16 bytes at a time


def forward(q: Tensor, k: Tensor, v: Tensor, packing: Packing) -> tuple[Tensor, Tensor]:
    """The operator's forward: output [T, H, V] and row statistics (`lse_size`)."""
    choice, v_dim = choice_for(q.device, q.dtype, q.shape[-1], v.shape[-1]), v.shape[-1]
    if not q.shape[0] or not k.shape[0]:
        size = lse_size(q, v_dim, len(packing.cu_q) - 1, packing.max_q)
        return q.new_zeros((*q.shape[:2], v_dim)), q.new_zeros(size, dtype=torch.float32)
    q, k, v = (
        widened(x, width)
        for x, width in ((q, choice.qk_width), (k, choice.qk_width), (v, choice.v_width))
    )
    match choice.backend:
        case "fa2" | "cutlass":
            out, lse = attention_xformers.forward(choice.backend, q, k, v, packing)
        case "fa3":
            out, lse = attention_flash.fa3_forward(q, k, v, packing)
        case "fa4":
            out, lse = attention_flash.fa4_forward(q, k, v, packing)
        case "flex" | "cpu":
            raise AssertionError(f"{choice.backend} is no backend of the operator on CUDA")
        case _:
            assert_never(choice.backend)
    return narrowed(out, v_dim), lse.contiguous()


def backward(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, packing: Packing
) -> tuple[Tensor, Tensor, Tensor]:
    """The operator's backward: gradients of q, k and v."""
    qk_dim, v_dim = q.shape[-1], v.shape[-1]
    choice = choice_for(q.device, q.dtype, qk_dim, v_dim)
    if not q.shape[0] or not k.shape[0]:
        return q.new_zeros(q.shape), k.new_zeros(k.shape), v.new_zeros(v.shape)
    q, k = (widened(x, choice.qk_width) for x in (q, k))
    v, grad, out = (widened(x, choice.v_width) for x in (v, grad, out))
    match choice.backend:
        case "fa2" | "cutlass":
            grads = attention_xformers.backward(choice.backend, grad, q, k, v, out, lse, packing)
        case "fa3":
            grads = attention_flash.fa3_backward(grad, q, k, v, out, lse, packing)
        case "fa4":
            grads = attention_flash.fa4_backward(grad, q, k, v, out, lse, packing)
        case "flex" | "cpu":
            raise AssertionError(f"{choice.backend} is no backend of the operator on CUDA")
        case _:
            assert_never(choice.backend)
    dq, dk, dv = grads
    return narrowed(dq, qk_dim), narrowed(dk, qk_dim), narrowed(dv, v_dim)


def lse_size(q: Tensor, v_dim: int, num_docs: int, max_q: int) -> tuple[int, ...]:
    """Size of the row statistics that `forward` hands to `backward`, float32."""
    choice = choice_for(q.device, q.dtype, q.shape[-1], v_dim)
    # fa3 and fa4 have those of fa2.
    op: attention_xformers.Op = "cutlass" if choice.backend == "cutlass" else "fa2"
    return attention_xformers.lse_size(op, tuple(q.shape), num_docs, max_q)


def widened(x: Tensor, width: int) -> Tensor:
    """[T, H, K] with zeros up to `width`, laid out as kernels want it.

    A view that starts or steps off 16 bytes makes some kernels fail and others compute nonsense
    (pytorch#194818).
    """
    if x.shape[-1] < width:
        return functional.pad(x, (0, width - x.shape[-1]))
    steps = (x.storage_offset(), *x.stride()[:-1])
    is_aligned = all(step * x.element_size() % _ALIGNED_BYTES == 0 for step in steps)
    return x if x.stride(-1) == 1 and is_aligned else x.contiguous()


def narrowed(x: Tensor, width: int) -> Tensor:
    """First `width` of the last dimension, contiguous."""
    return x if x.shape[-1] == width and x.is_contiguous() else _copied(x.narrow(-1, 0, width))


def _copied(x: Tensor) -> Tensor:
    return x.clone(memory_format=torch.contiguous_format)
