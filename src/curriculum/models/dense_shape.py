"""The sizes of a dense decoder: grouped queries, plain or gated feed-forward, local layers

One shape for the Llama family and its neighbours: SmolLM, OLMo 2 (norms behind, queries and keys
normed as a whole), Qwen2 (biases), Qwen3 (normed heads), SmolLM3 (layers without RoPE), and layers
that see a window only. Only the standard library is imported here: the planner reads shapes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from curriculum.models.shapes import Shape, Weights, check_positive, gated, grouped_query


@dataclass(frozen=True, slots=True)
class DenseDecoderShape(Shape):
    """A decoder whose every layer has grouped-query attention and one feed-forward.

    Source: arXiv 2302.13971 (layers), arXiv 2305.13245 (grouped queries), arXiv 2501.00656
    (`norm_after`, `qk_norm_whole`: OLMo 2), arXiv 2501.18795 (`nope_every`).
    """

    kind: ClassVar[str] = "llm"
    hidden: int
    num_layers: int
    num_heads: int
    num_kv_heads: int  # divides num_heads: so many queries share a key and a value
    head_dim: int
    ffn_dim: int
    gated: bool  # SwiGLU, three matrices; else up, GELU, down
    qkv_bias: bool
    qk_norm: bool  # RMSNorm of every query and key
    qk_norm_whole: bool  # of all heads' numbers together, not of each head
    norm_after: bool  # norms of what a layer adds to the stream, not of what it reads
    nope_every: int | None  # every n-th layer has no RoPE; None: all have
    window: int | None  # positions that a local layer sees, its own included; None: none is local
    full_attention_every: int | None  # with a window: every n-th layer sees all; None: none does
    vocab: int
    max_positions: int
    rms_eps: float
    tied_embeddings: bool  # the embeddings are the head

    def __post_init__(self) -> None:
        check_positive(self)
        if self.num_heads % self.num_kv_heads:
            raise ValueError(
                f"num_kv_heads {self.num_kv_heads} does not divide num_heads {self.num_heads}"
            )
        if self.head_dim % 2 or self.head_dim < 4:
            raise ValueError(
                f"head_dim {self.head_dim}: RoPE turns pairs, and its base is read back from the "
                "first two: an even number, at least 4"
            )
        if self.qk_norm_whole and not self.qk_norm:
            raise ValueError("qk_norm_whole: true says how `qk_norm: true` is meant")
        if self.full_attention_every is not None and self.window is None:
            raise ValueError("full_attention_every needs a `window` for the layers between")

    @property
    def qk_head_dim(self) -> int:
        """Length of a query and of a key."""
        return self.head_dim

    @property
    def rope_head_dim(self) -> int:
        """See Shape."""
        return self.head_dim

    def rope_layers(self) -> tuple[int, ...]:
        """See Shape.

        >>> from curriculum.models.presets import shape_of
        >>> shape_of("dense-proxy", {"nope_every": 4}).rope_layers()
        (0, 1, 2, 4, 5)
        """
        return tuple(layer for layer in range(self.num_layers) if self.has_rope(layer))

    def has_rope(self, layer: int) -> bool:
        """Whether layer `layer` (from 0) turns its queries and keys."""
        return self.nope_every is None or (layer + 1) % self.nope_every != 0

    def window_of(self, layer: int) -> int | None:
        """Positions that layer `layer` (from 0) sees; None where it sees all."""
        every = self.full_attention_every
        return None if every is not None and (layer + 1) % every == 0 else self.window

    def rope_parts(self) -> Mapping[str, tuple[int, ...]]:
        """See Shape: local and full layers may turn differently; a layer without RoPE is in none.

        >>> from curriculum.models.presets import shape_of
        >>> said = {"num_layers": 4, "window": 64, "full_attention_every": 2}
        >>> shape_of("dense-proxy", said).rope_parts()
        {'full_attention': (1, 3), 'sliding_attention': (0, 2)}
        """
        if self.window is None:
            return {}
        turning = self.rope_layers()
        full = tuple(layer for layer in turning if self.window_of(layer) is None)
        local = tuple(layer for layer in turning if self.window_of(layer) is not None)
        parts = {"full_attention": full, "sliding_attention": local}
        return {part: layers for part, layers in parts.items() if layers}

    def weights(self) -> Weights:
        """See Shape."""
        c, keys = self.hidden, self.num_kv_heads * self.head_dim
        queries = self.num_heads * self.head_dim
        normed = (queries, keys) if self.qk_norm_whole else (self.head_dim, self.head_dim)
        norms = normed if self.qk_norm else None
        found: Weights = {"embed.weight": (self.vocab, c)}
        for i in range(self.num_layers):
            at = f"layers.{i}."
            found[at + "attn_norm.weight"] = (c,)
            found |= grouped_query(at + "attn.", c, queries, keys, bias=self.qkv_bias, norms=norms)
            found[at + "ffn_norm.weight"] = (c,)
            if self.gated:
                found |= gated(at + "ffn.", c, self.ffn_dim)
            else:
                found[at + "ffn.up.weight"] = (self.ffn_dim, c)
                found[at + "ffn.down.weight"] = (c, self.ffn_dim)
        found["norm.weight"] = (c,)
        return found if self.tied_embeddings else found | {"head.weight": (self.vocab, c)}
