"""FlexAttention's mask is ours, pair by pair, and its blocks hold every pair that sees another"""

import pytest
import torch
from torch import Tensor
from torch.nn.attention.flex_attention import create_mask

from curriculum.models import attention_flex
from curriculum.models.attention import packed_attention
from curriculum.models.attention_flex import BLOCK, attend, block_mask
from curriculum.models.packing import Packing

SELF = ([5, 0, 130, 64, 1, 0, 257, 0], None)
LONG = ([700], None)
CROSS = ([3, 0, 140, 17, 1, 300], [6, 5, 33, 128, 7, 200])


def packing(lengths: tuple[list[int], list[int] | None], causal: bool) -> Packing:
    of_q, of_k = lengths[0], lengths[1] or lengths[0]
    cu_q, cu_k = (torch.tensor([0, *n]).cumsum(0).to(torch.int32) for n in (of_q, of_k))
    return Packing(cu_q, cu_k, max(of_q), max(of_k), causal, 0.25)


def pairs(made: Packing) -> Tensor:
    """Which query sees which key [T, S], from the lengths alone."""
    of_q, of_k = (
        torch.repeat_interleave(torch.arange(len(cu) - 1), cu.diff().long())
        for cu in (made.cu_q, made.cu_k)
    )
    sees = of_q[:, None] == of_k
    return sees.tril() if made.causal else sees


CASES = [(SELF, True), (SELF, False), (LONG, True), (LONG, False), (CROSS, False)]


@pytest.mark.parametrize(("lengths", "causal"), CASES)
def test_blocks_hold_every_pair_and_full_ones_no_other(
    lengths: tuple[list[int], list[int] | None], causal: bool
) -> None:
    made = packing(lengths, causal)
    right = pairs(made)
    num_q, num_k = right.shape
    mask = block_mask(made, num_q, num_k)
    listed = torch.zeros_like(right)
    for nums, indices, is_full in (
        (mask.kv_num_blocks, mask.kv_indices, False),
        (mask.full_kv_num_blocks, mask.full_kv_indices, True),
    ):
        assert nums is not None
        assert indices is not None
        for i, row in enumerate(indices[0, 0]):
            for j in row[: int(nums[0, 0, i])].tolist():
                tile = (
                    slice(i * BLOCK, (i + 1) * BLOCK),
                    slice(j * BLOCK, (j + 1) * BLOCK),
                )
                assert not bool(listed[tile].any())  # no block twice
                listed[tile] = True
                assert bool(right[tile].any())
                if is_full:
                    assert right[tile].shape == (BLOCK, BLOCK)
                    assert bool(right[tile].all())
    assert bool(listed[right].all())
    mod = mask.mask_mod
    assert torch.equal(create_mask(mod, 1, 1, num_q, num_k, device="cpu")[0, 0], right)


def test_a_long_document_is_mostly_full_blocks() -> None:
    mask = block_mask(packing(LONG, False), 700, 700)
    assert mask.full_kv_num_blocks is not None
    assert mask.full_kv_num_blocks[0, 0].tolist() == [5, 5, 5, 5, 5, 0]
    causal = block_mask(packing(LONG, True), 700, 700)
    assert causal.full_kv_num_blocks is not None
    assert causal.full_kv_num_blocks[0, 0].tolist() == [0, 1, 2, 3, 4, 0]
    assert causal.kv_num_blocks[0, 0].tolist() == [1, 1, 1, 1, 1, 6]


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("dims", [(16, 16), (192, 128), (72, 72)])
@pytest.mark.parametrize(("lengths", "causal"), [(SELF, True), (CROSS, False)])
def test_its_forward_is_that_of_the_operator(
    lengths: tuple[list[int], list[int] | None], causal: bool, dims: tuple[int, int]
) -> None:
    made = packing(lengths, causal)
    num_q, num_k = int(made.cu_q[-1]), int(made.cu_k[-1])
    generator = torch.Generator().manual_seed(7)
    q = torch.randn(num_q, 3, dims[0], generator=generator)
    k = torch.randn(num_k, 3, dims[0], generator=generator)
    v = torch.randn(num_k, 3, dims[1], generator=generator)
    own = {} if causal else {"cu_seqlens_k": made.cu_k, "max_seqlen_k": made.max_k}
    ours = packed_attention(
        q, k, v, made.cu_q, made.max_q, causal=causal, scale=made.scale,
        **own,  # type: ignore[arg-type]
    )  # fmt: skip
    torch.testing.assert_close(attend(q, k, v, made), ours, atol=2e-6, rtol=2e-6)


def test_blocks_are_made_without_asking_the_host() -> None:
    """A trace through fake tensors fails at the first value that is read back."""
    from torch._subclasses import FakeTensorMode

    with FakeTensorMode():
        cu = torch.empty(9, dtype=torch.int32)
        mask = block_mask(Packing(cu, cu, 257, 257, True, 0.25), 457, 457)
    assert mask.shape == (1, 1, 457, 457)
    assert attention_flex.BLOCK == 128


def test_one_graph_for_any_packing() -> None:
    torch._dynamo.reset()
    count = 0

    def counting(graph: torch.fx.GraphModule, _: list[Tensor]) -> object:
        nonlocal count
        count += 1
        return graph.forward

    def seen(q: Tensor, cu: Tensor, longest: int) -> Tensor:
        return attend(q, q, q, Packing(cu, cu, longest, longest, True, 0.25))

    compiled = torch.compile(seen, backend=counting, fullgraph=True)
    q = torch.randn(300, 2, 16, generator=torch.Generator().manual_seed(7))
    for lengths in ([300, 0, 0], [200, 100, 0], [100, 100, 100], [0, 1, 299]):
        cu = torch.tensor([0, *lengths]).cumsum(0).to(torch.int32)
        ours = packed_attention(q, q, q, cu, max(lengths), causal=True, scale=0.25)
        torch.testing.assert_close(compiled(q, cu, max(lengths)), ours, atol=2e-6, rtol=2e-6)
    assert 1 <= count <= 2
