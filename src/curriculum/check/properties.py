"""Property tests over a compiled plan: what must hold at any step, mark and interruption

What can be proved over pieces is proved (`proofs.py`). For the rest hypothesis chooses stages and
steps, the places where something changes among them, and shrinks what fails towards early stages
and steps. The examples are the same on every machine unless a seed is given. Nothing is written:
no database, no cache.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from curriculum.check.proofs import PROVED, Proof
from curriculum.check.step_properties import (
    CHAIN,
    STEP,
    ChainProperty,
    Point,
    StepProperty,
)
from curriculum.errors import Diagnostic
from curriculum.plan import Plan, Stage

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

MAX_EXAMPLES = 100


class Counterexample(Exception):
    """A property that does not hold, and where; hypothesis looks for a small one."""

    def __init__(self, point: Point, message: str) -> None:
        self.point = point
        self.message = message
        Exception.__init__(self, message)


def broken_properties(
    plan: Plan, max_examples: int = MAX_EXAMPLES, seed: int | None = None
) -> tuple[Diagnostic, ...]:
    """Prove or test every property of the plan; return a small counterexample of each broken."""
    if not plan.stages:
        return ()
    found = [f for prop in CHAIN for f in _of_chain(plan, prop)]
    found += [f for proof in PROVED for f in _disproved(plan, proof)]
    with _nothing_written():
        from curriculum.check.points import points

        drawn = points(plan)
        # Drawing a point takes as long as most properties: all are asked at the same points, and
        # only where one does not hold, a small counterexample is looked for of each.
        first = _falsified(_all_hold, drawn, max_examples, seed)
        if first is not None:
            for prop in STEP:
                failed = _falsified(prop, drawn, max_examples, seed) or _at(prop, first.point)
                if failed is not None:
                    point = failed.point
                    found.append(_diagnostic(plan, prop, point.stage, point.step, failed.message))
    return tuple(found)


def _all_hold(point: Point) -> str | None:
    return next((wrong for prop in STEP if (wrong := prop(point)) is not None), None)


def _at(prop: StepProperty, point: Point) -> Counterexample | None:
    message = prop(point)
    return None if message is None else Counterexample(point, message)


def _of_chain(plan: Plan, prop: ChainProperty) -> Iterator[Diagnostic]:
    for stage, message in prop(plan):
        place = plan.place(f"stages.{stage}") if stage else plan.place("plan")
        where = f"stage `{stage}`: " if stage else ""
        yield Diagnostic(_code(prop), f"{where}{message}", place, _OURS)


def _disproved(plan: Plan, proof: Proof) -> Iterator[Diagnostic]:
    """Return the first stage and step of which a property does not hold."""
    for stage in plan.stages:
        if (failure := proof(stage)) is not None:
            yield _diagnostic(plan, proof, stage, *failure)
            return


def _falsified(
    prop: StepProperty, points: "SearchStrategy[Point]", max_examples: int, seed: int | None
) -> Counterexample | None:
    """Look for a point at which a property does not hold."""
    from hypothesis import HealthCheck, Phase, Verbosity, given, settings
    from hypothesis import seed as seeded

    def hold(point: Point) -> None:
        message = prop(point)
        if message is not None:
            raise Counterexample(point, message)

    test = given(point=points)(hold)
    if seed is not None:
        test = seeded(seed)(test)
    test = settings(
        max_examples=max_examples,
        derandomize=seed is None,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        report_multiple_bugs=False,
        suppress_health_check=tuple(HealthCheck),
        verbosity=Verbosity.quiet,
        print_blob=False,
    )(test)
    try:
        test()
    except Counterexample as failed:
        return failed
    return None


_OURS = "the plan is not at fault: this is a mistake of the compiler, please report it"


def _diagnostic(
    plan: Plan, prop: Callable[..., object], stage: Stage, step: int, message: str
) -> Diagnostic:
    tokens = stage.batch.tokens_before(step)
    where = f"stage `{stage.name}`, step {step:,} (at {tokens:,} tokens)"
    return Diagnostic(_code(prop), f"{where}: {message}", plan.place(f"stages.{stage.name}"), _OURS)


def _code(prop: Callable[..., object]) -> str:
    return prop.__name__.replace("_", "-")


@contextmanager
def _nothing_written() -> Iterator[None]:
    """Give hypothesis a home that cannot be, so that it keeps its caches in memory."""
    from hypothesis.configuration import set_hypothesis_home_dir

    set_hypothesis_home_dir(Path(os.devnull) / "hypothesis")
    try:
        yield
    finally:
        set_hypothesis_home_dir(None)
