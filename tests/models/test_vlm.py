"""All modules: weights from a seed, who is Muon's, losses learn, micro-batches add up."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from curriculum.data.packed import Packed
from curriculum.models.batch import TorchBatch, to_torch
from curriculum.models.decoder import Decoder
from curriculum.models.presets import PRESETS, shape_of
from curriculum.models.shapes import Shape
from curriculum.models.terms import TermSum, count_of
from curriculum.models.vlm import Contrast, build, embed_pairs, forward_losses, is_matrix
from models.packs import Document, caption_rows, llm_rows

Grads = dict[str, Tensor]
SMALL: dict[str, Shape] = {
    "llm": shape_of(
        "moonlight-proxy",
        {"hidden": 48, "num_layers": 2, "ffn_dim": 64, "expert_dim": 24, "vocab": 64},
    ),
    "vit": shape_of("moonvit-proxy", {"hidden": 48, "num_layers": 2, "mlp_dim": 64}),
    "projector": shape_of("pixel-shuffle-mlp-proxy", {"vit_hidden": 48, "llm_hidden": 48}),
    "text_tower": shape_of(
        "siglip-text-proxy",
        {"hidden": 24, "num_layers": 1, "mlp_dim": 48, "vocab": 64, "vit_hidden": 48},
    ),
    "captioner": shape_of(
        "tiny-decoder-proxy",
        {"hidden": 24, "num_layers": 1, "mlp_dim": 48, "vocab": 64, "vit_hidden": 48},
    ),
}


def modules(*kinds: str) -> dict[str, nn.Module]:
    built = {kind: build(SMALL[kind], "cpu", seed=0) for kind in kinds}
    if "llm" in built:
        llm = built["llm"]
        assert isinstance(llm, Decoder)
        llm.set_rope([50_000.0 ** (-i / 8) for i in range(8)])
    return built


def parameters(built: Mapping[str, nn.Module]) -> dict[str, nn.Parameter]:
    return {f"{k}/{n}": p for k, module in built.items() for n, p in module.named_parameters()}


def collected(built: Mapping[str, nn.Module]) -> Grads:
    named = parameters(built).items()
    found = {name: p.grad.clone() for name, p in named if p.grad is not None}
    for module in built.values():
        module.zero_grad()
    return found


def assert_same(found: Grads, expected: Grads) -> None:
    """Equal to 1e-5 of each gradient's own size."""
    assert found.keys() == expected.keys()
    for name, grad in expected.items():
        # Without RoPE a bias of keys moves all logits of a query alike: its gradient is rounding.
        size = 1.0 if name.endswith(("attn.k.bias", "cross.k.bias")) else grad.norm()
        error = (found[name] - grad).norm()
        assert error <= 1e-5 * size, f"{name}: {error} of {size}"


def weighted(found: Mapping[str, TermSum], terms: Mapping[str, float]) -> Tensor:
    return torch.stack([weight * found[term].total for term, weight in terms.items()]).sum()


def llm_batches() -> tuple[Packed, list[Packed]]:
    rows: list[list[Document]] = [
        [[5, 6, 7, 8], ((4, 4), [9, 10, 11])],
        [[12, 13], [14, 15, 16, 17, 18]],
        [((2, 6), [19, 20]), ((4, 4), [21, 22, 23])],
    ]
    whole = llm_rows(rows, seq_len=16)
    cuts, first = [], 0
    for row in rows:
        part = llm_rows([row], seq_len=16)
        num = len(part.patches)
        part.patches[:] = whole.patches[first : first + num]
        cuts.append(part)
        first += num
    return whole, cuts


def coca_batches(sizes: list[int]) -> tuple[Packed, list[Packed]]:
    grids = [(4, 4), (2, 6), (8, 8), (4, 4), (6, 4), (2, 2)]
    pairs = [(grid, [2, 10 + i, 20 + i % 3, 3]) for i, grid in enumerate(grids)]
    whole, cuts, at, patch = caption_rows(pairs), [], 0, 0
    for size in sizes:
        part = caption_rows(pairs[at : at + size])
        part.patches[:] = whole.patches[patch : patch + len(part.patches)]
        cuts.append(part)
        at, patch = at + size, patch + len(part.patches)
    return whole, cuts


def test_fresh_weights_depend_on_seed_and_name_only() -> None:
    shape = SMALL["vit"]
    first = build(shape, "cpu", seed=3)
    torch.manual_seed(99)
    build(SMALL["llm"], "cpu", seed=3)
    state = torch.get_rng_state()
    again, other = build(shape, "cpu", seed=3), build(shape, "cpu", seed=4)
    assert torch.equal(state, torch.get_rng_state())  # nobody's generator moved
    renamed = build(shape, "cpu", seed=3, name="second-vit")
    weight = first.get_parameter("layers.0.attn.q.weight")
    assert all(
        torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True)
    )
    for module in (other, renamed):
        assert not torch.equal(weight, module.get_parameter("layers.0.attn.q.weight"))


@pytest.mark.parametrize("kind", SMALL)
def test_fresh_weights_are_finite_and_buffers_are_zero(kind: str) -> None:
    module = modules(kind)[kind]
    assert all(bool(p.isfinite().all()) for p in module.parameters())
    for name, buffer in module.named_buffers():
        assert "rope" in name or bool((buffer == 0).all())


def test_muon_takes_hidden_matrices_and_expert_stacks() -> None:
    taken = {
        kind: {
            name
            for name, parameter in build(shape, "meta", 0).named_parameters()
            if is_matrix(kind, name, parameter)
        }
        for kind, shape in SMALL.items()
    }
    assert {"layers.1.moe.experts.up", "layers.0.attn.kv_b.weight"} <= taken["llm"]
    assert "layers.1.moe.router.weight" in taken["llm"]
    assert not taken["llm"] & {"embed.weight", "head.weight", "norm.weight"}
    assert not taken["vit"] & {"embed.weight", "positions", "layers.0.attn.q.bias"}
    assert taken["projector"] == {"ffn.up.weight", "ffn.down.weight"}
    assert not taken["text_tower"] & {"embed.weight", "positions", "pool.probe", "logit_scale"}
    assert "pool.attn.q.weight" in taken["text_tower"]
    assert "layers.0.cross.k.weight" in taken["captioner"]
    assert "head.weight" not in taken["captioner"]


def test_next_token_adds_up_over_micro_batches() -> None:
    whole, cuts = llm_batches()
    built = modules("llm", "vit", "projector")
    llm = built["llm"]
    assert isinstance(llm, Decoder)
    batch = to_torch(whole)
    term = forward_losses(built, batch, {"next_token": 1.0})["next_token"]
    assert term.count == count_of(batch, "next_token") == len(batch.targets)
    term.total.backward()
    expected, value = collected(built), term.total.item()
    counts = [moe.expert_counts.clone() for moe in llm.moe_layers()]
    choices = [moe.last_choice for moe in llm.moe_layers()]
    llm.update_router_bias(0.0)

    total, count = 0.0, 0.0
    for i, cut in enumerate(cuts):
        for moe, choice in zip(llm.moe_layers(), choices, strict=True):
            assert choice is not None
            moe.pinned = choice[i * 16 : (i + 1) * 16]
        part = forward_losses(built, to_torch(cut), {"next_token": 1.0})["next_token"]
        part.total.backward()
        total, count = total + part.total.item(), count + part.count
    assert count == term.count
    assert abs(total - value) <= 1e-5 * value
    assert_same(collected(built), expected)
    for moe, before in zip(llm.moe_layers(), counts, strict=True):
        assert moe.expert_counts.tolist() == before.tolist()
        assert before.sum() == 2 * int(batch.live.sum())  # padding is not counted


@pytest.mark.parametrize("sizes", [[1] * 6, [2, 2, 2], [1, 5]])
def test_siglip_and_caption_add_up_over_micro_batches(sizes: list[int]) -> None:
    whole, cuts = coca_batches(sizes)
    built, terms = modules("vit", "text_tower", "captioner"), {"siglip": 1.0, "caption": 2.0}
    found = forward_losses(built, to_torch(whole), terms)
    weighted(found, terms).backward()
    expected = collected(built)
    assert found["siglip"].count == 6
    assert found["caption"].count == 6 * 3

    batches = [to_torch(cut) for cut in cuts]
    embedded = [embed_pairs(built, batch) for batch in batches]
    images, texts = (torch.cat(part) for part in zip(*embedded, strict=True))
    totals, first = dict.fromkeys(terms, 0.0), 0
    for batch in batches:
        parts = forward_losses(built, batch, terms, Contrast(images, texts, first))
        weighted(parts, terms).backward()
        for term in terms:
            totals[term] += parts[term].total.item()
        first += len(batch.grids)
    for term in terms:
        value = found[term].total.item()
        assert abs(totals[term] - value) <= 1e-5 * value
    assert_same(collected(built), expected)


def test_gradient_flows_through_a_frozen_llm() -> None:
    built = modules("llm", "vit", "projector")
    built["llm"].requires_grad_(False)
    batch = to_torch(llm_batches()[0])
    forward_losses(built, batch, {"next_token": 1.0})["next_token"].total.backward()
    names = collected(built)
    assert not any(name.startswith("llm/") for name in names)
    assert "vit/embed.weight" in names
    assert "projector/ffn.up.weight" in names


def test_image_positions_are_replaced_and_others_are_not() -> None:
    built = modules("llm", "vit", "projector")
    whole, _ = llm_batches()
    terms = {"next_token": 1.0}
    before = forward_losses(built, to_torch(whole), terms)["next_token"].total
    whole.tokens[whole.kinds == 1] = 63  # whatever stands there is not read
    assert forward_losses(built, to_torch(whole), terms)["next_token"].total == before
    whole.patches[0] += 1.0
    assert forward_losses(built, to_torch(whole), terms)["next_token"].total != before


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_next_token_learns(dtype: torch.dtype) -> None:
    built, batch = modules("llm", "vit", "projector"), to_torch(llm_batches()[0])
    losses = _trained(built, batch, {"next_token": 1.0}, dtype)
    assert losses[-1] < 0.3 * losses[0]


def test_siglip_and_caption_learn() -> None:
    built = modules("vit", "text_tower", "captioner")
    batch = to_torch(coca_batches([6])[0])
    losses = _trained(built, batch, {"siglip": 1.0, "caption": 2.0}, torch.float32)
    assert losses[-1] < 0.5 * losses[0]


def _trained(
    built: dict[str, nn.Module], batch: TorchBatch, terms: Mapping[str, float], dtype: torch.dtype
) -> list[float]:
    optimizer = torch.optim.AdamW(parameters(built).values(), lr=5e-3)
    losses = []
    for _ in range(25):
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            found = forward_losses(built, batch, terms)
        loss = sum(w * found[term].total / found[term].count for term, w in terms.items())
        assert isinstance(loss, Tensor)
        assert loss.dtype == torch.float32
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_misuse_is_told() -> None:
    built = modules("llm", "vit", "projector", "text_tower", "captioner")
    text = to_torch(llm_rows([[[5, 6, 7]]], seq_len=4))
    with pytest.raises(ValueError, match="'caption' needs images"):
        forward_losses(built, text, {"caption": 1.0})
    with pytest.raises(ValueError, match="unknown loss term 'next'"):
        forward_losses(built, text, {"next": 1.0})


@pytest.mark.parametrize("name", [name for name in PRESETS if name.endswith("-proxy")])
def test_proxies_build(name: str) -> None:
    shape = PRESETS[name]
    assert sum(p.numel() for p in build(shape, "cpu", 0).parameters()) == shape.num_params()
