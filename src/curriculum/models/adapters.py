"""Adapters: low-rank matrices beside the weights of a module, counted from its shape"""

from dataclasses import dataclass
from math import prod
from typing import Literal, get_args

from curriculum.models.shapes import Shape, part_of

Kind = Literal["lora", "dora"]

KINDS: tuple[str, ...] = get_args(Kind)
PART = "adapters"
"""The part of a module that its adapters are."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """Adapters of one rank on every matrix of some parts of a module."""

    kind: str
    rank: int
    parts: tuple[str, ...]  # parts, by name

    def num_params(self, shape: Shape, *, active: bool = False) -> int:
        """Parameters of all adapters; with `active`, only those that work on one token.

        A matrix [out, in] gets [rank, in] and [out, rank] (LoRA, arXiv 2106.09685, 4.1); DoRA
        (arXiv 2402.09353, 4.1) one magnitude more for each of its outputs. Of stacked experts each
        has its own. Vectors, and tables of positions, get none.

        >>> from curriculum.models.presets import PRESETS
        >>> head = PRESETS["moonlight-proxy"].weights()["head.weight"]
        >>> head
        (1024, 160)
        >>> Adapter("lora", 8, ("head",)).num_params(PRESETS["moonlight-proxy"])
        9472
        >>> Adapter("dora", 8, ("head",)).num_params(PRESETS["moonlight-proxy"])
        10496
        """
        total = 0.0
        for name, size in shape.weights().items():
            if part_of(shape.kind, name) not in self.parts or not takes_adapter(name, size):
                continue
            *stack, outputs, inputs = size
            one = self.rank * (inputs + outputs) + (outputs if self.kind == "dora" else 0)
            total += prod(stack) * one * (shape.active_share(name) if active else 1)
        return round(total)


def takes_adapter(name: str, size: tuple[int, ...]) -> bool:
    """Say whether a weight is a matrix that something is multiplied with, or a stack of them."""
    return len(size) > 1 and "positions" not in name
