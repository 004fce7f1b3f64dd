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
        weights = (to_compute(self.gate.weight), to_compute(self.up.weight))
        both = functional.linear(x, torch.cat(weights))
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
        # Cast before they are joined: half of it is moved, and kept for the backward pass.
        gate, up, down = (to_compute(weight) for weight in (self.gate, self.up, self.down))
        both = grouped_linear(to_compute(rows), torch.cat((gate, up), dim=1), ends)
        gate, up = both.chunk(2, dim=-1)
        return grouped_linear(functional.silu(gate) * up, down, ends)


def grouped_linear(rows: Tensor, weight: Tensor, ends: Tensor) -> Tensor:
    """Rows [N, in] times their expert's weight [E, out, in]: [N, out].

    CUDA's grouped product takes bf16 only, and the weight column-major (so: stored [out, in]);
    other types go expert by expert there. A right operand that the kernel would refuse, or copy,
    is refused on every device.
    """
    require_layout(weight)
    if rows.device.type == "cuda" and rows.dtype != torch.bfloat16:
        return linear_by_expert(rows, weight, ends)
    return torch._grouped_mm(rows, weight.transpose(-2, -1), offs=ends)


def to_compute(x: Tensor) -> Tensor:
    """Return x in the type of autocast, which does not know grouped products; itself without."""
    if not torch.is_autocast_enabled(x.device.type):
        return x
    return x.to(torch.get_autocast_dtype(x.device.type))


def require_layout(weight: Tensor) -> None:
    """ValueError where stacked weights [E, out, in] are not as CUDA's grouped product wants them.

    Transposed they are its right operand, column-major: rows one behind the other in memory, each
    starting at a multiple of 16 bytes.
    """
    if not weight.is_contiguous():
        raise ValueError(f"stacked weights are contiguous, not of strides {weight.stride()}")
    if weight.dtype == torch.bfloat16 and weight.shape[-1] * weight.element_size() % 16:
        raise ValueError(
            f"a grouped product in bf16 takes rows of a multiple of 8 numbers, not "
            f"{weight.shape[-1]}"
        )


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

    def route(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Experts of each token and their weights, both [T, k], and the scores [T, E] of all.

        In float32 whatever x is.
        """
        with torch.autocast(x.device.type, enabled=False):
            scores = functional.linear(x.float(), self.router.weight.float()).sigmoid()
            choice = self.pinned
            if choice is None:
                choice = (scores.detach() + self.router_bias).topk(self.top_k, sorted=False).indices
            weights = scores.gather(1, choice)
            total = weights.sum(-1, keepdim=True) + 1e-20  # as DeepSeek-V3 guards it
            return choice, weights * (self.routed_scaling / total), scores

    def forward(self, x: Tensor) -> Tensor:
        """[T, C] -> [T, C]."""
        out, choice, scores = self.routed(x)
        self.note(choice, scores)
        return out

    def note(self, choice: Tensor, scores: Tensor) -> None:
        """Keep what the router did; where a layer is recomputed, outside of it."""
        self.last_choice = choice.detach()
        self.last_scores = scores if self.keeps_scores else None

    def routed(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[T, C] -> [T, C], the choice [T, k] and its scores [T, E]; changes nothing."""
        choice, weights, scores = self.route(x)
        slots = choice.flatten()
        by_expert, order = slots.sort(stable=True)
        inverse = torch.empty_like(order)
        inverse[order] = torch.arange(len(order), device=order.device)
        experts = torch.arange(len(self.router_bias), device=order.device)
        ends = torch.searchsorted(by_expert, experts, right=True, out_int32=True)
        rows = self.experts(spread_rows(x, order, inverse, self.top_k), ends)
        chosen = permute_rows(rows, inverse, order).unflatten(0, (-1, self.top_k))
        out = (chosen * weights.unsqueeze(-1)).sum(1)
        return (out if self.shared is None else out + self.shared(x)), choice, scores

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
