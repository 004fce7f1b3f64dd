"""Rotation: what layers turn by, together and each by itself; nothing turns at speed 0"""

from fractions import Fraction
from math import log

import pytest
import torch
from torch import Tensor

from curriculum.models.decoder import Decoder, LatentAttention
from curriculum.models.presets import shape_of
from curriculum.models.rotation import LayerRotation, Rotation
from curriculum.models.shapes import DecoderShape
from curriculum.models.vlm import build
from curriculum.rope import Rope
from curriculum.rope_scaling import Yarn

SIZES = {"hidden": 48, "num_layers": 3, "num_heads": 2, "ffn_dim": 64, "expert_dim": 24}
FAST, SLOW = [1.0, 0.5], [0.25, 0.125]
YARN = Rope(Fraction(10_000), Yarn(Fraction(40), 16, Fraction(2), Fraction("0.1")))


def decoder() -> Decoder:
    shape = shape_of("moonlight-proxy", {**SIZES, "vocab": 97})
    assert isinstance(shape, DecoderShape)
    module = build(shape, "cpu", seed=1)
    assert isinstance(module, Decoder)
    return module


def attentions(model: Decoder) -> list[LatentAttention]:
    return [module for module in model.modules() if isinstance(module, LatentAttention)]


def hidden(model: Decoder, positions: Tensor) -> Tensor:
    tokens = torch.randint(0, 97, (12,), generator=torch.Generator().manual_seed(2))
    model.eval()
    out: Tensor = model(model.embed(tokens), positions, torch.tensor([0, 12]).int(), 12)
    return out.detach()


def test_layers_that_turn_alike_share_a_row() -> None:
    rotation = Rotation(4, 4)
    layers: list[LayerRotation] = [(FAST, 1.0), (SLOW, 1.0), (FAST, 1.0), (FAST, 1.25)]
    rotation.fill(layers)
    assert rotation.inv_freq.tolist() == [FAST, SLOW, FAST]
    assert rotation.by_layer() == layers
    turns = rotation(torch.tensor([0, 2]))
    assert [factor for _, factor in turns] == [1.0, 1.0, 1.0, 1.25]
    angles = torch.view_as_complex(turns[1][0]).angle()[1, 0]
    torch.testing.assert_close(angles, torch.tensor([0.5, 0.25]))
    assert turns[0][0] is turns[2][0]


def test_the_base_is_that_of_the_first_layer_that_turns() -> None:
    rotation = Rotation(2, 4)
    rotation.fill([([0.0, 0.0], 1.0), ([1.0, 0.01], 1.0)])
    assert rotation.base() == 10_000
    rotation.fill([([0.0, 0.0], 1.0)] * 2)
    assert rotation.base() is None


def test_every_layer_is_filled_with_all_its_pairs() -> None:
    with pytest.raises(ValueError, match="1 rotations for 2 layers"):
        Rotation(2, 4).fill([(FAST, 1.0)])
    with pytest.raises(ValueError, match="1 rotation speeds, but heads turn 2 pairs"):
        Rotation(1, 4).fill([([1.0], 1.0)])
    with pytest.raises(RuntimeError, match="set_rope"):
        Rotation(1, 4)(torch.arange(2))


def test_a_model_that_turns_nothing_does_not_see_positions() -> None:
    model = decoder()
    still = Rope(None).inv_freq(16)
    here, there = torch.arange(12), torch.arange(12) * 7 % 12
    model.set_rope(still)
    torch.testing.assert_close(hidden(model, here), hidden(model, there), atol=0, rtol=0)
    model.rope.fill([(still, 1.0), (Rope(Fraction(10_000)).inv_freq(16), 1.0), (still, 1.0)])
    assert (hidden(model, here) - hidden(model, there)).abs().max() > 1e-3


def test_the_attention_factor_is_that_of_queries_and_keys() -> None:
    """A factor m is the same as queries and keys times m: here m folded into both projections."""
    model, folded = decoder(), decoder()
    factor = 1.5
    speeds = YARN.inv_freq(16)
    model.set_rope(speeds, factor)
    folded.set_rope(speeds)
    assert isinstance(model.shape, DecoderShape)
    rope, nope = 16, model.shape.qk_nope_head_dim
    with torch.no_grad():
        for attention in attentions(folded):
            attention.q.weight *= factor
            attention.kv_a.weight[-rope:] *= factor
            keys = attention.kv_b.weight.unflatten(0, (model.shape.num_heads, -1))
            keys[:, :nope] *= factor
    where = torch.arange(12)
    torch.testing.assert_close(hidden(model, where), hidden(folded, where), atol=2e-5, rtol=1e-4)


def test_yarn_in_a_model_is_that_of_transformers_deepseek_v3() -> None:
    """One layer's rotation and softmax scale are those of the published code, both mscales 1."""
    from transformers import DeepseekV3Config
    from transformers.models.deepseek_v3 import modeling_deepseek_v3 as theirs

    config = DeepseekV3Config(
        hidden_size=48, num_attention_heads=2, num_key_value_heads=2, kv_lora_rank=64,
        q_lora_rank=None, qk_rope_head_dim=16, qk_nope_head_dim=16, v_head_dim=32,
        attn_implementation="eager",
        rope_parameters={
            "rope_type": "yarn", "rope_theta": 10_000.0, "factor": 40.0, "beta_fast": 2.0,
            "beta_slow": 0.1, "mscale": 1.0, "mscale_all_dim": 1.0,
            "original_max_position_embeddings": 16,
        },
    )  # fmt: skip
    rotary = theirs.DeepseekV3RotaryEmbedding(config)
    assert YARN.inv_freq(16) == pytest.approx(rotary.inv_freq.tolist(), rel=1e-6)
    assert rotary.attention_scaling == 1.0
    assert YARN.attention_factor == pytest.approx(0.1 * log(40) + 1)
    attention = theirs.DeepseekV3Attention(config, layer_idx=0)
    model = decoder()
    ours = model.shape.qk_head_dim**-0.5 * YARN.attention_factor**2
    assert ours == pytest.approx(attention.scaling)

    own = attentions(model)[0]
    names = {"q": "q_proj", "kv_a": "kv_a_proj_with_mqa", "kv_norm": "kv_a_layernorm",
             "kv_b": "kv_b_proj", "out": "o_proj"}  # fmt: skip
    state = {f"{names[n.split('.')[0]]}.weight": value for n, value in own.state_dict().items()}
    attention.load_state_dict(state)
    model.set_rope(YARN.inv_freq(16), YARN.attention_factor)
    x = torch.randn(12, 48, generator=torch.Generator().manual_seed(3))
    positions = torch.arange(12) * 5
    turn, factor = model.rope(positions)[0]
    scale = factor**2 * model.shape.qk_head_dim**-0.5
    found = own(x, turn, torch.tensor([0, 12]).int(), 12, scale)
    mask = torch.full((12, 12), -torch.inf).triu(1)[None, None]
    expected = attention(x[None], rotary(x[None], positions[None]), mask)[0][0]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
