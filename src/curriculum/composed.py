"""Stages that only compose: averages of what stages left, and where a module comes from

soup: llm = 1/3 a@1200 + 1/3 b@1200 + 1/3 c@1200
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from curriculum.plan import Start


class Share(NamedTuple):
    """One parent of an average, and its weight."""

    start: "Start"
    weight: Fraction


@dataclass(frozen=True, slots=True)
class ComposedStage:
    """A stage that only composes: each of its modules is a weighted average of where others left
    it, or as one of them left it (one share).

    It has no steps and leaves no optimizer state. A stage never starts from a single share of it:
    it starts from what lies behind. `among` are the candidates of what was selected.
    """

    name: str
    averages: Mapping[str, tuple[Share, ...]]
    status: str = "main"
    among: Mapping[str, "tuple[Start, ...]"] = field(default_factory=dict)
    digest: str = ""

    @property
    def starts(self) -> "list[tuple[str, Start]]":
        """Every parent of every module, with the module's name."""
        return [(m, share.start) for m, shares in self.averages.items() for share in shares]

    @property
    def other_name_of(self) -> "Start | None":
        """The one point that this is another name for; None where it composes or selects."""
        points = dict.fromkeys(start for _, start in self.starts)
        return next(iter(points)) if len(points) == 1 and not self.among else None

    @property
    def parents(self) -> tuple[str, ...]:
        """The stages that its modules come from, in the order of the modules' names."""
        return tuple(dict.fromkeys(s.stage for _, s in self.starts if s.stage is not None))


def origins(
    composed: Mapping[str, ComposedStage], start: "Start", module: str
) -> "tuple[Start, ...]":
    """Return the starts behind all averages that a module is taken through, each once."""
    found: dict[Start, None] = {}
    seen = {start}
    waiting = [start]
    while waiting:
        now = waiting.pop(0)
        stage = composed.get(now.stage or "")
        if stage is None:
            found[now] = None
            continue
        parents = [share.start for share in stage.averages[module]]
        waiting += [parent for parent in parents if parent not in seen]
        seen.update(parents)
    return tuple(found)
