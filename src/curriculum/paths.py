"""Path and spent: what a model has read along its own chain, and what all stages read together

text 3.90T --+-- a 50B --+
             +-- b 50B --+-- soup      path 3.95T: the most of its parents, each stage once
             +-- c 50B --+             spent 4.05T: all stages, what was thrown away too
"""

from collections.abc import Iterator

from curriculum.composed import ComposedStage
from curriculum.models.shapes import VitShape
from curriculum.plan import Plan, Stage, Start

Read = dict[tuple[str, str], int | None]
"""Tokens that a module had read before a stage, by stage and module; None where nobody knows."""


def path_tokens(plan: Plan, asked: bool = False) -> dict[str, int | None]:
    """Return, by stage, the tokens that its model has read along its own chain by its end.

    Of a stage they are positions of the module that it counts: its own planned tokens, and those of
    the stages that this module comes through and that count it too, up to where each was left. At
    an average the most of the parents count; an outside checkpoint adds the tokens that it says.
    None where one says none, unless fresh weights stand in for it. With `asked` they are what the
    stages asked for, without what rounding to whole steps added.
    """
    read = _read_before(plan, asked)
    found: dict[str, int | None] = {}
    for stage in plan.stages:
        before = read[stage.name, stage.count]
        found[stage.name] = None if before is None else before + _left_at(stage, stage.steps, asked)
    for composed in plan.composed:
        counted = [m for m in composed.averages if _is_counted(plan, m)]
        found[composed.name] = _most([read[composed.name, m] for m in counted])
    return found


def path_tokens_before(plan: Plan, name: str) -> int | None:
    """Return the tokens that the module a stage counts had read before it; None if nobody knows."""
    return _read_before(plan)[name, plan.stage(name).count]


def points_on_path(plan: Plan, name: str, tokens: int) -> tuple[tuple[str, int], ...]:
    """Return where on a stage's path its model had read `tokens`: stages, and the tokens in each.

    As the stages asked for them. Behind an average there may be several such points; there is none
    past the stage's end, in an outside checkpoint, or where nobody knows what was read before.
    """
    read = _read_before(plan, asked=True)
    last = plan.stage(name)
    found: dict[tuple[str, int], None] = {}
    waiting = [Start(name, last.steps)]
    while waiting:
        start = waiting.pop(0)
        before = None if start.stage is None else read.get((start.stage, last.count))
        if start.stage is None or before is None:
            continue
        if (composed := plan.composed_stage(start.stage)) is not None:
            waiting += [share.start for share in composed.averages[last.count]]
            continue
        stage = plan.stage(start.stage)
        if tokens <= before or stage.count != last.count:
            waiting.append(stage.init[last.count])
        elif tokens <= before + _left_at(stage, start.step, asked=True):
            found[stage.name, tokens - before] = None
    return tuple(found)


def longest_path(plan: Plan) -> int | None:
    """Return the most tokens that the model of any main stage has read; None if one is not known.

    What came of side branches, probes and what was abandoned is nobody's model.
    """
    paths = path_tokens(plan)
    main = [stage.name for stage in plan.all_stages if stage.status == "main"]
    return _most([paths[name] for name in main or paths])


def in_order(plan: Plan) -> Iterator[Stage | ComposedStage]:
    """Go through all stages, those that only compose right behind the last of their parents."""
    places = {stage.name: place for place, stage in enumerate(plan.stages)}
    behind: dict[int, list[ComposedStage]] = {}
    for composed in plan.composed:
        place = max((places.get(parent, -1) for parent in composed.parents), default=-1)
        places[composed.name] = place
        behind.setdefault(place, []).append(composed)
    yield from behind.get(-1, ())
    for place, stage in enumerate(plan.stages):
        yield stage
        yield from behind.get(place, ())


def _left_at(stage: Stage, step: int, asked: bool) -> int:
    is_end = asked and step == stage.steps
    return stage.budget.tokens if is_end else stage.batch.tokens_before(step)


def _read_before(plan: Plan, asked: bool = False) -> Read:
    stages = {stage.name: stage for stage in plan.stages}
    outside = {stage.name: stage.checkpoint for stage in plan.outside}
    read: Read = {}

    def left(start: Start, module: str) -> int | None:
        if start.stage is None:
            return 0
        if start.stage in outside:
            given = outside[start.stage]
            return 0 if given.tokens is None and given.stand_in else given.tokens
        before = read[start.stage, module]
        parent = stages.get(start.stage)
        if before is None or parent is None or parent.count != module:
            return before
        return before + _left_at(parent, start.step, asked)

    for stage in in_order(plan):
        if isinstance(stage, ComposedStage):
            for module, shares in stage.averages.items():
                read[stage.name, module] = _most([left(share.start, module) for share in shares])
        else:
            for module, start in stage.init.items():
                read[stage.name, module] = left(start, module)
    return read


def _is_counted(plan: Plan, module: str) -> bool:
    shape = plan.modules[module].shape
    return shape.kind == "llm" or isinstance(shape, VitShape)


def _most(counts: list[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return max(known, default=0) if len(known) == len(counts) else None
