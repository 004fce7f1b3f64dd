"""Presets for one GPU: what they count, that they fit each other, and a step of each on a CPU"""

import pytest
import torch
from torch import nn

from curriculum.models.batch import to_torch
from curriculum.models.decoder import Decoder
from curriculum.models.dense_shape import DenseDecoderShape
from curriculum.models.one_gpu import ONE_GPU
from curriculum.models.presets import PRESETS, shape_of
from curriculum.models.shapes import (
    CaptionerShape,
    DecoderShape,
    ProjectorShape,
    TextTowerShape,
    VitShape,
)
from curriculum.models.vlm import build, forward_losses
from models.packs import Document, caption_rows, llm_rows

MOE = "moe-1b-a250m"
SIZES = {
    MOE: 1_002_663_936,
    "moonvit-89m": 88_654_080,
    "pixel-shuffle-mlp-13m": 12_588_544,
    "siglip-text-117m": 117_408_002,
    "tiny-decoder-60m": 59_631_616,
}
KERNEL_WIDTHS = ("hidden", "head_dim", "ffn_dim", "expert_dim", "mlp_dim", "pool_mlp_dim", "vocab")


def modules(*kinds: str) -> dict[str, nn.Module]:
    """The presets at a depth of one or two, for patches of 4 pixels as the packs have them."""
    depths = {"llm": {"num_layers": 2}, "vit": {"num_layers": 1, "patch": 4}, "projector": {}}
    built = {}
    for name, shape in ONE_GPU.items():
        if shape.kind in kinds:
            small = shape_of(name, depths.get(shape.kind, {"num_layers": 1}))
            built[shape.kind] = build(small, "cpu", seed=0)
    if isinstance(llm := built.get("llm"), Decoder):
        llm.set_rope([50_000.0 ** (-i / 32) for i in range(32)])
    return built


def assert_every_parameter_learns(built: dict[str, nn.Module]) -> None:
    for kind, module in built.items():
        for name, parameter in module.named_parameters():
            assert parameter.grad is not None, f"{kind}/{name}"
            assert bool(parameter.grad.isfinite().all()), f"{kind}/{name}"
        assert any(bool(p.grad.any()) for p in module.parameters() if p.grad is not None)


def test_each_has_the_size_of_its_name() -> None:
    assert {name: shape.num_params() for name, shape in ONE_GPU.items()} == SIZES
    assert round(ONE_GPU[MOE].num_active_params() / 1e6) == 250
    assert all(PRESETS[name] is shape for name, shape in ONE_GPU.items())


def test_the_experts_are_fine_grained_and_nothing_is_padded() -> None:
    llm = ONE_GPU[MOE]
    assert isinstance(llm, DecoderShape)
    assert (llm.num_experts, llm.top_k, llm.num_shared_experts) == (64, 6, 2)
    assert llm.qk_nope_head_dim + llm.qk_rope_head_dim == llm.v_head_dim == 128
    assert llm.is_dense(0)
    assert not llm.is_dense(1)


@pytest.mark.parametrize("name", [*ONE_GPU, "dense-350m", "dense-1b"])
def test_widths_are_those_that_kernels_tile(name: str) -> None:
    """Multiples of 64, so that rows of bf16 are aligned and no tile of a product is cut."""
    shape = PRESETS[name]
    widths = {field: getattr(shape, field, 0) for field in KERNEL_WIDTHS}
    assert {field: width for field, width in widths.items() if width % 64} == {}


def test_they_join_into_one_vlm() -> None:
    by_kind = {shape.kind: shape for shape in ONE_GPU.values()}
    llm, vit, projector = by_kind["llm"], by_kind["vit"], by_kind["projector"]
    tower, captioner = by_kind["text_tower"], by_kind["captioner"]
    assert isinstance(llm, DecoderShape)
    assert isinstance(vit, VitShape)
    assert isinstance(projector, ProjectorShape)
    assert isinstance(tower, TextTowerShape)
    assert isinstance(captioner, CaptionerShape)
    assert (projector.vit_hidden, projector.llm_hidden) == (vit.hidden, llm.hidden)
    assert projector.merge == vit.merge
    assert tower.vit_hidden == captioner.vit_hidden == vit.hidden


def test_a_joint_step_reaches_every_parameter() -> None:
    built = modules("llm", "vit", "projector")
    rows: list[list[Document]] = [
        [[5, 6, 7, 8], ((4, 4), [9, 10, 11])],
        [((2, 6), [19, 20]), [14, 15, 16, 17]],
    ]
    batch = to_torch(llm_rows(rows, seq_len=16), torch.device("cpu"))
    forward_losses(built, batch, {"next_token": 1.0})["next_token"].total.backward()
    assert_every_parameter_learns(built)


def test_a_coca_step_reaches_every_parameter() -> None:
    built = modules("vit", "text_tower", "captioner")
    batch = to_torch(caption_rows([((4, 4), [7, 8, 9]), ((2, 6), [10, 11])]), torch.device("cpu"))
    found = forward_losses(built, batch, {"siglip": 1.0, "caption": 2.0})
    (found["siglip"].total + 2 * found["caption"].total).backward()
    assert_every_parameter_learns(built)


def test_the_vit_reads_patches_of_its_own_size() -> None:
    vit = build(shape_of("moonvit-89m", {"num_layers": 1}), "cpu", seed=0)
    features = vit(torch.rand(16 + 12, 3 * 14 * 14), [(4, 4), (2, 6)])
    features.square().sum().backward()
    assert features.shape == (28, 768)
    assert_every_parameter_learns({"vit": vit})


@pytest.mark.parametrize("name", ["dense-350m", "dense-1b"])
def test_a_step_of_the_dense_ones_reaches_every_parameter(name: str) -> None:
    shape = shape_of(name, {"num_layers": 1})
    assert isinstance(shape, DenseDecoderShape)
    llm = build(shape, "cpu", seed=0)
    assert isinstance(llm, Decoder)
    pairs = shape.head_dim // 2
    llm.set_rope([50_000.0 ** (-i / pairs) for i in range(pairs)])
    batch = to_torch(llm_rows([[[5, 6, 7, 8], [9, 10, 11]]], seq_len=8), torch.device("cpu"))
    forward_losses({"llm": llm}, batch, {"next_token": 1.0})["next_token"].total.backward()
    assert_every_parameter_learns({"llm": llm})
