"""Towers: captions and images one by one equal packed; each looks at its own image."""

import pytest
import torch
from torch import Tensor

from curriculum.models.coca import Captioner, TextTower
from curriculum.models.encoder import Spans
from curriculum.models.presets import shape_of
from curriculum.models.vlm import build

SIZES = {"hidden": 24, "mlp_dim": 32, "vit_hidden": 48, "vocab": 50, "max_positions": 8}
CAPTIONS, PATCHES = [3, 6, 4], [4, 8, 4]


def spans(lengths: list[int]) -> Spans:
    return Spans(torch.tensor([0, *lengths]).cumsum(0).int(), max(lengths))


def features() -> Tensor:
    return torch.randn(sum(PATCHES), 48, generator=torch.Generator().manual_seed(1))


def captions() -> tuple[Tensor, Tensor]:
    tokens = torch.randint(0, 50, (13,), generator=torch.Generator().manual_seed(2))
    return tokens, torch.cat([torch.arange(n) for n in CAPTIONS])


def tower() -> TextTower:
    module = build(shape_of("siglip-text-proxy", SIZES), "cpu", seed=0)
    assert isinstance(module, TextTower)
    return module


def captioner() -> Captioner:
    module = build(shape_of("tiny-decoder-proxy", SIZES), "cpu", seed=0)
    assert isinstance(module, Captioner)
    return module


def test_embeddings_have_length_one_and_are_those_of_each_alone() -> None:
    model, (tokens, positions) = tower(), captions()
    texts = model(tokens, positions, spans(CAPTIONS))
    images = model.pool_images(features(), spans(PATCHES))
    assert texts.shape == images.shape == (3, 48)
    for found in (texts, images):
        torch.testing.assert_close(found.norm(dim=-1), torch.ones(3))
    alone = [model(part, torch.arange(len(part)), spans([len(part)])) for part in
             tokens.split(CAPTIONS)]  # fmt: skip
    torch.testing.assert_close(texts, torch.cat(alone), atol=1e-5, rtol=1e-5)
    pooled = [model.pool_images(part, spans([len(part)])) for part in features().split(PATCHES)]
    torch.testing.assert_close(images, torch.cat(pooled), atol=1e-5, rtol=1e-5)


def test_scale_and_bias_start_as_published() -> None:
    assert round(tower().scale().item(), 4) == 10.0
    assert tower().logit_bias.item() == -10.0


def test_a_caption_sees_its_own_image_and_its_own_past() -> None:
    model, (tokens, positions) = captioner(), captions()
    before = model(tokens, positions, spans(CAPTIONS), (features(), spans(PATCHES)))
    other = features()
    other[5] += 1.0  # the second image
    after = model(tokens, positions, spans(CAPTIONS), (other, spans(PATCHES)))
    assert torch.equal(before[:3], after[:3])
    assert torch.equal(before[9:], after[9:])
    assert bool((before[3:9] != after[3:9]).any(-1).all())
    changed = tokens.clone()
    changed[5] = (changed[5] + 1) % 50
    later = model(changed, positions, spans(CAPTIONS), (features(), spans(PATCHES)))
    torch.testing.assert_close(before[:5], later[:5], atol=1e-6, rtol=0)
    assert bool((before[5:9] != later[5:9]).any(-1).all())


def test_captions_that_are_too_long_are_told() -> None:
    tokens, positions = torch.zeros(9, dtype=torch.int64), torch.arange(9)
    with pytest.raises(ValueError, match="a caption of 9 tokens, but there are 8 positions"):
        tower()(tokens, positions, spans([9]))
