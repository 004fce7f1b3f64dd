"""Attention in bf16 on a CPU: exact as bf16 is, whatever the blocks; documents apart."""

import pytest
import torch
from torch import Tensor

from curriculum.models import attention_blocks, attention_cpu, attention_layout
from curriculum.models.attention import describe_backend, packed_attention
from curriculum.models.packing import Packing

LENGTHS = ([5, 0, 130, 64, 1, 0, 257, 0], [64, 64, 64], [70, 100, 128, 65], [300])


def starts(lengths: list[int]) -> Tensor:
    return torch.tensor([0, *lengths]).cumsum(0).to(torch.int32)


def packed(lengths: list[int], causal: bool) -> Packing:
    cu, longest = starts(lengths), max(lengths)
    return Packing(cu, cu, longest, longest, causal, 0.2)


def inputs(total: int, qk_dim: int, v_dim: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(3)
    sizes = (qk_dim, qk_dim, v_dim, v_dim)
    made = [torch.randn((total, 3, width), generator=generator) for width in sizes]
    return [x.bfloat16() for x in made]


@pytest.mark.parametrize("scores_at_once", [1, attention_blocks.SCORES_AT_ONCE])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("lengths", LENGTHS)
def test_it_equals_the_flash_kernel_on_the_same_numbers_in_float64(
    lengths: list[int], causal: bool, scores_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention_blocks, "SCORES_AT_ONCE", scores_at_once)
    packing, (q, k, v, grad) = packed(lengths, causal), inputs(sum(lengths), 24, 16)
    a, b, c, seed = (x.double() for x in (q, k, v, grad))
    due, due_lse = attention_cpu.forward(a, b, c, packing)
    due_grads = attention_cpu.backward(seed, a, b, c, due, due_lse, packing)

    out, lse = attention_blocks.forward(q, k, v, packing)
    grads = attention_blocks.backward(grad, q, k, v, out, lse, packing)
    torch.testing.assert_close(lse.double(), due_lse, atol=1e-4, rtol=0)
    for ours, expected in zip((out, *grads), (due, *due_grads), strict=True):
        assert ours.dtype == torch.bfloat16
        assert ours.shape == expected.shape
        assert (ours.double() - expected).norm() < 6e-3 * expected.norm()


def test_no_document_sees_another_not_even_its_nan() -> None:
    lengths = [70, 100, 3]
    q, k, v, grad = inputs(173, 16, 16)
    for x in (q, k, v, grad):
        x[70:170] = torch.nan
    packing = packed(lengths, True)
    out, lse = attention_blocks.forward(q, k, v, packing)
    found = (out, *attention_blocks.backward(grad, q, k, v, out, lse, packing))
    for x in found:
        assert bool(x[:70].isfinite().all())
        assert bool(x[170:].isfinite().all())
        assert bool(x[70:170].isnan().any())


def test_a_document_without_keys_gives_zeros_and_moves_nothing() -> None:
    q, _, _, grad = inputs(5, 16, 16)
    k, v = inputs(4, 16, 16)[:2]
    packing = Packing(starts([2, 3]), starts([0, 4]), 3, 4, False, 0.25)
    out, lse = attention_blocks.forward(q, k, v, packing)
    dq, dk, dv = attention_blocks.backward(grad, q, k, v, out, lse, packing)
    assert not out[:2].any()
    assert not dq[:2].any()
    alone = Packing(starts([3]), starts([4]), 3, 4, False, 0.25)
    due, due_lse = attention_blocks.forward(q[2:], k, v, alone)
    due_grads = attention_blocks.backward(grad[2:], q[2:], k, v, due, due_lse, alone)
    for ours, expected in zip((out[2:], dq[2:], dk, dv), (due, *due_grads), strict=True):
        assert torch.equal(ours, expected)


def test_many_documents_go_through_few_products() -> None:
    lengths = [5, 130, 64, 1, 257, 100, 90, 300, 70, 12] * 3
    layout = attention_layout.layout_of(packed(lengths, True), 2, attention_blocks.SCORES_AT_ONCE)
    assert [block.num_keys for block in layout.blocks] == [64, 128, 192, 256, 320]
    reached = [sum(num for _, num in block.members) for block in layout.blocks]
    assert reached == [2 * sum(length > at for length in lengths) for at in range(0, 320, 64)]


def test_the_operator_takes_it_in_bf16_alone_and_says_so() -> None:
    q, k, v, _ = inputs(30, 16, 16)
    cu = starts([10, 20])
    ours = packed_attention(q, k, v, cu, 20, causal=True, scale=0.25)
    blocks, _ = attention_blocks.forward(q, k, v, Packing(cu, cu, 20, 20, True, 0.25))
    assert torch.equal(ours, blocks)
    cpu = torch.device("cpu")
    assert describe_backend(cpu, torch.bfloat16, 48, 32) == (
        "cpu: products over blocks of queries (torch's flash kernel takes 1.4 times as long)"
    )
    assert "flash kernel (xformers" in describe_backend(cpu, torch.float32, 48, 48)


def test_autocast_changes_no_bit() -> None:
    packing, (q, k, v, grad) = packed([70, 100, 3], True), inputs(173, 16, 16)
    out, lse = attention_blocks.forward(q, k, v, packing)
    grads = attention_blocks.backward(grad, q, k, v, out, lse, packing)
    with torch.autocast("cpu", torch.bfloat16):
        again, lse_again = attention_blocks.forward(q, k, v, packing)
        grads_again = attention_blocks.backward(grad, q, k, v, out, lse, packing)
    assert torch.equal(out, again)
    assert torch.equal(lse, lse_again)
    assert all(torch.equal(a, b) for a, b in zip(grads, grads_again, strict=True))
