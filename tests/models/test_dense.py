"""Dense layers: the published codes on copied weights, documents apart, tied heads."""

from typing import Any

import pytest
import torch
from torch import Tensor

from curriculum.models.block import set_blocks
from curriculum.models.decoder import Decoder
from curriculum.models.dense import PlainFfn
from curriculum.models.presets import shape_of
from curriculum.models.rotation import rotate_halves
from curriculum.models.vlm import build, is_matrix

SIZES = {
    "hidden": 48, "num_layers": 4, "num_heads": 4, "num_kv_heads": 2, "head_dim": 12,
    "ffn_dim": 64, "vocab": 97, "rms_eps": 1e-6,
}  # fmt: skip
LENGTHS = [5, 9, 9, 1, 8]
BASE = 10_000.0


def decoder(**overrides: object) -> Decoder:
    module = build(shape_of("dense-proxy", {**SIZES, **overrides}), "cpu", seed=1)
    assert isinstance(module, Decoder)
    dim = module.shape.rope_head_dim
    module.set_rope([BASE ** (-2 * i / dim) for i in range(dim // 2)])
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if parameter.ndim == 1:  # biases of 0 and gains of 1 would hide mistakes
                generator = torch.Generator().manual_seed(len(name))
                parameter.add_(torch.randn(parameter.shape, generator=generator) / 4)
    return module


def some_tokens() -> Tensor:
    return torch.randint(0, 97, (sum(LENGTHS),), generator=torch.Generator().manual_seed(2))


def one_document(model: Decoder, tokens: Tensor) -> Tensor:
    """Logits [T, V] of one document."""
    n = len(tokens)
    where = torch.arange(n), torch.tensor([0, n], dtype=torch.int32), n
    hidden: Tensor = model(model.embed(tokens), *where)
    return hidden @ model.head_weight.t()


COMMON = {
    "vocab_size": 97, "hidden_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 64, "rms_norm_eps": 1e-6,
    "attn_implementation": "eager", "pad_token_id": None, "bos_token_id": 1, "eos_token_id": 2,
    "rope_parameters": {"rope_type": "default", "rope_theta": BASE},
}  # fmt: skip


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(
    ("family", "own", "theirs"),
    [
        ("Llama", {}, {"head_dim": 12}),
        ("Llama", {"head_dim": 8}, {"head_dim": 8}),
        ("Llama", {"num_kv_heads": 1}, {"head_dim": 12, "num_key_value_heads": 1}),
        ("Qwen2", {"qkv_bias": True}, {}),
        ("Qwen3", {"qk_norm": True}, {"head_dim": 12}),
        ("Olmo2", {"qk_norm": True, "qk_norm_whole": True, "norm_after": True}, {}),
        ("SmolLM3", {"nope_every": 4}, {}),
        ("SmolLM3", {"nope_every": 2}, {"no_rope_layer_interval": 2}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_equal_to_transformers(
    family: str, own: dict[str, object], theirs: dict[str, Any], tied: bool
) -> None:
    """The published model code, on our weights: one document, same logits."""
    import transformers

    ours = decoder(**own, tied_embeddings=tied)
    config = getattr(transformers, f"{family}Config")(**(COMMON | theirs), tie_word_embeddings=tied)
    model = getattr(transformers, f"{family}ForCausalLM")(config).eval()
    renamed = {_their_name(name, family): value for name, value in ours.state_dict().items()}
    if tied:
        renamed["lm_head.weight"] = renamed["model.embed_tokens.weight"]
    assert renamed.keys() == model.state_dict().keys()
    model.load_state_dict(renamed)
    tokens = some_tokens()
    expected = model(tokens[None], use_cache=False).logits[0]
    torch.testing.assert_close(one_document(ours, tokens), expected, atol=1e-5, rtol=1e-5)


def _their_name(name: str, family: str) -> str:
    norms = ("input_layernorm", "post_attention_layernorm")
    if family == "Olmo2":
        norms = ("post_attention_layernorm", "post_feedforward_layernorm")
    for ours, their in (
        (".attn.q.", ".self_attn.q_proj."), (".attn.k.", ".self_attn.k_proj."),
        (".attn.v.", ".self_attn.v_proj."), (".attn.out.", ".self_attn.o_proj."),
        (".attn.", ".self_attn."), (".ffn.gate.", ".mlp.gate_proj."),
        (".ffn.up.", ".mlp.up_proj."), (".ffn.down.", ".mlp.down_proj."),
        ("attn_norm", norms[0]), ("ffn_norm", norms[1]), ("embed.", "embed_tokens."),
    ):  # fmt: skip
        name = name.replace(ours, their)
    return "lm_head.weight" if name == "head.weight" else f"model.{name}"


def test_a_plain_feed_forward_is_two_linears_around_gelu() -> None:
    ffn = PlainFfn(48, 64)
    x = torch.randn(7, 48, generator=torch.Generator().manual_seed(0))
    inner = x @ ffn.up.weight.t()
    expected = (inner * 0.5 * (1 + torch.erf(inner / 2**0.5))) @ ffn.down.weight.t()
    torch.testing.assert_close(ffn(x), expected, atol=1e-6, rtol=1e-5)


VARIANTS: dict[str, dict[str, object]] = {
    "llama": {},
    "normed": {"qk_norm": True, "qkv_bias": True, "nope_every": 2},
    "after": {"qk_norm": True, "qk_norm_whole": True, "norm_after": True, "gated": False},
}


@pytest.mark.parametrize("own", VARIANTS.values(), ids=VARIANTS)
def test_packed_equals_documents_one_by_one(own: dict[str, object]) -> None:
    model, tokens = decoder(**own), some_tokens()
    positions = torch.cat([torch.arange(n) for n in LENGTHS])
    cu = torch.tensor([0, *LENGTHS]).cumsum(0).int()
    together = model(model.embed(tokens), positions, cu, max(LENGTHS)) @ model.head_weight.t()
    alone = [one_document(model, part) for part in tokens.split(LENGTHS)]
    torch.testing.assert_close(together, torch.cat(alone), atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("own", VARIANTS.values(), ids=VARIANTS)
def test_recomputation_changes_nothing_and_autocast_little(own: dict[str, object]) -> None:
    model, tokens = decoder(**own), some_tokens()
    grads = []
    for how in ("none", "full"):
        set_blocks(model, how, False)
        model.zero_grad()
        one_document(model, tokens).square().sum().backward()
        grads.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    assert len(grads[0]) == len(list(model.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(*grads, strict=True))
    exact = one_document(model, tokens)
    with torch.autocast("cpu", torch.bfloat16):
        half = one_document(model, tokens)
    assert (half.float() - exact).norm() / exact.norm() < 0.03


def test_halves_turn_by_their_angle() -> None:
    x = torch.tensor([[[1.0, 0.0, 0.0, 2.0]]])
    turn = torch.polar(torch.ones(1, 1, 2), torch.tensor([[[torch.pi / 2, torch.pi]]]))
    expected = torch.tensor([[[0.0, 0.0, 1.0, -2.0]]])
    turn = torch.view_as_real(turn)
    torch.testing.assert_close(rotate_halves(x, turn), expected, atol=1e-6, rtol=0)


def test_layers_without_rope_are_the_same_at_any_base() -> None:
    tokens = some_tokens()
    for every, moves in ((1, False), (2, True)):
        model = decoder(nope_every=every)
        before = one_document(model, tokens)
        model.set_rope([100.0 ** (-2 * i / 12) for i in range(6)])
        assert bool((one_document(model, tokens) - before).abs().max() > 1e-3) is moves


def test_a_tied_head_has_no_weight_of_its_own_and_learns_from_both_ends() -> None:
    model = decoder()
    assert "head.weight" not in model.state_dict()
    assert model.head_weight is model.embed.weight
    assert not is_matrix("llm", "embed.weight", model.embed.weight)
    one_document(model, torch.tensor([3])).logsumexp(-1).sum().backward()
    assert model.embed.weight.grad is not None
    assert bool((model.embed.weight.grad.abs().sum(1) > 0).all())  # as a head, every row


def test_fresh_logits_of_a_tied_head_are_of_size_one() -> None:
    model = build(shape_of("dense-proxy", {"num_layers": 1}), "cpu", seed=0)
    assert isinstance(model, Decoder)
    state = torch.randn(64, 160, generator=torch.Generator().manual_seed(0))
    assert 0.9 < (state @ model.head_weight.t()).std() < 1.1


def test_windows_run_up_to_their_length() -> None:
    tokens = some_tokens()[:16]
    local, full = decoder(window=16, full_attention_every=2), decoder()
    assert torch.equal(one_document(local, tokens), one_document(full, tokens))
    with pytest.raises(RuntimeError, match="a window of 16 is built for no longer documents"):
        one_document(local, some_tokens()[:17])


def test_a_dense_decoder_has_no_router() -> None:
    model = decoder()
    assert list(model.moe_layers()) == []
    model.update_router_bias(0.1)
