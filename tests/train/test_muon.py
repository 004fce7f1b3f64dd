import pytest
import torch

from curriculum.train import muon
from curriculum.train.muon import MuonRule, muon_step, orthogonalize

MOONLIGHT = MuonRule(update_rms=0.2, weight_decay=0.1, momentum=0.95, nesterov=True, ns_steps=5)


def normal(*size: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("size", [(24, 40), (40, 24), (32, 32)])
def test_three_steps_are_those_of_torch(size: tuple[int, int], nesterov: bool) -> None:
    ours = normal(*size)
    theirs = torch.nn.Parameter(ours.clone())
    rule = MuonRule(0.2, 0.1, 0.95, nesterov, 5)
    optimizer = torch.optim.Muon(
        [theirs],
        lr=0.02,
        weight_decay=0.1,
        momentum=0.95,
        nesterov=nesterov,
        adjust_lr_fn="match_rms_adamw",
    )
    momentum = torch.zeros_like(ours)
    for seed in range(1, 4):
        gradient = normal(*size, seed=seed)
        theirs.grad = gradient.clone()
        optimizer.step()
        muon_step([ours], [gradient], [momentum], 0.02, rule)
    assert torch.equal(momentum, optimizer.state[theirs]["momentum_buffer"])
    # Both iterate in bfloat16 and may round differently: 2^-7 of an entry of the update, 3 times.
    largest_entry = 1.2 * 0.02 * rule.scale(*size)
    assert (ours - theirs).abs().max() <= 3 * 2**-7 * largest_entry


def test_the_iteration_is_the_published_polynomial_on_singular_values() -> None:
    x = normal(24, 40)
    u, singular, v = torch.linalg.svd(x.double(), full_matrices=False)
    values = singular / singular.norm()
    for _ in range(5):
        values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
    expected = (u * values) @ v
    found = orthogonalize(x, 5, torch.float32)
    assert torch.allclose(found.double(), expected, atol=1e-5)
    assert torch.equal(orthogonalize(x.mT, 5, torch.float32), found.mT)


def test_an_update_has_the_root_mean_square_that_the_rule_names() -> None:
    weight = torch.zeros(64, 256)
    rule = MuonRule(0.2, 0.0, 0.95, True, 5)
    muon_step([weight], [normal(64, 256)], [torch.zeros_like(weight)], 1.0, rule)
    assert 0.2 * 0.68 < weight.square().mean().sqrt() < 0.2 * 1.13


def test_weight_decay_is_decoupled_and_scaled_by_the_lr() -> None:
    weight = normal(8, 8)
    before = weight.clone()
    muon_step([weight], [torch.zeros(8, 8)], [torch.zeros(8, 8)], 0.5, MOONLIGHT)
    assert torch.equal(weight, before * (1 - 0.5 * 0.1))


@pytest.mark.parametrize("numbers", [1, 1 << 25])
def test_a_stack_of_experts_is_as_many_matrices(
    numbers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(muon, "STACK_NUMBERS", numbers)
    stack, gradient = normal(3, 8, 16), normal(3, 8, 16, seed=1)
    other, other_gradient = normal(8, 16, seed=2), normal(8, 16, seed=3)
    alone = [weight.clone() for weight in (*stack, other)]
    for weight, part in zip(alone, (*gradient, other_gradient), strict=True):
        muon_step([weight], [part], [torch.zeros(8, 16)], 0.1, MOONLIGHT, torch.float32)
    muon_step(
        [stack, other],
        [gradient, other_gradient],
        [torch.zeros(3, 8, 16), torch.zeros(8, 16)],
        0.1,
        MOONLIGHT,
        torch.float32,
    )
    assert torch.allclose(torch.stack(alone), torch.cat([stack, other[None]]), atol=1e-6)


def test_matrices_of_many_shapes_and_stacks_of_experts_are_those_of_torch() -> None:
    """All in one call of ours; torch's takes one matrix at a time, an expert's too."""
    sizes = [(24, 40), (3, 24, 40), (40, 24), (24, 40), (5, 16, 16)]
    ours = [normal(*size, seed=i) for i, size in enumerate(sizes)]
    matrices = [[w] if w.ndim == 2 else list(w) for w in ours]
    theirs = [torch.nn.Parameter(m.clone()) for group in matrices for m in group]
    optimizer = torch.optim.Muon(
        theirs,
        lr=0.02,
        weight_decay=0.1,
        momentum=0.95,
        nesterov=True,
        adjust_lr_fn="match_rms_adamw",
    )
    momenta = [torch.zeros_like(w) for w in ours]
    for step in range(3):
        gradients = [normal(*size, seed=10 * step + i) for i, size in enumerate(sizes)]
        alone = [m for g in gradients for m in ([g] if g.ndim == 2 else list(g))]
        for parameter, gradient in zip(theirs, alone, strict=True):
            parameter.grad = gradient.clone()
        optimizer.step()
        muon_step(ours, gradients, momenta, 0.02, MOONLIGHT)
    found = [m for w in ours for m in ([w] if w.ndim == 2 else list(w))]
    for mine, parameter in zip(found, theirs, strict=True):
        # As above: both iterate in bfloat16, and a batch may be rounded in another order.
        largest_entry = 1.2 * 0.02 * MOONLIGHT.scale(*mine.shape)
        assert (mine - parameter).abs().max() <= 3 * 2**-7 * largest_entry
