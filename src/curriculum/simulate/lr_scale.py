"""The scale of the learning rate, in the picture and in the terminal: one rule for a whole plan

The axis is logarithmic where the highest learning rate of one stage (of one module) is less than an
eighth of another's: on a linear axis its curve would lie on the floor. Otherwise it is linear.
"""

from collections.abc import Iterable
from typing import Literal

from curriculum.plan import Plan
from curriculum.simulate.summary import lr_range

Scale = Literal["linear", "log"]
MOST_SPREAD = 8


def lr_scale(plan: Plan, asked: Scale | None = None) -> Scale:
    """Return the scale that was asked for, or what the rule says of the plan."""
    return asked or scale_of(
        values["peak"]
        for stage in plan.stages
        for values in lr_range(stage).values()
        if values is not None
    )


def scale_of(peaks: Iterable[float]) -> Scale:
    """Say by the highest rates which scale shows them all; a rate that stays 0 decides nothing.

    >>> scale_of([3e-4, 4e-5]), scale_of([3e-4, 3e-5]), scale_of([3e-4, 0])
    ('linear', 'log', 'linear')
    """
    known = [peak for peak in peaks if peak > 0]
    return "log" if known and max(known) > MOST_SPREAD * min(known) else "linear"
