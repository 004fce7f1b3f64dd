"""What differs and changes no step: tags and claims; paths, layouts, sizes that are only counted"""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from curriculum.composed import ComposedStage
from curriculum.diff.values import Fact, Kind, Value
from curriculum.lock_json import claim_json, composed_json, facts_json, outside_json, stage_json
from curriculum.mixture import Node
from curriculum.plan import OutsideStage, Plan, Source, Stage

COUNTED = ("tokens", "max_epochs", "image_share")
"""What of a source is counted with, and decides nothing of what is read."""


def stage_facts(one: Stage | ComposedStage, other: Stage | ComposedStage) -> Iterator[Fact]:
    """Tell what differs between two stages whose steps are asked about elsewhere."""
    if one.status != other.status:
        yield Fact("status", one.status, other.status)
    if one.among != other.among:
        was, now = (_words(_among(stage)) for stage in (one, other))
        yield Fact("selected among", was, now)
    if not isinstance(one, Stage) or not isinstance(other, Stage):
        return
    if one.budget != other.budget:
        yield Fact("budget", _budget_words(one), _budget_words(other))
    if one.layout != other.layout:
        was, now = (_words(s.layout and asdict(s.layout)) for s in (one, other))
        yield Fact("layout", was, now)
    if one.gate != other.gate:
        was, now = (s.gate.words if s.gate else None for s in (one, other))
        yield Fact("gate", was, now)
    if one.target_seq_len != other.target_seq_len:
        yield Fact("target_seq_len", one.target_seq_len, other.target_seq_len)
    if one.rides != other.rides:
        yield Fact("clock of its schedules", _ride_words(one), _ride_words(other))
    yield from _trees_differ(one, other)


def _among(stage: Stage | ComposedStage) -> Any:
    said = composed_json(stage) if isinstance(stage, ComposedStage) else stage_json(stage)
    return said.get("among")


def _ride_words(stage: Stage) -> str:
    """Say on which schedules a stage rides, and where their clocks stood when it began."""
    known = (
        "the stage's own"
        if ride.schedule is None
        else f"{ride.schedule} since {ride.instance}, step {ride.steps_before:,}"
        + (f", times {ride.scale}" if ride.scale != 1 else "")
        for ride in stage.rides.values()
    )
    return "; ".join(dict.fromkeys(known)) or "none"


def _budget_words(stage: Stage) -> str:
    return stage.budget.words + (", rounded down" if stage.budget.round_down else "")


def _trees_differ(one: Stage, other: Stage) -> Iterator[Fact]:
    """Tell groups and tags of mixtures; what sources get of them is asked about elsewhere."""
    before, after = ([p for r in s.mixture.roots for p in r.paths()] for s in (one, other))
    if [path for path, _ in before] != [path for path, _ in after]:
        was, now = (", ".join(p for p, n in paths if n.children) for paths in (before, after))
        yield Fact("groups of the mixture", was or "none", now or "none")
        return
    if [ratio_form(n) for _, n in before] != [ratio_form(n) for _, n in after]:
        yield Fact("ratios of the mixture's groups", "as they were", "written differently")
    tags = ({p: _words(list(n.tags)) for p, n in paths if n.tags} for paths in (before, after))
    mine, its = tags
    if mine != its:
        yield Fact("tags of the mixture", _words(mine), _words(its), Kind.COSMETIC)


def ratio_form(node: Node) -> tuple[object, ...]:
    """Return how a node of a mixture says its ratio."""
    return node.ratio, node.of_rest, node.is_piece


def plan_facts(a: Plan, b: Plan) -> Iterator[Fact]:
    """Tell what differs of two plans beside their stages."""
    if a.name != b.name:
        yield Fact("name of the plan", a.name, b.name)
    for name in sorted(a.sources.keys() | b.sources.keys()):
        yield from _sources_differ(name, a.sources.get(name), b.sources.get(name))
    for name in sorted(a.modules.keys() | b.modules.keys()):
        before, after = a.modules.get(name), b.modules.get(name)
        if before is None or after is None:
            was, now = ((m.preset or "by counts") if m else None for m in (before, after))
            yield Fact(f"module {name}", was, now)
        elif before.preset != after.preset:
            yield Fact(f"preset of {name}", before.preset, after.preset)
        elif before != after:
            yield Fact(f"shape of {name}", "as it was", "another")
    yield from _outsides_differ(a, b)
    if a.claims != b.claims:
        was, now = (_words([claim_json(claim) for claim in plan.claims]) for plan in (a, b))
        yield Fact("require", was, now, Kind.COSMETIC)
    if a.unknown != b.unknown:
        was, now = (", ".join(s.name for s in plan.unknown) or "none" for plan in (a, b))
        yield Fact("unknown stages", was, now)
    if a.provenance and b.provenance:
        yield from _provenance_differs(a, b)


def _sources_differ(name: str, before: Source | None, after: Source | None) -> Iterator[Fact]:
    if before is None or after is None:
        was, now = (s.modality if s else None for s in (before, after))
        yield Fact(f"source {name}", was, now)
        return
    for key in COUNTED:
        was, now = getattr(before, key), getattr(after, key)
        if was != now:
            yield Fact(f"{key} of {name}", _number(was), _number(now))
    if before.path != after.path:
        yield Fact(f"path of {name}", before.path, after.path)
    for key in ("modality", "holdout", "of", "part", "min_tokens", "max_tokens"):
        was, now = getattr(before, key), getattr(after, key)
        if was != now:
            yield Fact(f"{key} of {name}", _words(was), _words(now))
    if before.tags != after.tags:
        was, now = (", ".join(s.tags) or None for s in (before, after))
        yield Fact(f"tags of {name}", was, now, Kind.COSMETIC)


def _outsides_differ(a: Plan, b: Plan) -> Iterator[Fact]:
    olds, news = ({stage.name: stage for stage in plan.outside} for plan in (a, b))
    for name in sorted(olds.keys() | news.keys()):
        before, after = olds.get(name), news.get(name)
        if before is None or after is None:
            was, now = (", ".join(o.checkpoint.gives) if o else None for o in (before, after))
            yield Fact(f"outside checkpoint {name}", was, now)
            continue
        mine, its = _outside_words(a, before), _outside_words(b, after)
        for key in sorted(mine.keys() | its.keys()):
            if mine.get(key) != its.get(key):
                yield Fact(f"{key} of {name}", _words(mine.get(key)), _words(its.get(key)))


def _outside_words(plan: Plan, outside: OutsideStage) -> dict[str, Any]:
    said = {**outside_json(plan, outside), **facts_json(outside), "path": outside.checkpoint.path}
    return {key: value for key, value in said.items() if key != "seed"}


def _provenance_differs(a: Plan, b: Plan) -> Iterator[Fact]:
    kinds = sorted({entry.kind for plan in (a, b) for entry in plan.provenance})
    for kind in kinds:
        was, now = ({e.path for e in plan.provenance if e.kind == kind} for plan in (a, b))
        if was != now:
            yield Fact(f"{kind} values", len(was), len(now))


def _number(value: object) -> Value:
    if value is None or isinstance(value, int):
        return value
    return float(value)  # type: ignore[arg-type]


def _words(value: object) -> str | None:
    """Write a value of a lock as words; None where there is nothing."""
    if value is None or value == {} or value == [] or value == ():
        return None
    if isinstance(value, dict):
        return ", ".join(f"{key} {_words(inner)}" for key, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(str(_words(inner)) for inner in value)
    return str(value)
