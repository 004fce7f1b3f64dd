"""Two plans compared, stage by stage: what differs first, and how much of what was done stays good

a  text ---- joint ---- cooldown        text differs from its step 10:  forward-only
b  text --*- joint ---- cooldown        joint starts from what held it: breaking at text@10
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from curriculum.composed import ComposedStage
from curriculum.diff.facts import plan_facts, stage_facts
from curriculum.diff.fixed import Pair, is_compatible, is_same_start
from curriculum.diff.own import first_step, own_changes
from curriculum.diff.pairs import AnyStage, pairs, stages_of
from curriculum.diff.values import Change, Fact, Kind, Place, worst
from curriculum.plan import Plan, Stage, Start


@dataclass(frozen=True, slots=True)
class StageDiff:
    """What became of one stage.

    `fate` is kept, renamed, added or removed. `step` is the first of its own steps that differs,
    or may; None where none does. `place` says from where on, or because of what, it is of its
    `kind`. Stages that only compose have one step, 0.
    """

    name: str
    was: str | None
    fate: str
    kind: Kind
    step: int | None = None
    place: Place | None = None
    changes: tuple[Change, ...] = ()
    facts: tuple[Fact, ...] = ()

    @property
    def first_changes(self) -> tuple[Change, ...]:
        """What differs at the first step that does."""
        return tuple(change for change in self.changes if change.step == self.step)


@dataclass(frozen=True, slots=True)
class PlanDiff:
    """What differs between two plans; every step before `place` is the same in both.

    `stages` are those of `b` in its order, and those that are gone where they stood.
    """

    a: Plan
    b: Plan
    kind: Kind
    place: Place | None
    stages: tuple[StageDiff, ...]
    facts: tuple[Fact, ...]

    @property
    def is_harmless(self) -> bool:
        """Whether nothing differs but words."""
        return self.kind in (Kind.SAME, Kind.COSMETIC)

    @property
    def first(self) -> StageDiff | None:
        """The stage of the first step that differs."""
        return next((one for one in self.stages if one.step is not None), None)

    def stage(self, name: str) -> StageDiff:
        """Return what became of a stage, by its name in `a`, or in `b` where it is new."""
        return next(s for s in self.stages if name == (s.name if s.was is None else s.was))


def compare(a: Plan, b: Plan) -> PlanDiff:
    """Compare two plans; nothing is walked step by step."""
    names = pairs(a, b)
    found = _in_one_order(a, b, names, list(_kept_and_added(a, b, names)))
    facts = tuple(plan_facts(a, b))
    kind = worst([*(one.kind for one in found), *(fact.kind for fact in facts)])
    if kind.rank < Kind.OPERATIONAL.rank and a.digest != b.digest:
        # The same steps, written in another way: in tokens instead of steps, say.
        facts, kind = (*facts, Fact("digest", a.digest[:12], b.digest[:12])), Kind.OPERATIONAL
    place = next((Place(one.name, one.step) for one in found if one.step is not None), None)
    return PlanDiff(a, b, kind, place, tuple(found), facts)


def _kept_and_added(a: Plan, b: Plan, names: Mapping[str, str]) -> Iterator[StageDiff]:
    old_names = {new: old for old, new in names.items()}
    olds = stages_of(a)
    known: dict[str, StageDiff] = {}
    for name, stage in stages_of(b).items():
        was = old_names.get(name)
        if was is None:
            kind = Kind.FORWARD_ONLY
            one = StageDiff(name, None, "added", kind, 0, Place(name, 0))
        else:
            one = _compared(a, b, olds[was], stage, names)
            broken = _broken_by(olds[was], stage, names, known)
            if broken is not None:
                kind = worst([one.kind, Kind.BREAKING])
                one = replace(one, kind=kind, place=broken)
        known[name] = one
        yield one


def _compared(
    a: Plan, b: Plan, one: AnyStage, other: AnyStage, names: Mapping[str, str]
) -> StageDiff:
    """Compare a stage with what it became, whatever lies before both."""
    facts = tuple(stage_facts(one, other))
    changes: tuple[Change, ...]
    kind = Kind.FORWARD_ONLY
    if isinstance(one, Stage) and isinstance(other, Stage):
        pair = Pair(a, b, one, other, names)
        # A digest covers all that a step reads, and all that lies before it.
        changes = () if one.digest == other.digest != "" else own_changes(pair)
        if changes and not is_compatible(pair):
            kind = Kind.INCOMPATIBLE
    elif isinstance(one, ComposedStage) and isinstance(other, ComposedStage):
        changes = tuple(_averages_differ(a, b, one, other, names))
    else:
        words = ("trains", "only composes")
        was, now = words if isinstance(one, Stage) else words[::-1]
        changes = (Change("kind of stage", 0, was, now),)
    fate = "kept" if one.name == other.name else "renamed"
    if any(change.what.startswith("share of ") for change in changes):
        facts = tuple(fact for fact in facts if fact.kind is Kind.COSMETIC or fact.what not in _OF)
    if not changes:
        renamed = [Kind.OPERATIONAL] if fate == "renamed" else []
        kind = worst([*renamed, *(fact.kind for fact in facts)])
    step = first_step(changes)
    place = None if step is None else Place(other.name, step)
    return StageDiff(other.name, one.name, fate, kind, step, place, changes, facts)


_OF = ("ratios of the mixture's groups",)
"""Facts that say less than the shares that differ beside them."""


def _averages_differ(
    a: Plan, b: Plan, one: ComposedStage, other: ComposedStage, names: Mapping[str, str]
) -> Iterator[Change]:
    for module in sorted(one.averages.keys() | other.averages.keys()):
        before, after = one.averages.get(module, ()), other.averages.get(module, ())
        if len(before) == len(after) and all(
            mine.weight == its.weight and is_same_start(a, b, names, mine.start, its.start)
            for mine, its in zip(before, after, strict=True)
        ):
            continue
        was, now = (
            " + ".join(f"{s.weight} {s.start.stage}@{s.start.step}" for s in shares) or None
            for shares in (before, after)
        )
        yield Change(f"average of {module}", 0, was, now)


def _broken_by(
    one: AnyStage, other: AnyStage, names: Mapping[str, str], known: Mapping[str, StageDiff]
) -> Place | None:
    """Return the first changed step that a checkpoint holds which the stage starts from."""
    found: list[Place] = []
    for before, after in _starts(one, other):
        name = names.get(before.stage or "")
        if name is None or name != after.stage:
            continue
        parent = known[name]
        if parent.kind.rank > Kind.FORWARD_ONLY.rank and parent.place is not None:
            found.append(parent.place)
        if parent.step is not None and _holds(parent, before, after):
            found.append(Place(parent.name, parent.step))
    if not found:
        return None
    order = {name: place for place, name in enumerate(known)}
    return min(found, key=lambda place: (order[place.stage], place.step))


def _holds(parent: StageDiff, before: Start, after: Start) -> bool:
    """Say whether what a parent left holds its first step that differs; averages are one step."""
    assert parent.step is not None
    is_composed = before.step == after.step == 0
    return is_composed or parent.step < min(before.step, after.step)


def _starts(one: AnyStage, other: AnyStage) -> Iterator[tuple[Start, Start]]:
    """Go through the points that two stages start from, module by module."""
    if isinstance(one, ComposedStage) or isinstance(other, ComposedStage):
        mine, its = ([s for _, s in c.starts] for c in (one, other) if isinstance(c, ComposedStage))
        for before in mine:
            yield from ((before, after) for after in its if after.stage is not None)
        return
    for module, before in one.init.items():
        if module in other.init:
            yield before, other.init[module]


def _in_one_order(
    a: Plan, b: Plan, names: Mapping[str, str], found: list[StageDiff]
) -> list[StageDiff]:
    """Put the stages that are gone before the first that stood behind them and is there."""
    places = {one.name: number for number, one in enumerate(found)}
    before: dict[int, list[StageDiff]] = {}
    waiting: list[StageDiff] = []
    for name in stages_of(a):
        if name in names:
            before.setdefault(places[names[name]], []).extend(waiting)
            waiting = []
        else:
            kind, place = Kind.FORWARD_ONLY, Place(name, 0)
            waiting.append(StageDiff(name, name, "removed", kind, 0, place))
    whole: list[StageDiff] = []
    for number, one in enumerate(found):
        whole += [*before.get(number, ()), one]
    return whole + waiting
