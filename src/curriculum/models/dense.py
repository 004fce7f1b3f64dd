"""Layers of a dense decoder: grouped-query attention and a feed-forward, norms before or after

    layer:  x + attn(norm x);  x + ffn(norm x)        norm_after: x + norm(attn x);  x + norm(ffn x)
    attn:   q(x) | k(x), v(x), each of which several queries share

T packed tokens, C hidden, H query heads, G heads of keys and values, D head dimension. RoPE turns
number i with number i + D / 2, as the published weights of the Llama family have it. Sources:
arXiv 2302.13971; grouped queries: arXiv 2305.13245; norms behind: arXiv 2501.00656.
"""

from torch import Tensor, nn
from torch.nn import functional

from curriculum.models.attention import packed_attention
from curriculum.models.block import Block, recomputed
from curriculum.models.dense_shape import DenseDecoderShape
from curriculum.models.moe import GatedFfn
from curriculum.models.rotation import rotate_halves


class GroupedAttention(nn.Module):
    """Causal attention in which H / G queries share a key and a value."""

    def __init__(self, shape: DenseDecoderShape, layer: int) -> None:
        super().__init__()
        c, d, bias = shape.hidden, shape.head_dim, shape.qkv_bias
        self.q = nn.Linear(c, shape.num_heads * d, bias=bias)
        self.k = nn.Linear(c, shape.num_kv_heads * d, bias=bias)
        self.v = nn.Linear(c, shape.num_kv_heads * d, bias=bias)
        self.out = nn.Linear(shape.num_heads * d, c, bias=False)
        self.q_norm = self.k_norm = None
        if shape.qk_norm:
            whole = shape.qk_norm_whole
            self.q_norm = nn.RMSNorm(self.q.out_features if whole else d, eps=shape.rms_eps)
            self.k_norm = nn.RMSNorm(self.k.out_features if whole else d, eps=shape.rms_eps)
        self.shape, self.turns = shape, shape.has_rope(layer)

    def forward(
        self, x: Tensor, turn: Tensor, cu_seqlens: Tensor, max_seqlen: int, scale: float
    ) -> Tensor:
        """[T, C] -> [T, C]; `turn` [T, 1, D / 2, 2], `scale` of the softmax."""
        v = self.v(x).unflatten(-1, (-1, self.shape.head_dim))
        q, k = self._heads(self.q(x), self.q_norm), self._heads(self.k(x), self.k_norm)
        if self.turns:
            q, k = rotate_halves(q, turn), rotate_halves(k, turn)
        shared = self.shape.num_heads // self.shape.num_kv_heads
        out = packed_attention(
            q.to(v.dtype),
            k.to(v.dtype).repeat_interleave(shared, dim=1),
            v.repeat_interleave(shared, dim=1),
            cu_seqlens,
            max_seqlen,
            causal=True,
            scale=scale,
        )
        projected: Tensor = self.out(out.flatten(1))
        return projected

    def _heads(self, x: Tensor, norm: nn.RMSNorm | None) -> Tensor:
        """[T, H D] -> [T, H, D], normed in float32: the norm's weights are."""
        if norm is not None and self.shape.qk_norm_whole:
            x = norm(x.float())
        x = x.unflatten(-1, (-1, self.shape.head_dim))
        return x if norm is None or self.shape.qk_norm_whole else norm(x.float())


class PlainFfn(nn.Module):
    """Linear, GELU, linear, without biases."""

    def __init__(self, hidden: int, inner: int) -> None:
        super().__init__()
        self.up = nn.Linear(hidden, inner, bias=False)
        self.down = nn.Linear(inner, hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[T, C] -> [T, C]."""
        out: Tensor = self.down(functional.gelu(self.up(x)))
        return out


class DenseLayer(Block):
    """Attention and feed-forward, each with its norm, each added to the stream."""

    moe = None  # no experts, as Decoder asks of every layer

    def __init__(self, shape: DenseDecoderShape, layer: int) -> None:
        super().__init__()
        self.attn_norm = nn.RMSNorm(shape.hidden, eps=shape.rms_eps)
        self.attn = GroupedAttention(shape, layer)
        self.ffn_norm = nn.RMSNorm(shape.hidden, eps=shape.rms_eps)
        make = GatedFfn if shape.gated else PlainFfn
        self.ffn = make(shape.hidden, shape.ffn_dim)
        self.norm_after, self.window = shape.norm_after, shape.window_of(layer)

    def forward(
        self, x: Tensor, turn: Tensor, cu_seqlens: Tensor, max_seqlen: int, scale: float
    ) -> Tensor:
        """[T, C] -> [T, C]; RuntimeError where documents are longer than a local layer's window."""
        if self.window is not None and max_seqlen > self.window:
            raise RuntimeError(f"a window of {self.window} is built for no longer documents")
        return recomputed(self.recompute, self._body, x, turn, cu_seqlens, max_seqlen, scale)

    def _body(
        self, x: Tensor, turn: Tensor, cu_seqlens: Tensor, max_seqlen: int, scale: float
    ) -> Tensor:
        if self.norm_after:
            x = x + self.attn_norm(self.attn(x, turn, cu_seqlens, max_seqlen, scale).float())
            out: Tensor = x + self.ffn_norm(self.ffn(x).float())
            return out
        x = x + self.attn(self.attn_norm(x), turn, cu_seqlens, max_seqlen, scale)
        out = x + self.ffn(self.ffn_norm(x))
        return out
