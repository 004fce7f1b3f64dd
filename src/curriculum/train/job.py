"""What one call of the trainer has to do, and what its launch makes of the machine

plan, launch, device --> which layers are compiled, who packs, a stage's crew, a step's arrays
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from curriculum.data.store import Source
from curriculum.models.shapes import DecoderShape
from curriculum.plan import Plan, Stage
from curriculum.train.console import Console
from curriculum.train.evaluate import Decode
from curriculum.train.feed import Drawn, drawing
from curriculum.train.handover import Assembly
from curriculum.train.launch import Launch
from curriculum.train.packers import Packers
from curriculum.train.step import Crew


@dataclass(frozen=True, slots=True)
class Job:
    """What to train, on what, where, and who is told."""

    plan: Plan
    launch: Launch
    device: torch.device
    sources: Mapping[str, Source]
    decode: Decode
    console: Console

    @property
    def compiles(self) -> bool:
        """Whether layers are compiled."""
        shapes = [module.shape for module in self.plan.modules.values()]
        has_experts = any(isinstance(shape, DecoderShape) for shape in shapes)
        return self.launch.compiles_on(self.device.type, has_experts)

    @property
    def workers(self) -> int:
        """How many processes make the arrays; 0: a thread does."""
        return self.launch.workers_on(self.device.type)

    def crew(self, assembly: Assembly) -> Crew:
        """What the steps of a stage need, as this launch runs them."""
        launch = self.launch
        return assembly.crew(self.device, launch.precision, launch.recompute, self.compiles)

    def packers(self) -> AbstractContextManager[Packers | None]:
        """The processes that make the arrays, while entered; None: a thread does."""
        if not self.workers:
            return nullcontext()
        return Packers(self.plan, self.launch, self.device.type, self.workers)


def drawer(job: Job, stage: Stage) -> Callable[[int], Drawn]:
    """Return what makes the arrays of any step of a stage."""
    return drawing(job.plan, stage, job.sources, job.launch, job.device.type)
