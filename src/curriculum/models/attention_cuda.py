"""Packed attention on CUDA: xformers' training kernels, with the mask built from the tensor

xformers 0.0.35 carries no attention kernel; it drives those inside torch (flash 2, cutlass), and
refuses all of them unless its own library loads, which needs libcudart.so.12 by name. Facts this
file rests on (read in xformers 0.0.35 and torch 2.11 to 2.13):

- its default for 192/128 heads is cutlass, the slowest, and breaks under torch.compile: we pad
  values and name the flash op; a named op also stays usable under deterministic algorithms;
- flash needs bf16 or fp16 and heads of at most 256, a multiple of 8; float32 goes to cutlass;
- `BlockDiagonalMask.from_seqlens` copies to the host and recompiles per layout: we build it from
  the tensor that is on the device already.
"""

import contextlib
import ctypes
import functools
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

_HALF = (torch.bfloat16, torch.float16)
_LSE_MULTIPLE = 32  # cutlass pads its row statistics to whole tiles


def describe(dtype: torch.dtype, qk_dim: int, v_dim: int) -> str:
    """Say which xformers op runs for such heads, and why."""
    width = max(qk_dim, v_dim)
    if not uses_flash(dtype, qk_dim, v_dim):
        reason = "float32" if dtype not in _HALF else f"heads of {width}"
        return f"cuda: xformers cutlassF-pt/cutlassB-pt (flash does not take {reason})"
    padded = f"; values padded {v_dim} -> {width}, else xformers takes cutlass"
    return "cuda: xformers fa2F-pt/fa2B-pt" + (padded if v_dim < width else "")


def uses_flash(dtype: torch.dtype, qk_dim: int, v_dim: int) -> bool:
    """Whether flash 2 takes such heads once they are padded to one width."""
    width = max(qk_dim, v_dim)
    return dtype in _HALF and width <= 256 and width % 8 == 0


def lse_size(
    dtype: torch.dtype, q_size: tuple[int, ...], v_dim: int, num_docs: int, max_q: int
) -> tuple[int, ...]:
    """Size of the row statistics that `forward` hands to `backward`."""
    length, heads, qk_dim = q_size
    if uses_flash(dtype, qk_dim, v_dim):
        return (heads, length)
    return (num_docs, heads, -(-max_q // _LSE_MULTIPLE) * _LSE_MULTIPLE)


def forward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    cu_q: Tensor,
    cu_k: Tensor,
    max_q: int,
    max_k: int,
    causal: bool,
    scale: float,
) -> tuple[Tensor, Tensor]:
    """The op's forward on CUDA tensors: output [T, H, V] and row statistics (`lse_size`)."""
    fmha, v_dim = load_xformers(), v.shape[-1]
    flash = uses_flash(q.dtype, q.shape[-1], v_dim)
    q, k, v = _padded(q, k, v) if flash else (q, k, v)
    out, lse = fmha.memory_efficient_attention_forward_requires_grad(
        q.unsqueeze(0),
        k.unsqueeze(0),
        v.unsqueeze(0),
        _mask(fmha, cu_q, cu_k, max_q, max_k, causal),
        scale=scale,
        op=fmha.flash.FwOp if flash else fmha.cutlass.FwOp,
    )
    size = lse_size(q.dtype, tuple(q.shape), v.shape[-1], len(cu_q) - 1, max_q)
    return _narrowed(out.squeeze(0), v_dim), lse.reshape(size).contiguous()


def backward(
    grad: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: Tensor,
    lse: Tensor,
    cu_q: Tensor,
    cu_k: Tensor,
    max_q: int,
    max_k: int,
    causal: bool,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """The op's backward on CUDA tensors: gradients of q, k and v."""
    fmha, qk_dim, v_dim = load_xformers(), q.shape[-1], v.shape[-1]
    flash = uses_flash(q.dtype, qk_dim, v_dim)
    if flash:
        q, k, v = _padded(q, k, v)
        grad, out = (functional.pad(x, (0, q.shape[-1] - v_dim)) for x in (grad, out))
    grads = fmha.memory_efficient_attention_backward(
        grad.unsqueeze(0).contiguous(),
        out.unsqueeze(0),
        lse.unsqueeze(0) if flash else lse,
        q.unsqueeze(0),
        k.unsqueeze(0),
        v.unsqueeze(0),
        _mask(fmha, cu_q, cu_k, max_q, max_k, causal),
        scale=scale,
        op=fmha.flash.BwOp if flash else fmha.cutlass.BwOp,
    )
    dq, dk, dv = (
        _narrowed(g.squeeze(0), dim) for g, dim in zip(grads, (qk_dim, qk_dim, v_dim), strict=True)
    )
    return dq, dk, dv


@functools.cache
def load_xformers() -> Any:
    """Import xformers' attention so that it works; RuntimeError says what is missing."""
    if torch.version.cuda is not None and int(torch.version.cuda.split(".")[0]) != 12:
        _preload_cudart_12()
    try:
        with _namespace_flash_attn_hidden():
            from xformers.ops import fmha
    except ImportError as missing:
        raise RuntimeError(
            "attention on CUDA needs xformers==0.0.35: install curriculum[gpu]"
        ) from missing
    if not fmha.common._built_with_cuda:
        raise RuntimeError(
            "xformers is installed, but its library did not load and it refuses CUDA: it needs "
            "libcudart.so.12; install nvidia-cuda-runtime-cu12 (curriculum[gpu])"
        )
    return fmha


def _mask(fmha: Any, cu_q: Tensor, cu_k: Tensor, max_q: int, max_k: int, causal: bool) -> Any:
    """Block-diagonal mask straight from device tensors: no copy to the host, no Python list."""
    bias = fmha.attn_bias
    kind = bias.BlockDiagonalCausalMask if causal else bias.BlockDiagonalMask
    queries, keys = (
        bias._SeqLenInfo(seqstart=cu, max_seqlen=longest, min_seqlen=-1, seqstart_py=[])
        for cu, longest in ((cu_q, max_q), (cu_k, max_k))
    )
    return kind(q_seqinfo=queries, k_seqinfo=keys)


def _padded(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    width = max(q.shape[-1], v.shape[-1])
    q, k, v = (functional.pad(x, (0, width - x.shape[-1])) for x in (q, k, v))
    return q, k, v


def _narrowed(x: Tensor, width: int) -> Tensor:
    """First `width` of the last dimension, contiguous."""
    if x.shape[-1] != width:
        x = x.narrow(-1, 0, width).clone(memory_format=torch.contiguous_format)
    return x.contiguous()


def _preload_cudart_12() -> None:
    """Load libcudart.so.12 from its wheel, globally, so that xformers' library finds it by name."""
    for folder in sys.path:
        library = Path(folder, "nvidia/cuda_runtime/lib/libcudart.so.12")
        if library.is_file():
            ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)
            return


@contextlib.contextmanager
def _namespace_flash_attn_hidden() -> Iterator[None]:
    """Hide a `flash_attn` without __init__ (flash-attn-4 ships one): xformers trips over it."""
    spec = importlib.util.find_spec("flash_attn")
    if spec is None or spec.origin is not None or "flash_attn" in sys.modules:
        yield
        return
    sys.modules["flash_attn"] = None  # type: ignore[assignment]  # what "not found" looks like
    try:
        yield
    finally:
        del sys.modules["flash_attn"]
