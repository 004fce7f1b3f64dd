"""Balance of experts as a loss: the share of tokens they got times what the router gave

    f_i = E c_i / sum(c)      c_i: how often expert i was chosen, over a step or over a sequence
    P_i = mean over live tokens of s_i / sum_j s_j      s: the router's scores
    L   = sum over layers of sum_i f_i P_i              1 a layer where all experts get the same

f has no gradient. Source: Switch Transformers (arXiv 2101.03961), 2.2; over a sequence, and with
sigmoid scores that are made to sum to 1: DeepSeek-V3 (arXiv 2412.19437), eq. 17 to 20.

T tokens, E experts, k chosen, S sequences of T / S tokens each.
"""

import torch
from torch import Tensor


def choice_counts(choice: Tensor, live: Tensor, num_experts: int) -> Tensor:
    """How many live tokens chose each expert: choice [T, k], live [T] bool -> [E] int64."""
    ones = live.long().unsqueeze(-1).expand_as(choice)
    counts = torch.zeros(num_experts, dtype=torch.int64, device=choice.device)
    return counts.scatter_add_(0, choice.flatten(), ones.flatten())


def balance_sum(scores: Tensor, live: Tensor, counts: Tensor) -> Tensor:
    """Sum over live tokens of sum_i f_i s_i / sum_j s_j: L of one layer times the live tokens.

    scores [T, E] of one micro-batch, counts [E] of the whole step: sums of micro-batches add up.

    >>> even, all_live = torch.full((3, 4), 0.5), torch.ones(3, dtype=torch.bool)
    >>> balance_sum(even, all_live, torch.tensor([3, 3, 0, 0])).item() / 3
    1.0
    """
    load = counts.float() * (len(counts) / counts.sum().clamp(min=1))
    shares = scores / scores.sum(-1, keepdim=True)
    # Not a matrix product: under autocast that would be one in bfloat16.
    return ((shares * load).sum(-1) * live).sum()


def sequence_balance_sum(
    scores: Tensor, choice: Tensor, live: Tensor, num_sequences: int
) -> Tensor:
    """Sum over sequences of sum_i f_i P_i, both taken over the live tokens of the sequence.

    >>> scores = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> choice = torch.tensor([[0], [0], [0], [1]])
    >>> sequence_balance_sum(scores, choice, torch.ones(4, dtype=torch.bool), 2).item()
    3.0
    """
    num_experts = scores.shape[-1]
    is_live = live.float().unflatten(0, (num_sequences, -1)).unsqueeze(-1)  # [S, T / S, 1]
    chosen = torch.zeros_like(scores).scatter_(1, choice, 1.0)
    counts = (chosen.unflatten(0, (num_sequences, -1)) * is_live).sum(1)  # [S, E]
    load = counts * (num_experts / counts.sum(-1, keepdim=True).clamp(min=1))
    shares = (scores / scores.sum(-1, keepdim=True)).unflatten(0, (num_sequences, -1))
    mean = (shares * is_live).sum(1) / is_live.sum(1).clamp(min=1)
    return (load * mean).sum()
