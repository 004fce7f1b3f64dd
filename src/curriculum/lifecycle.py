"""What becomes of modules on the way: parts that start anew, other sizes, adapters, an average"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

from curriculum.models.adapters import Adapter

Field = int | float | bool | None
"""One size or switch of a shape."""

ROWS = ("new", "mean")
"""How the rows that a grown vocabulary gains begin: as a fresh module's, or at the mean of the
rows that were there."""

LEFT = ("merge", "drop", "keep")
"""What becomes of the adapters that a parent left: added into the weights, left behind, kept."""


class Ema(NamedTuple):
    """An exponential average of the weights."""

    decay: Fraction | None  # a step; None: unknown


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """What a stage says of its modules beside where they come from and what it trains."""

    fresh: tuple[str, ...] = ()  # parts that start anew in a module that does not: `llm/head`
    sizes: Mapping[str, Mapping[str, Field]] = field(default_factory=dict)
    """By module, the fields of its shape that are not the plan's: said here or by an ancestor."""
    rows: Mapping[str, str] = field(default_factory=dict)  # by module that is reshaped here
    adapters: Mapping[str, Adapter] = field(default_factory=dict)  # by module that has some
    left: Mapping[str, str] = field(default_factory=dict)  # by module whose parent left some
    ema: Ema | None = None

    def parts_of(self, module: str) -> tuple[str, ...]:
        """Return the parts that a stage adds to those of a module's shape."""
        return ("adapters",) if module in self.adapters else ()


NOTHING_SAID = Lifecycle()
