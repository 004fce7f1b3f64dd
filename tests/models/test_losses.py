"""Losses: equal to torch's, in any chunking; pairs shared out over micro-batches add up exactly."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from curriculum.data.packed import NO_LOSS
from curriculum.models import losses
from curriculum.models.losses import (
    next_token_loss,
    positions_at_once,
    siglip_loss,
    siglip_share,
    z_loss,
)


def randn(*size: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(size, generator=generator).requires_grad_()


@pytest.mark.parametrize("chunk", [1, 5, 64])
def test_next_token_equals_cross_entropy(chunk: int) -> None:
    targets = torch.randint(0, 11, (17,), generator=torch.Generator().manual_seed(3))
    targets[::4] = NO_LOSS
    results = []
    for exact in (False, True):
        hidden, head = randn(17, 8), randn(11, 8, seed=1)
        if exact:
            logits = hidden @ head.t()
            loss = functional.cross_entropy(logits, targets, reduction="sum", ignore_index=NO_LOSS)
        else:
            loss = next_token_loss(hidden, head, targets, chunk)
        torch.autograd.backward(loss / 3)
        results.append((loss.detach(), hidden.grad, head.grad))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("chunk", [1, 5, 64])
@pytest.mark.parametrize("weighted", [False, True])
def test_z_loss_and_weights_equal_what_torch_differentiates(chunk: int, weighted: bool) -> None:
    targets = torch.randint(0, 11, (17,), generator=torch.Generator().manual_seed(3))
    weights = torch.linspace(0.1, 2.0, 17) if weighted else None
    each = torch.ones(17) if weights is None else weights
    results = []
    for exact in (False, True):
        hidden, head = randn(17, 8), randn(11, 8, seed=1)
        if exact:
            logits = hidden @ head.t()
            z = (each * logits.logsumexp(-1) ** 2).sum()
            nll = (each * functional.cross_entropy(logits, targets, reduction="none")).sum()
        else:
            z = z_loss(hidden, head, chunk, weights)
            nll = next_token_loss(hidden, head, targets, chunk, weights)
        torch.autograd.backward(z / 3 + nll / 7)
        results.append((z.detach(), nll.detach(), hidden.grad, head.grad))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_next_token_without_gradient_or_positions() -> None:
    hidden, head, targets = randn(4, 8), randn(11, 8), torch.zeros(4, dtype=torch.int64)
    with torch.no_grad():
        assert not next_token_loss(hidden, head, targets).requires_grad
    frozen = next_token_loss(hidden, head.detach(), targets)
    frozen.backward()
    assert hidden.grad is not None
    assert head.grad is None
    empty = next_token_loss(hidden[:0], head, targets[:0])
    empty.backward()
    assert empty.item() == 0.0
    assert head.grad is not None
    assert bool((head.grad == 0).all())


def test_next_token_in_bfloat16_sums_in_float32() -> None:
    hidden, head, targets = randn(64, 8), randn(11, 8), torch.arange(64) % 11
    exact = next_token_loss(hidden, head, targets)
    half = next_token_loss(hidden.bfloat16(), head, targets)
    assert half.dtype == torch.float32
    assert abs(half / exact - 1) < 1e-2
    half.backward()
    assert head.grad is not None
    assert head.grad.dtype == torch.float32


def pairs() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    images, texts = (randn(6, 4, seed=s).detach() for s in (4, 5))
    images, texts = (functional.normalize(x, dim=-1).requires_grad_() for x in (images, texts))
    return images, texts, torch.tensor(8.0).requires_grad_(), torch.tensor(-3.0).requires_grad_()


def test_siglip_is_the_published_sum() -> None:
    images, texts, scale, bias = pairs()
    expected = torch.zeros(())
    for i, x in enumerate(images):
        for j, y in enumerate(texts):
            z = 1.0 if i == j else -1.0
            expected = expected + torch.log(1 + torch.exp(-z * (scale * x.dot(y) + bias)))
    torch.testing.assert_close(siglip_loss(images, texts, scale, bias), expected)


@pytest.mark.parametrize("cut", [[6], [2, 4], [1, 1, 1, 1, 1, 1], [3, 0, 3]])
def test_shares_of_micro_batches_add_up_in_value_and_gradient(cut: list[int]) -> None:
    inputs = pairs()
    whole = siglip_loss(*inputs)
    expected = torch.autograd.grad(whole, inputs)
    images, texts, scale, bias = inputs
    total, first = torch.zeros(()), 0
    for size in cut:
        mine = slice(first, first + size)
        share = siglip_share(
            images[mine], texts[mine], images.detach(), texts.detach(), first, scale, bias
        )
        total, first = total + share, first + size
    torch.testing.assert_close(total, whole)
    for ours, theirs in zip(torch.autograd.grad(total, inputs), expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)


class Largest(TorchDispatchMode):
    """Notes the numbers in the largest tensor that any operation gives back."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.numbers = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        for part in out if isinstance(out, tuple | list) else (out,):
            if isinstance(part, Tensor):
                self.numbers = max(self.numbers, part.numel())
        return out


def largest(loss_of: Any, length: int, vocab: int) -> int:
    """Of a loss, forward and backward; on "meta", where a tensor has a size and no memory."""
    hidden = torch.empty(length, 16, device="meta", requires_grad=True)
    head = torch.empty(vocab, 16, device="meta", requires_grad=True)
    targets = torch.empty(length, dtype=torch.int64, device="meta")
    seen = Largest()
    with seen:
        loss_of(hidden, head, targets).backward()
    assert hidden.grad is not None
    assert head.grad is not None
    return seen.numbers


def test_the_logits_of_a_large_vocabulary_are_never_whole() -> None:
    length, vocab = 16_384, 163_840
    limit = positions_at_once(vocab) * vocab
    assert limit * 10 <= length * vocab
    assert largest(next_token_loss, length, vocab) <= limit
    assert largest(lambda x, head, _: z_loss(x, head), length, vocab) <= limit

    def plain(x: Tensor, head: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(x @ head.t(), targets)

    assert largest(plain, length, vocab) == length * vocab  # or nothing would have been seen


def test_chunks_follow_from_the_vocabulary(monkeypatch: pytest.MonkeyPatch) -> None:
    targets = torch.randint(0, 11, (17,), generator=torch.Generator().manual_seed(3))
    found = []
    for limit, chunk in ((60, None), (1 << 28, 5)):
        monkeypatch.setattr(losses, "LOGITS_AT_ONCE", limit)
        hidden, head = randn(17, 8), randn(11, 8, seed=1)
        next_token_loss(hidden, head, targets, chunk).backward()
        found.append((hidden.grad, head.grad))
    for ours, theirs in zip(*found, strict=True):
        assert ours is not None
        assert theirs is not None
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("weighted", [False, True])
def test_under_autocast_products_are_in_bf16_and_gradients_close(weighted: bool) -> None:
    targets = torch.randint(0, 97, (64,), generator=torch.Generator().manual_seed(3))
    weights = torch.linspace(0.1, 2.0, 64) if weighted else None
    products: list[torch.dtype] = []

    class Products(TorchDispatchMode):
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
        ) -> Any:
            if func.overloadpacket is torch.ops.aten.mm:
                products.append(args[0].dtype)
            return func(*args, **(kwargs or {}))

    results = []
    for half in (False, True):
        hidden, head = randn(64, 8), randn(97, 8, seed=1)
        with torch.autocast("cpu", torch.bfloat16, enabled=half), Products():  # type: ignore[no-untyped-call]
            loss = next_token_loss(hidden, head, targets, weights=weights)
            loss = (loss + z_loss(hidden, head, weights=weights) * 0.1) / 77
        assert loss.dtype == torch.float32
        loss.backward()
        results.append((loss.detach(), hidden.grad, head.grad))
        if half:
            assert set(products[len(products) // 2 :]) == {torch.bfloat16}
    assert len(products) == 2 * 2 * 3  # both ways: of two losses the logits and two gradients
    for exact, close in zip(*results, strict=True):
        assert exact is not None
        assert close is not None
        assert close.dtype == torch.float32
        assert (close - exact).norm() <= 0.01 * exact.norm()
