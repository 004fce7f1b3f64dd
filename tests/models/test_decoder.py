"""Decoder: packed equals one by one; documents apart; RoPE from floats; the published code."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from curriculum.models.block import set_blocks
from curriculum.models.decoder import Decoder
from curriculum.models.presets import shape_of
from curriculum.models.rotation import rotate_pairs
from curriculum.models.shapes import DecoderShape
from curriculum.models.vlm import build

SIZES = {
    "hidden": 48, "num_layers": 3, "num_heads": 2, "kv_lora_rank": 16, "ffn_dim": 64,
    "expert_dim": 24, "vocab": 97, "v_head_dim": 24,
}  # fmt: skip
LENGTHS = [5, 9, 9, 1, 8]


def decoder(**overrides: object) -> Decoder:
    module = build(shape_of("moonlight-proxy", {**SIZES, **overrides}), "cpu", seed=1)
    assert isinstance(module, Decoder)
    module.set_rope(speeds(50_000.0))
    return module


def speeds(base: float, dim: int = 16) -> list[float]:
    return [base ** (-2 * i / dim) for i in range(dim // 2)]


def packed() -> tuple[Tensor, Tensor, Tensor, int]:
    tokens = torch.randint(0, 97, (sum(LENGTHS),), generator=torch.Generator().manual_seed(2))
    positions = torch.cat([torch.arange(n) for n in LENGTHS])
    return tokens, positions, torch.tensor([0, *LENGTHS]).cumsum(0).int(), max(LENGTHS)


def run(model: Decoder, tokens: Tensor, *where: Any) -> Tensor:
    hidden: Tensor = model(model.embed(tokens), *where)
    return hidden


@pytest.mark.parametrize("q_lora_rank", [None, 20])
def test_packed_equals_documents_one_by_one(q_lora_rank: int | None) -> None:
    model = decoder(q_lora_rank=q_lora_rank)
    tokens, positions, cu, longest = packed()
    together = run(model, tokens, positions, cu, longest)
    alone = [
        run(model, part, torch.arange(len(part)), torch.tensor([0, len(part)]).int(), len(part))
        for part in tokens.split(LENGTHS)
    ]
    torch.testing.assert_close(together, torch.cat(alone), atol=2e-5, rtol=2e-5)


def test_documents_do_not_leak_and_the_future_is_not_seen() -> None:
    model = decoder()
    tokens, *where = packed()
    before = run(model, tokens, *where)
    changed = tokens.clone()
    changed[9] = (changed[9] + 1) % 97  # in the second document, 5 ... 13
    after = run(model, changed, *where)
    same = torch.cat((torch.arange(9), torch.arange(14, 32)))
    torch.testing.assert_close(before[same], after[same], atol=1e-6, rtol=0)
    assert bool(((before - after)[9:14].abs().amax(-1) > 1e-4).all())


def test_runs_are_bit_equal() -> None:
    model, (tokens, *where) = decoder(), packed()
    grads = []
    for _ in range(2):
        model.zero_grad()
        run(model, tokens, *where).square().sum().backward()
        grads.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    assert all(torch.equal(a, b) for a, b in zip(*grads, strict=True))


def test_recomputation_changes_nothing_and_counts_once() -> None:
    model, (tokens, *where) = decoder(), packed()
    found = []
    for how in ("none", "full"):
        set_blocks(model, how, False)
        model.zero_grad()
        run(model, tokens, *where).square().sum().backward()
        grads = [p.grad.clone() for p in model.parameters() if p.grad is not None]
        counts = [moe.expert_counts.clone() for moe in model.moe_layers()]
        model.update_router_bias(0.0)
        found.append((grads, counts))
    (grads, counts), (again, counts_again) = found
    assert all(torch.equal(a, b) for a, b in zip(grads, again, strict=True))
    assert [c.tolist() for c in counts] == [c.tolist() for c in counts_again]
    assert all(c.sum() == 2 * len(tokens) for c in counts)


def test_evaluation_does_not_count() -> None:
    model, (tokens, *where) = decoder(), packed()
    model.eval()
    run(model, tokens, *where)
    assert all(moe.expert_counts.sum() == 0 for moe in model.moe_layers())


@pytest.mark.parametrize("base", [10_000.0, 50_000.0, 800_000.0, 1e9])
def test_the_base_is_read_back(base: float) -> None:
    model = decoder()
    model.set_rope(speeds(base))
    assert model.rope.base() == pytest.approx(base, rel=1e-12)
    assert model.rope.inv_freq.dtype == torch.float64
    assert model.rope.by_layer() == [(speeds(base), 1.0)] * model.shape.num_layers
    assert not any("rope" in name for name in model.state_dict())


def test_rope_must_be_set_and_must_fit() -> None:
    model = build(shape_of("moonlight-proxy", SIZES), "cpu", seed=1)
    tokens, *where = packed()
    assert isinstance(model, Decoder)
    with pytest.raises(RuntimeError, match="set_rope"):
        run(model, tokens, *where)
    with pytest.raises(ValueError, match="4 rotation speeds, but heads turn 8 pairs"):
        model.set_rope(speeds(10_000.0, 8))


def test_rope_base_and_attention_scale_are_used() -> None:
    model, (tokens, *where) = decoder(), packed()
    outputs = [run(model, tokens, *where)]
    for base, scale in ((10.0, 1.0), (50_000.0, 1.5)):
        model.set_rope(speeds(base), scale)
        outputs.append(run(model, tokens, *where))
    assert (outputs[0] - outputs[1]).abs().max() > 1e-3
    assert (outputs[0] - outputs[2]).abs().max() > 1e-3


def test_pairs_turn_by_their_angle() -> None:
    x = torch.tensor([[[1.0, 0.0, 0.0, 2.0]]])
    turn = torch.polar(torch.ones(1, 1, 2), torch.tensor([[[math.pi / 2, math.pi]]]))
    expected = torch.tensor([[[0.0, 1.0, 0.0, -2.0]]])
    turn = torch.view_as_real(turn)
    torch.testing.assert_close(rotate_pairs(x, turn), expected, atol=1e-6, rtol=0)


def test_autocast_is_close_to_float32() -> None:
    model, (tokens, *where) = decoder(), packed()
    exact = run(model, tokens, *where)
    for moe in model.moe_layers():
        moe.pinned = moe.last_choice  # or a near tie falls the other way
    with torch.autocast("cpu", torch.bfloat16):
        half = run(model, tokens, *where)
    assert (half.float() - exact).norm() / exact.norm() < 0.02


def test_equal_to_transformers_deepseek_v3() -> None:
    """The published model code, on our weights: one document, same hidden states."""
    from transformers import DeepseekV3Config, DeepseekV3Model

    ours = decoder(num_shared_experts=2)
    shape = ours.shape
    assert isinstance(shape, DecoderShape)
    theirs = DeepseekV3Model(
        DeepseekV3Config(
            vocab_size=shape.vocab, hidden_size=shape.hidden, intermediate_size=shape.ffn_dim,
            moe_intermediate_size=shape.expert_dim, num_hidden_layers=shape.num_layers,
            num_attention_heads=shape.num_heads, num_key_value_heads=shape.num_heads,
            n_shared_experts=2, n_routed_experts=shape.num_experts, n_group=1, topk_group=1,
            routed_scaling_factor=shape.routed_scaling, kv_lora_rank=shape.kv_lora_rank,
            q_lora_rank=None, qk_rope_head_dim=shape.qk_rope_head_dim,
            v_head_dim=shape.v_head_dim, qk_nope_head_dim=shape.qk_nope_head_dim,
            num_experts_per_tok=shape.top_k, first_k_dense_replace=1, norm_topk_prob=True,
            rms_norm_eps=shape.rms_eps, attn_implementation="eager",
            rope_parameters={"rope_type": "default", "rope_theta": 50_000.0},
        )
    ).eval()  # fmt: skip
    state = theirs.state_dict()
    renamed = {_their_name(name): value for name, value in ours.state_dict().items()}
    for layer in range(1, shape.num_layers):
        at = f"layers.{layer}.mlp.experts."
        gate, up = renamed.pop(at + "gate"), renamed.pop(at + "up")
        renamed[at + "gate_up_proj"] = torch.cat((gate, up), dim=1)
    renamed.pop("head.weight")
    assert renamed.keys() == state.keys()
    theirs.load_state_dict(renamed)
    tokens = packed()[0]
    hidden = run(ours, tokens, torch.arange(32), torch.tensor([0, 32], dtype=torch.int32), 32)
    expected = theirs(tokens[None], use_cache=False).last_hidden_state[0]
    torch.testing.assert_close(hidden, expected, atol=2e-5, rtol=2e-5)


def _their_name(name: str) -> str:
    for ours, their in (
        ("embed.", "embed_tokens."), ("attn_norm", "input_layernorm"),
        ("ffn_norm", "post_attention_layernorm"), (".attn.kv_a.", ".self_attn.kv_a_proj_with_mqa."),
        (".attn.kv_norm.", ".self_attn.kv_a_layernorm."), (".attn.kv_b.", ".self_attn.kv_b_proj."),
        (".attn.q.", ".self_attn.q_proj."), (".attn.out.", ".self_attn.o_proj."),
        ("moe.router_bias", "mlp.gate.e_score_correction_bias"),
        ("moe.experts.down", "mlp.experts.down_proj"),
        ("moe.shared.", "mlp.shared_experts."), (".ffn.", ".mlp."),
        ("gate.weight", "gate_proj.weight"), ("up.weight", "up_proj.weight"),
        ("down.weight", "down_proj.weight"), ("moe.router.", "mlp.gate."), ("moe.", "mlp."),
    ):  # fmt: skip
        name = name.replace(ours, their)
    return name
