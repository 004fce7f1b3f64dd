"""What a comparison says: classes from harmless to useless, places, and changes with both values"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

Value = int | float | str | None
"""A number, or words; None where there is none, or nobody knows it."""


class Kind(StrEnum):
    """How much of what was done stays good, worst last."""

    SAME = "same"
    COSMETIC = "cosmetic"
    OPERATIONAL = "operational"
    FORWARD_ONLY = "forward-only"
    BREAKING = "breaking"
    INCOMPATIBLE = "incompatible"

    @property
    def rank(self) -> int:
        """The place among the kinds.

        >>> Kind.SAME.rank, Kind.BREAKING.rank
        (0, 4)
        """
        return list(Kind).index(self)


def worst(kinds: Iterable[Kind]) -> Kind:
    """Return the worst of some kinds.

    >>> worst([Kind.FORWARD_ONLY, Kind.COSMETIC]), worst([])
    (<Kind.FORWARD_ONLY: 'forward-only'>, <Kind.SAME: 'same'>)
    """
    return max(kinds, key=lambda kind: kind.rank, default=Kind.SAME)


class Place(NamedTuple):
    """Before a step of a stage."""

    stage: str
    step: int

    def __str__(self) -> str:
        return f"{self.stage}@{self.step}"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that differs from a step of a stage on, with its values there.

    Where it `is_certain` the values of that step differ. Else they may be the same for some steps
    more: two curves that are written differently and agree at first in all digits, or draws, which
    look ahead.
    """

    what: str
    step: int
    before: Value
    after: Value
    is_certain: bool = True


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that differs and is no number of a step; `kind` is cosmetic or operational."""

    what: str
    before: Value
    after: Value
    kind: Kind = Kind.OPERATIONAL
