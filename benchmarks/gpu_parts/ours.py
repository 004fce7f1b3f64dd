"""curriculum's steps, timed: built once for a world, and run at each of its rows

Everything that the loop of the trainer does in a step is done: arrays from the packers, brought
ahead on a stream of their own, the step of the plan, the measured line of the ledger.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from gpu_parts.counting import step_flops
from gpu_parts.worlds import Row, World, plan_text, write_data

if TYPE_CHECKING:
    import torch

    from curriculum.data.packed import Packed
    from curriculum.models.shapes import Shape
    from curriculum.train.handover import Assembly
    from curriculum.train.job import Job

WARMUP_STEPS = 2


@dataclass(frozen=True, slots=True)
class Built:
    """A world's modules on the device, and all that its rows share."""

    job: "Job"
    assembly: "Assembly"
    shapes: dict[str, "Shape"]  # by kind


@dataclass(frozen=True, slots=True)
class Measured:
    """What some steps took, in the middle, and what they did."""

    step_s: float
    waiting_s: float  # of it, for data
    tokens: int  # of a step, padding included
    images: int
    flops: float
    memory_bytes: int | None  # the most at once; None on a CPU
    loss: float
    compile_s: float  # of the steps before those that were timed

    def as_json(self) -> dict[str, Any]:
        """Return the numbers, with the rates that follow."""
        return {
            "step_s": self.step_s,
            "tokens_per_s": self.tokens / self.step_s,
            "images_per_s": self.images / self.step_s,
            "flops_per_s": self.flops / self.step_s,
            "waiting_share": self.waiting_s / self.step_s,
            "memory_bytes": self.memory_bytes,
            "loss": self.loss,
            "warmup_s": self.compile_s,
        }


def build_world(world: World, folder: Path, device: str, compiles: bool) -> Built:
    """Write a world's data and plan into a folder, and build its modules."""
    from curriculum.compile import compile_file
    from curriculum.errors import FindingsError
    from curriculum.train.console import Console
    from curriculum.train.feed import open_data
    from curriculum.train.handover import MemoryShelf, assemble
    from curriculum.train.job import Job
    from curriculum.train.launch import Launch, default_threads, start

    write_data(folder / "data", world)
    (folder / "plan.yaml").write_text(plan_text(world), encoding="utf-8")
    compiled = compile_file(folder / "plan.yaml")
    if compiled.plan is None:
        raise FindingsError(compiled.findings)
    plan = compiled.plan
    launch = Launch(
        folder / "data",
        device="cuda" if device == "cuda" else "cpu",
        precision="bf16",
        threads=default_threads(),
        compiles=compiles,
    )
    device_there = start(launch)
    sources = open_data(plan, plan.stages, launch.data, verify=False)
    job = Job(plan, launch, device_there, sources, str, Console(every_s=1e9))
    stage = plan.stages[0]
    assembly = assemble(plan, stage, MemoryShelf(), launch.data, device_there, _quiet)
    shapes = {plan.shape_of(stage, n).kind: plan.shape_of(stage, n) for n in stage.init}
    return Built(job, assembly, shapes)


def time_row(built: Built, row: Row, recompute: Any, steps: int) -> Measured:
    """Do some steps of a row; torch.OutOfMemoryError where it does not fit."""
    from curriculum.data.loader import prefetched
    from curriculum.train.arrival import bringer
    from curriculum.train.garbage import quiet_garbage
    from curriculum.train.job import drawer
    from curriculum.train.loop import step_of_plan
    from curriculum.train.measure import Meter

    launch = replace(built.job.launch, recompute=recompute, micro_batch_seqs=row.micro_seqs)
    job = replace(built.job, launch=launch)
    stage = job.plan.stage(row.stage)
    crew, all_steps = job.crew(built.assembly), range(WARMUP_STEPS + steps)
    meter = Meter(built.assembly.modules, built.assembly.optimizer)
    _reset_memory(job.device)
    taken: list[float] = []
    waited: list[float] = []
    flops: list[float] = []
    tokens = images = 0
    loss = 0.0
    with job.packers() as packers, quiet_garbage():
        make = packers.maker(stage, all_steps) if packers else drawer(job, stage)
        with prefetched(bringer(make, job.device), all_steps) as coming:
            began_s = time.perf_counter()
            for step in all_steps:
                arriving = next(coming)
                here_s = time.perf_counter()
                drawn = arriving.drawn
                meter.begin()
                found = step_of_plan(crew, stage.at(step), drawn, arriving.arrived())
                line = meter.read(row.stage, step, drawn.micro_batches, drawn.drawn_hash, found)
                done_s = time.perf_counter()
                taken.append(done_s - began_s)
                waited.append(here_s - began_s)
                began_s = done_s
                flops.append(step_flops(built.shapes, drawn.micro_batches))
                tokens, loss = line.tokens, found.total
                images = sum(len(packed.grids) for packed in drawn.micro_batches)
    timed = slice(WARMUP_STEPS, None)
    return Measured(
        step_s=median(taken[timed]),
        waiting_s=median(waited[timed]),
        tokens=tokens,
        images=images,
        flops=median(flops[timed]),
        memory_bytes=_memory(job.device),
        loss=loss,
        compile_s=sum(taken[:WARMUP_STEPS]),
    )


def drawn_batches(built: Built, row: Row, steps: int) -> "list[Sequence[Packed]]":
    """Return the arrays of some steps, for a peer that is to read the same."""
    from curriculum.train.job import drawer

    launch = replace(built.job.launch, micro_batch_seqs=row.micro_seqs)
    job = replace(built.job, launch=launch)
    make = drawer(job, job.plan.stage(row.stage))
    return [make(step).micro_batches for step in range(steps)]


@contextmanager
def elsewhere(built: Built) -> Iterator[None]:
    """Keep a world's modules and optimizer state on the host for a while."""
    import torch

    def move(device: torch.device) -> None:
        built.assembly.optimizer.zero_grad()
        for name, module in built.assembly.modules.items():
            module.to(device)
            for state in built.assembly.optimizer.state_of(name).values():
                state.data = state.data.to(device)
        if built.job.device.type == "cuda":
            torch.cuda.empty_cache()

    move(torch.device("cpu"))
    try:
        yield
    finally:
        move(built.job.device)


@contextmanager
def freed(device: str) -> Iterator[None]:
    """Let go of a GPU's memory on leaving, whatever happened."""
    import gc

    import torch

    try:
        yield
    finally:
        gc.collect()
        torch.compiler.reset()
        if device == "cuda":
            torch.cuda.empty_cache()


def _reset_memory(device: "torch.device") -> None:
    import torch

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def _memory(device: "torch.device") -> int | None:
    import torch

    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None


def _quiet(sentence: str) -> None:
    pass
