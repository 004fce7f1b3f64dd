"""The loss terms: what each counts in a micro-batch, and what each of its tokens weighs

Everything here is known from the arrays, on the host, before anything is computed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum

import numpy as np
from torch import Tensor

from curriculum.models.batch import TorchBatch, to_device
from curriculum.objective import token_weight

TERMS = ("next_token", "z_loss", "balance", "sequence_balance", "siglip", "caption")
OF_LLM = frozenset(TERMS[:4])
"""The terms that are read off one pass through the language model."""


@dataclass(frozen=True, slots=True)
class TermSum:
    """A loss term over one micro-batch: its sum (float32, with gradient) and what it counts.

    `count` is positions with a target (next_token, z_loss, caption) or the sum of what they weigh,
    images (siglip), tokens that are no padding (balance) or sequences (sequence_balance); a step's
    loss is the sum of its `total` over the sum of its `count`.
    """

    total: Tensor
    count: float


def count_of(batch: TorchBatch, term: str, reduce: str = "tokens") -> float:
    """What a term will count in this micro-batch; known before the forward pass, on the host."""
    match term:
        case "next_token" | "z_loss" | "caption" if reduce != "tokens":
            return fsum(n * token_weight(n, reduce) for n in samples(batch, term) if n)
        case "next_token" | "z_loss":
            return len(batch.targets)
        case "caption":
            return batch.num_caption_targets
        case "siglip":
            return len(batch.grids)
        case "balance":
            return batch.num_live
        case "sequence_balance":
            return batch.num_sequences
        case _:
            raise ValueError(f"unknown loss term {term!r}: there are {', '.join(TERMS)}")


def samples(batch: TorchBatch, term: str) -> Sequence[int]:
    """The tokens that bear loss of each sample of a term: of documents, or of captions."""
    if term == "caption":
        return [max(length - 1, 0) for length in batch.caption_lens]
    return batch.doc_loss_tokens


def weights_of(batch: TorchBatch, term: str, reduce: str) -> Tensor | None:
    """What each position of a term weighs; None where each weighs 1."""
    if reduce == "tokens":
        return None
    lens = samples(batch, term)
    repeats = batch.caption_lens if term == "caption" else lens
    each = np.array([token_weight(n, reduce) if n else 0.0 for n in lens], dtype=np.float32)
    return to_device(np.repeat(each, np.array(repeats, dtype=np.int64)), batch.targets.device)
