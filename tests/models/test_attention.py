"""Packed attention: exact against float64 and xformers' own masks; documents apart; a sound op."""

import math
import subprocess
import sys

import pytest
import torch
from torch import Tensor
from torch.library import opcheck

from curriculum.models import attention_cuda
from curriculum.models.attention import _forward, describe_backend, packed_attention

LENGTHS = [5, 0, 11, 11, 1, 7, 0]


def starts(lengths: list[int]) -> Tensor:
    return torch.tensor([0, *lengths]).cumsum(0).to(torch.int32)


def inputs(
    q_len: int, k_len: int, dims: tuple[int, int] = (16, 16), dtype: torch.dtype = torch.float32
) -> list[Tensor]:
    generator = torch.Generator().manual_seed(7)
    sizes = ((q_len, 3, dims[0]), (k_len, 3, dims[0]), (k_len, 3, dims[1]))
    made = [torch.randn(size, generator=generator, dtype=torch.float64) for size in sizes]
    return [x.to(dtype).requires_grad_() for x in made]


def reference(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, scale: float) -> Tensor:
    logits = torch.einsum("thk,shk->hts", q, k) * scale
    p = logits.masked_fill(~mask, -math.inf).softmax(-1).nan_to_num(0.0)
    return torch.einsum("hts,shv->thv", p, v)


def documents(lengths: list[int]) -> Tensor:
    return torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("dims", [(16, 16), (24, 16), (8, 16)])
def test_output_and_gradients_equal_float64(causal: bool, dims: tuple[int, int]) -> None:
    total, docs = sum(LENGTHS), documents(LENGTHS)
    mask = docs[:, None] == docs
    mask = mask.tril() if causal else mask
    q, k, v = inputs(total, total, dims)
    exact = [x.detach().double().requires_grad_() for x in (q, k, v)]
    seed = torch.randn(total, 3, dims[1], generator=torch.Generator().manual_seed(1))

    out = packed_attention(q, k, v, starts(LENGTHS), 11, causal=causal, scale=0.3)
    out.backward(seed)
    expected = reference(exact[0], exact[1], exact[2], mask, 0.3)
    expected.backward(seed.double())

    torch.testing.assert_close(out.double(), expected, atol=1e-6, rtol=1e-6)
    for ours, theirs in zip((q, k, v), exact, strict=True):
        assert ours.grad is not None
        assert theirs.grad is not None
        torch.testing.assert_close(ours.grad.double(), theirs.grad, atol=3e-6, rtol=3e-6)


def test_documents_of_equal_length_far_apart_are_as_alone() -> None:
    lengths = [3, 5, 3, 0, 5, 3]
    q, k, v = inputs(19, 19)
    grad = torch.randn(19, 3, 16, generator=torch.Generator().manual_seed(1))
    out = packed_attention(q, k, v, starts(lengths), 5, causal=True, scale=0.25)
    together = torch.autograd.grad(out, (q, k, v), grad)
    parts = [
        packed_attention(a, b, c, starts([len(a)]), 5, causal=True, scale=0.25)
        for a, b, c in zip(*(x.split(lengths) for x in (q, k, v)), strict=True)
        if len(a)
    ]
    alone = torch.autograd.grad(torch.cat(parts), (q, k, v), grad)
    assert torch.equal(out, torch.cat(parts))
    assert all(torch.equal(a, b) for a, b in zip(together, alone, strict=True))


def test_gradcheck() -> None:
    q, k, v = inputs(9, 9, (4, 4), torch.float64)
    cu = starts([4, 0, 5])
    assert torch.autograd.gradcheck(
        lambda q, k, v: packed_attention(q, k, v, cu, 5, causal=True, scale=0.5), (q, k, v)
    )


def test_cross_attention_over_keys_of_their_own() -> None:
    q_lengths, k_lengths = [3, 2, 0, 4], [6, 1, 5, 0]
    q, k, v = inputs(9, 12)
    out = packed_attention(
        q, k, v, starts(q_lengths), 4, causal=False, scale=0.25,
        cu_seqlens_k=starts(k_lengths), max_seqlen_k=6,
    )  # fmt: skip
    mask = documents(q_lengths)[:, None] == documents(k_lengths)
    expected = reference(q.double(), k.double(), v.double(), mask, 0.25)
    torch.testing.assert_close(out.double(), expected, atol=1e-6, rtol=1e-6)
    assert bool((out[-4:] == 0).all())  # the last document has no keys
    out.sum().backward()
    assert k.grad is not None
    assert bool((k.grad[7:] == 0).all())


@pytest.mark.parametrize("causal", [True, False])
def test_the_masks_are_those_of_xformers(causal: bool) -> None:
    from xformers.ops.fmha.attn_bias import BlockDiagonalCausalMask, BlockDiagonalMask

    lengths = [n for n in LENGTHS if n]
    kind = BlockDiagonalCausalMask if causal else BlockDiagonalMask
    total = sum(lengths)
    bias = kind.from_seqlens(lengths, device=torch.device("cpu")).materialize((total, total))
    q, k, v = inputs(total, total)
    out = packed_attention(q, k, v, starts(lengths), 11, causal=causal, scale=0.25)
    expected = reference(q.double(), k.double(), v.double(), bias == 0, 0.25)
    torch.testing.assert_close(out.double(), expected, atol=1e-6, rtol=1e-6)


def test_the_mask_made_from_a_tensor_is_the_mask_made_from_lengths() -> None:
    from xformers.ops import fmha

    lengths = [5, 11, 7]
    made = attention_cuda._mask(fmha, starts(lengths), starts(lengths), 11, 11, True)
    theirs = fmha.attn_bias.BlockDiagonalCausalMask.from_seqlens(
        lengths, device=torch.device("cpu")
    )
    assert type(made) is type(theirs)
    for ours, other in ((made.q_seqinfo, theirs.q_seqinfo), (made.k_seqinfo, theirs.k_seqinfo)):
        assert ours.seqstart.tolist() == other.seqstart.tolist()
        assert ours.seqstart.dtype == other.seqstart.dtype
        assert ours.max_seqlen == other.max_seqlen


def test_one_document_changed_leaves_the_others_bit_equal() -> None:
    q, k, v = (x.detach() for x in inputs(35, 35))
    cu = starts(LENGTHS)
    before = packed_attention(q, k, v, cu, 11, causal=True, scale=0.25)
    for x in (q, k, v):
        x[5:16] += 1.0
    after = packed_attention(q, k, v, cu, 11, causal=True, scale=0.25)
    assert torch.equal(before[:5], after[:5])
    assert torch.equal(before[16:], after[16:])
    assert not torch.equal(before[5:16], after[5:16])


@pytest.mark.parametrize("dims", [(16, 16), (16, 8)])
def test_opcheck(dims: tuple[int, int]) -> None:
    q, k, v = inputs(35, 35, dims)
    cu = starts(LENGTHS)
    opcheck(_forward, (q, k, v, cu, cu, 11, 11, True, 0.25))


def test_bfloat16_is_close() -> None:
    q, k, v = inputs(35, 35, dtype=torch.bfloat16)
    out = packed_attention(q, k, v, starts(LENGTHS), 11, causal=True, scale=0.25)
    q, k, v = q.double(), k.double(), v.double()
    exact = packed_attention(q, k, v, starts(LENGTHS), 11, causal=True, scale=0.25)
    assert out.dtype == torch.bfloat16
    assert (out.double() - exact).norm() / exact.norm() < 1e-2


def test_misuse_is_told() -> None:
    q, k, v = inputs(3, 3)
    cu = starts([3])
    with pytest.raises(ValueError, match="come together"):
        packed_attention(q, k, v, cu, 3, causal=False, scale=1.0, cu_seqlens_k=cu)
    with pytest.raises(ValueError, match="causal"):
        packed_attention(q, k, v, cu, 3, causal=True, scale=1.0, cu_seqlens_k=cu, max_seqlen_k=3)


def test_backends_are_told() -> None:
    cuda = torch.device("cuda")
    assert describe_backend(torch.device("cpu"), torch.float32, 32, 32).startswith("cpu: torch")
    assert "fa2F-pt" in describe_backend(cuda, torch.bfloat16, 128, 128)
    assert "values padded 128 -> 192" in describe_backend(cuda, torch.bfloat16, 192, 128)
    assert "cutlass" in describe_backend(cuda, torch.float32, 64, 64)
    assert "cutlass" in describe_backend(cuda, torch.bfloat16, 576, 512)


def test_the_cpu_never_imports_xformers() -> None:
    code = (
        "import sys, torch; from curriculum.models.attention import packed_attention as f; "
        "x = torch.ones(2, 1, 8); cu = torch.tensor([0, 2], dtype=torch.int32); "
        "f(x, x, x, cu, 2, causal=True, scale=1.0); print('xformers' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 1e-2)], ids=["fp32", "bf16"]
)
@pytest.mark.parametrize("dims", [(32, 32), (192, 128), (72, 72)])
def test_cuda_equals_the_cpu_route(
    dtype: torch.dtype, tolerance: float, dims: tuple[int, int]
) -> None:
    results = []
    for device in ("cpu", "cuda"):
        q, k, v = (x.detach().to(device).requires_grad_() for x in inputs(35, 35, dims, dtype))
        out = packed_attention(q, k, v, starts(LENGTHS).to(device), 11, causal=True, scale=0.1)
        out.backward(torch.ones_like(out))
        results.append([x.double().cpu() for x in (out, q.grad, k.grad, v.grad) if x is not None])
    for ours, theirs in zip(*results, strict=True):
        assert (ours - theirs).norm() / ours.norm() < tolerance


FAKE_CUDA = """
import torch
torch.backends.cuda.is_flash_attention_available = lambda: True
torch.cuda.get_device_capability = lambda *device: (9, 0)
from xformers.ops import fmha
fmha.common._built_with_cuda = True
from torch._subclasses import FakeTensorMode
from curriculum.models import attention_cuda
with FakeTensorMode():
    for dtype, qk, dim in [
        (torch.bfloat16, 192, 128), (torch.bfloat16, 72, 72), (torch.bfloat16, 576, 512),
        (torch.float32, 64, 64), (torch.float32, 192, 128),
    ]:
        q, k, v = (torch.empty(100, 4, n, device="cuda", dtype=dtype) for n in (qk, qk, dim))
        cu = torch.empty(6, device="cuda", dtype=torch.int32)
        out, lse = attention_cuda.forward(q, k, v, cu, cu, 40, 40, True, 0.1)
        assert out.shape == (100, 4, dim), out.shape
        assert lse.shape == attention_cuda.lse_size(dtype, (100, 4, qk), dim, 5, 40), lse.shape
print("dispatched")
"""


def test_xformers_takes_what_we_hand_it_on_a_pretended_h100() -> None:
    """Shapes and dispatch only: nothing is computed without a GPU."""
    done = subprocess.run([sys.executable, "-c", FAKE_CUDA], capture_output=True, text=True)
    assert done.stdout.strip() == "dispatched", done.stderr


def test_one_graph_for_any_packing() -> None:
    graphs = []

    def backend(graph: torch.fx.GraphModule, _: list[Tensor]) -> object:
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(packed_attention, backend=backend, fullgraph=True)
    q, k, v = (x.detach() for x in inputs(35, 35))
    for lengths in ([35, 0, 0, 0], [5, 30, 0, 0], [5, 11, 7, 12], [0, 1, 1, 33]):
        cu = starts(lengths)
        out = compiled(q, k, v, cu, 35, causal=True, scale=0.25)
        assert torch.equal(out, packed_attention(q, k, v, cu, 35, causal=True, scale=0.25))
    assert len(graphs) == 1
