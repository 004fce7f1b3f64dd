"""A module that is known by counts alone: enough to plan and to price, not to build

    {kind: llm, params: 456B, active_params: 45.9B, hidden: 6144, num_layers: 80, vocab: 200_064}

Only the standard library is imported here: the planner reads shapes.
"""

from dataclasses import dataclass, field, fields

from curriculum.models.shapes import KINDS, Shape, Weights, check_positive

USUAL_PARTS = {
    "llm": ("embeddings", "norms", "attention", "ffn", "router", "experts", "head"),
    "vit": ("embeddings", "norms", "attention", "ffn"),
    "projector": ("norms", "ffn"),
    "text_tower": ("embeddings", "norms", "attention", "ffn", "head", "pool", "logits"),
    "captioner": ("embeddings", "norms", "attention", "cross_attention", "ffn", "head"),
}
"""Parts that a module of a kind usually has: any of them may be named."""

_ONLY_OF = {
    "active_params": ("llm",),
    "vocab": ("llm", "text_tower", "captioner"),
    "tied_embeddings": ("llm", "text_tower", "captioner"),
    "merge": ("vit",),
    "image_patches": ("vit",),
    "num_heads": ("llm", "vit"),
    "head_dim": ("llm", "vit"),
    "num_experts": ("llm",),
    "top_k": ("llm",),
    "num_shared_experts": ("llm",),
}

DESCRIPTIVE = ("num_experts", "top_k", "num_shared_experts")
"""Fields that no count is made from: a lock holds them where they are said."""


@dataclass(frozen=True, slots=True)
class CountedShape(Shape):
    """A module of a kind with as many parameters; what is None is not known.

    `params` and `active_params` are as published, embeddings and head included.
    """

    kind: str = field()  # one of KINDS
    params: int = field()
    active_params: int | None = None  # that work on one token; None: all
    hidden: int | None = None
    num_layers: int | None = None
    num_heads: int | None = None
    head_dim: int | None = None  # None: hidden / num_heads
    vocab: int | None = None
    tied_embeddings: bool | None = None
    merge: int | None = None  # of a ViT: patches a side that one LLM position is made of
    image_patches: int | None = None  # of a ViT: patches of one image, which see each other
    num_experts: int | None = None  # routed ones of a layer
    top_k: int | None = None  # of them, how many work on one token
    num_shared_experts: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind is {self.kind!r}: one of {', '.join(KINDS)} is needed")
        check_positive(self, may_be_zero=("num_shared_experts",))
        for name, kinds in _ONLY_OF.items():
            if getattr(self, name) is not None and self.kind not in kinds:
                raise ValueError(
                    f"a {self.kind} known by counts has no field {name!r}: its fields are "
                    + ", ".join(fields_of(self.kind))
                )
        if self.active_params is not None and self.active_params > self.params:
            raise ValueError(
                f"active_params {self.active_params} is more than params {self.params}"
            )
        if self.num_experts is None and (self.top_k or self.num_shared_experts):
            raise ValueError("top_k and num_shared_experts are of experts: say `num_experts` too")
        if self.num_experts is not None and (self.top_k or 0) > self.num_experts:
            raise ValueError(f"top_k {self.top_k} is more than num_experts {self.num_experts}")
        if self.embedding_params >= self.params:
            raise ValueError(
                f"vocab x hidden is {self.embedding_params}: no less than params {self.params}"
            )

    @property
    def embedding_params(self) -> int:
        """Parameters that a token's embedding is looked up in, vocab x hidden; 0 if not known."""
        return (self.vocab or 0) * (self.hidden or 0)

    @property
    def attention_width(self) -> int:
        """Layers x heads x (query + value length); 0 where these are not said.

        A ViT's attention is known where `image_patches` is said too: what one patch sees.
        """
        seen = self.kind == "llm" or self.image_patches
        if not (seen and self.num_layers and self.num_heads):
            return 0
        width = self.num_heads * self.head_dim if self.head_dim else self.hidden or 0
        return self.num_layers * width * 2

    def weights(self) -> Weights:
        """See Shape; nobody knows them, so there are none."""
        return {}

    def parts(self) -> tuple[str, ...]:
        """See Shape: those that its kind usually has."""
        return USUAL_PARTS[self.kind]

    def params_of(self, part: str) -> int | None:
        """See Shape."""
        return None

    def num_params(self, *, without_embeddings: bool = False) -> int:
        """See Shape; embeddings are known where `vocab` and `hidden` are said."""
        return self.params - (self._embeddings_and_head if without_embeddings else 0)

    def num_active_params(self, *, without_embeddings: bool = False) -> int:
        """See Shape."""
        active = self.params if self.active_params is None else self.active_params
        return active - (self._embeddings_and_head if without_embeddings else 0)

    @property
    def _embeddings_and_head(self) -> int:
        has_head = self.kind != "text_tower" and not self.tied_embeddings
        return self.embedding_params * (2 if has_head else 1)


def fields_of(kind: str) -> tuple[str, ...]:
    """Return what may be said of a module of a kind, beside the kind itself.

    >>> fields_of("projector")
    ('params', 'hidden', 'num_layers')
    """
    names = [each.name for each in fields(CountedShape) if each.name != "kind"]
    return tuple(name for name in names if kind in _ONLY_OF.get(name, KINDS))
