"""Strategies of hypothesis over a compiled plan: its steps, and where something changes

They shrink towards early stages and early steps. `curriculum.testing` is their public face.
"""

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from curriculum.check.step_properties import Point
from curriculum.plan import Now, Plan, Stage


def breaks(stage: Stage) -> tuple[int, ...]:
    """Return the steps at which a piece of anything begins, step 0 first."""
    groups = (stage.lr, stage.loss, stage.settings)
    curves = [c for group in groups for c in group.values() if c is not None]
    ratios = [n.ratio for r in stage.mixture.roots for _, n in r.paths() if n.ratio is not None]
    found = {0, *stage.batch.breaks()}.union(*(c.breaks() for c in curves + ratios))
    return tuple(sorted(step for step in found if 0 <= step < stage.steps))


def steps_of(stage: Stage) -> SearchStrategy[int]:
    """Draw a step of a stage, 0 .. steps - 1, often one where something changes, or beside it."""
    last = stage.steps - 1
    near = {min(max(b + d, 0), last) for b in (*breaks(stage), stage.steps) for d in (-1, 0, 1)}
    return st.one_of(st.integers(0, last), st.sampled_from(sorted(near)))


def points(plan: Plan) -> SearchStrategy[Point]:
    """Draw two steps of a stage."""
    made = {}
    for stage in plan.stages:  # not for every point anew
        step = steps_of(stage)
        made[stage.name] = st.builds(Point, st.just(stage), step, step)
    return st.sampled_from(plan.stages).flatmap(lambda stage: made[stage.name])


def moments(plan: Plan) -> SearchStrategy[Now]:
    """Draw a step of any stage, and all that the plan says of it."""
    made = {stage.name: steps_of(stage) for stage in plan.stages}

    # Not by `map`: hypothesis would print how a step was made, which is the whole stage.
    @st.composite
    def moment(draw: st.DrawFn) -> Now:
        stage = draw(st.sampled_from(plan.stages))
        return stage.at(draw(made[stage.name]))

    return moment()


def turning_points(plan: Plan) -> list[Now]:
    """Return all steps at which something of their stage changes, its first among them."""
    return [stage.at(step) for stage in plan.stages for step in breaks(stage)]


def handovers(plan: Plan) -> list[tuple[Now, Now]]:
    """Return where a stage was left, and the first step of the one that goes on from there.

    Each once, however many modules it hands on; of an average, all that it is made of.
    """
    found: dict[tuple[str, int, str], tuple[Now, Now]] = {}
    for stage in plan.stages:
        for module, init in stage.init.items():
            for start in plan.origins(init, module):
                if start.stage is not None and plan.has_stage(start.stage):
                    left = plan.stage(start.stage).at(start.step)
                    found[start.stage, start.step, stage.name] = left, stage.at(0)
    return list(found.values())
