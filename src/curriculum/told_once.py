"""Findings that say the same of several stages, or of many places, told once with the others"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from curriculum.errors import Diagnostic

MOST_NAMED = 12
"""Stages or lines named behind one finding; the others are counted."""

MOST_PLACES = 4
"""Places that one sentence is told at, each with its line; those of more are named behind one."""

_STAGE = re.compile(r"stage `([^`]+)`")
_STEP = re.compile(r"step [\d,]+ (?=of stage `)")


@dataclass(slots=True)
class _Told:
    """A finding, and the stages that it is told of: the first is its own."""

    finding: Diagnostic
    stages: list[str]


def told_once(findings: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Return findings for a person: of those that differ by their stage alone, only the first.

    Which step of its stage a finding names makes no difference either. What is said word for word
    of more than `MOST_PLACES` places of a file is told at the first, with the lines of the others.

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
    return _at_first_place(_with_others(one.finding, one.stages[1:]) for one in told)


def _but_for_stage(finding: Diagnostic, stage: str) -> tuple[object, ...]:
    """Return what findings of several stages have in common; a stage belongs to its file."""
    name = f"`{stage}`"
    message = _STEP.sub("", finding.message).replace(name, "``")
    help = finding.help and finding.help.replace(name, "``")
    file = finding.span and finding.span.file
    return finding.rule, finding.severity, message, help, file


def _at_first_place(findings: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Tell a sentence that many places have in common at the first of them; keep the order."""
    groups: dict[tuple[object, ...], list[Diagnostic]] = {}
    of: list[list[Diagnostic]] = []
    for index, one in enumerate(findings):
        file = one.span.file if one.span else index
        group = groups.setdefault((one.rule, one.severity, one.message, one.help, file), [])
        group.append(one)
        of.append(group)
    told: list[Diagnostic] = []
    places = dict.fromkeys(map(id, of), 0)  # of each sentence, how many were told
    for group in of:
        nth = places[id(group)]
        places[id(group)] += 1
        if len(group) <= MOST_PLACES:
            told.append(group[nth])
        elif nth == 0:
            told.append(_with_lines(*group))
    return told


def _with_lines(first: Diagnostic, *others: Diagnostic) -> Diagnostic:
    lines = list(dict.fromkeys(str(one.span.line) for one in others if one.span))
    names, more = ", ".join(lines[:MOST_NAMED]), len(lines) - MOST_NAMED
    rest = f" and {more:,} others" if more > 0 else ""
    what = f"and at {len(others):,} more places: line{'s' * (len(lines) > 1)} {names}{rest}"
    return replace(first, message=f"{first.message}; {what}")


def _with_others(finding: Diagnostic, stages: list[str]) -> Diagnostic:
    if not stages:
        return finding
    names, more = ", ".join(stages[:MOST_NAMED]), len(stages) - MOST_NAMED
    others = f" and {more:,} others" if more > 0 else ""
    what = f"and in {len(stages):,} more stage{'s' * (len(stages) > 1)}: {names}{others}"
    return replace(finding, message=f"{finding.message}; {what}")
