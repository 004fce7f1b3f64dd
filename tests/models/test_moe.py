"""Experts: equal to a plain loop; the bias chooses and does not weigh; its update on numbers."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from curriculum.models.moe import Moe, grouped_linear, linear_by_expert
from curriculum.models.presets import shape_of
from curriculum.models.shapes import DecoderShape


def small(**overrides: object) -> Moe:
    sizes = {"hidden": 32, "expert_dim": 16, "num_experts": 8, "top_k": 2, **overrides}
    shape = shape_of("moonlight-proxy", sizes)
    assert isinstance(shape, DecoderShape)
    moe = Moe(shape)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in moe.parameters():
            parameter.normal_(0.0, 0.3, generator=generator)
    return moe


def tokens(n: int) -> Tensor:
    return torch.randn(n, 32, generator=torch.Generator().manual_seed(5))


def plain(moe: Moe, x: Tensor) -> Tensor:
    scores = (x @ moe.router.weight.t()).sigmoid()
    out = []
    for row, score in zip(x, scores, strict=True):
        chosen = (score + moe.router_bias).topk(moe.top_k).indices
        total = score[chosen].sum()
        y = torch.zeros_like(row)
        for e in chosen.tolist():
            gate, up = moe.experts.gate[e] @ row, moe.experts.up[e] @ row
            weight = moe.routed_scaling * score[e] / total
            y = y + weight * (moe.experts.down[e] @ (functional.silu(gate) * up))
        out.append(y if moe.shared is None else y + moe.shared(row))
    return torch.stack(out)


@pytest.mark.parametrize("overrides", [{}, {"top_k": 3}, {"num_shared_experts": 0}])
def test_equal_to_a_loop(overrides: dict[str, object]) -> None:
    moe, x = small(**overrides), tokens(40)
    moe.router_bias.copy_(torch.linspace(-0.1, 0.1, 8))
    grads = []
    for run in (moe, lambda rows: plain(moe, rows)):
        moe.zero_grad()
        rows = x.clone().requires_grad_()
        out = run(rows)
        out.square().sum().backward()
        found = [p.grad.clone() for p in moe.parameters() if p.grad is not None]
        assert rows.grad is not None
        grads.append([out.detach(), rows.grad, *found])
    for ours, theirs in zip(*grads, strict=True):
        assert (ours - theirs).norm() <= 1e-6 * theirs.norm()


def test_expert_by_expert_equals_the_grouped_product() -> None:
    generator = torch.Generator().manual_seed(2)
    rows = torch.randn(12, 16, generator=generator)
    weight = torch.randn(4, 8, 16, generator=generator)
    ends = torch.tensor([5, 5, 6, 12], dtype=torch.int32)
    expected = linear_by_expert(rows, weight, ends)
    torch.testing.assert_close(grouped_linear(rows, weight, ends), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(expected[5], weight[2] @ rows[5])


def test_an_expert_without_tokens_gets_no_gradient() -> None:
    moe, x = small(), tokens(6)
    moe.pinned = torch.tensor([[0, 1]]).expand(6, 2)
    moe(x).square().sum().backward()
    grad = moe.experts.up.grad
    assert grad is not None
    assert bool((grad[2:] == 0).all())
    assert bool((grad[:2] != 0).any())


def test_the_bias_chooses_but_does_not_weigh() -> None:
    moe, x = small(), tokens(12)
    choice, weights, _ = moe.route(x)
    moe.router_bias += 3.0  # the same for all: nothing changes
    assert torch.equal(moe.route(x)[0].sort(-1).values, choice.sort(-1).values)
    torch.testing.assert_close(weights.sum(-1), torch.full((12,), moe.routed_scaling))
    moe.router_bias[7] += 5.0
    forced, forced_weights, _ = moe.route(x)
    assert bool((forced == 7).any(-1).all())
    assert bool((forced_weights <= moe.routed_scaling).all())


def test_pinned_choices_are_taken_and_last_choice_repeats_a_run() -> None:
    moe, x = small(), tokens(9)
    out = moe(x)
    assert moe.last_choice is not None
    moe.pinned = moe.last_choice.flip(-1)
    moe.router_bias += torch.arange(8.0)
    torch.testing.assert_close(moe(x), out)


def test_update_of_the_bias_on_numbers() -> None:
    moe = small(num_experts=4)
    moe.expert_counts.copy_(torch.tensor([4, 0, 1, 3]))
    moe.update_bias(0.1)
    torch.testing.assert_close(moe.router_bias, torch.tensor([-0.1, 0.1, 0.1, -0.1]))
    assert moe.expert_counts.tolist() == [0, 0, 0, 0]
    # Mean 2: e = (-4, 2, 1, 1), signs (-1, 1, 1, 1), mean .5; b += .1 (-1.5, .5, .5, .5).
    moe.expert_counts.copy_(torch.tensor([6, 0, 1, 1]))
    moe.update_bias(0.1)
    torch.testing.assert_close(moe.router_bias, torch.tensor([-0.25, 0.15, 0.15, -0.05]))
    # Balanced: e = 0 everywhere, nothing moves.
    moe.expert_counts.fill_(2)
    moe.update_bias(0.1)
    torch.testing.assert_close(moe.router_bias, torch.tensor([-0.25, 0.15, 0.15, -0.05]))


def test_counts_add_up_and_leave_padding_out() -> None:
    moe, x = small(), tokens(10)
    live = torch.arange(10) < 7
    for _ in range(2):
        moe(x)
        moe.count(live)
    assert moe.last_choice is not None
    expected = 2 * torch.bincount(moe.last_choice[:7].flatten(), minlength=8)
    assert moe.expert_counts.tolist() == expected.tolist()
    assert "router_bias" in moe.state_dict()
    assert "expert_counts" not in moe.state_dict()


def test_the_update_balances() -> None:
    moe, x = small(), tokens(256) + 0.5
    moe(x)
    moe.count(None)
    before = moe.expert_counts.max().item()
    for _ in range(200):
        moe.update_bias(0.01)
        moe(x)
        moe.count(None)
    assert before > 90
    assert moe.expert_counts.max().item() < 75


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_grouped_product_has_the_layout_that_cuda_wants(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Tensor, Tensor, Tensor]] = []
    product = torch._grouped_mm

    def spy(rows: Tensor, right: Tensor, *, offs: Tensor) -> Tensor:
        seen.append((rows, right, offs))
        return product(rows, right, offs=offs)

    monkeypatch.setattr(torch, "_grouped_mm", spy)
    moe = small()
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        moe(tokens(40)).float().square().sum().backward()
    assert len(seen) == 2
    for rows, right, offs in seen:
        assert rows.dtype == right.dtype == dtype
        assert rows.is_contiguous()
        assert right.transpose(1, 2).is_contiguous()
        assert right.stride(2) * right.element_size() % 16 == 0
        assert offs.dtype == torch.int32
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in moe.parameters())


def test_another_layout_is_refused_on_a_cpu_too() -> None:
    rows, ends = torch.zeros(4, 16), torch.tensor([2, 4], dtype=torch.int32)
    with pytest.raises(ValueError, match="stacked weights are contiguous, not of strides"):
        grouped_linear(rows, torch.zeros(2, 16, 8).transpose(1, 2), ends)
    narrow = torch.zeros(2, 8, 12, dtype=torch.bfloat16)
    with pytest.raises(ValueError, match="rows of a multiple of 8 numbers, not 12"):
        grouped_linear(rows[:, :12].bfloat16(), narrow, ends)
