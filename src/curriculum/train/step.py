"""One step: micro-batches to gradients to one update, the same however the step is cut

    Packed ... --to_torch--> forward_losses --(weight / count of the step)--> backward   each
               (siglip: a first pass embeds all pairs of the step; balance: counts its choices)
    gradients --finite? else NotFiniteError--> optimizer --> experts' bias

A loss is the step's sum over the step's count, so every micro-batch is divided by what the whole
step counts, which is known from the arrays before anything is computed.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from math import fsum, isfinite
from types import MappingProxyType

import torch
from torch import Tensor, nn

from curriculum.data.packed import Packed
from curriculum.errors import RunError
from curriculum.models.batch import TorchBatch, to_torch
from curriculum.models.decoder import Decoder
from curriculum.models.terms import count_of
from curriculum.models.vlm import Contrast, embed_pairs, expert_choices, forward_losses
from curriculum.train.consumed import batch_hash
from curriculum.train.optimizer import StageOptimizer


class NotFiniteError(RunError):
    """A loss or gradient norm is not finite; nothing was updated."""


@dataclass(frozen=True, slots=True)
class Crew:
    """The modules of a stage, by their kind (llm, vit, ...), and what updates them."""

    by_kind: Mapping[str, nn.Module]
    optimizer: StageOptimizer
    device: torch.device
    precision: str  # fp32, or bf16 where autocast allows it

    def autocast(self) -> AbstractContextManager[None]:
        """Return the context in which modules are called."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")


@dataclass(frozen=True, slots=True)
class StepLosses:
    """What one step measured of its passes: means over the step, and what went into them.

    `total` is the weighted sum, made of the factors that the backward pass had.
    """

    terms: dict[str, float]
    total: float
    grad_norm: float
    batch_hash: str  # of the tensors that the forward pass had
    expert_counts: list[list[int]]  # live tokens of each expert, by layer; [] without experts


def take_step(
    crew: Crew,
    micro_batches: Sequence[Packed],
    lr: Mapping[str, float],
    weights: Mapping[str, float],
    router_bias_rate: float | None,
    where: str,
    reduce: Mapping[str, str] = MappingProxyType({}),
    batches: Sequence[TorchBatch] | None = None,
) -> StepLosses:
    """Do one optimizer step; `where` names stage and step in errors.

    `router_bias_rate` is None where no experts are trained; `reduce` holds the terms that are no
    mean over tokens (`objective.py`); `batches` are the micro-batches where they are on the device
    already. NotFiniteError stops before the update.
    """
    weights = dict(sorted(weights.items()))  # sums in one order, whoever made the mapping
    if batches is None:
        batches = [to_torch(packed, crew.device) for packed in micro_batches]
    counts = {
        term: fsum(count_of(batch, term, reduce.get(term, "tokens")) for batch in batches)
        for term in weights
    }
    for term, count in counts.items():
        if count == 0:
            raise RunError(f"{where}: the loss term `{term}` counts nothing in this step")
    crew.optimizer.zero_grad()
    sums, total = _backward(crew, batches, weights, counts, reduce)
    terms = {term: sums[term] / counts[term] for term in weights}
    _give_every_parameter_a_gradient(crew.optimizer)
    grad_norm = crew.optimizer.grad_norm()
    if not (isfinite(total) and isfinite(grad_norm)):
        sources = ", ".join(sorted({s for packed in micro_batches for s in packed.sources}))
        raise NotFiniteError(
            f"{where}: the loss is {total}, the gradient norm {grad_norm}, reading {sources}; "
            "stopped before the update"
        )
    crew.optimizer.set_lr(lr)
    crew.optimizer.step()
    llm = crew.by_kind.get("llm")
    expert_counts = _expert_counts(llm) if isinstance(llm, Decoder) else []
    if router_bias_rate is not None:
        assert isinstance(llm, Decoder)
        llm.update_router_bias(router_bias_rate)
    return StepLosses(terms, total, grad_norm, batch_hash(batches), expert_counts)


def _backward(
    crew: Crew,
    batches: Sequence[TorchBatch],
    weights: Mapping[str, float],
    counts: Mapping[str, float],
    reduce: Mapping[str, str],
) -> tuple[dict[str, float], float]:
    """Add up the gradients of all micro-batches.

    Return each term's sum over the step, and the sum of them all, each times its factor.
    """
    factors = {term: weights[term] / counts[term] for term in weights}
    sums: list[Tensor] = []
    choices = _choices(crew, batches, weights)
    for batch, contrast in zip(batches, _contrasts(crew, batches, weights), strict=True):
        with crew.autocast():
            found = forward_losses(crew.by_kind, batch, weights, contrast, reduce, choices)
        totals = [found[term].total for term in weights]
        parts = [
            total * factor
            for factor, total in zip(factors.values(), totals, strict=True)
            if total.requires_grad
        ]
        if parts:
            torch.stack(parts).sum().backward()
        sums.append(torch.stack([total.detach().double() for total in totals]))
    over_step = torch.stack(sums).sum(0).tolist()
    total = fsum(x * factor for x, factor in zip(over_step, factors.values(), strict=True))
    return dict(zip(weights, over_step, strict=True)), total


def _expert_counts(decoder: Decoder) -> list[list[int]]:
    counts = [moe.expert_counts for moe in decoder.moe_layers()]
    return torch.stack(counts).tolist() if counts else []


def _contrasts(
    crew: Crew, batches: Sequence[TorchBatch], weights: Mapping[str, float]
) -> list[Contrast | None]:
    """Embed all pairs of the step, where it is cut: pairs are contrasted across micro-batches."""
    if "siglip" not in weights or len(batches) == 1:
        return [None] * len(batches)
    with crew.autocast():
        pairs = [embed_pairs(crew.by_kind, batch) for batch in batches]
    images = torch.cat([image for image, _ in pairs])
    texts = torch.cat([text for _, text in pairs])
    contrasts: list[Contrast | None] = []
    first = 0
    for batch in batches:
        contrasts.append(Contrast(images, texts, first))
        first += len(batch.grids)
    return contrasts


def _choices(
    crew: Crew, batches: Sequence[TorchBatch], weights: Mapping[str, float]
) -> Tensor | None:
    """Count the choices of the step's tokens, where it is cut: balance is one of the whole step."""
    if "balance" not in weights or len(batches) == 1:
        return None
    with crew.autocast():
        return torch.stack([expert_choices(crew.by_kind, batch) for batch in batches]).sum(0)


def _give_every_parameter_a_gradient(optimizer: StageOptimizer) -> None:
    # A step without images has gradient 0 for the ViT, not none: decay and momentum go on, as they
    # would if one image came with a micro-batch of its own.
    for group in optimizer.groups:
        for parameter in group.params:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
