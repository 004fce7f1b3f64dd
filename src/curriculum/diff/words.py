"""A comparison as text: first the step, then the numbers, then what follows from them"""

from collections.abc import Iterator, Sequence

from curriculum.diff.compare import PlanDiff, StageDiff
from curriculum.diff.executed import Touched
from curriculum.diff.numbers import Number, stage_numbers
from curriculum.diff.own import DRAWS
from curriculum.diff.values import Change, Fact, Kind, Place, Value
from curriculum.text_table import wrapped

SHOWN = 8
"""Rows of one kind (tokens of sources, shares) that the text of a stage shows, and names in a row;
JSON has all."""


def told(diff: PlanDiff) -> list[str]:
    """Return the lines of a comparison."""
    lines = [headline(diff)]
    if diff.first is not None:
        lines += [f"  {line}" for line in _first_lines(diff.first)]
    was, now = (f"{plan.name} {plan.digest[:12]}" for plan in (diff.a, diff.b))
    lines += ["", f"{was} -> {now}"]
    numbers = stage_numbers(diff)
    quiet: dict[str, list[str]] = {}
    for one in diff.stages:
        rows = _columns([*_number_rows(numbers(one)), *_fact_rows(one.facts)])
        words = kind_words(one)
        if rows:
            lines += [f"{one.name}: {words}", *(f"  {row}" for row in rows)]
        else:
            quiet.setdefault(words, []).append(one.name)
    for words, stages in quiet.items():
        lines += wrapped(f"{words}: {', '.join(stages)}")
    if diff.facts:
        rows = _columns(list(_fact_rows(diff.facts)))
        lines += ["of the plan:", *(f"  {row}" for row in rows)]
    follows = list(_follows(diff))
    return [*lines, "", *(line for words in follows for line in wrapped(words))]


def headline(diff: PlanDiff) -> str:
    """Return the first line: stage and step, and the class of the whole."""
    if diff.kind is Kind.SAME:
        return "same: nothing differs"
    if diff.kind is Kind.COSMETIC:
        return "cosmetic: only words differ"
    if diff.first is None or diff.place is None:
        return "operational: every step is the same, and something around them differs"
    first = diff.first
    if first.fate in ("added", "removed"):
        return f"stage {first.name} is {first.fate}: {diff.kind}"
    if not isinstance(first.step, int):
        return f"stage {first.name}: {diff.kind}"
    may = "differs" if all(c.is_certain for c in first.first_changes) else "may differ"
    return f"stage {first.name}, step {first.step:,} is the first that {may}: {diff.kind}"


def kind_words(one: StageDiff) -> str:
    """Return the class of a stage and its place."""
    renamed = f", was {one.was}" if one.fate == "renamed" else ""
    if one.fate in ("added", "removed"):
        return one.fate
    if one.place is None:
        return f"{one.kind}{renamed}"
    if one.kind is Kind.FORWARD_ONLY:
        return f"forward-only from step {one.place.step:,}{renamed}"
    return f"{one.kind} at {place_words(one.place)}{renamed}"


def place_words(place: Place) -> str:
    """Return a place with its step in groups of three digits.

    >>> place_words(Place("text", 11921))
    'text@11,921'
    """
    return f"{place.stage}@{place.step:,}"


def change_words(changes: Sequence[Change]) -> list[str]:
    """Return words for each change, with both values; what changes alike is told once."""
    rows = [Number(c.what, c.before, c.after) for c in changes if c.is_certain and c.what != DRAWS]
    words = [_row(*row) for row in _together(rows)]
    for change in changes:
        if change.what == DRAWS:
            words.append("which source is drawn, because draws look ahead")
        elif not change.is_certain:
            words.append(f"{change.what} may part here: it is written in another way")
    return words


def _first_lines(first: StageDiff) -> list[str]:
    """Tell what differs at the first step; behind draws, the step that they look ahead to."""
    lines = change_words(first.first_changes)
    if all(change.what == DRAWS for change in first.first_changes):
        later = [change for change in first.changes if change.what != DRAWS]
        steps = [change.step for change in later[:1]]
        lines += [
            f"{words} at step {step:,}"
            for step in steps
            for words in change_words([change for change in later if change.step == step])
        ]
    return lines


def _names(names: Sequence[str]) -> str:
    """Write names one after the other, of very many only the first.

    >>> _names(["a", "b"]), _names([f"s{i}" for i in range(50)])[-18:]
    ('a, b', 's6, s7 and 42 more')
    """
    more = len(names) - SHOWN
    if more <= 1:
        return ", ".join(names)
    return f"{', '.join(names[:SHOWN])} and {more:,} more"


def _together(rows: Sequence[Number]) -> list[Number]:
    """Put numbers of one kind that change alike into one row: LR of llm, vit, peak."""
    found: dict[tuple[str, str, Value, Value], list[str]] = {}
    for what, before, after in rows:
        kind, sep, name = what.partition(" of ")
        name, _, part = name.partition(", ")
        key = (kind + sep, part and f", {part}", before, after)
        found.setdefault(key, []).append(name)
    return [
        Number(kind + _names(names) + part, before, after)
        for (kind, part, before, after), names in found.items()
    ]


def touched_words(found: Touched) -> str:
    """Say which executed step would be another, and how, in one sentence."""
    one = found.stage
    if one.fate == "removed":
        return f"stage `{one.was}`, of which {found.done:,} steps are done, is not in it"
    if one.fate == "renamed":
        return f"stage `{one.was}`, of which {found.done:,} steps are done, is `{one.name}` in it"
    what = "; ".join(change_words(one.first_changes))
    return (
        f"step {found.place.step:,} of stage `{one.was}` would be another ({what}), "
        f"and {found.done:,} steps of it are done"
    )


def from_step_words(place: Place, found: Touched | None) -> str:
    """Say whether everything before a step is the same."""
    if found is None:
        return f"everything before {place_words(place)} is the same"
    return f"not everything before {place_words(place)} is the same: {touched_words(found)}"


def value_words(value: Value, other: Value = None) -> str:
    """Return a number as it is read; in full where it would read like another that it is not.

    >>> value_words(160933), value_words(4.2e-4), value_words(None)
    ('160,933', '0.00042', 'none')
    """
    if value is None:
        return "none"
    if isinstance(value, str):
        return value
    if isinstance(value, int) and value < 10**15:
        return f"{value:,}"
    is_other = isinstance(other, int | float) and other != value
    for digits in (6, 9, 12):
        if not is_other or f"{other:.{digits}g}" != f"{value:.{digits}g}":
            return f"{value:.{digits}g}"
    return repr(value)


def _row(what: str, before: Value, after: Value) -> str:
    return f"{what} {value_words(before, after)} -> {value_words(after, before)}"


def _columns(rows: Sequence[Number | str]) -> list[str]:
    """Write numbers below each other, their names as wide as the widest."""
    width = max((len(row.what) for row in rows if isinstance(row, Number)), default=0)
    return [
        row if isinstance(row, str) else _row(row.what.ljust(width), row.before, row.after)
        for row in rows
    ]


def _number_rows(numbers: Sequence[Number]) -> Iterator[Number | str]:
    shown: dict[str, int] = {}
    for row in _together(numbers):
        kind = row.what.partition(" of ")[0]
        shown[kind] = shown.get(kind, 0) + 1
        if shown[kind] <= SHOWN:
            yield row
    for kind, count in shown.items():
        if count > SHOWN:
            yield f"{kind} of {count - SHOWN} more (--format json)"


def _fact_rows(facts: Sequence[Fact]) -> Iterator[Number]:
    return (Number(fact.what, fact.before, fact.after) for fact in facts)


def _follows(diff: PlanDiff) -> Iterator[str]:
    if diff.place is None:
        is_one = diff.a.digest == diff.b.digest
        if diff.kind is Kind.OPERATIONAL:
            yield "What follows: runs go on as they are" + ("." if is_one else ", with a new lock.")
        elif diff.kind is Kind.COSMETIC:
            yield "What follows: nothing; locks and runs stay good."
        return
    yield (
        f"What follows: a run that has not gone past {place_words(diff.place)} goes on under the "
        "new plan (train --resume)."
    )
    first = diff.first
    if first is not None and any(change.what == DRAWS for change in first.first_changes):
        later = min((c.step for c in first.changes if c.what != DRAWS), default=None)
        if later is not None:
            yield (
                f"{first.name} may draw otherwise from step {diff.place.step:,} on, and not only "
                f"from step {later:,}: who is drawn early follows from what is due later."
            )
    broken = [one.name for one in diff.stages if one.kind is Kind.BREAKING]
    if broken:
        yield (
            f"{', '.join(broken)}: what they start from holds steps that are changed; what was "
            "trained of them belongs to the old plan."
        )
    unread = [one.name for one in diff.stages if one.kind is Kind.INCOMPATIBLE]
    if unread:
        yield f"{', '.join(unread)}: checkpoints hold other tensors and cannot be read any more."
