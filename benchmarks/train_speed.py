"""Training tokens/s of the laptop plan on a CPU against a plain torch loop over the same batches

Both run the same modules, packed by the same loader, in turns within one process. The trainer does
all that it does in a run but checkpoints and evaluation: draws and packs the batches (in a thread),
Muon for matrices, the experts' bias, the check for finite numbers, the measured ledger line. The
plain loop gets its batches ready-made, and is forward, cross entropy, backward, clipping and
torch's fused AdamW: the least that a hand-written loop can do. A ratio below 1 is what the rest
costs.
"""

import argparse
import copy
import os
import platform
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from curriculum.compile import compile_file
from curriculum.errors import CurriculumError, FindingsError
from curriculum.lock import read_lock, write_lock
from curriculum.train.launch import Launch, default_threads, prepare_environment, start

if TYPE_CHECKING:
    import torch
    from torch import nn

    from curriculum.models.batch import TorchBatch
    from curriculum.train.handover import Assembly
    from curriculum.train.job import Job

ROOT = Path(__file__).parents[1]
STAGES = ("text", "joint")
WARMUP_STEPS = 4


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=ROOT / "data", help="the prepared sources")
    parser.add_argument("--threads", type=int, default=default_threads())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8, help="of each round")
    asked = parser.parse_args()
    prepare_environment()  # before torch is imported
    import torch

    try:
        job = job_of(asked.data, asked.threads)
        assemblies = assembled(job)
    except CurriculumError as error:
        sys.exit(f"error: {error}")
    print(f"Python {platform.python_version()}, torch {torch.__version__}, {os.cpu_count()} CPUs")
    print(
        f"{job.plan.name}, fp32, {asked.threads} threads; "
        f"{asked.rounds} rounds of {asked.steps} steps in turns"
    )
    for name in STAGES:
        report(job, name, assemblies[name], asked.rounds, asked.steps)
    return 0


def report(job: "Job", name: str, assembly: "Assembly", rounds: int, steps: int) -> None:
    """Time one stage both ways, and print it."""
    stage = job.plan.stage(name)
    tokens = stage.at(0).tokens_per_step
    plain = PlainLoop(job, name, assembly)
    ours_s: list[float] = []
    plain_s: list[float] = []
    step_s(job, name, assembly, range(WARMUP_STEPS))
    plain.step_s(range(WARMUP_STEPS))
    for first in range(WARMUP_STEPS, WARMUP_STEPS + rounds * steps, steps):
        ours_s += step_s(job, name, assembly, range(first, first + steps))
        plain_s += plain.step_s(range(first, first + steps))
    print(f"{name + f', {tokens:,} tokens a step':<36}{'best':>15}{'median':>15}")
    for what, spent in (("curriculum", ours_s), ("plain torch loop, AdamW", plain_s)):
        rates = (f"{tokens / s:,.0f} tok/s" for s in (min(spent), median(spent)))
        print(f"  {what:<34}" + "".join(f"{rate:>15}" for rate in rates))
    best, middle = min(plain_s) / min(ours_s), median(plain_s) / median(ours_s)
    print(f"  {'curriculum / plain':<34}{best:>14.2f}x{middle:>14.2f}x")


def job_of(data: Path, threads: int) -> "Job":
    """Compile the laptop plan, read it back from its lock, and open its data."""
    from curriculum.train.console import Console
    from curriculum.train.feed import open_data
    from curriculum.train.job import Job

    compiled = compile_file(ROOT / "plans" / "kimi-vl-laptop.yaml")
    if compiled.plan is None:
        raise FindingsError(compiled.findings)
    plan = read_lock(write_lock(compiled.plan), "plan.lock.json")
    launch = Launch(data=data, device="cpu", threads=threads)
    device = start(launch)
    return Job(plan, launch, device, open_data(plan, plan.stages, data), str, Console())


def assembled(job: "Job") -> "dict[str, Assembly]":
    """Build the stages in order, handing over untrained weights: their values cost no time."""
    from curriculum.train.handover import MemoryShelf, assemble

    shelf, found = MemoryShelf(), {}
    for stage in job.plan.stages:
        found[stage.name] = assemble(
            job.plan, stage, shelf, job.launch.data, job.device, lambda sentence: None
        )
        shelf.put(stage.name, found[stage.name])
    return found


def step_s(job: "Job", name: str, assembly: "Assembly", steps: range) -> list[float]:
    """Do some steps of a stage as the trainer does; return the seconds of each."""
    from curriculum.data.loader import prefetched
    from curriculum.train.job import drawer
    from curriculum.train.loop import step_of_plan
    from curriculum.train.measure import Meter

    stage, spent = job.plan.stage(name), []
    crew = assembly.crew(job.device, job.launch.precision)
    meter = Meter(assembly.modules, assembly.optimizer)
    make = drawer(job, stage)
    with prefetched(make, steps) as coming:
        began_s = time.perf_counter()
        for step, drawn in zip(steps, coming, strict=True):
            found = step_of_plan(crew, stage.at(step), drawn)
            line = meter.read(name, step, drawn.micro_batches, drawn.drawn_hash, found)
            line.to_json()
            now_s = time.perf_counter()
            spent.append(now_s - began_s)
            began_s = now_s
    return spent


class PlainLoop:
    """The loop that a person would write by hand for one batch a step."""

    def __init__(self, job: "Job", name: str, assembly: "Assembly") -> None:
        import torch

        from curriculum.train.job import drawer

        self.stage = job.plan.stage(name)
        self.make = drawer(job, self.stage)
        self.modules: Mapping[str, nn.Module] = copy.deepcopy(assembly.by_kind)
        self.params = [p for m in self.modules.values() for p in m.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.params, lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True
        )

    def step_s(self, steps: range) -> list[float]:
        """Do some steps on batches that are there already; return the seconds of each."""
        import torch

        from curriculum.models.batch import to_torch

        batches = [[to_torch(packed) for packed in self.make(s).micro_batches] for s in steps]
        spent = []
        for parts in batches:
            began_s = time.perf_counter()
            self.optimizer.zero_grad()
            total = sum(len(batch.targets) for batch in parts)
            for batch in parts:
                (self.loss(batch) * (len(batch.targets) / total)).backward()
            torch.nn.utils.clip_grad_norm_(self.params, 1.0)
            self.optimizer.step()
            spent.append(time.perf_counter() - began_s)
        return spent

    def loss(self, batch: "TorchBatch") -> "torch.Tensor":
        """Mean cross entropy of the next token."""
        import torch

        from curriculum.models.decoder import Decoder

        llm = self.modules["llm"]
        assert isinstance(llm, Decoder)
        x = llm.embed(batch.tokens)
        if batch.grids:
            features = self.modules["vit"](batch.patches, batch.grids)
            x = x.index_put((batch.image_index,), self.modules["projector"](features, batch.grids))
        hidden = llm(x, batch.positions, batch.spans.cu_seqlens, batch.spans.max_seqlen)
        logits = torch.nn.functional.linear(hidden[batch.loss_index], llm.head_weight)
        return torch.nn.functional.cross_entropy(logits, batch.targets)


if __name__ == "__main__":
    sys.exit(main())
