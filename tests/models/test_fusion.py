"""Functions that are fused: as written unless layers are compiled, then one graph for all sizes."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from curriculum.models import fusion
from curriculum.models.fusion import fuse, fused
from curriculum.models.losses import next_token_loss


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The compiler's own code takes seconds to make: what it is given is what is tested here."""
    monkeypatch.setattr(fusion, "BACKEND", "aot_eager")
    torch._dynamo.reset()
    yield
    fuse(False)
    torch._dynamo.reset()


def test_a_function_is_compiled_once_for_all_sizes_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    traced = []

    def backend(graph: torch.fx.GraphModule, _: list[Tensor]) -> object:
        traced.append(graph)
        return graph.forward

    @fused
    def double(x: Tensor) -> Tensor:
        return x + x

    monkeypatch.setattr(fusion, "BACKEND", backend)
    x = torch.arange(12.0)
    assert torch.equal(double(x), 2 * x)
    assert not traced
    fuse(True)
    for size in (3, 4, 12):
        assert torch.equal(double(x[:size]), 2 * x[:size])
    assert len(traced) == 1
    fuse(False)
    assert torch.equal(double(x.reshape(3, 4)), 2 * x.reshape(3, 4))
    assert len(traced) == 1


@pytest.mark.parametrize("weighted", [False, True])
def test_the_loss_and_its_gradients_are_the_same_fused(weighted: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(10, 6, generator=generator, requires_grad=True)
    head = torch.randn(17, 6, generator=generator, requires_grad=True)
    targets = torch.randint(0, 17, (10,), generator=generator)
    targets[3] = -100
    weights = torch.rand(10, generator=generator) if weighted else None
    found = []
    for compiles in (False, True):
        fuse(compiles)
        total = next_token_loss(hidden, head, targets, chunk=4, weights=weights)
        found.append((total, *torch.autograd.grad(total, (hidden, head))))
    for written, compiled in zip(*found, strict=True):
        torch.testing.assert_close(compiled, written, rtol=1e-6, atol=1e-6)
