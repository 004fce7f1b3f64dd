"""Modules built from shapes and a seed, and a step's losses through all that are there

    tokens --llm.embed--> x --image positions <- projector(vit(patches))--> llm --> next_token
    vit(patches) --> text_tower.pool_images, text_tower(captions) --> siglip
                 --> captioner(captions) --> caption

Which modules there are, and which are trained, is the stage's: a frozen module's parameters do not
require gradient, and autograd skips what needs none.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from curriculum.models.batch import TorchBatch
from curriculum.models.coca import Captioner, TextTower
from curriculum.models.decoder import Decoder
from curriculum.models.dense_shape import DenseDecoderShape
from curriculum.models.losses import next_token_loss, siglip_loss, siglip_share
from curriculum.models.projector import Projector
from curriculum.models.rows import put_rows, take_rows
from curriculum.models.shapes import (
    CaptionerShape,
    DecoderShape,
    ProjectorShape,
    Shape,
    TextTowerShape,
    VitShape,
    part_of,
)
from curriculum.models.vit import Vit, patch_spans

TERMS = ("next_token", "siglip", "caption")


@dataclass(frozen=True, slots=True)
class TermSum:
    """A loss term over one micro-batch: its sum (float32, with gradient) and what it counts.

    `count` is positions with a target (next_token, caption) or images (siglip); a step's loss is
    the sum of its `total` over the sum of its `count`.
    """

    total: Tensor
    count: int


@dataclass(frozen=True, slots=True)
class Contrast:
    """Embeddings of all pairs of the step [n, d], without gradient, and which ones are ours."""

    images: Tensor
    texts: Tensor
    first: int  # this micro-batch's first pair


def build(
    shape: Shape, device: torch.device | str, seed: int, name: str | None = None
) -> nn.Module:
    """Module of a shape with fresh float32 parameters; on "meta", without values.

    Each parameter is drawn by a generator of its own, seeded by (seed, name, parameter), on the
    CPU: what else is built, in which order, on which device, changes nothing. `name` is the
    module's in the plan, its kind if left out.
    """
    with torch.device("meta"):
        module = _module(shape)
    if torch.device(device).type == "meta":
        return module
    module.to_empty(device=device)
    for buffer in module.buffers():
        buffer.zero_()
    depth = getattr(shape, "num_layers", 1)
    tied = getattr(shape, "tied_embeddings", False)
    with torch.no_grad():
        for parameter_name, parameter in module.named_parameters():
            label = f"{seed}/{name or shape.kind}/{parameter_name}"
            digest = hashlib.sha256(label.encode()).digest()
            generator = torch.Generator().manual_seed(int.from_bytes(digest[:8]) >> 1)
            mean, std = _init(shape.kind, parameter_name, tuple(parameter.shape), depth)
            if tied and parameter_name == "embed.weight":
                std = parameter.shape[-1] ** -0.5  # as a head: logits of a normed state of size 1
            fresh = torch.full(parameter.shape, mean)
            if std > 0:
                fresh.normal_(mean, std, generator=generator)
            parameter.copy_(fresh)
    return module


def is_matrix(kind: str, name: str, parameter: Tensor) -> bool:
    """Whether Muon takes this parameter: a hidden matrix, or a stack of experts' matrices.

    Embeddings, heads, norms, biases and learned positions are AdamW's (arXiv 2502.16982, 2.2).
    """
    if part_of(kind, name) in ("embeddings", "head", "norms", "logits"):
        return False
    return parameter.ndim == 2 or (parameter.ndim == 3 and ".experts." in name)


def count_of(batch: TorchBatch, term: str) -> int:
    """What a term will count in this micro-batch; known before the forward pass, on the host."""
    match term:
        case "next_token":
            return len(batch.targets)
        case "caption":
            return batch.num_caption_targets
        case "siglip":
            return len(batch.grids)
        case _:
            raise ValueError(f"unknown loss term {term!r}: there are {', '.join(TERMS)}")


@torch.no_grad()
def embed_pairs(modules: Mapping[str, nn.Module], batch: TorchBatch) -> tuple[Tensor, Tensor]:
    """Image and text embeddings [I, d] of a micro-batch, for the first pass over a step."""
    features = _features(modules, batch)
    tower = _text_tower(modules)
    images = tower.pool_images(features, patch_spans(batch.grids, features.device))
    return images, tower(batch.captions, batch.caption_positions, batch.caption_spans)


def forward_losses(
    modules: Mapping[str, nn.Module],
    batch: TorchBatch,
    terms: Mapping[str, float],
    contrast: Contrast | None = None,
) -> dict[str, TermSum]:
    """Sum and count of each term that has a weight in `terms`; weights are the caller's to apply.

    `modules` by kind: llm, vit, projector, text_tower, captioner. With `siglip` in a step of more
    than one micro-batch, `contrast` holds the step's embeddings (`embed_pairs`, made with the same
    micro-batches); without it the batch is the whole step. A term may come back with count 0.
    """
    found: dict[str, TermSum] = {}
    features = _features(modules, batch) if batch.grids else None
    for term in terms:
        count = count_of(batch, term)
        match term:
            case "next_token":
                total = _next_token(modules, batch, features)
            case "siglip":
                total = _siglip(modules, batch, _needed(features, term), contrast)
            case _:
                total = _caption(modules, batch, _needed(features, term))
        found[term] = TermSum(total, count)
    return found


def _next_token(
    modules: Mapping[str, nn.Module], batch: TorchBatch, features: Tensor | None
) -> Tensor:
    llm = modules["llm"]
    assert isinstance(llm, Decoder)
    x = llm.embed(batch.tokens)
    if features is not None:
        cells = modules["projector"](features, batch.grids)
        if len(cells) != len(batch.image_index):
            raise ValueError(
                f"images give {len(cells)} embeddings for {len(batch.image_index)} positions"
            )
        x = put_rows(x, batch.image_index, cells.to(x.dtype))
    hidden = llm(x, batch.positions, batch.spans.cu_seqlens, batch.spans.max_seqlen, batch.live)
    return next_token_loss(take_rows(hidden, batch.loss_index), llm.head_weight, batch.targets)


def _siglip(
    modules: Mapping[str, nn.Module],
    batch: TorchBatch,
    features: Tensor,
    contrast: Contrast | None,
) -> Tensor:
    tower = _text_tower(modules)
    images = tower.pool_images(features, patch_spans(batch.grids, features.device))
    texts = tower(batch.captions, batch.caption_positions, batch.caption_spans)
    if contrast is None:
        return siglip_loss(images, texts, tower.scale(), tower.logit_bias)
    return siglip_share(
        images,
        texts,
        contrast.images,
        contrast.texts,
        contrast.first,
        tower.scale(),
        tower.logit_bias,
    )


def _caption(modules: Mapping[str, nn.Module], batch: TorchBatch, features: Tensor) -> Tensor:
    captioner = modules["captioner"]
    assert isinstance(captioner, Captioner)
    image = (features, patch_spans(batch.grids, features.device))
    hidden = captioner(batch.captions, batch.caption_positions, batch.caption_spans, image)
    return next_token_loss(hidden, captioner.head.weight, batch.caption_targets)


def _features(modules: Mapping[str, nn.Module], batch: TorchBatch) -> Tensor:
    features: Tensor = modules["vit"](batch.patches, batch.grids)
    return features


def _needed(features: Tensor | None, term: str) -> Tensor:
    if features is None:
        raise ValueError(f"the loss term {term!r} needs images, and the batch has none")
    return features


def _text_tower(modules: Mapping[str, nn.Module]) -> TextTower:
    tower = modules["text_tower"]
    assert isinstance(tower, TextTower)
    return tower


def _module(shape: Shape) -> nn.Module:
    match shape:
        case DecoderShape() | DenseDecoderShape():
            return Decoder(shape)
        case VitShape():
            return Vit(shape)
        case ProjectorShape():
            return Projector(shape)
        case TextTowerShape():
            return TextTower(shape)
        case CaptionerShape():
            return Captioner(shape)
        case _:
            raise AssertionError(f"no such shape: {shape}")


def _init(kind: str, name: str, size: tuple[int, ...], depth: int) -> tuple[float, float]:
    """Mean and standard deviation of a fresh parameter.

    Matrices keep the size of what goes through them (1 / sqrt(inputs)), those that write into the
    stream divided by sqrt(2 layers) (GPT-2); scale and bias of the contrastive loss as published.
    Embeddings at .2 are as loud as the layers that add to them: on Python's library, 200 steps of
    the proxy end at 3.73 nats held out, at .02 at 3.93, at 1 at 3.73.
    """
    if name == "logit_scale":
        return math.log(10.0), 0.0
    if name == "logit_bias":
        return -10.0, 0.0
    part = part_of(kind, name)
    if name.endswith("bias"):
        return 0.0, 0.0
    if part == "norms" or name == "pool.norm.weight":
        return 1.0, 0.0
    if name == "head.weight" and kind in ("llm", "captioner"):
        return 0.0, 0.02
    if part == "embeddings" and not (kind == "vit" and name == "embed.weight"):
        return 0.0, 0.2
    if name == "pool.probe":
        return 0.0, 0.2
    std = size[-1] ** -0.5
    writes = name.endswith(("out.weight", "down.weight", "experts.down")) and "layers." in name
    return 0.0, std / math.sqrt(2 * depth) if writes else std
