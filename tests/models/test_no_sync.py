"""No value is read back inside a step of the LLM: it runs where tensors have no values"""

from collections.abc import Callable
from contextlib import nullcontext

import pytest
import torch
from torch import Tensor

from curriculum.models.block import Recompute, set_blocks
from curriculum.models.decoder import Decoder
from curriculum.models.losses import next_token_loss
from curriculum.models.moe import Moe, linear_by_expert
from curriculum.models.presets import PRESETS
from curriculum.models.shapes import DecoderShape
from curriculum.models.vit import Vit
from curriculum.models.vlm import build

# On "meta" a tensor has a shape and no numbers. Whatever makes the host wait for a GPU (item, cpu,
# tolist, a truth value, sizes that depend on values) is an error there, in the backward pass too.
# The grouped product asks there for what CUDA's asks for: bf16, aligned rows, a column-major right.
META = torch.device("meta")


@pytest.fixture(autouse=True)
def autocast_of_experts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Autocast knows no "meta": experts are told that it is on, or they would not be in bf16."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda *_: True)
    monkeypatch.setattr(torch, "get_autocast_dtype", lambda *_: torch.bfloat16)


def empty(*size: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.empty(size, dtype=dtype, device=META, requires_grad=dtype.is_floating_point)


@pytest.mark.parametrize(
    "reads",
    [
        lambda x: x.sum().item(),
        lambda x: x.cpu(),
        lambda x: x.tolist(),
        lambda x: x.detach().numpy(),
        lambda x: bool(x.any()),
        lambda x: x.nonzero(),
        lambda x: x[x > 0],
        lambda x: x.unique(),
        lambda x: torch.bincount(x.int()),
        lambda x: x.int().repeat_interleave(x.int()),
    ],
)
def test_what_reads_values_back_fails_there(reads: Callable[[Tensor], object]) -> None:
    with pytest.raises((RuntimeError, NotImplementedError, TypeError)):
        reads(empty(4))


def test_the_product_expert_by_expert_would_be_found() -> None:
    with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor"):
        linear_by_expert(empty(12, 16), empty(4, 8, 16), empty(4, dtype=torch.int32))


def test_experts_read_nothing_back() -> None:
    shape = PRESETS["moe-1b-a250m"]
    assert isinstance(shape, DecoderShape)
    with META:
        layer = Moe(shape)
    x = empty(4096, shape.hidden)
    layer(x).sum().backward()
    layer.count(empty(4096, dtype=torch.bool))
    layer.update_bias(1e-3)
    assert x.grad is not None
    assert layer.experts.gate.grad is not None
    assert layer.router.weight.grad is not None


@pytest.mark.parametrize("preset", ["moe-1b-a250m", "moonlight-16b-a3b", "dense-1b"])
@pytest.mark.parametrize("recompute", ["none", "selective", "full"])
def test_a_step_of_a_whole_llm_reads_nothing_back(preset: str, recompute: Recompute) -> None:
    """At full size; the attention is one operator, and reads what its kernels read."""
    shape = PRESETS[preset]
    llm = build(shape, META, seed=0)
    assert isinstance(llm, Decoder)
    pairs = shape.rope_head_dim // 2
    llm.set_rope([50_000.0 ** (-i / pairs) for i in range(pairs)])
    set_blocks(llm, recompute, False)
    tokens, ends = empty(8192, dtype=torch.int64), empty(9, dtype=torch.int32)
    hidden = llm(llm.embed(tokens), tokens, ends, 4096, empty(8192, dtype=torch.bool))
    next_token_loss(hidden, llm.head_weight, tokens).backward()
    llm.update_router_bias(1e-3)
    assert all(p.grad is not None and p.grad.is_meta for p in llm.parameters())


@pytest.mark.parametrize("sizes", [2, 40])
@pytest.mark.parametrize("recompute", ["none", "selective", "full"])
def test_a_vit_with_its_projector_reads_nothing_back(sizes: int, recompute: Recompute) -> None:
    """Images of few sizes and of many: where patches stand is known on the host."""
    vit = build(PRESETS["moonvit-89m"], META, seed=0)
    projector = build(PRESETS["pixel-shuffle-mlp-13m"], META, seed=0)
    assert isinstance(vit, Vit)
    set_blocks(vit, recompute, False)
    grids = [(2 + 2 * (i % sizes), 4) for i in range(60)]
    patches = empty(sum(rows * columns for rows, columns in grids), vit.shape.patch_dim)
    projector(vit(patches, grids), grids).sum().backward()
    parameters = [*vit.parameters(), *projector.parameters()]
    assert all(p.grad is not None and p.grad.is_meta for p in parameters)


def test_another_layout_or_type_is_refused_there() -> None:
    rows, ends = empty(12, 16, dtype=torch.bfloat16), empty(4, dtype=torch.int32)
    with pytest.raises(RuntimeError, match="Invalid strides"):
        torch._grouped_mm(rows, empty(4, 16, 8, dtype=torch.bfloat16)[..., ::2], offs=ends)
    unaligned = empty(4, 8, 12, dtype=torch.bfloat16).transpose(1, 2)
    with pytest.raises(RuntimeError, match="multiple of 16 bytes"):
        torch._grouped_mm(empty(12, 12, dtype=torch.bfloat16), unaligned, offs=ends)
    with pytest.raises(RuntimeError, match="BF16"):
        torch._grouped_mm(rows.float(), empty(4, 8, 16).transpose(1, 2), offs=ends)


def test_the_grouped_product_is_what_experts_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows x [E, in, out], column-major: what CUDA's kernel takes, aligned to 16 bytes in bf16."""
    seen: list[tuple[Tensor, Tensor, Tensor]] = []
    product = torch._grouped_mm

    def spy(rows: Tensor, right: Tensor, *, offs: Tensor) -> Tensor:
        seen.append((rows, right, offs))
        return product(rows, right, offs=offs)

    monkeypatch.setattr(torch, "_grouped_mm", spy)
    shape = PRESETS["moe-1b-a250m"]
    assert isinstance(shape, DecoderShape)
    with META:
        layer = Moe(shape)
    layer(empty(100, shape.hidden))
    e, c, d = shape.num_experts, shape.hidden, shape.expert_dim
    assert [tuple(right.shape) for _, right, _ in seen] == [(e, c, 2 * d), (e, d, c)]
    for rows, right, offs in seen:
        assert rows.dtype == right.dtype == torch.bfloat16
        assert rows.is_contiguous()
        assert len(rows) == 100 * shape.top_k
        assert right.stride(1) == 1  # column-major: stored (E, out, in)
        assert right.transpose(1, 2).is_contiguous()
        assert (offs.dtype, tuple(offs.shape)) == (torch.int32, (e,))
        assert not any(n % 8 for n in (rows.stride(0), right.stride(2), right.stride(0)))
