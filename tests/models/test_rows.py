"""Rows: the values of plain indexing, and its gradients."""

import torch

from curriculum.models.rows import permute_rows, put_rows, spread_rows, take_rows


def rows(n: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(n)
    return torch.randn(n, 3, dtype=torch.float64, generator=generator).requires_grad_()


ORDER = torch.tensor([2, 0, 3, 1])
INVERSE = ORDER.argsort()


def test_values() -> None:
    x = rows(4)
    assert torch.equal(permute_rows(x, ORDER, INVERSE), x[ORDER])
    assert torch.equal(permute_rows(permute_rows(x, ORDER, INVERSE), INVERSE, ORDER), x)
    assert torch.equal(take_rows(x, ORDER[:2]), x[ORDER[:2]])
    put = put_rows(x, ORDER[:2], rows(2))
    assert torch.equal(put[ORDER[:2]], rows(2))
    assert torch.equal(put[ORDER[2:]], x[ORDER[2:]])
    assert torch.equal(spread_rows(rows(2), ORDER, INVERSE, 2), rows(2)[[1, 0, 1, 0]])


def test_gradients() -> None:
    check = torch.autograd.gradcheck
    assert check(lambda x: permute_rows(x, ORDER, INVERSE), (rows(4),))
    assert check(lambda x: take_rows(x, ORDER[:2]), (rows(4),))
    assert check(lambda x, y: put_rows(x, ORDER[:2], y), (rows(4), rows(2)))
    assert check(lambda x: spread_rows(x, ORDER, INVERSE, 2), (rows(2),))
