"""Findings that say the same of several stages, told once with the stages' names"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from curriculum.errors import Diagnostic

MOST_NAMED = 12
"""Stages named behind one finding; the others are counted."""

_STAGE = re.compile(r"stage `([^`]+)`")
_STEP = re.compile(r"step [\d,]+ (?=of stage `)")


@dataclass(slots=True)
class _Told:
    """A finding, and the stages that it is told of: the first is its own."""

    finding: Diagnostic
    stages: list[str]


def told_once(findings: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Return findings for a person: of those that differ by their stage alone, only the first.

    Which step of its stage a finding names makes no difference either.

    >>> def lacks(stage: str) -> Diagnostic:
    ...     return Diagnostic("missing-key", f"stage `{stage}` does not say `packing`")
    >>> print(*told_once([lacks("text"), lacks("joint"), lacks("long")]))
    error[missing-key]: stage `text` does not say `packing`; and in 2 more stages: joint, long
    """
    told: list[_Told] = []
    groups: dict[tuple[object, ...], _Told] = {}
    for finding in findings:
        named = _STAGE.search(finding.message)
        if named is None:
            told.append(_Told(finding, []))
            continue
        stage = named[1]
        key = _but_for_stage(finding, stage)
        group = groups.get(key)
        if group is not None and stage not in group.stages:
            group.stages.append(stage)
            continue
        groups[key] = _Told(finding, [stage])
        told.append(groups[key])
    return [_with_others(one.finding, one.stages[1:]) for one in told]


def _but_for_stage(finding: Diagnostic, stage: str) -> tuple[object, ...]:
    """Return what findings of several stages have in common; a stage belongs to its file."""
    name = f"`{stage}`"
    message = _STEP.sub("", finding.message).replace(name, "``")
    help = finding.help and finding.help.replace(name, "``")
    file = finding.span and finding.span.file
    return finding.rule, finding.severity, message, help, file


def _with_others(finding: Diagnostic, stages: list[str]) -> Diagnostic:
    if not stages:
        return finding
    names, more = ", ".join(stages[:MOST_NAMED]), len(stages) - MOST_NAMED
    others = f" and {more:,} others" if more > 0 else ""
    what = f"and in {len(stages):,} more stage{'s' * (len(stages) > 1)}: {names}{others}"
    return replace(finding, message=f"{finding.message}; {what}")
