from dataclasses import fields

import pytest
import torch
from torch import Tensor

from curriculum.models.batch import to_torch
from curriculum.models.encoder import Spans
from curriculum.train.arrival import bringer, tensors_of
from curriculum.train.consumed import batch_hash
from curriculum.train.feed import Drawn
from models.packs import llm_rows


def make(step: int) -> Drawn:
    packed = llm_rows([[[5, 6, 7 + step], ((2, 4), [8, 9])], [[4, 3]]], seq_len=8)
    return Drawn((packed, packed), str(step))


def test_on_a_cpu_nothing_is_brought() -> None:
    arriving = bringer(make, torch.device("cpu"))(3)
    assert arriving.drawn.drawn_hash == "3"
    assert arriving.arrived() is None


def test_all_tensors_of_a_batch_are_known() -> None:
    """One that was left out could be overwritten while it is read."""
    batch = to_torch(make(0).micro_batches[0])
    known = {tensor.data_ptr() for tensor in tensors_of(batch)}
    for field in fields(batch):
        value = getattr(batch, field.name)
        if isinstance(value, Tensor):
            assert value.data_ptr() in known, field.name
        elif isinstance(value, Spans):
            assert value.cu_seqlens.data_ptr() in known, field.name
        else:
            assert isinstance(value, int | tuple), field.name


@pytest.mark.gpu
def test_what_arrives_on_a_gpu_is_what_was_drawn() -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    bring = bringer(make, torch.device("cuda"))
    for step in range(3):
        arriving = bring(step)
        batches = arriving.arrived()
        assert batches is not None
        assert all(tensor.is_cuda for batch in batches for tensor in tensors_of(batch))
        due = [to_torch(packed) for packed in make(step).micro_batches]
        assert batch_hash(batches) == batch_hash(due)
