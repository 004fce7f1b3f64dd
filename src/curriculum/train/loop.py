"""The loop: every stage in the plan's order, every step as `stage.at(step)` says

    position of the run --> assemble or reassemble --> for step in range(first, stage.steps):
        arrays of the step (made and brought ahead) --> take_step --> ledger, metrics, console
        due? --> sync the ledger, save, prune                 signal? --> save, stop

The only state of a run is which step comes next; what a step does is asked of the plan every time.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from curriculum.data.loader import prefetched
from curriculum.errors import RunError, StoppedError
from curriculum.models.batch import TorchBatch
from curriculum.plan import Now, Plan, Stage
from curriculum.train import checkpoint
from curriculum.train.arrival import Arriving, bringer
from curriculum.train.composing import compose_ready, require_composed
from curriculum.train.console import Progress
from curriculum.train.evaluate import evaluate, held_out
from curriculum.train.feed import Drawn
from curriculum.train.garbage import quiet_garbage
from curriculum.train.gates import gate_line
from curriculum.train.handover import Assembly, RunShelf, assemble, reassemble
from curriculum.train.job import Job, drawer
from curriculum.train.ledger import LedgerLine
from curriculum.train.measure import Meter
from curriculum.train.packers import Packers
from curriculum.train.position import Position, next_step
from curriculum.train.rundir import RunDir
from curriculum.train.signals import Signals
from curriculum.train.step import Crew, NotFiniteError, StepLosses, take_step

_RATE_STEPS = 20  # steps over which tokens/s are averaged


@dataclass(frozen=True, slots=True)
class _Aids:
    """What is there for as long as a run is: who listens, who packs, who tidies up."""

    signals: Signals
    packers: Packers | None
    tidy: Callable[[int], None]


def train(job: Job, run: RunDir, only: str | None = None, stop_at: Position | None = None) -> None:
    """Run the plan's stages, or one of them, on from the run's checkpoints.

    With `stop_at` up to there, with a checkpoint. StoppedError after SIGINT or SIGTERM, RunError
    where a hand-over or a step cannot be done.
    """
    with Signals() as signals, job.packers() as packers, quiet_garbage() as tidy:
        aids = _Aids(signals, packers, tidy)
        for stage in job.plan.stages:
            if only is not None and stage.name != only:
                continue
            stops_here = stop_at is not None and stop_at.stage == stage.name
            end = stop_at.step if stop_at is not None and stops_here else stage.steps
            first = next_step(run.checkpoints, stage)
            _compose(job, run)
            if first < end:
                _StageRun(job, run, stage, first, aids).go(end)
                if end == stage.steps and (gate := gate_line(job.plan, stage)) is not None:
                    job.console.say(gate)
            if stops_here:
                return
        _compose(job, run)
        if only is None:
            require_composed(job.plan, run.checkpoints)


def _compose(job: Job, run: RunDir) -> None:
    compose_ready(job.plan, run.checkpoints, job.launch.data, job.console.say)


def step_of_plan(
    crew: Crew, now: Now, drawn: Drawn, batches: Sequence[TorchBatch] | None = None
) -> StepLosses:
    """Do the step that the plan says, on the arrays that were drawn for it."""
    if changing := changing_values(now):
        crew.optimizer.set_values(changing)
    return take_step(
        crew,
        drawn.micro_batches,
        known(now.lr),
        known(now.loss),
        router_bias_rate(now),
        f"stage `{now.stage.name}`, step {now.step}",
        {term: rule.reduce for term, rule in now.stage.loss_rules.items()},
        batches,
    )


def changing_values(now: Now) -> dict[str, dict[str, float | bool | None]]:
    """Return the optimizer's values at a step, of the rules that have curves."""
    changing = {t for t, rule in now.stage.optimizer.items() if rule.curves}
    return {t: v for t, v in now.optimizer.items() if t in changing} if changing else {}


def router_bias_rate(now: Now) -> float | None:
    """Return how far the experts' bias moves in a step; None where no router is trained."""
    for name, rate in now.settings.items():
        if {name.partition("/")[0], name.removesuffix(".bias_rate")} & set(now.stage.train):
            return rate
    return None


def kept_always(plan: Plan) -> set[tuple[str, int]]:
    """Return the checkpoints that are never pruned: ends of stages, and marks others start from."""
    ends = {(stage.name, stage.steps) for stage in plan.stages}
    starts = [start for stage in plan.stages for start in stage.init.values()]
    starts += [start for composed in plan.composed for _, start in composed.starts]
    return ends | {(start.stage, start.step) for start in starts if start.stage is not None}


def known(values: Mapping[str, float | None]) -> dict[str, float]:
    """Return values of which none is unknown: `train` refused the others before it began."""
    found = {name: value for name, value in values.items() if value is not None}
    assert len(found) == len(values)
    return found


class _StageRun:
    """One stage under way, from step `first` on."""

    def __init__(self, job: Job, run: RunDir, stage: Stage, first: int, aids: _Aids) -> None:
        self.job, self.run, self.stage, self.first, self.aids = job, run, stage, first, aids
        self.assembly = self._assembled(RunShelf(run.checkpoints))
        self.crew = job.crew(self.assembly)
        self.meter = Meter(self.assembly.modules, self.assembly.optimizer)
        self.always = kept_always(job.plan)
        self.recent: list[tuple[int, float]] = []  # tokens and seconds of the last steps
        self.done_s = time.perf_counter()

    def go(self, end: int) -> None:
        """Run up to step `end`, with checkpoints; the last one always has one."""
        steps = range(self.first, end)
        if self.first == 0 and (self.stage.name, 0) in self.always:
            self._save(0)
        packers = self.aids.packers
        make = packers.maker(self.stage, steps) if packers else drawer(self.job, self.stage)
        with prefetched(bringer(make, self.job.device), steps) as coming:
            for step, arriving in zip(steps, coming, strict=True):
                self._step(step, arriving)
                self.aids.tidy(step)
                done = step + 1
                if done == self.stage.steps:
                    self._evaluate()
                stopped = self.aids.signals.received
                if done == end or stopped or self._is_due(done):
                    self._save(done)
                if stopped:
                    raise StoppedError(
                        f"stopped by {stopped.name} after step {step} of stage "
                        f"`{self.stage.name}`; the checkpoint is written, go on with --resume",
                        stopped,
                    )

    def _assembled(self, shelf: RunShelf) -> Assembly:
        job, stage = self.job, self.stage
        if self.first:
            return reassemble(job.plan, stage, self.first, shelf, job.device)
        return assemble(job.plan, stage, shelf, job.launch.data, job.device, job.console.say)

    def _step(self, step: int, arriving: Arriving) -> None:
        now, drawn = self.stage.at(step), arriving.drawn
        self.meter.begin()
        try:
            losses = step_of_plan(self.crew, now, drawn, arriving.arrived())
        except NotFiniteError as error:
            self._metric(step, {"event": "not_finite", "message": str(error)})
            self.run.sync()
            raise
        except ValueError as error:  # what the models refuse of a batch
            raise RunError(f"stage `{self.stage.name}`, step {step}: {error}") from None
        line = self.meter.read(self.stage.name, step, drawn.micro_batches, drawn.drawn_hash, losses)
        self.run.append_ledger(line)
        now_s = time.perf_counter()
        wall_s, self.done_s = now_s - self.done_s, now_s
        event = {
            "event": "step",
            "tokens": line.tokens,
            "loss": losses.total,
            "terms": losses.terms,
            "grad_norm": losses.grad_norm,
            "lr": line.lr,
            "wall_s": round(wall_s, 6),
        }
        self._metric(step, event)
        self._show(now, line, losses.total, wall_s)

    def _show(self, now: Now, line: LedgerLine, loss: float, wall_s: float) -> None:
        self.recent = [*self.recent[1 - _RATE_STEPS :], (line.tokens, wall_s)]
        rate = sum(tokens for tokens, _ in self.recent) / sum(s for _, s in self.recent)
        stages = self.job.plan.stages
        later = stages[[s.name for s in stages].index(self.stage.name) + 1 :]
        tokens = now.tokens + line.tokens
        left = self.stage.tokens - tokens + sum(other.tokens for other in later)
        self.job.console.show(
            Progress(
                stage=self.stage.name,
                step=now.step,
                steps=self.stage.steps,
                tokens=tokens,
                loss=loss,
                lr=line.lr,
                mix={name: c["tokens"] / line.tokens for name, c in line.sources.items()},
                tokens_per_s=rate,
                left_s=left / rate,
            )
        )

    def _is_due(self, done: int) -> bool:
        is_mark = (self.stage.name, done) in self.always
        return is_mark or done % self.job.launch.checkpoint_every_steps == 0

    def _evaluate(self) -> None:
        """Evaluate before the end's checkpoint, so that a kill in between loses nothing."""
        job = self.job
        if not job.launch.evaluates or "llm" not in self.crew.by_kind:
            return
        shares = {name: source.holdout for name, source in job.plan.sources.items()}
        held = held_out(job.sources, shares)
        seq_len = self.stage.at(self.stage.steps).seq_len
        # Once, and of other sizes at every document: that is not worth a graph.
        with torch.compiler.set_stance("force_eager") if job.compiles else nullcontext():
            found = evaluate(self.crew.by_kind, held, seq_len, job.decode, job.device)
        self._timed("evaluation", self.stage.steps - 1, found)

    def _save(self, done: int) -> None:
        self.run.sync()
        checkpoint.save(
            checkpoint.checkpoint_path(self.run.checkpoints, self.stage.name, done),
            self.assembly.weights(),
            self.assembly.states(),
            {"stage": self.stage.name, "step": done},
        )
        names = [stage.name for stage in self.job.plan.stages]
        checkpoint.prune(self.run.checkpoints, names, self.job.launch.keep, self.always)
        # Of the step before, so that a resume from this checkpoint keeps the line.
        self._timed("checkpoint", max(done - 1, 0), {})

    def _timed(self, event: str, step: int, found: Mapping[str, Any]) -> None:
        """Write down what took the time since something was last done."""
        now_s = time.perf_counter()
        wall_s, self.done_s = now_s - self.done_s, now_s
        self._metric(step, {"event": event, **found, "wall_s": round(wall_s, 6)})

    def _metric(self, step: int, event: Mapping[str, Any]) -> None:
        self.run.append_metrics({"stage": self.stage.name, "step": step, **event})
