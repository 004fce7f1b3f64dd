"""Rules about where stages start: the newest of their line, and at a step that is one"""

from collections.abc import Iterator

from curriculum.check.places import related_place
from curriculum.errors import Diagnostic, Severity
from curriculum.plan import Plan, Stage, Start

LEAST_COUNT = 1000
"""From here on a step that equals a count of sequences is no accident of small round numbers."""

LEAST_BATCH = 32
"""In smaller batches a count of sequences is soon one of steps."""


def parents_are_the_newest(plan: Plan) -> Iterator[Diagnostic]:
    """A stage starts from the newest of its line: not from the end of one that another stage of
    the main line continued, if nothing comes of that other.

    A stage beside the line says so, by `status: side` or by a `seed` of its own.
    """
    used = set(_all_starts(plan))
    children: dict[str, list[Stage]] = {}
    for stage in plan.stages:
        for parent in dict.fromkeys(_continued(plan, stage).values()):
            if stage.status == "main" and not stage.own_seed:
                children.setdefault(parent, []).append(stage)
    for parent, heirs in children.items():
        ends = [heir for heir in heirs if heir.name not in used]
        for left in ends:
            follower = _follower(plan, plan.stage(parent), left, heirs, used)
            if follower is None:
                continue
            yield Diagnostic(
                "parents-are-the-newest",
                f"stage `{follower.name}` starts from the end of `{parent}`, which `{left.name}` "
                f"continued, and nothing comes of `{left.name}`",
                plan.place(f"stages.{follower.name}.init"),
                f"start from `{left.name}`, or say `status: side` if it is beside the line",
                Severity.WARNING,
                related_place(plan, f"`{left.name}` goes on here", f"stages.{left.name}"),
            )


def steps_are_not_sequences(plan: Plan) -> Iterator[Diagnostic]:
    """A count of sequences is not written as one of steps, or the other way round: no stage starts
    at a step, or has as many, that is just what the stage before it has read in sequences."""
    for stage in plan.stages:
        starts = (s for s in dict.fromkeys(stage.init.values()) if s.stage is not None)
        for start in starts:
            if not plan.has_stage(start.stage or ""):
                continue
            parent = plan.stage(start.stage or "")
            found = _left_at(parent, stage, start.step) or _as_many(parent, stage)
            if found is None:
                continue
            key, message, way_out = found
            yield Diagnostic(
                "steps-are-not-sequences",
                message,
                plan.place(f"stages.{stage.name}.{key}"),
                f"did you mean `{way_out}`?",
                Severity.WARNING,
                related_place(plan, "a step is many sequences here", f"stages.{parent.name}.batch"),
            )
            break


def _left_at(parent: Stage, stage: Stage, left: int) -> tuple[str, str, str] | None:
    """Tell a step inside a stage that is as many as the sequences before one of its changes."""
    if left == parent.steps or left < LEAST_COUNT:
        return None
    curves = [curve for curve in (*parent.lr.values(), *parent.loss.values()) if curve is not None]
    changes = {parent.steps, *parent.batch.breaks()}.union(*(curve.breaks() for curve in curves))
    changes |= {segment.first_step for segment in parent.mixture.segments}
    for step in sorted(change for change in changes if 0 < change <= parent.steps):
        if parent.batch.seqs_before(step) == left and parent.at(step).batch_seqs >= LEAST_BATCH:
            return (
                "init",
                f"stage `{stage.name}` starts from step {left:,} of `{parent.name}`, and {left:,} "
                f"sequences are what that has read before its step {step:,}",
                f"{parent.name}@step {step}",
            )
    return None


def _as_many(parent: Stage, stage: Stage) -> tuple[str, str, str] | None:
    """Tell a budget in steps or sequences that is the parent's in the other unit."""
    number, _, unit = stage.budget.words.partition(" ")
    if min(parent.at(parent.steps).batch_seqs, stage.at(0).batch_seqs) < LEAST_BATCH:
        return None
    if unit == "steps" and stage.steps == parent.seqs >= LEAST_COUNT:
        return (
            "steps",
            f"stage `{stage.name}` has {stage.steps:,} steps, and `{parent.name}`, from which it "
            "starts, as many sequences",
            f"seqs: {number}",
        )
    if unit == "seqs" and number == str(parent.steps) and parent.steps >= LEAST_COUNT:
        return (
            "seqs",
            f"stage `{stage.name}` has {parent.steps:,} sequences, and `{parent.name}`, from which "
            "it starts, as many steps",
            f"steps: {number}",
        )
    return None


def _all_starts(plan: Plan) -> Iterator[str]:
    """Yield the names of all stages that anything starts from, or was selected among."""
    for stage in plan.stages:
        starts: list[Start] = [*stage.init.values()]
        for several in stage.among.values():
            starts += several
        yield from (start.stage for start in starts if start.stage is not None)
    for composed in plan.composed:
        starts = [start for _, start in composed.starts]
        for several in composed.among.values():
            starts += several
        yield from (start.stage for start in starts if start.stage is not None)
    for unknown in plan.unknown:
        yield from unknown.parents


def _continued(plan: Plan, stage: Stage) -> dict[str, str]:
    """Return, by module that a stage trains, the stage from whose end it goes on."""
    found: dict[str, str] = {}
    for target in stage.train:
        module = target.partition("/")[0]
        start = stage.init[module]
        if start.stage is None or not plan.has_stage(start.stage):
            continue
        if start.step == plan.stage(start.stage).steps:
            found[module] = start.stage
    return found


def _follower(
    plan: Plan, parent: Stage, left: Stage, heirs: list[Stage], used: set[str]
) -> Stage | None:
    """Return the stage that should have followed the one that was left, of those beside it."""
    own = {module for module, name in _continued(plan, left).items() if name == parent.name}
    for heir in heirs:
        shared = {m for m, name in _continued(plan, heir).items() if name == parent.name} & own
        if heir is left or not shared:
            continue
        contexts = [stage.at(stage.steps).seq_len for stage in (parent, left, heir)]
        if heir.name in used or (contexts == sorted(set(contexts)) and len(heirs) == 2):
            return heir
    return None
