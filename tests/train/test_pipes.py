import io
from typing import Any

import numpy as np
import pytest

from curriculum.train.pipes import receive, send


def through(*values: object) -> list[Any]:
    pipe = io.BytesIO()
    for value in values:
        send(pipe, value)
    pipe.seek(0)
    return [receive(pipe) for _ in values]


def test_values_come_out_as_they_went_in_one_behind_the_other() -> None:
    arrays = [np.arange(12.0).reshape(3, 4), np.zeros((0, 5), dtype=np.uint8)]
    word, found = through("first", {"arrays": arrays, "step": 3})
    assert word == "first"
    assert found["step"] == 3
    for ours, theirs in zip(found["arrays"], arrays, strict=True):
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
        assert np.array_equal(ours, theirs)
        assert ours.flags.writeable


def test_an_array_stands_beside_the_pickle() -> None:
    """It is read into the memory that it stays in."""
    pipe = io.BytesIO()
    send(pipe, np.arange(100_000))
    assert len(pipe.getvalue()) < 800_000 + 1000
    pipe.seek(0)
    base = receive(pipe).base
    assert base is not None


@pytest.mark.parametrize("left", [0, 4, 30])
def test_an_end_that_is_gone_is_told(left: int) -> None:
    pipe = io.BytesIO()
    send(pipe, np.arange(100))
    with pytest.raises(EOFError):
        receive(io.BytesIO(pipe.getvalue()[:left]))
