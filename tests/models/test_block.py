"""Blocks: recomputed by policy without a difference; compiled without breaks, in few graphs"""

from collections.abc import Iterator
from itertools import accumulate
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounter
from torch.utils._python_dispatch import TorchDispatchMode

from curriculum.models.block import Block, Recompute, set_blocks
from curriculum.models.coca import Captioner, TextTower
from curriculum.models.decoder import Decoder
from curriculum.models.encoder import Spans
from curriculum.models.presets import shape_of
from curriculum.models.rotation import rotate_halves, rotate_pairs
from curriculum.models.shapes import Shape
from curriculum.models.vit import Vit
from curriculum.models.vlm import build

SHAPES: dict[str, Shape] = {
    "moe": shape_of(
        "moonlight-proxy",
        {"hidden": 32, "num_layers": 3, "num_heads": 2, "ffn_dim": 64, "expert_dim": 16,
         "num_experts": 8, "top_k": 2, "vocab": 64},
    ),
    "dense": shape_of(
        "dense-350m",
        {"hidden": 32, "num_layers": 2, "num_heads": 4, "num_kv_heads": 2, "head_dim": 8,
         "ffn_dim": 64, "vocab": 64},
    ),
    "vit": shape_of("moonvit-proxy", {"hidden": 48, "mlp_dim": 64}),
}  # fmt: skip
PACKINGS = ([5, 9, 18], [10, 10, 12], [32], [1, 2, 3, 4, 22], [8, 0, 8, 0, 16], [20, 12])


# What torch's tracer does to its own rules is not ours.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf"),
    pytest.mark.filterwarnings("ignore:.*torch.jit.script_method.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning"),
]


@pytest.fixture(autouse=True)
def forget_graphs() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def made(kind: str) -> nn.Module:
    module = build(SHAPES[kind], "cpu", seed=3)
    if isinstance(module, Decoder):
        pairs = module.shape.rope_head_dim // 2
        module.set_rope([10_000.0 ** (-i / pairs) for i in range(pairs)])
    return module


def forward(module: nn.Module, lengths: list[int]) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    if isinstance(module, Vit):
        grids = [(2, n) for n in lengths if n]
        patches = torch.rand(2 * sum(lengths), module.shape.patch_dim, generator=generator)
        return cast(Tensor, module(patches, grids))
    assert isinstance(module, Decoder)
    tokens = torch.randint(0, 64, (sum(lengths),), generator=generator)
    positions = torch.cat([torch.arange(n) for n in lengths])
    starts = torch.tensor([0, *accumulate(lengths)], dtype=torch.int32)
    return cast(Tensor, module(module.embed(tokens), positions, starts, max(lengths)))


def gradients(module: nn.Module, half: bool, lengths: list[int]) -> tuple[list[Tensor], list[int]]:
    """Of all parameters; and how often each expert of each layer was counted."""
    module.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        out = forward(module, lengths)
    out.square().sum().backward()
    counts: list[int] = []
    if isinstance(module, Decoder):
        for moe in module.moe_layers():
            counts += moe.expert_counts.tolist()
            moe.expert_counts.zero_()
    return [p.grad.clone() for p in module.parameters() if p.grad is not None], counts


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("how", ["selective", "full"])
def test_recomputation_changes_no_bit_and_no_count(kind: str, half: bool, how: Recompute) -> None:
    module = made(kind)
    exact, counts = gradients(module, half, PACKINGS[0])
    set_blocks(module, how, compiles=False)
    found, again = gradients(module, half, PACKINGS[0])
    assert len(exact) == len(found) > 0
    assert all(torch.equal(a, b) for a, b in zip(exact, found, strict=True))
    assert counts == again
    assert sum(counts) == (2 * 2 * 32 if kind == "moe" else 0)  # two layers, two experts a token


class Counted(TorchDispatchMode):
    """How often each operator runs."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: dict[str, int] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = func.overloadpacket.__name__
        self.calls[name] = self.calls.get(name, 0) + 1
        return func(*args, **(kwargs or {}))


def calls(kind: str, how: Recompute) -> dict[str, int]:
    module = made(kind)
    set_blocks(module, how, compiles=False)
    counted = Counted()
    with counted:
        gradients(module, True, PACKINGS[0])
    return counted.calls


@pytest.mark.parametrize("kind", SHAPES)
def test_selective_makes_no_product_again_and_full_makes_all(kind: str) -> None:
    plain, selective, full = (calls(kind, how) for how in ("none", "selective", "full"))
    products = {"mm", "addmm", "_grouped_mm", "packed_attention", "topk", "sort"} & plain.keys()
    assert "packed_attention" in products
    for name in products:
        assert selective[name] == plain[name], name
    layers = len([m for m in made(kind).modules() if isinstance(m, Block)])
    assert full["packed_attention"] == 2 * plain["packed_attention"] == 2 * layers
    norm = "native_layer_norm" if kind == "vit" else "rsqrt"
    again = {how: found.get(norm, 0) for how, found in
             (("none", plain), ("selective", selective), ("full", full))}  # fmt: skip
    assert again["selective"] == again["full"] > again["none"]


@pytest.mark.parametrize("how", ["none", "selective", "full"])
@pytest.mark.parametrize("kind", SHAPES)
def test_layers_compile_without_breaks_in_few_graphs(kind: str, how: Recompute) -> None:
    """At most three for each sort of layer: as it was, with other sizes, with other documents."""
    module, counter = made(kind), CompileCounter()
    set_blocks(module, how, compiles=False)
    for block in module.modules():
        if isinstance(block, Block):
            block.compile(backend=counter, fullgraph=True)
    graphs, counts = [], [0]
    for lengths in PACKINGS:
        _, counts = gradients(module, True, lengths)
        graphs.append(counter.frame_count)
    sorts = 2 if kind == "moe" else 1
    assert graphs[0] == sorts
    assert graphs[2:] == [graphs[2]] * len(graphs[2:])
    assert graphs[-1] <= 3 * sorts
    assert sum(counts) == (2 * 2 * 32 if kind == "moe" else 0)


@pytest.mark.parametrize("how", ["none", "selective", "full"])
def test_what_is_traced_is_what_is_computed(how: Recompute) -> None:
    """Forward and backward traced, cut in two and run as they stand; fused code is slower to make.

    Experts are told their tokens by the first run: in other rounding near ties would fall over.
    """
    module = made("moe")
    assert isinstance(module, Decoder)
    exact, counts = gradients(module, True, PACKINGS[0])
    for moe in module.moe_layers():
        moe.pinned = moe.last_choice
    set_blocks(module, how, compiles=False)
    for block in module.modules():
        if isinstance(block, Block):
            block.compile(backend="aot_eager_decomp_partition", fullgraph=True)
    found, again = gradients(module, True, PACKINGS[0])
    assert counts == again
    for a, b in zip(exact, found, strict=True):
        assert (a - b).norm() <= 2e-2 * a.norm()


def test_the_towers_are_blocks_too() -> None:
    for name in ("siglip-text-proxy", "tiny-decoder-proxy"):
        tower = build(shape_of(name, {}), "cpu", seed=1)
        assert isinstance(tower, TextTower | Captioner)
        assert all(isinstance(layer, Block) for layer in tower.layers)
        set_blocks(tower, "full", compiles=False)
        assert all(layer.recompute == "full" for layer in tower.layers)


def test_the_product_written_out_is_the_complex_one(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(1)
    angles = torch.rand(9, 1, 8, dtype=torch.float64, generator=generator) * 100
    turn = torch.view_as_real(torch.polar(torch.ones_like(angles), angles).to(torch.complex64))
    x = torch.randn(9, 2, 16, generator=generator)
    for rotate in (rotate_pairs, rotate_halves):
        monkeypatch.undo()
        complex_one = rotate(x, turn)
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
        assert torch.equal(rotate(x, turn), complex_one)


def test_spans_pass_through_a_graph() -> None:
    layer = made("vit").get_submodule("layers.0")
    layer.compile(backend="eager", fullgraph=True)
    spans = Spans(torch.tensor([0, 4, 6], dtype=torch.int32), 4)
    assert layer(torch.zeros(6, 48), spans).shape == (6, 48)
