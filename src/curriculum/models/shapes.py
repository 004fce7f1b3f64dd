"""What a module is made of: sizes, the name and size of every weight, and counts by part

A shape is a frozen value. `weights()` lists every parameter of the torch module that is built from
it, so that counts, parts and the module itself cannot disagree: a test compares them one by one.

    preset + overrides --shape_of--> Shape --weights()--> {name: size} --+--> num_params, parts
                                                                         +--> models/*.py (torch)

Only the standard library is imported here: the planner reads shapes. Dense decoders stand in
dense_shape.py, modules that are known by counts alone in counted_shape.py.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any, ClassVar

Weights = dict[str, tuple[int, ...]]

KINDS = ("llm", "vit", "projector", "text_tower", "captioner")
"""What modules there are: a stage has at most one of each."""


@dataclass(frozen=True, slots=True)
class Shape(ABC):
    """What all shapes answer."""

    @property
    @abstractmethod
    def kind(self) -> str:
        """What the module is to a stage: one of KINDS."""

    @abstractmethod
    def weights(self) -> Weights:
        """Size of every parameter, by its name in the torch module, in the module's order."""

    def active_share(self, name: str) -> float:
        """Share of the parameter `name` that works on one token: less than 1 for routed experts."""
        return 1.0

    @property
    def rope_head_dim(self) -> int:
        """Dimensions of a head that RoPE turns, as the plan says; 0 where it turns none."""
        return 0

    def rope_layers(self) -> tuple[int, ...]:
        """Layers, from 0, that turn as the plan's RoPE says."""
        return ()

    def rope_parts(self) -> Mapping[str, tuple[int, ...]]:
        """Layers of each part that may have a RoPE of its own."""
        return {}

    def parts(self) -> tuple[str, ...]:
        """Names of the parts of this module, in the order of its parameters."""
        return tuple(_params_by_part(self)[0])

    def params_by_part(self, *, active: bool = False) -> dict[str, int]:
        """Parameters of each part; with `active`, only those that work on one token."""
        return dict(_params_by_part(self)[active])

    def params_of(self, part: str) -> int | None:
        """Parameters of one part; None where only the module's count is known."""
        return self.params_by_part()[part]

    def num_params(self, *, without_embeddings: bool = False) -> int:
        """All parameters; `without_embeddings` leaves out the parts `embeddings` and `head`.

        A router's bias is a buffer, not a parameter, and is not counted.
        """
        return _total(self.params_by_part(), without_embeddings)

    def num_active_params(self, *, without_embeddings: bool = False) -> int:
        """Parameters that work on one token: of the routed experts, `top_k`."""
        return _total(self.params_by_part(active=True), without_embeddings)


@dataclass(frozen=True, slots=True)
class DecoderShape(Shape):
    """A decoder with multi-head latent attention and routed experts (DeepSeek-V3, Moonlight).

    Source: arXiv 2405.04434 (attention, 2.1), arXiv 2412.19437 (router, 2.1.2), arXiv 2502.16982.
    """

    kind: ClassVar[str] = "llm"
    hidden: int
    num_layers: int
    num_dense_layers: int  # the first layers have one dense feed-forward instead of experts
    num_heads: int
    kv_lora_rank: int
    q_lora_rank: int | None  # None: queries are not compressed
    qk_nope_head_dim: int
    qk_rope_head_dim: int
    v_head_dim: int
    ffn_dim: int  # of the dense layers
    expert_dim: int  # of one expert
    num_experts: int  # routed
    num_shared_experts: int
    top_k: int  # routed experts per token
    routed_scaling: float
    vocab: int
    max_positions: int
    rms_eps: float
    tied_embeddings: bool

    def __post_init__(self) -> None:
        check_positive(self, may_be_zero=("num_dense_layers", "num_shared_experts"))
        if self.tied_embeddings:
            raise ValueError("tied_embeddings: only false is built (head and embeddings are two)")
        if self.top_k > self.num_experts:
            raise ValueError(f"top_k {self.top_k} is more than num_experts {self.num_experts}")
        if self.num_dense_layers > self.num_layers:
            raise ValueError(
                f"num_dense_layers {self.num_dense_layers} is more than num_layers "
                f"{self.num_layers}"
            )
        if self.qk_rope_head_dim % 2 or self.qk_rope_head_dim < 4:
            raise ValueError(
                f"qk_rope_head_dim {self.qk_rope_head_dim}: RoPE turns pairs, and its base is read "
                "back from the first two: an even number, at least 4"
            )

    @property
    def qk_head_dim(self) -> int:
        """Length of a query and of a key."""
        return self.qk_nope_head_dim + self.qk_rope_head_dim

    @property
    def rope_head_dim(self) -> int:
        """See Shape."""
        return self.qk_rope_head_dim

    def rope_layers(self) -> tuple[int, ...]:
        """See Shape."""
        return tuple(range(self.num_layers))

    def is_dense(self, layer: int) -> bool:
        """Whether layer `layer` (from 0) has a dense feed-forward."""
        return layer < self.num_dense_layers

    def weights(self) -> Weights:
        """See Shape."""
        c, h, r = self.hidden, self.num_heads, self.kv_lora_rank
        found: Weights = {"embed.weight": (self.vocab, c)}
        for i in range(self.num_layers):
            at = f"layers.{i}."
            found[at + "attn_norm.weight"] = (c,)
            if self.q_lora_rank is None:
                found[at + "attn.q.weight"] = (h * self.qk_head_dim, c)
            else:
                found[at + "attn.q_a.weight"] = (self.q_lora_rank, c)
                found[at + "attn.q_norm.weight"] = (self.q_lora_rank,)
                found[at + "attn.q_b.weight"] = (h * self.qk_head_dim, self.q_lora_rank)
            found[at + "attn.kv_a.weight"] = (r + self.qk_rope_head_dim, c)
            found[at + "attn.kv_norm.weight"] = (r,)
            found[at + "attn.kv_b.weight"] = (h * (self.qk_nope_head_dim + self.v_head_dim), r)
            found[at + "attn.out.weight"] = (c, h * self.v_head_dim)
            found[at + "ffn_norm.weight"] = (c,)
            if self.is_dense(i):
                found |= gated(at + "ffn.", c, self.ffn_dim)
                continue
            found |= routed(at + "moe.", c, self.expert_dim, self.num_experts)
            if self.num_shared_experts:
                found |= gated(at + "moe.shared.", c, self.expert_dim * self.num_shared_experts)
        return found | {"norm.weight": (c,), "head.weight": (self.vocab, c)}

    def active_share(self, name: str) -> float:
        """See Shape."""
        return self.top_k / self.num_experts if ".experts." in name else 1.0


@dataclass(frozen=True, slots=True)
class VitShape(Shape):
    """A ViT that packs images of any size: learned positions, interpolated, maybe with 2D RoPE.

    MoonViT has both; without a `rope_base` it is SigLIP's, less its pooling head.

    Source: arXiv 2504.07491, 2.1; SigLIP: arXiv 2303.15343.
    """

    kind: ClassVar[str] = "vit"
    hidden: int
    num_layers: int
    num_heads: int
    mlp_dim: int
    patch: int  # pixels a side
    position_rows: int  # of the learned grid, in patches
    position_columns: int
    rope_base: float | None  # None: positions are learned alone (SigLIP)
    merge: int  # patches a side that the projector makes one LLM position of
    channels: int
    layer_norm_eps: float

    def __post_init__(self) -> None:
        check_positive(self)
        check_heads("hidden", self.hidden, self.num_heads)
        if self.rope_base is not None and self.head_dim % 4:
            raise ValueError(
                f"hidden {self.hidden} over num_heads {self.num_heads} gives heads of "
                f"{self.head_dim}: 2D RoPE needs a multiple of 4"
            )

    @property
    def head_dim(self) -> int:
        """Length of a query, a key and a value."""
        return self.hidden // self.num_heads

    @property
    def patch_dim(self) -> int:
        """Numbers in one patch: channels * patch * patch."""
        return self.channels * self.patch**2

    def weights(self) -> Weights:
        """See Shape."""
        c = self.hidden
        found: Weights = {
            "embed.weight": (c, self.patch_dim),
            "embed.bias": (c,),
            "positions": (self.position_rows, self.position_columns, c),
        }
        for i in range(self.num_layers):
            found |= _encoder_layer(f"layers.{i}.", c, self.mlp_dim)
        return found | _norm("norm.", c)


@dataclass(frozen=True, slots=True)
class ProjectorShape(Shape):
    """Patches to LLM embeddings: LayerNorm, merge, linear, GELU, linear (arXiv 2504.07491, 2.1)."""

    kind: ClassVar[str] = "projector"
    vit_hidden: int
    llm_hidden: int
    merge: int
    layer_norm_eps: float

    def __post_init__(self) -> None:
        check_positive(self)

    @property
    def merged(self) -> int:
        """Width of one merged cell: merge * merge patches side by side."""
        return self.vit_hidden * self.merge**2

    def weights(self) -> Weights:
        """See Shape."""
        m = self.merged
        up, down = _linear("ffn.up.", m, m), _linear("ffn.down.", self.llm_hidden, m)
        return _norm("norm.", self.vit_hidden) | up | down


@dataclass(frozen=True, slots=True)
class TextTowerShape(Shape):
    """SigLIP's text encoder, and the rest of its contrastive side (arXiv 2303.15343).

    The pooling head reads the ViT's features, so it has their width; the text's last token is
    projected to that width. `logit_scale` (its logarithm) and `logit_bias` are one number each.
    """

    kind: ClassVar[str] = "text_tower"
    hidden: int
    num_layers: int
    num_heads: int
    mlp_dim: int
    vocab: int
    max_positions: int
    vit_hidden: int
    pool_mlp_dim: int
    layer_norm_eps: float

    def __post_init__(self) -> None:
        check_positive(self)
        check_heads("hidden", self.hidden, self.num_heads)
        check_heads("vit_hidden", self.vit_hidden, self.num_heads)

    def weights(self) -> Weights:
        """See Shape."""
        c, v = self.hidden, self.vit_hidden
        found: Weights = {"embed.weight": (self.vocab, c), "positions": (self.max_positions, c)}
        for i in range(self.num_layers):
            found |= _encoder_layer(f"layers.{i}.", c, self.mlp_dim)
        found |= _norm("norm.", c) | _linear("head.", v, c)
        found |= {"pool.probe": (v,)} | _attention("pool.attn.", v, v)
        found |= _norm("pool.norm.", v) | _mlp("pool.ffn.", v, self.pool_mlp_dim)
        return found | {"logit_scale": (), "logit_bias": ()}


@dataclass(frozen=True, slots=True)
class CaptionerShape(Shape):
    """A small decoder that writes captions, looking at the patches (CoCa, arXiv 2205.01917)."""

    kind: ClassVar[str] = "captioner"
    hidden: int
    num_layers: int
    num_heads: int
    mlp_dim: int
    vocab: int
    max_positions: int
    vit_hidden: int
    layer_norm_eps: float

    def __post_init__(self) -> None:
        check_positive(self)
        check_heads("hidden", self.hidden, self.num_heads)

    def weights(self) -> Weights:
        """See Shape."""
        c = self.hidden
        found: Weights = {"embed.weight": (self.vocab, c), "positions": (self.max_positions, c)}
        for i in range(self.num_layers):
            at = f"layers.{i}."
            found |= _norm(at + "attn_norm.", c) | _attention(at + "attn.", c, c)
            found |= _norm(at + "cross_norm.", c) | _attention(at + "cross.", c, self.vit_hidden)
            found |= _norm(at + "ffn_norm.", c) | _mlp(at + "ffn.", c, self.mlp_dim)
        return found | _norm("norm.", c) | {"head.weight": (self.vocab, c)}


def changed(shape: Shape, fields: Mapping[str, object]) -> Shape:
    """Return a shape with some fields replaced, which `presets.shape_of` has found right."""
    whole: Any = shape  # each kind of shape is a dataclass, their common face is not
    found: Shape = replace(whole, **fields)
    return found


def part_of(kind: str, name: str) -> str:
    """Part of a module of `kind` that the parameter `name` belongs to.

    >>> part_of("llm", "layers.1.moe.experts.up"), part_of("vit", "layers.0.attn.q.bias")
    ('experts', 'attention')
    """
    words = name.split(".")
    if words[0] in ("embed", "positions"):
        return "embeddings"
    if words[0].startswith("logit_"):
        return "logits"
    if words[0] in ("head", "pool"):
        return words[0]
    if any(word == "norm" or word.endswith("_norm") for word in words):
        return "norms"
    if "router" in words or words[-1] == "router_bias":  # its bias is a buffer
        return "router"
    if "experts" in words or "shared" in words:
        return "experts"
    if "cross" in words:
        return "cross_attention"
    if "attn" in words:
        return "attention"
    assert "ffn" in words, f"{kind}: no part for {name}"
    return "ffn"


def check_positive(shape: Shape, may_be_zero: tuple[str, ...] = ()) -> None:
    """Raise ValueError where a size is not a positive number."""
    for field in fields(shape):
        value = getattr(shape, field.name)
        if value is None or isinstance(value, bool):
            continue
        least = 0 if field.name in may_be_zero else 1
        if isinstance(value, int) and value < least:
            raise ValueError(f"{field.name} is {value}: at least {least} is needed")
        if isinstance(value, float) and not (0 < value < math.inf):
            raise ValueError(f"{field.name} is {value}: a positive, finite number is needed")


def check_heads(name: str, width: int, num_heads: int) -> None:
    """Raise ValueError where `num_heads` does not divide `width`."""
    if width % num_heads:
        raise ValueError(f"num_heads {num_heads} does not divide {name} {width}")


@cache
def _params_by_part(shape: Shape) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """Count all parameters and the active ones of each part.

    The weights are walked once per shape, and each name is read once for all layers: a full-size
    module has thousands of weights.
    """
    read: dict[str, tuple[str, float]] = {}
    counts: dict[str, int] = {}
    active: dict[str, float] = {}
    for name, size in shape.weights().items():
        one_name = name.split(".", 2)[2] if name.startswith("layers.") else f"/{name}"
        if one_name not in read:
            read[one_name] = part_of(shape.kind, name), shape.active_share(name)
        part, share = read[one_name]
        count = math.prod(size)
        counts[part] = counts.get(part, 0) + count
        active[part] = active.get(part, 0.0) + count * share
    return counts, {part: round(count) for part, count in active.items()}


def _total(counts: Mapping[str, int], without_embeddings: bool) -> int:
    left_out = ("embeddings", "head") if without_embeddings else ()
    return sum(count for part, count in counts.items() if part not in left_out)


def _linear(at: str, out_dim: int, in_dim: int) -> Weights:
    return {at + "weight": (out_dim, in_dim), at + "bias": (out_dim,)}


def _norm(at: str, width: int) -> Weights:
    return {at + "weight": (width,), at + "bias": (width,)}


def gated(at: str, width: int, inner: int) -> Weights:
    """Weights of a SwiGLU feed-forward without biases."""
    up: Weights = {at + "gate.weight": (inner, width), at + "up.weight": (inner, width)}
    return up | {at + "down.weight": (width, inner)}


def routed(at: str, width: int, inner: int, num_experts: int) -> Weights:
    """Weights of a router and of its experts, SwiGLU feed-forwards in stacks."""
    return {
        at + "router.weight": (num_experts, width),
        at + "experts.gate": (num_experts, inner, width),
        at + "experts.up": (num_experts, inner, width),
        at + "experts.down": (num_experts, width, inner),
    }


def grouped_query(
    at: str, width: int, queries: int, keys: int, *, bias: bool, norms: tuple[int, int] | None
) -> Weights:
    """Weights of an attention with queries and keys of such widths; `norms` are their lengths."""
    found: Weights = {}
    for name, out in (("q", queries), ("k", keys), ("v", keys)):
        found[at + f"{name}.weight"] = (out, width)
        if bias:
            found[at + f"{name}.bias"] = (out,)
    found[at + "out.weight"] = (width, queries)
    if norms is not None:
        found[at + "q_norm.weight"], found[at + "k_norm.weight"] = (norms[0],), (norms[1],)
    return found


def _mlp(at: str, width: int, inner: int) -> Weights:
    return _linear(at + "up.", inner, width) | _linear(at + "down.", width, inner)


def _attention(at: str, width: int, keys_width: int) -> Weights:
    own, seen = _linear(at + "q.", width, width), _linear(at + "k.", width, keys_width)
    return own | seen | _linear(at + "v.", width, keys_width) | _linear(at + "out.", width, width)


def _encoder_layer(at: str, width: int, mlp_dim: int) -> Weights:
    attention = _norm(at + "attn_norm.", width) | _attention(at + "attn.", width, width)
    return attention | _norm(at + "ffn_norm.", width) | _mlp(at + "ffn.", width, mlp_dim)
