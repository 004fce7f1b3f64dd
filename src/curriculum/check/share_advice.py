"""Advice about shares at the boundary between two stages"""

from collections.abc import Iterator, Mapping

from curriculum.check.model_rules import stages_before
from curriculum.check.places import mixture_place, related_place
from curriculum.errors import Diagnostic, Severity
from curriculum.plan import Now, Plan

JUMP = 0.30
"""In shares of all tokens: what a source or group may gain or lose from a step to the next."""


def shares_change_gradually(plan: Plan) -> Iterator[Diagnostic]:
    """No source, group or tag that two stages in a row read gains or loses more than 30 points
    from the last step of the one to the first of the other.

    What is all of the tokens in one of them is meant to be all.
    """
    for stage in plan.stages:
        now = _shares(plan, stage.at(0))
        for parent, step in stages_before(plan, stage, stage.count)[:1]:
            before = _shares(plan, parent.at(step))
            both = [n for n, share in now.items() if 0 < share < 1 and 0 < before.get(n, 0) < 1]
            jumps = [(abs(now[name] - before[name]), name) for name in both]
            size, name = max(jumps, default=(0.0, ""))
            if size <= JUMP:
                continue
            yield Diagnostic(
                "shares-change-gradually",
                f"`{name}` goes from {before[name]:.0%} to {now[name]:.0%} of the tokens where "
                f"stage `{stage.name}` begins",
                mixture_place(plan, stage, name),
                "let the first piece of its mixture be `{shape: linear, for: 10%}`, if it should "
                "go over by and by",
                Severity.INFO,
                related_place(plan, "as it was before", f"stages.{parent.name}.mixture"),
            )


def _shares(plan: Plan, now: Now) -> Mapping[str, float]:
    """Return the share of every source, of every group at the top, and of every tag."""
    ratios = now.ratios
    tags: dict[str, float] = {}
    for name, share in ratios.items():
        for tag in plan.sources[name].tags:
            tags[tag] = tags.get(tag, 0.0) + share
    groups = {path: share for path, share in now.shares.items() if "/" not in path}
    return {**tags, **groups, **ratios}
