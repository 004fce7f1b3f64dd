"""Balance losses: equal to the published sums, whatever a step is cut into, with recomputing too"""

from itertools import product

import torch
from torch import Tensor

from curriculum.models.balance import balance_sum, choice_counts, sequence_balance_sum
from curriculum.models.batch import to_torch
from curriculum.models.block import Recompute, set_blocks
from curriculum.models.decoder import Decoder
from curriculum.models.vlm import expert_choices, forward_losses
from models.test_vlm import SMALL, collected, llm_batches, modules

TERMS = {"next_token": 1.0, "balance": 0.5, "sequence_balance": 0.5}


def made() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    scores = torch.rand((8, 4), generator=generator)
    choice = torch.stack([torch.randperm(4, generator=generator)[:2] for _ in range(8)])
    return scores, choice, torch.tensor([True] * 5 + [False] + [True] * 2)


def published(scores: Tensor, choice: Tensor, live: Tensor) -> float:
    """sum_i f_i P_i, written out: DeepSeek-V3, eq. 17 to 20."""
    tokens, (num_experts, top_k) = live.nonzero().flatten().tolist(), (scores.shape[1], 2)
    total = 0.0
    for i in range(num_experts):
        f = sum(i in choice[t] for t in tokens) * num_experts / (top_k * len(tokens))
        p = sum((scores[t, i] / scores[t].sum()).item() for t in tokens) / len(tokens)
        total += f * p
    return total


def test_balance_over_a_step_and_over_sequences_is_the_published_sum() -> None:
    scores, choice, live = made()
    counts = choice_counts(choice, live, 4)
    assert counts.tolist() == [int((choice[live] == i).sum()) for i in range(4)]
    found = balance_sum(scores, live, counts).item() / 7
    assert abs(found - published(scores, choice, live)) < 1e-6
    halves = [published(scores[a:b], choice[a:b], live[a:b]) for a, b in ((0, 4), (4, 8))]
    assert abs(sequence_balance_sum(scores, choice, live, 2).item() - sum(halves)) < 1e-6


def gradients(recompute: Recompute, cut: bool) -> tuple[dict[str, float], dict[str, Tensor]]:
    built = modules("llm", "vit", "projector")
    llm = built["llm"]
    assert isinstance(llm, Decoder)
    set_blocks(llm, recompute, False)
    whole, cuts = llm_batches()
    batches = [to_torch(packed) for packed in (cuts if cut else [whole])]
    choices = torch.stack([expert_choices(built, batch) for batch in batches]).sum(0)
    sums = dict.fromkeys(TERMS, 0.0)
    counts = dict.fromkeys(TERMS, 0.0)
    for batch in batches:
        found = forward_losses(built, batch, TERMS, choices=choices if cut else None)
        torch.stack([found[term].total for term in TERMS]).sum().backward()
        for term in TERMS:
            sums[term] += found[term].total.item()
            counts[term] += found[term].count
    assert counts["balance"] == to_torch(whole).num_live
    assert counts["sequence_balance"] == 3
    return sums, collected(built)


def test_micro_batches_and_recomputing_change_neither_sums_nor_gradients() -> None:
    sums, grads = gradients("none", cut=False)
    ways: list[Recompute] = ["none", "selective", "full"]
    for recompute, cut in list(product(ways, (False, True)))[1:]:
        others, found = gradients(recompute, cut)
        assert all(abs(others[term] - sums[term]) < 1e-4 for term in TERMS)
        for name, grad in grads.items():
            assert (found[name] - grad).norm() <= 1e-4 * grad.norm(), name


def test_balance_reaches_the_router_and_counts_no_token_twice() -> None:
    built = modules("llm")
    llm = built["llm"]
    assert isinstance(llm, Decoder)
    assert SMALL["llm"] == llm.shape
    batch = to_torch(llm_batches()[1][1])
    expert_choices(built, batch)
    found = forward_losses(built, batch, {"balance": 1.0})
    found["balance"].total.backward()
    for moe in llm.moe_layers():
        assert int(moe.expert_counts.sum()) == batch.num_live * moe.top_k
        assert moe.router.weight.grad is not None
        assert float(moe.router.weight.grad.norm()) > 0
        assert moe.last_scores is None


def test_balance_is_summed_in_float32_under_autocast() -> None:
    scores, choice, live = made()
    counts = choice_counts(choice, live, 4)
    exact = balance_sum(scores, live, counts)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(balance_sum(scores, live, counts), exact)
        assert sequence_balance_sum(scores, choice, live, 2).dtype == torch.float32
