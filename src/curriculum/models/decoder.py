"""The language model: latent attention and experts, or dense layers; RoPE by the plan

    tokens [T] --embed--> x [T, C] --layers--> norm --> hidden [T, C]      (head: losses.py, vlm.py)

    layer:  x + attn(norm x);  x + ffn(norm x), dense in the first layers, experts in the others
    attn:   q(x) = q_nope | q_rope;  kv_a(x) = latent | k_rope;  kv_b(norm latent) = k_nope | v

T packed tokens, C hidden, H heads, D documents. RoPE turns the rope part only, in neighbouring
pairs (2i, 2i + 1), as the published weights have it; all heads share one k_rope. The layers of a
dense decoder are dense.py's.
Source: DeepSeek-V2 (arXiv 2405.04434), 2.1; RoPE: arXiv 2104.09864, eq. 34.
"""

from collections.abc import Iterator, Sequence
from typing import Any, assert_never

import torch
from torch import Tensor, nn

from curriculum.models.attention import packed_attention
from curriculum.models.block import Block, recomputed
from curriculum.models.dense import DenseLayer
from curriculum.models.dense_shape import DenseDecoderShape
from curriculum.models.moe import GatedFfn, Moe
from curriculum.models.rotation import Rotation, rotate_pairs
from curriculum.models.shapes import DecoderShape


class LatentAttention(nn.Module):
    """Causal attention whose keys and values come from one small latent per token."""

    def __init__(self, shape: DecoderShape) -> None:
        super().__init__()
        c, h, eps = shape.hidden, shape.num_heads, 1e-6  # not rms_eps: as the published code
        if shape.q_lora_rank is None:
            self.q = nn.Linear(c, h * shape.qk_head_dim, bias=False)
        else:
            self.q_a = nn.Linear(c, shape.q_lora_rank, bias=False)
            self.q_norm = nn.RMSNorm(shape.q_lora_rank, eps=eps)
            self.q_b = nn.Linear(shape.q_lora_rank, h * shape.qk_head_dim, bias=False)
        self.kv_a = nn.Linear(c, shape.kv_lora_rank + shape.qk_rope_head_dim, bias=False)
        self.kv_norm = nn.RMSNorm(shape.kv_lora_rank, eps=eps)
        inner = shape.qk_nope_head_dim + shape.v_head_dim
        self.kv_b = nn.Linear(shape.kv_lora_rank, h * inner, bias=False)
        self.out = nn.Linear(h * shape.v_head_dim, c, bias=False)
        self.shape = shape

    def forward(
        self, x: Tensor, turn: Tensor, cu_seqlens: Tensor, max_seqlen: int, scale: float
    ) -> Tensor:
        """[T, C] -> [T, C]; `turn` [T, 1, rope / 2, 2], `scale` of the softmax."""
        s = self.shape
        q = self.q(x) if s.q_lora_rank is None else self.q_b(self.q_norm(self.q_a(x).float()))
        q_nope, q_rope = q.unflatten(-1, (s.num_heads, -1)).split(
            (s.qk_nope_head_dim, s.qk_rope_head_dim), dim=-1
        )
        # Norms are taken in float32: their weights are, whatever the products run in.
        latent, k_rope = self.kv_a(x).split((s.kv_lora_rank, s.qk_rope_head_dim), dim=-1)
        kv = self.kv_b(self.kv_norm(latent.float())).unflatten(-1, (s.num_heads, -1))
        k_nope, v = kv.split((s.qk_nope_head_dim, s.v_head_dim), dim=-1)
        k_rope = rotate_pairs(k_rope.unsqueeze(1), turn).expand(-1, s.num_heads, -1)
        out = packed_attention(
            torch.cat((q_nope, rotate_pairs(q_rope, turn)), dim=-1),
            torch.cat((k_nope, k_rope), dim=-1),
            v,
            cu_seqlens,
            max_seqlen,
            causal=True,
            scale=scale,
        )
        projected: Tensor = self.out(out.flatten(1))
        return projected


class Layer(Block):
    """Attention and feed-forward, each behind its norm, each added to the stream."""

    def __init__(self, shape: DecoderShape, layer: int) -> None:
        super().__init__()
        self.attn_norm = nn.RMSNorm(shape.hidden, eps=shape.rms_eps)
        self.attn = LatentAttention(shape)
        self.ffn_norm = nn.RMSNorm(shape.hidden, eps=shape.rms_eps)
        self.moe = None if shape.is_dense(layer) else Moe(shape)
        self.ffn = GatedFfn(shape.hidden, shape.ffn_dim) if self.moe is None else None

    def forward(
        self, x: Tensor, turn: Tensor, cu_seqlens: Tensor, max_seqlen: int, scale: float
    ) -> Tensor:
        """[T, C] -> [T, C]."""
        body = self._dense if self.moe is None else self._routed
        x, *found = recomputed(self.recompute, body, x, turn, cu_seqlens, max_seqlen, scale)
        if self.moe is not None:
            self.moe.note(*found)
        return x

    def _dense(self, x: Tensor, *where: Any) -> tuple[Tensor]:
        assert self.ffn is not None
        x = x + self.attn(self.attn_norm(x), *where)
        return (x + self.ffn(self.ffn_norm(x)),)

    def _routed(self, x: Tensor, *where: Any) -> tuple[Tensor, Tensor, Tensor]:
        assert self.moe is not None
        x = x + self.attn(self.attn_norm(x), *where)
        out, choice, scores = self.moe.routed(self.ffn_norm(x))
        return x + out, choice, scores


class Decoder(nn.Module):
    """The language model without its loss."""

    def __init__(self, shape: DecoderShape | DenseDecoderShape) -> None:
        super().__init__()
        self.shape = shape
        self.embed = nn.Embedding(shape.vocab, shape.hidden)
        self.layers = nn.ModuleList(_layer(shape, i) for i in range(shape.num_layers))
        self.norm = nn.RMSNorm(shape.hidden, eps=shape.rms_eps)
        tied = shape.tied_embeddings
        self.head = None if tied else nn.Linear(shape.hidden, shape.vocab, bias=False)
        self.rope = Rotation(shape.num_layers, shape.rope_head_dim)

    @property
    def head_weight(self) -> Tensor:
        """Weight of the head [V, C]: its own, or the embeddings where they are tied."""
        return self.embed.weight if self.head is None else self.head.weight

    def set_rope(self, inv_freq: Sequence[float], attention_factor: float = 1.0) -> None:
        """Turn all layers alike: see `Rotation.fill`."""
        self.rope.fill([(inv_freq, attention_factor)] * self.shape.num_layers)

    def moe_layers(self) -> Iterator[Moe]:
        """The layers' experts, first layer first."""
        for layer in self.layers:
            if isinstance(layer.moe, Moe):
                yield layer.moe

    def update_router_bias(self, rate: float) -> None:
        """Apply `Moe.update_bias` to every layer; once a step, after its last micro-batch."""
        for moe in self.moe_layers():
            moe.update_bias(rate)

    def forward(
        self,
        x: Tensor,
        positions: Tensor,
        cu_seqlens: Tensor,
        max_seqlen: int,
        live: Tensor | None = None,
    ) -> Tensor:
        """Embeddings x [T, C] to hidden states [T, C]; `positions` [T] within the document.

        `live` [T] bool keeps padding out of the experts' counts (training mode counts).
        """
        rotations = self.rope(positions)
        for layer, (turn, factor) in zip(self.layers, rotations, strict=True):
            scale = factor**2 * self.shape.qk_head_dim**-0.5
            x = layer(x, turn, cu_seqlens, max_seqlen, scale)
            # Counted here, outside of what is recomputed, or a token would count twice.
            if self.training and isinstance(layer.moe, Moe):
                layer.moe.count(live)
        out: Tensor = self.norm(x)
        return out


def _layer(shape: DecoderShape | DenseDecoderShape, layer: int) -> nn.Module:
    match shape:
        case DecoderShape():
            return Layer(shape, layer)
        case DenseDecoderShape():
            return DenseLayer(shape, layer)
        case _:
            assert_never(shape)
