"""Averages of weights: exact where they must be, and nothing that cannot be averaged"""

from fractions import Fraction

import pytest
import torch

from curriculum.errors import RunError
from curriculum.train.averaging import averaged

THIRD = Fraction(1, 3)


def test_the_sum_is_in_float64_and_the_result_in_the_dtype_it_had() -> None:
    torch.manual_seed(0)
    parents = [{"w": torch.randn(50)} for _ in range(3)]
    found = averaged((p, THIRD) for p in parents)["w"]
    due = sum(p["w"].double() * float(THIRD) for p in parents)
    assert found.dtype == torch.float32
    assert torch.equal(found, torch.as_tensor(due).float())
    naive = (parents[0]["w"] + parents[1]["w"] + parents[2]["w"]) / 3
    assert not torch.equal(found, naive)  # float32 on the way loses digits


def test_one_parent_of_weight_1_keeps_its_bits() -> None:
    weights = {"w": torch.tensor([0.1, -0.0, 3e38]), "h": torch.tensor([1.5], dtype=torch.bfloat16)}
    found = averaged([(weights, Fraction(1))])
    for name, tensor in weights.items():
        bits = torch.int32 if name == "w" else torch.int16
        assert torch.equal(found[name].view(bits), tensor.view(bits))


def test_parents_that_are_equal_average_to_themselves() -> None:
    weights = {"w": torch.randn(1000), "steps": torch.tensor([7])}
    found = averaged([(weights, THIRD)] * 3)
    assert torch.equal(found["w"], weights["w"])
    assert torch.equal(found["steps"], weights["steps"])


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"v": torch.zeros(2)}, "do not all hold v"),
        ({"w": torch.zeros(3)}, "hold w in different sizes or kinds"),
        ({"w": torch.zeros(2, dtype=torch.bfloat16)}, "hold w in different sizes or kinds"),
    ],
)
def test_what_does_not_fit_is_refused(other: dict[str, torch.Tensor], words: str) -> None:
    half = Fraction(1, 2)
    with pytest.raises(RunError, match=words):
        averaged([({"w": torch.zeros(2)}, half), (other, half)])
    with pytest.raises(RunError, match="other whole numbers in n"):
        averaged([({"n": torch.tensor([1])}, half), ({"n": torch.tensor([2])}, half)])
