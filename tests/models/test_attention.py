"""Packed attention: exact against float64 and xformers' own masks; documents apart; a sound op."""

import math
import subprocess
import sys

import pytest
import torch
from torch import Tensor
from torch.library import opcheck

from curriculum.models.attention import _backward, _forward, describe_backend, packed_attention

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
@pytest.mark.parametrize("dims", [(16, 16), (24, 16), (8, 16), (192, 128), (72, 72)])
def test_output_and_gradients_equal_float64(causal: bool, dims: tuple[int, int]) -> None:
    total, docs = sum(LENGTHS), documents(LENGTHS)
    mask = docs[:, None] == docs
    mask = mask.tril() if causal else mask
    q, k, v = inputs(total, total, dims)
    exact = [x.detach().double().requires_grad_() for x in (q, k, v)]
    seed = torch.randn(total, 3, dims[1], generator=torch.Generator().manual_seed(1))

    scale = 0.3 if dims[0] < 64 else dims[0] ** -0.5
    out = packed_attention(q, k, v, starts(LENGTHS), 11, causal=causal, scale=scale)
    out.backward(seed)
    expected = reference(exact[0], exact[1], exact[2], mask, scale)
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


def test_cross_masks_are_those_of_xformers() -> None:
    from xformers.ops.fmha.attn_bias import BlockDiagonalMask

    of_q, of_k = [3, 2, 4], [6, 1, 5]
    bias = BlockDiagonalMask.from_seqlens(of_q, of_k, device=torch.device("cpu"))
    q, k, v = inputs(9, 12)
    out = packed_attention(
        q, k, v, starts(of_q), 4, causal=False, scale=0.25,
        cu_seqlens_k=starts(of_k), max_seqlen_k=6,
    )  # fmt: skip
    allowed = bias.materialize((9, 12)) == 0
    expected = reference(q.double(), k.double(), v.double(), allowed, 0.25)
    torch.testing.assert_close(out.double(), expected, atol=1e-6, rtol=1e-6)


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


@pytest.mark.parametrize("dims", [(16, 16), (16, 8), (192, 128), (72, 72)])
def test_opcheck(dims: tuple[int, int]) -> None:
    q, k, v = inputs(35, 35, dims)
    cu = starts(LENGTHS)
    opcheck(_forward, (q, k, v, cu, cu, 11, 11, True, 0.25))
    q, k, v = (x.detach() for x in (q, k, v))
    out, lse = _forward(q, k, v, cu, cu, 11, 11, True, 0.25)
    opcheck(_backward, (out, q, k, v, out, lse, cu, cu, 11, 11, True, 0.25))


def test_opcheck_of_cross_attention() -> None:
    q, k, v = inputs(9, 12)
    of_q, of_k = starts([3, 2, 0, 4]), starts([6, 1, 5, 0])
    opcheck(_forward, (q, k, v, of_q, of_k, 4, 6, False, 0.25))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_same_bits_twice(dtype: torch.dtype) -> None:
    lengths = [130, 0, 64, 257, 1, 64]
    found = []
    for _ in range(2):
        q, k, v = inputs(516, 516, (72, 72), dtype)
        out = packed_attention(q, k, v, starts(lengths), 257, causal=True, scale=0.1)
        found.append([out, *torch.autograd.grad(out, (q, k, v), torch.ones_like(out))])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


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


def test_the_backend_of_a_cpu_is_told() -> None:
    said = describe_backend(torch.device("cpu"), torch.float32, 32, 32)
    assert said == "cpu: torch's flash kernel (xformers has none for a cpu)"


def test_the_cpu_never_imports_xformers() -> None:
    code = (
        "import sys, torch; from curriculum.models.attention import packed_attention as f; "
        "x = torch.ones(2, 1, 8); cu = torch.tensor([0, 2], dtype=torch.int32); "
        "f(x, x, x, cu, 2, causal=True, scale=1.0); print('xformers' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
