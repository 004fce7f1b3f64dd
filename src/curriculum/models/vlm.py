"""Modules built from shapes and a seed, and a step's losses through all that are there

    tokens --llm.embed--> x --image positions <- projector(vit(patches))--> llm --> next_token,
                                                      z_loss, balance, sequence_balance
    vit(patches) --> text_tower.pool_images, text_tower(captions) --> siglip
                 --> captioner(captions) --> caption

Which modules there are, and which are trained, is the stage's: a frozen module's parameters do not
require gradient, and autograd skips what needs none.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn

from curriculum.models.batch import TorchBatch
from curriculum.models.coca import Captioner, TextTower
from curriculum.models.decoder import Decoder
from curriculum.models.dense_shape import DenseDecoderShape
from curriculum.models.llm_losses import choices_of, hidden_of, llm_losses, llm_of
from curriculum.models.losses import next_token_loss, siglip_loss, siglip_share
from curriculum.models.patches import patch_spans
from curriculum.models.projector import Projector
from curriculum.models.shapes import (
    CaptionerShape,
    DecoderShape,
    ProjectorShape,
    Shape,
    TextTowerShape,
    VitShape,
    part_of,
)
from curriculum.models.terms import OF_LLM, TermSum, count_of, weights_of
from curriculum.models.vit import Vit


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


@torch.no_grad()
def expert_choices(modules: Mapping[str, nn.Module], batch: TorchBatch) -> Tensor:
    """How many live tokens of a micro-batch choose each expert [layers, E], in a first pass."""
    llm = llm_of(modules)
    was_training = llm.training
    llm.training = False  # the forward pass that follows is the one that counts
    hidden_of(llm, modules, batch, _features(modules, batch) if batch.grids else None)
    llm.training = was_training
    return choices_of(llm, batch)


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
    reduce: Mapping[str, str] = MappingProxyType({}),
    choices: Tensor | None = None,
) -> dict[str, TermSum]:
    """Sum and count of each term that has a weight in `terms`; weights are the caller's to apply.

    `modules` by kind: llm, vit, projector, text_tower, captioner. In a step of more than one
    micro-batch, `siglip` wants the step's embeddings in `contrast` (`embed_pairs`), and `balance`
    the sum of its `expert_choices`; without them the batch is the whole step. `reduce` holds the
    terms that are no mean over tokens. A term may come back with count 0.
    """
    found: dict[str, TermSum] = {}
    features = _features(modules, batch) if batch.grids else None
    if of_llm := [term for term in terms if term in OF_LLM]:
        found = llm_losses(modules, batch, of_llm, features, reduce, choices)
    for term in terms:
        if term in OF_LLM:
            continue
        count = count_of(batch, term, reduce.get(term, "tokens"))
        if term == "siglip":
            total = _siglip(modules, batch, _needed(features, term), contrast)
        else:
            weights = weights_of(batch, term, reduce.get(term, "tokens"))
            total = _caption(modules, batch, _needed(features, term), weights)
        found[term] = TermSum(total, count)
    return found


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


def _caption(
    modules: Mapping[str, nn.Module], batch: TorchBatch, features: Tensor, weights: Tensor | None
) -> Tensor:
    captioner = modules["captioner"]
    assert isinstance(captioner, Captioner)
    image = (features, patch_spans(batch.grids, features.device))
    hidden = captioner(batch.captions, batch.caption_positions, batch.caption_spans, image)
    head, targets = captioner.head.weight, batch.caption_targets
    return next_token_loss(hidden, head, targets, weights=weights)


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
