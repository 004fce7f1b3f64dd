"""The layer that ViT, text tower and captioner share: LayerNorm, biased linears, GELU

T packed positions of queries, S of keys (S = T unless keys are others'), C width.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from curriculum.models.attention import packed_attention
from curriculum.models.block import Block, recomputed
from curriculum.models.rotation import rotate_pairs


@dataclass(frozen=True, slots=True)
class Spans:
    """Where packed documents begin: cu_seqlens [D + 1] int32, and at least the longest's length."""

    cu_seqlens: Tensor
    max_seqlen: int


class Attention(nn.Module):
    """Multi-head attention within documents, or from documents to the spans of others."""

    def __init__(self, width: int, keys_width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.q = nn.Linear(width, width)
        self.k = nn.Linear(keys_width, width)
        self.v = nn.Linear(keys_width, width)
        self.out = nn.Linear(width, width)

    def forward(
        self,
        x: Tensor,
        spans: Spans,
        *,
        causal: bool = False,
        turn: Tensor | None = None,
        keys: tuple[Tensor, Spans] | None = None,
    ) -> Tensor:
        """[T, C] -> [T, C]; `turn` [T, 1, head / 2, 2]; `keys` [S, keys_width] with spans."""
        seen, key_spans = (x, None) if keys is None else keys
        q, k, v = (
            linear(y).unflatten(-1, (self.num_heads, -1))
            for linear, y in ((self.q, x), (self.k, seen), (self.v, seen))
        )
        if turn is not None:
            q, k = rotate_pairs(q, turn), rotate_pairs(k, turn)
        out = packed_attention(
            q,
            k,
            v,
            spans.cu_seqlens,
            spans.max_seqlen,
            causal=causal,
            scale=q.shape[-1] ** -0.5,
            cu_seqlens_k=None if key_spans is None else key_spans.cu_seqlens,
            max_seqlen_k=None if key_spans is None else key_spans.max_seqlen,
        )
        projected: Tensor = self.out(out.flatten(1))
        return projected


class Mlp(nn.Module):
    """Linear, GELU (tanh form, as SigLIP), linear."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, inner)
        self.down = nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        """[T, C] -> [T, C]."""
        out: Tensor = self.down(functional.gelu(self.up(x), approximate="tanh"))
        return out


class EncoderLayer(Block):
    """Attention and feed-forward behind norms; all positions of a document see each other."""

    def __init__(self, width: int, num_heads: int, mlp_dim: int, eps: float) -> None:
        super().__init__()
        self.attn_norm = nn.LayerNorm(width, eps=eps)
        self.attn = Attention(width, width, num_heads)
        self.ffn_norm = nn.LayerNorm(width, eps=eps)
        self.ffn = Mlp(width, mlp_dim)

    def forward(self, x: Tensor, spans: Spans, turn: Tensor | None = None) -> Tensor:
        """[T, C] -> [T, C]."""
        return recomputed(self.recompute, self._body, x, spans, turn)

    def _body(self, x: Tensor, spans: Spans, turn: Tensor | None) -> Tensor:
        x = x + self.attn(self.attn_norm(x), spans, turn=turn)
        out: Tensor = x + self.ffn(self.ffn_norm(x))
        return out


def embed_with_positions(
    embed: nn.Embedding, positions: Tensor, tokens: Tensor, at: Tensor
) -> Tensor:
    """Token embeddings plus learned positions: [C] tokens at [C] positions -> [C, width]."""
    out: Tensor = embed(tokens) + torch.nn.functional.embedding(at, positions)
    return out
