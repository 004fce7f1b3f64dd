"""FLOPs per token of a module: 6 N_active + attention, and less where it is frozen

The convention (stated wherever a number is printed): a multiply and an add are two; N is the active
parameters without input embeddings, the LM head included; attention counts every pair of positions
of a sequence, causal or not (the "full-attention" convention of PaLM, arXiv 2204.02311, appendix B;
Megatron-LM, llm-foundry and torchtitan print the same); nothing is counted for recomputation.

The token is the module's own: an LLM position, a ViT patch, a cell of merged patches that the
projector makes one LLM position of, a caption token of the text tower and of the captioner. What
those two do once per patch (keys and values of the pooling head, of cross-attention) is
`flops_per_patch`; the pooling head's work once per image is left out (a few patches' worth). Of a
module known by counts, attention is counted where its heads and layers are said, and left out
elsewhere (`lacks_attention`).
"""

import enum
from typing import assert_never

from curriculum.models.counted_shape import CountedShape
from curriculum.models.dense_shape import DenseDecoderShape
from curriculum.models.grouped_moe_shape import GroupedMoeShape
from curriculum.models.shapes import (
    CaptionerShape,
    DecoderShape,
    ProjectorShape,
    Shape,
    TextTowerShape,
    VitShape,
)


class Gradient(enum.Enum):
    """How much of the backward pass a module takes part in."""

    TRAINED = "trained"  # forward, gradient of inputs, gradient of weights
    THROUGH = "through"  # frozen, but gradient flows through it to a trained module before it
    NONE = "none"  # frozen, and nothing trained lies before it: forward only


def flops_params(shape: Shape) -> int:
    """N of the convention: active parameters that multiply, per token; LM head in, embeddings out.

    >>> from curriculum.models.presets import PRESETS
    >>> round(flops_params(PRESETS["moonlight-16b-a3b"]) / 1e6)
    2579
    """
    if isinstance(shape, CountedShape):
        looked_up = 0 if shape.tied_embeddings else shape.embedding_params
        return shape.num_active_params() - looked_up
    counts = shape.params_by_part(active=True)
    total = sum(n for part, n in counts.items() if part not in ("embeddings", "pool", "logits"))
    match shape:
        case VitShape():
            return total + shape.hidden * shape.patch_dim  # its patch embedding is a product
        case DenseDecoderShape() | GroupedMoeShape() if shape.tied_embeddings:
            return total + counts["embeddings"]  # they are the head
        case CaptionerShape():
            return total - _keys_params(shape)
        case _:
            return total


def attention_width(shape: Shape) -> int:
    """Numbers multiplied for one pair of positions: layers x heads x (query + value length)."""
    match shape:
        case DecoderShape():
            return shape.num_layers * shape.num_heads * (shape.qk_head_dim + shape.v_head_dim)
        case DenseDecoderShape() | GroupedMoeShape():
            return shape.num_layers * shape.num_heads * shape.head_dim * 2
        case CountedShape():
            return shape.attention_width
        case VitShape() | TextTowerShape() | CaptionerShape():
            return shape.num_layers * shape.hidden * 2
        case ProjectorShape():
            return 0
        case _:
            raise AssertionError(f"no such shape: {shape}")


def attention_products(shape: Shape, seq_len: int) -> int:
    """Products of one token with all that it sees, of all layers: width x `seq_len`, or a window's.

    >>> from curriculum.models.presets import shape_of
    >>> local = shape_of("dense-proxy", {"window": 64, "full_attention_every": 2})
    >>> attention_products(local, 256) == 3 * 320 * 256 + 3 * 320 * 64
    True
    """
    if not isinstance(shape, DenseDecoderShape):
        return attention_width(shape) * seq_len
    each = attention_width(shape) // shape.num_layers
    windows = [shape.window_of(layer) for layer in range(shape.num_layers)]
    return each * sum(seq_len if w is None else min(w, seq_len) for w in windows)


def lacks_attention(shape: Shape) -> bool:
    """Whether the attention of a module is left out, because nobody says its heads and layers."""
    counted = isinstance(shape, CountedShape) and shape.kind in ("llm", "vit")
    return counted and attention_width(shape) == 0


def forward_flops_per_token(shape: Shape, seq_len: int) -> int:
    """FLOPs of one forward pass, per token: 2 N + 2 x attention products.

    `seq_len` is how many positions one attention sees: tokens of a sequence, patches of an image.

    >>> from curriculum.models.presets import PRESETS
    >>> forward_flops_per_token(PRESETS["moonlight-16b-a3b"], 8192)
    7423384576
    """
    return 2 * flops_params(shape) + 2 * attention_products(shape, seq_len)


def train_flops_per_token(shape: Shape, seq_len: int, gradient: Gradient = Gradient.TRAINED) -> int:
    """FLOPs of forward and backward, per token: 6 N (trained), 4 N (through) or 2 N (none).

    Attention has no weights: its backward pass costs twice its forward wherever gradient flows.

    >>> from curriculum.models.presets import PRESETS
    >>> train_flops_per_token(PRESETS["moonlight-16b-a3b"], 8192)
    22270153728
    """
    attention = 2 * attention_products(shape, seq_len)
    match gradient:
        case Gradient.TRAINED:
            return 6 * flops_params(shape) + 3 * attention
        case Gradient.THROUGH:
            return 4 * flops_params(shape) + 3 * attention
        case Gradient.NONE:
            return 2 * flops_params(shape) + attention
        case _:
            assert_never(gradient)


def patches_per_position(shape: Shape) -> int | None:
    """Patches of a ViT that the projector makes one LLM position of; None where nobody says."""
    if isinstance(shape, CountedShape):
        return None if shape.merge is None else shape.merge**2
    assert isinstance(shape, VitShape)
    return shape.merge**2


def flops_per_patch(shape: Shape, gradient: Gradient = Gradient.TRAINED) -> int:
    """FLOPs that a text tower or captioner does for each patch of an image: its keys and values."""
    factor = {Gradient.TRAINED: 6, Gradient.THROUGH: 4, Gradient.NONE: 2}[gradient]
    return factor * _keys_params(shape)


def _keys_params(shape: Shape) -> int:
    match shape:
        case TextTowerShape():
            return 2 * shape.vit_hidden**2
        case CaptionerShape():
            return 2 * shape.num_layers * shape.hidden * shape.vit_hidden
        case _:
            return 0
