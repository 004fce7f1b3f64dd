from dataclasses import replace

import numpy as np
import pytest
import torch

from curriculum.data.packed import Packed
from curriculum.models.batch import TorchBatch, to_torch
from curriculum.train.consumed import batch_hash
from curriculum.train.feed import draw, open_reader
from train.worlds import world_plan, world_sources

PLAN = world_plan()


def step_of(name: str, micro_batch_seqs: int, step: int = 1) -> tuple[Packed, ...]:
    reader = open_reader(PLAN, PLAN.stage(name), world_sources())
    return draw(reader, step, micro_batch_seqs).micro_batches


def hash_of(packed: tuple[Packed, ...]) -> str:
    return batch_hash([to_torch(part) for part in packed])


@pytest.mark.parametrize("name", ["text", "vit-coca", "align", "joint"])
def test_the_hash_is_that_of_the_step_however_it_is_cut(name: str) -> None:
    whole = hash_of(step_of(name, 4))
    assert [hash_of(step_of(name, size)) for size in (1, 2, 3)] == [whole] * 3
    assert hash_of(step_of(name, 4, step=2)) != whole


@pytest.mark.parametrize(
    "what",
    ["tokens", "positions", "live", "image_index", "loss_index", "targets", "patches"],
)
def test_one_changed_number_of_any_tensor_shows(what: str) -> None:
    (batch,) = (to_torch(packed) for packed in step_of("joint", 4))
    tensor = getattr(batch, what).clone()
    assert tensor.numel()
    tensor.view(-1)[0] = ~tensor.view(-1)[0] if what == "live" else tensor.view(-1)[0] + 1
    changed: TorchBatch = replace(batch, **{what: tensor})
    assert batch_hash([changed]) != batch_hash([batch])


@pytest.mark.parametrize("what", ["captions", "caption_positions", "caption_targets"])
def test_one_changed_number_of_captions_shows(what: str) -> None:
    (batch,) = (to_torch(packed) for packed in step_of("vit-coca", 4))
    tensor = getattr(batch, what).clone()
    tensor[-1] += 1
    assert batch_hash([replace(batch, **{what: tensor})]) != batch_hash([batch])


def test_borders_of_documents_and_sizes_of_images_show() -> None:
    (packed,) = step_of("joint", 4)
    whole = hash_of((packed,))
    joined = replace(packed, cu_seqlens=np.delete(packed.cu_seqlens, 1))
    turned = replace(packed, grids=np.ascontiguousarray(packed.grids[:, ::-1]))
    assert (packed.grids != turned.grids).any()
    assert len({whole, hash_of((joined,)), hash_of((turned,))}) == 3


def test_the_hash_is_of_the_tensors_and_not_of_how_they_lie() -> None:
    (batch,) = (to_torch(packed) for packed in step_of("joint", 4))
    strided = torch.stack((batch.patches, batch.patches), dim=1)[:, 0]
    assert not strided.is_contiguous()
    assert batch_hash([replace(batch, patches=strided)]) == batch_hash([batch])
