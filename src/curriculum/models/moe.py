"""Routed and shared experts: sigmoid scores, balanced by a bias that only chooses

    x [T, C] --router--> scores [T, E] --+ router_bias, top k--> choice [T, k]
                           |  its own scores, made to sum to routed_scaling --> weights [T, k]
    x --spread by expert--> experts (one grouped product) --back, weighted sum--> [T, C] + shared(x)

T tokens, C hidden, E routed experts, k chosen, N = T k slots, D width of one expert.
Source: DeepSeek-V3 (arXiv 2412.19437), 2.1.2; Moonlight (arXiv 2502.16982), appendix C.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from curriculum.models.rows import permute_rows, spread_rows
from curriculum.models.shapes import DecoderShape


class GatedFfn(nn.Module):
    """SwiGLU: down(silu(gate x) * up x)."""

    def __init__(self, hidden: int, inner: int) -> None:
        super().__init__()
        self.gate = nn.Linear(hidden, inner, bias=False)
        self.up = nn.Linear(hidden, inner, bias=False)
        self.down = nn.Linear(inner, hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[T, C] -> [T, C]."""
        both = functional.linear(x, torch.cat((self.gate.weight, self.up.weight)))
        gate, up = both.chunk(2, dim=-1)
        out: Tensor = self.down(functional.silu(gate) * up)
        return out


class Experts(nn.Module):
    """E SwiGLU experts as stacked weights [E, out, in]."""

    def __init__(self, num_experts: int, hidden: int, inner: int) -> None:
        super().__init__()
        self.gate = nn.Parameter(torch.empty(num_experts, inner, hidden))
        self.up = nn.Parameter(torch.empty(num_experts, inner, hidden))
        self.down = nn.Parameter(torch.empty(num_experts, hidden, inner))

    def forward(self, rows: Tensor, ends: Tensor) -> Tensor:
        """Rows [N, C] sorted by expert; `ends` [E] int32 is where each expert's rows end."""
        both = grouped_linear(rows, torch.cat((self.gate, self.up), dim=1), ends)
        gate, up = both.chunk(2, dim=-1)
        return grouped_linear(functional.silu(gate) * up, self.down, ends)


def grouped_linear(rows: Tensor, weight: Tensor, ends: Tensor) -> Tensor:
    """Rows [N, in] times their expert's weight [E, out, in]: [N, out].

    CUDA's grouped product takes bf16 only, and the weight column-major (so: stored [out, in]);
    other types go expert by expert there.
    """
    if torch.is_autocast_enabled(rows.device.type):
        dtype = torch.get_autocast_dtype(rows.device.type)
        rows, weight = rows.to(dtype), weight.to(dtype)
    if rows.device.type == "cuda" and rows.dtype != torch.bfloat16:
        return linear_by_expert(rows, weight, ends)
    return torch._grouped_mm(rows, weight.transpose(-2, -1), offs=ends)


def linear_by_expert(rows: Tensor, weight: Tensor, ends: Tensor) -> Tensor:
    """`grouped_linear`, one product for each expert; waits for the device to know the sizes."""
    groups = rows.tensor_split(ends[:-1].long().cpu())
    return torch.cat([functional.linear(part, w) for part, w in zip(groups, weight, strict=True)])


class Moe(nn.Module):
    """The feed-forward of one layer with experts.

    `router_bias` is state: it is saved, and changed only by `update_bias`. `expert_counts` is how
    many live tokens each expert was given since then; in a distributed run sum it over ranks first.
    `pinned` [T, k] replaces the router's choice (tests of exactness); `last_choice` is the last,
    and `last_scores` [T, E] what it was made of, where `keeps_scores` says so.
    """

    router_bias: Tensor
    expert_counts: Tensor

    def __init__(self, shape: DecoderShape) -> None:
        super().__init__()
        self.top_k, self.routed_scaling = shape.top_k, shape.routed_scaling
        self.router = nn.Linear(shape.hidden, shape.num_experts, bias=False)
        self.experts = Experts(shape.num_experts, shape.hidden, shape.expert_dim)
        inner = shape.num_shared_experts * shape.expert_dim
        self.shared = GatedFfn(shape.hidden, inner) if inner else None
        self.register_buffer("router_bias", torch.zeros(shape.num_experts))
        counts = torch.zeros(shape.num_experts, dtype=torch.int64)
        self.register_buffer("expert_counts", counts, persistent=False)
        self.pinned: Tensor | None = None
        self.last_choice: Tensor | None = None
        self.keeps_scores = False
        self.last_scores: Tensor | None = None

    def route(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Experts of each token and their weights, both [T, k]; in float32 whatever x is."""
        with torch.autocast(x.device.type, enabled=False):
            scores = functional.linear(x.float(), self.router.weight.float()).sigmoid()
            self.last_scores = scores if self.keeps_scores else None
            choice = self.pinned
            if choice is None:
                choice = (scores.detach() + self.router_bias).topk(self.top_k, sorted=False).indices
            weights = scores.gather(1, choice)
            total = weights.sum(-1, keepdim=True) + 1e-20  # as DeepSeek-V3 guards it
            return choice, weights * (self.routed_scaling / total)

    def forward(self, x: Tensor) -> Tensor:
        """[T, C] -> [T, C]."""
        choice, weights = self.route(x)
        self.last_choice = choice.detach()
        slots = choice.flatten()
        by_expert, order = slots.sort(stable=True)
        inverse = torch.empty_like(order)
        inverse[order] = torch.arange(len(order), device=order.device)
        experts = torch.arange(len(self.router_bias), device=order.device)
        ends = torch.searchsorted(by_expert, experts, right=True, out_int32=True)
        rows = self.experts(spread_rows(x, order, inverse, self.top_k), ends)
        chosen = permute_rows(rows, inverse, order).unflatten(0, (-1, self.top_k))
        out = (chosen * weights.unsqueeze(-1)).sum(1)
        return out if self.shared is None else out + self.shared(x)

    @torch.no_grad()
    def count(self, live: Tensor | None) -> None:
        """Add the last choice to `expert_counts`; `live` [T] bool leaves padding out."""
        assert self.last_choice is not None
        ones = torch.ones_like(self.last_choice)
        if live is not None:
            ones = ones * live.unsqueeze(-1)
        self.expert_counts.scatter_add_(0, self.last_choice.flatten(), ones.flatten())

    @torch.no_grad()
    def update_bias(self, rate: float) -> None:
        """Move the bias towards the experts that got too little, once a step; counts start anew.

        b += rate (sign e - mean(sign e)), e = mean count - count (arXiv 2502.16982, appendix C):
        counts (4, 0, 1, 3) at rate .1 give e (-2, 2, 1, -1) and b (-.1, .1, .1, -.1).
        """
        counts = self.expert_counts.double()
        sign = (counts.mean() - counts).sign()
        self.router_bias += (rate * (sign - sign.mean())).float()
        self.expert_counts.zero_()
