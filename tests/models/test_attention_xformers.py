"""xformers takes what we hand it on a pretended H100, with the mask it would have made itself"""

import torch

from curriculum.models import attention_xformers
from curriculum.models.packing import Packing
from models.pretended import run_pretended


def test_the_mask_made_from_a_tensor_is_the_mask_made_from_lengths() -> None:
    from xformers.ops import fmha

    lengths = [5, 11, 7]
    cu = torch.tensor([0, 5, 16, 23], dtype=torch.int32)
    for causal in (True, False):
        made = attention_xformers.mask(fmha, Packing(cu, cu, 11, 11, causal, 1.0))
        kind = (
            fmha.attn_bias.BlockDiagonalCausalMask if causal else fmha.attn_bias.BlockDiagonalMask
        )
        theirs = kind.from_seqlens(lengths, device=torch.device("cpu"))
        assert type(made) is type(theirs)
        for ours, other in ((made.q_seqinfo, theirs.q_seqinfo), (made.k_seqinfo, theirs.k_seqinfo)):
            assert ours.seqstart.tolist() == other.seqstart.tolist()
            assert ours.seqstart.dtype == other.seqstart.dtype
            assert ours.max_seqlen == other.max_seqlen


FORWARD = """
let_xformers_load()
with FakeTensorMode():
    for backend, dtype, qk, dim in [
        ("fa2", BF16, 192, 128), ("fa2", BF16, 72, 72), ("fa2", FP16, 20, 12),
        ("cutlass", FP32, 64, 64), ("cutlass", FP32, 192, 128), ("cutlass", BF16, 576, 512),
        ("cutlass", BF16, 20, 12),
    ]:
        q, k, v, packing = rows(dtype, qk, dim)
        with asking(backend):
            out, lse = attention_kernels.forward(q, k, v, packing)
            assert tuple(lse.shape) == attention_kernels.lse_size(q, dim, 5, 40), lse.shape
            assert lse.dtype == torch.float32
            traced = packed_attention(q, k, v, packing.cu_q, 40, causal=True, scale=0.1)
        assert out.shape == traced.shape == (100, 4, dim), out.shape
        assert out.is_contiguous() and out.dtype == dtype
        print(backend, qk, dim)
"""


# torch's own shapes of the backward kernels cannot be asked for on a build without CUDA: what
# xformers would call is taken out, and says what it was called with.
BACKWARD = """
fmha = let_xformers_load()
print("backward")

def flash(shared, grad, q, k, v, out, lse, cu_q, cu_k, max_q, max_k, p, scale, causal, **rest):
    print(sizes(grad, q, k, v, out, lse), max_q, max_k, p, scale, causal)
    return tuple(map(torch.empty_like, (q, k, v)))

def cutlass(grad, q, k, v, *, out, logsumexp, max_seqlen_q, num_splits_key, **rest):
    print(sizes(grad, q, k, v, out, logsumexp), max_seqlen_q, num_splits_key, rest["scale"])
    return *map(torch.empty_like, (q, k, v)), None

fmha.flash.BwOp.OPERATOR = staticmethod(flash)
fmha.cutlass.BwOp.OPERATOR = staticmethod(cutlass)
torch.use_deterministic_algorithms(True)
with FakeTensorMode():
    for backend, dtype, qk, dim in [("fa2", BF16, 192, 128), ("cutlass", FP32, 64, 64)]:
        q, k, v, packing = rows(dtype, qk, dim)
        with asking(backend):
            out, lse = attention_kernels.forward(q, k, v, packing)
            grads = attention_kernels.backward(out, q, k, v, out, lse, packing)
        assert sizes(*grads) == sizes(q, k, v)
        assert all(g.is_contiguous() for g in grads)
"""


def test_flash_2_and_cutlass_forward_and_backward_under_deterministic_algorithms() -> None:
    said = run_pretended(FORWARD + BACKWARD)
    assert said[:8] == [
        "fa2 192 128",
        "fa2 72 72",
        "fa2 20 12",
        "cutlass 64 64",
        "cutlass 192 128",
        "cutlass 576 512",
        "cutlass 20 12",
        "backward",
    ]
    wide, narrow = (100, 4, 192), (1, 100, 4, 64)
    assert said[8:] == [
        f"{[wide] * 5 + [(4, 100)]} 40 40 0.0 0.1 True",
        f"{[narrow] * 5 + [(5, 4, 64)]} 40 None 0.1",
    ]


def test_flash_attn_is_hidden_from_xformers_and_comes_back() -> None:
    import sys
    from importlib.util import find_spec
    from types import ModuleType

    sys.modules["flash_attn"] = held = ModuleType("flash_attn")
    try:
        with attention_xformers._hidden(("flash_attn", "flash_attn_3")):
            assert find_spec("flash_attn") is None
            assert find_spec("flash_attn_3") is None
        assert sys.modules["flash_attn"] is held
        assert "flash_attn_3" not in sys.modules
    finally:
        del sys.modules["flash_attn"]
