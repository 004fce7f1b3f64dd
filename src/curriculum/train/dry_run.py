"""A dry run: every stage built, every hand-over walked, two steps timed, nothing written"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from curriculum.composed import ComposedStage
from curriculum.paths import in_order
from curriculum.plan import Stage
from curriculum.train.composing import compose
from curriculum.train.handover import MemoryShelf, assemble
from curriculum.train.job import Job, drawer
from curriculum.train.loop import step_of_plan
from curriculum.train.measure import Meter
from curriculum.train.summary import aligned

STEPS = 2


@dataclass(frozen=True, slots=True)
class Timed:
    """What a dry run found of one stage; `estimate_s` is for all of its steps."""

    name: str
    init: Mapping[str, str]  # by module: new, or stage@step; + with optimizer state
    steps: int
    step_s: float
    tokens_per_s: float
    estimate_s: float
    losses: tuple[float, ...]


def dry_run(job: Job) -> list[Timed]:
    """Walk the whole plan in memory: each stage starts from what two steps made of its parents."""
    shelf, timed = MemoryShelf(), []
    for stage in in_order(job.plan):
        if isinstance(stage, ComposedStage):
            made = compose(job.plan, stage, shelf, job.launch.data, job.console.say)
            shelf.weights[stage.name] = made
        else:
            timed.append(_stage(job, stage, shelf))
    return timed


def _stage(job: Job, stage: Stage, shelf: MemoryShelf) -> Timed:
    say = job.console.say
    assembly = assemble(job.plan, stage, shelf, job.launch.data, job.device, say)
    crew = job.crew(assembly)
    meter = Meter(assembly.modules, assembly.optimizer)
    make = drawer(job, stage)
    losses, seconds, tokens = [], [], 0
    for step in range(min(STEPS, stage.steps)):
        start_s = time.perf_counter()
        meter.begin()
        drawn = make(step)
        found = step_of_plan(crew, stage.at(step), drawn)
        line = meter.read(stage.name, step, drawn.micro_batches, drawn.drawn_hash, found)
        seconds.append(time.perf_counter() - start_s)
        losses.append(found.total)
        tokens = line.tokens
    shelf.put(stage.name, assembly)
    step_s = seconds[-1]  # the first one also warms caches
    tokens_per_s = tokens / step_s
    init = {}
    for name, start in stage.init.items():
        carried = "+" if start.carries_state else ""
        init[name] = "new" if start.stage is None else f"{start.stage}@{start.step}{carried}"
    return Timed(
        stage.name,
        init,
        stage.steps,
        step_s,
        tokens_per_s,
        stage.tokens / tokens_per_s,  # steps may grow
        tuple(losses),
    )


def launched(machine: Mapping[str, str]) -> list[str]:
    """Write on what a run would be computed, and how, in two lines."""
    lines = (("device", "threads", "precision", "torch"), ("layers", "recompute", "packing"))
    return [", ".join(machine[fact] for fact in facts) for facts in lines]


def table(stages: Sequence[Timed]) -> list[str]:
    """Write what a dry run found, a line per stage."""
    rows = [("stage", "steps", "s/step", "tok/s", "estimate", "starts from (+ optimizer state)")]
    for timed in stages:
        whence: dict[str, list[str]] = {}
        for module, start in timed.init.items():
            whence.setdefault(start, []).append(module)
        rows.append(
            (
                timed.name,
                f"{timed.steps:,}",
                f"{timed.step_s:.3f}",
                f"{timed.tokens_per_s:,.0f}",
                f"{timed.estimate_s:,.0f} s",
                ", ".join(f"{start} ({' '.join(names)})" for start, names in whence.items()),
            )
        )
    return aligned(rows, left=(0, 5))
