"""The sizes of a decoder with experts under grouped queries: Qwen3, Mixtral, OLMoE, GLM

Planned and priced, not built: the experts of moe.py score with sigmoids, those of most models here
with a softmax. Only the standard library is imported here: the planner reads shapes.
"""

from dataclasses import dataclass
from typing import ClassVar

from curriculum.models.shapes import (
    Shape,
    Weights,
    check_positive,
    gated,
    grouped_query,
    routed,
)


@dataclass(frozen=True, slots=True)
class GroupedMoeShape(Shape):
    """A decoder whose layers have grouped-query attention, and experts but for the first ones.

    Source: arXiv 2401.04088 (Mixtral), arXiv 2409.02060 (OLMoE), arXiv 2505.09388 (Qwen3), arXiv
    2508.06471 (GLM-4.5).
    """

    kind: ClassVar[str] = "llm"
    hidden: int
    num_layers: int
    num_dense_layers: int  # the first layers have one dense feed-forward instead of experts
    num_heads: int
    num_kv_heads: int  # divides num_heads: so many queries share a key and a value
    head_dim: int
    rope_dim: int  # of a head's numbers, the first so many turn
    qkv_bias: bool
    qk_norm: bool  # RMSNorm of every query and key
    qk_norm_whole: bool  # of all heads' numbers together, not of each head
    ffn_dim: int | None  # of the dense layers; None where there are none
    expert_dim: int  # of one expert
    num_experts: int  # routed
    num_shared_experts: int
    top_k: int  # routed experts per token
    softmax_router: bool  # scores are a softmax over the experts; else each one's sigmoid
    routed_scaling: float | None  # what a token's weights sum to; None: the scores as they are
    vocab: int
    max_positions: int
    rms_eps: float
    tied_embeddings: bool  # the embeddings are the head

    def __post_init__(self) -> None:
        check_positive(self, may_be_zero=("num_dense_layers", "num_shared_experts"))
        if self.num_heads % self.num_kv_heads:
            raise ValueError(
                f"num_kv_heads {self.num_kv_heads} does not divide num_heads {self.num_heads}"
            )
        if self.rope_dim % 2 or not 4 <= self.rope_dim <= self.head_dim:
            raise ValueError(
                f"rope_dim {self.rope_dim}: RoPE turns pairs, and its base is read back from the "
                f"first two: an even number from 4 to head_dim, {self.head_dim}"
            )
        if self.qk_norm_whole and not self.qk_norm:
            raise ValueError("qk_norm_whole: true says how `qk_norm: true` is meant")
        if self.top_k > self.num_experts:
            raise ValueError(f"top_k {self.top_k} is more than num_experts {self.num_experts}")
        if self.num_dense_layers > self.num_layers:
            raise ValueError(
                f"num_dense_layers {self.num_dense_layers} is more than num_layers "
                f"{self.num_layers}"
            )
        if (self.ffn_dim is None) != (self.num_dense_layers == 0):
            raise ValueError("ffn_dim is the width of dense layers: say both, or neither")

    @property
    def rope_head_dim(self) -> int:
        """See Shape."""
        return self.rope_dim

    def rope_layers(self) -> tuple[int, ...]:
        """See Shape."""
        return tuple(range(self.num_layers))

    def is_dense(self, layer: int) -> bool:
        """Whether layer `layer` (from 0) has a dense feed-forward."""
        return layer < self.num_dense_layers

    def weights(self) -> Weights:
        """See Shape: the names that a module would give them, as the other decoders' do."""
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
            if self.is_dense(i):
                assert self.ffn_dim is not None
                found |= gated(at + "ffn.", c, self.ffn_dim)
                continue
            found |= routed(at + "moe.", c, self.expert_dim, self.num_experts)
            if self.num_shared_experts:
                found |= gated(at + "moe.shared.", c, self.expert_dim * self.num_shared_experts)
        found["norm.weight"] = (c,)
        return found if self.tied_embeddings else found | {"head.weight": (self.vocab, c)}

    def active_share(self, name: str) -> float:
        """See Shape."""
        return self.top_k / self.num_experts if ".experts." in name else 1.0
