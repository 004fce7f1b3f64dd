"""Batches as tensors: what the host knows, and what stands where."""

import torch

from curriculum.data.packed import NO_LOSS
from curriculum.models.batch import to_torch
from models.packs import caption_rows, llm_rows


def test_text_and_images() -> None:
    batch = to_torch(llm_rows([[[5, 6, 7], ((2, 4), [8, 9])], [[4, 3]]], seq_len=8))
    assert batch.tokens.tolist() == [5, 6, 7, 1, 1, 8, 9, 0, 4, 3, 0, 0, 0, 0, 0, 0]
    assert batch.image_index.tolist() == [3, 4]
    assert batch.loss_index.tolist() == [0, 1, 4, 5, 8]
    assert batch.targets.tolist() == [6, 7, 8, 9, 3]
    assert batch.live.tolist() == [True] * 7 + [False] + [True] * 2 + [False] * 6
    assert batch.spans.cu_seqlens.tolist() == [0, 3, 7, 8, 10, 16]
    assert batch.spans.cu_seqlens.dtype == torch.int32
    assert batch.spans.max_seqlen == 6
    assert batch.grids == ((2, 4),)
    assert batch.patches.shape == (8, 48)
    assert batch.num_caption_targets == 0
    assert len(batch.captions) == 0


def test_captions() -> None:
    batch = to_torch(caption_rows([((2, 2), [2, 7, 3]), ((4, 2), [2, 8, 9, 3])]))
    assert batch.captions.tolist() == [2, 7, 3, 2, 8, 9, 3]
    assert batch.caption_targets.tolist() == [7, 3, NO_LOSS, 8, 9, 3, NO_LOSS]
    assert batch.caption_positions.tolist() == [0, 1, 2, 0, 1, 2, 3]
    assert batch.caption_spans.cu_seqlens.tolist() == [0, 3, 7]
    assert batch.caption_spans.max_seqlen == 4
    assert batch.num_caption_targets == 5
    assert batch.grids == ((2, 2), (4, 2))
    assert len(batch.tokens) == len(batch.image_index) == 0


def test_patches_take_the_wanted_type() -> None:
    packed = caption_rows([((2, 2), [2, 3])])
    assert to_torch(packed, dtype=torch.bfloat16).patches.dtype == torch.bfloat16
