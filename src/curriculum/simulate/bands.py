"""Where each stage stands on the shared axis of tokens: its band, with a least width

    |   text            | vit-coca | align | joint   | cooldown |     left .. right in 0..1
    0                5.2T       7.2T    7.3T                         tokens_before

A stage shorter than the least width is drawn wider and the others give way; then the axis is no
longer to scale, and whoever draws it says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from curriculum.plan import Plan, Stage


@dataclass(frozen=True, slots=True)
class Band:
    """The part of the axis that belongs to one stage."""

    stage: str
    tokens_before: int  # of all stages drawn before it
    tokens: int
    left: float
    right: float
    note: str = ""  # what one has to know of it: where it starts from, its status
    follows: bool = True  # whether it goes on where the band before it ends
    waits: bool = False  # whether its end waits for a check

    @property
    def middle(self) -> float:
        return (self.left + self.right) / 2

    def place(self, tokens_stage: float) -> float:
        """Return where on the axis the stage has seen `tokens_stage`.

        >>> Band("joint", 100, 50, 0.5, 1.0).place(25)
        0.75
        """
        return self.left + (self.right - self.left) * tokens_stage / self.tokens


def bands(plan: Plan, least_width: float) -> tuple[Band, ...]:
    """Return a band for every stage, in the plan's order, none narrower than `least_width`.

    Many stages share the axis evenly before the least width runs out of it.
    """
    found: list[Band] = []
    tokens, left = 0, 0.0
    before: Stage | None = None
    for stage, width in zip(
        plan.stages, widths([stage.tokens for stage in plan.stages], least_width), strict=True
    ):
        note = ", ".join(w for w in (start_words(stage, before, plan), _status(stage)) if w)
        right = left + width
        follows = before is None or goes_on(stage, before)
        waits = stage.gate is not None
        found.append(Band(stage.name, tokens, stage.tokens, left, right, note, follows, waits))
        tokens, left, before = tokens + stage.tokens, right, stage
    return tuple(found)


def goes_on(stage: Stage, before: Stage) -> bool:
    """Say whether a stage takes a module from the end of the stage drawn before it."""
    return any((s.stage, s.step) == (before.name, before.steps) for s in stage.init.values())


def start_words(stage: Stage, before: Stage | None, plan: Plan) -> str:
    """Say what a stage starts from beside the end of the stage drawn before it.

    Nothing where that is all; nor of the first stage where all its modules are new.
    """
    starts = dict.fromkeys((s.stage, s.step) for s in stage.init.values() if s.stage is not None)
    if not starts:
        return "" if before is None else "new"
    follows = before is not None and goes_on(stage, before)
    names = [
        f"{name}@step {step:,}" if plan.has_stage(name) and step < plan.stage(name).steps else name
        for name, step in starts
        if not (follows and before is not None and name == before.name and step == before.steps)
    ]
    if not names:
        return ""
    return f"{'and ' if follows else ''}from {', '.join(names)}"


def _status(stage: Stage) -> str:
    return "" if stage.status == "main" else stage.status


def widths(sizes: Sequence[int], least: float) -> list[float]:
    """Share out 1 in proportion to the sizes, but at least `least` (or 1 / len) to each.

    >>> widths([90, 5, 5], 0.1)
    [0.8, 0.1, 0.1]
    """
    least = min(least, 1 / len(sizes))
    narrow: set[int] = set()
    while True:
        rest = 1 - least * len(narrow)
        total = sum(size for i, size in enumerate(sizes) if i not in narrow)
        shares = [least if i in narrow else rest * size / total for i, size in enumerate(sizes)]
        more = {i for i, share in enumerate(shares) if i not in narrow and share < least}
        if not more or len(narrow) + len(more) == len(sizes):
            return shares if not more else [1 / len(sizes)] * len(sizes)
        narrow |= more


def is_to_scale(axis: Sequence[Band]) -> bool:
    """Say whether a token has the same width everywhere.

    >>> is_to_scale([Band("a", 0, 3, 0.0, 0.75), Band("b", 3, 1, 0.75, 1.0)])
    True
    """
    per_token = [(band.right - band.left) / band.tokens for band in axis]
    return max(per_token) <= min(per_token) * (1 + 1e-9)


def side_by_side(plan: Plan) -> tuple[tuple[str, str], ...]:
    """Return the pairs of stages of which neither is the other's ancestor, in the plan's order."""
    above = {stage.name: {a.name for a, _ in plan.ancestors(stage.name)} for stage in plan.stages}
    names = [stage.name for stage in plan.stages]
    return tuple(
        (one, other)
        for i, one in enumerate(names)
        for other in names[i + 1 :]
        if one not in above[other] and other not in above[one]
    )
