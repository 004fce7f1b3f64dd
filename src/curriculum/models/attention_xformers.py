"""Packed attention by xformers, which drives kernels inside torch: flash 2 and cutlass

xformers 0.0.35 carries no attention kernel of its own, and refuses CUDA unless its own library
loads, which needs libcudart.so.12 by name. Facts this file rests on (read in xformers 0.0.35 and
torch 2.11 to 2.13):

- torch's kernels follow the switch for deterministic algorithms (attention_backward.cu), which
  xformers does not know of flash 2, and would refuse it: we tell it. flash-attn's own kernels,
  which xformers takes where it finds them, do not: they are hidden while it is imported;
- `BlockDiagonalMask.from_seqlens` copies to the host and recompiles per layout: we build it from
  the tensor that is on the device already;
- cutlass wants `max_seqlen` to be at most the number of rows.
"""

import contextlib
import ctypes
import functools
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from curriculum.models.packing import Packing

VERSION = "0.0.35"
_LSE_MULTIPLE = 32  # cutlass pads its row statistics to whole tiles
_HIDDEN = ("flash_attn", "flash_attn_3")

Op = Literal["fa2", "cutlass"]


def lse_size(op: Op, q_size: tuple[int, ...], num_docs: int, max_q: int) -> tuple[int, ...]:
    """Size of the row statistics that `forward` hands to `backward`.

    >>> lse_size("fa2", (100, 4, 64), 5, 40), lse_size("cutlass", (100, 4, 64), 5, 40)
    ((4, 100), (5, 4, 64))
    """
    if op == "fa2":
        return (q_size[1], q_size[0])
    return (num_docs, q_size[1], -(-max_q // _LSE_MULTIPLE) * _LSE_MULTIPLE)


def forward(op: Op, q: Tensor, k: Tensor, v: Tensor, packing: Packing) -> tuple[Tensor, Tensor]:
    """Output [T, H, V] and row statistics (`lse_size`)."""
    fmha = load()
    out, lse = fmha.memory_efficient_attention_forward_requires_grad(
        q.unsqueeze(0),
        k.unsqueeze(0),
        v.unsqueeze(0),
        mask(fmha, packing),
        scale=packing.scale,
        op=fmha.flash.FwOp if op == "fa2" else fmha.cutlass.FwOp,
    )
    size = lse_size(op, tuple(q.shape), len(packing.cu_q) - 1, packing.max_q)
    return out.squeeze(0), lse.reshape(size)


def backward(
    op: Op,
    grad: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: Tensor,
    lse: Tensor,
    packing: Packing,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of q, k and v."""
    fmha = load()
    dq, dk, dv = fmha.memory_efficient_attention_backward(
        grad.unsqueeze(0),
        out.unsqueeze(0),
        lse.unsqueeze(0) if op == "fa2" else lse,
        q.unsqueeze(0),
        k.unsqueeze(0),
        v.unsqueeze(0),
        mask(fmha, packing),
        scale=packing.scale,
        op=fmha.flash.BwOp if op == "fa2" else fmha.cutlass.BwOp,
    )
    return dq.squeeze(0), dk.squeeze(0), dv.squeeze(0)


def mask(fmha: Any, packing: Packing) -> Any:
    """Block-diagonal mask straight from device tensors: no copy to the host, no Python list."""
    bias = fmha.attn_bias
    kind = bias.BlockDiagonalCausalMask if packing.causal else bias.BlockDiagonalMask
    queries, keys = (
        bias._SeqLenInfo(seqstart=cu, max_seqlen=longest, min_seqlen=-1, seqstart_py=[])
        for cu, longest in ((packing.cu_q, packing.max_q), (packing.cu_k, packing.max_k))
    )
    return kind(q_seqinfo=queries, k_seqinfo=keys)


@functools.cache
def missing() -> str | None:
    """Say what xformers lacks to compute on CUDA here, and the way to get it; None: nothing."""
    try:
        found = version("xformers")
    except PackageNotFoundError:
        return f"needs xformers=={VERSION}, which is not installed: pip install 'curriculum[gpu]'"
    has_runtime = _preload_cudart_12()
    try:
        with _hidden(_HIDDEN):
            from xformers import _cpp_lib
            from xformers.ops import fmha
    except (ImportError, OSError) as error:
        way = "" if found == VERSION else f": pip install xformers=={VERSION}"
        return f"needs xformers=={VERSION}; {found} is here and cannot be imported ({error}){way}"
    if fmha.common._built_with_cuda:
        return None
    if not has_runtime:
        return (
            f"needs libcudart.so.12 for xformers, which torch for CUDA {torch.version.cuda} does "
            "not bring: pip install nvidia-cuda-runtime-cu12"
        )
    failure = _cpp_lib._cpp_library_load_exception
    reason = getattr(failure, "__cause__", None) or type(failure).__name__
    return (
        f"needs xformers' own library, which does not load ({reason}): "
        f"pip install --force-reinstall --no-deps xformers=={VERSION}"
    )


@functools.cache
def load() -> Any:
    """Import xformers' attention so that it works; RuntimeError says what is missing."""
    if why := missing():
        raise RuntimeError(f"attention on CUDA {why}")
    from xformers.ops import fmha

    fmha.flash.BwOp.IS_DETERMINISTIC = fmha.flash._USE_PT_FLASH_ATTN
    return fmha


def _preload_cudart_12() -> bool:
    """Load libcudart.so.12 from its wheel, globally, so that xformers' library finds it by name.

    A torch for CUDA 12 has loaded it already. False where it is needed and not to be found.
    """
    cuda = torch.version.cuda
    if cuda is None or cuda.split(".")[0] == "12":
        return True
    for folder in sys.path:
        library = Path(folder, "nvidia/cuda_runtime/lib/libcudart.so.12")
        if library.is_file():
            ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)
            return True
    try:  # from a CUDA 12 that the machine has
        ctypes.CDLL("libcudart.so.12", ctypes.RTLD_GLOBAL)
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _hidden(names: tuple[str, ...]) -> Iterator[None]:
    """Let some packages look as if they were not installed.

    xformers imports a `flash_attn` that it finds, and fails where flash-attn-4 put it there.
    """
    held = {name: sys.modules[name] for name in names if name in sys.modules}
    # None is what "not found" looks like.
    sys.modules.update(dict.fromkeys(names))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]
        sys.modules.update(held)
