"""One call from a plan to a finished run: opened, held, trained, audited, summed up

plan + lock text + launch --> RunDir (new, or resumed and rewound) --> train --> audit --> summary
"""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from curriculum.data.store import Source
from curriculum.errors import RunError
from curriculum.lock import read_lock
from curriculum.models.shapes import DecoderShape
from curriculum.plan import Plan
from curriculum.train.abilities import refuse_unable
from curriculum.train.audit import audit
from curriculum.train.change_lock import change_lock, mark_seam
from curriculum.train.composing import drop_stale
from curriculum.train.console import Console
from curriculum.train.doctor import require_right_attention
from curriculum.train.dry_run import Timed, dry_run
from curriculum.train.evaluate import Decode
from curriculum.train.feed import open_data
from curriculum.train.job import Job
from curriculum.train.launch import Launch, start
from curriculum.train.loop import train
from curriculum.train.position import Position, rewind
from curriculum.train.rundir import LOCK, RunDir, read_manifest, read_text
from curriculum.train.summary import summarise

FP32_BYTES = 4
PACKING = "packing"  # the one fact of a machine that changes no digit
EVEN = 8  # numbers of bf16 in 16 bytes


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of one call of the trainer."""

    plan: Plan
    lock_text: str
    launch: Launch
    run: Path
    resume: bool = False
    only: str | None = None  # a stage
    stop_at: Position | None = None


def run_plan(request: Request, console: Console, decode: Decode = str) -> dict[str, Any]:
    """Train what is asked for, and return the summary, which is also written.

    RunError where the run directory, the data or a step refuses; StoppedError after a signal.
    """
    plan, launch = request.plan, request.launch
    job = _job(plan, launch, console, decode)
    kernels = _kernels(job)
    stages = [stage for stage in plan.stages if request.only in (None, stage.name)]
    if not stages and plan.composed_stage(request.only) is None:
        names = ", ".join(stage.name for stage in plan.all_stages)
        raise RunError(f"--stage {request.only}: no such stage; there are {names}")
    machine = _machine(job, kernels)
    manifest = _manifest(plan, launch, job.sources, machine)
    with _opened(request, manifest, console) as run:
        if request.resume:
            _say_differences(run.manifest.get("machine", {}), machine, console)
            rewind(run, stages, console.say)
            drop_stale(plan, run.checkpoints, console.say)
            mark_seam(run, plan, stages or plan.stages)
        try:
            train(job, run, request.only, request.stop_at)
        finally:
            console.close()
        verdict = audit(run.path, launch.data).as_json()
        head = {"plan": plan.name, "digest": plan.digest}
        summary = summarise(run.path, head, machine, verdict)
        run.write_summary(summary)
        return summary


def dry_run_plan(
    plan: Plan, launch: Launch, console: Console
) -> tuple[dict[str, str], list[Timed]]:
    """Build every stage, walk every hand-over and time two steps of each; nothing is written.

    Return how a run would be run here, and what was found of each stage.
    """
    job = _job(plan, launch, console, str)
    kernels = _kernels(job)
    try:
        return _machine(job, kernels), dry_run(job)
    finally:
        console.close()


def _job(plan: Plan, launch: Launch, console: Console, decode: Decode) -> Job:
    refuse_unable(plan)
    _require_even_experts(plan, launch)
    _require_traceable(plan, launch)
    device = start(launch)
    _require_memory(plan, device)
    return Job(plan, launch, device, open_data(plan, plan.stages, launch.data), decode, console)


def _require_even_experts(plan: Plan, launch: Launch) -> None:
    """Refuse experts whose widths the grouped product in bf16 does not take."""
    if launch.precision != "bf16":
        return
    for stage in plan.stages:
        for name in stage.init:
            shape = plan.shape_of(stage, name)
            if not isinstance(shape, DecoderShape):
                continue
            for what, width in (("hidden", shape.hidden), ("expert_dim", shape.expert_dim)):
                if width % EVEN:
                    raise RunError(
                        f"stage `{stage.name}`: `{name}` has {what} {width}; in bf16 experts "
                        f"take multiples of {EVEN}: change it, or say --precision fp32"
                    )


def _require_traceable(plan: Plan, launch: Launch) -> None:
    """Refuse to compile what cannot be traced: the grouped product is known in bf16 alone."""
    if launch.compiles and launch.precision == "fp32":
        for name, module in plan.modules.items():
            if isinstance(module.shape, DecoderShape):
                raise RunError(
                    f"--compile: `{name}` has experts, which compile in bf16 alone; say "
                    "--precision bf16, or leave --compile away"
                )


def _require_memory(plan: Plan, device: torch.device) -> None:
    """Refuse a plan whose weights alone do not fit: the kernel would end the run without a word."""
    if device.type != "cpu":
        return
    have_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for stage in plan.stages:
        params = sum(plan.shape_of(stage, name).num_params() for name in stage.init)
        if (want_bytes := params * FP32_BYTES) > have_bytes:
            raise RunError(
                f"stage `{stage.name}` has {params:,} parameters, {want_bytes / 2**30:,.0f} GiB in "
                f"fp32 without gradients; this machine has {have_bytes / 2**30:,.0f} GiB"
            )


def _kernels(job: Job) -> list[str]:
    """Probe the attention of all modules of the plan, and return which kernels they get."""
    shapes = [module.shape for module in job.plan.modules.values()]
    return require_right_attention(job.device, shapes, job.launch.precision)


def _opened(request: Request, manifest: Mapping[str, Any], console: Console) -> RunDir:
    # `--stage` after `--stage` goes on in one directory, each time with --resume.
    if not request.resume:
        return RunDir.open_new(request.run, request.lock_text, manifest)
    lock = request.run / LOCK
    if lock.is_file():
        text = read_text(lock)
        old = read_lock(text, str(lock))  # an edited lock is refused before the first step
        if old.digest != request.plan.digest:
            return _under_another_lock(request, old, text, manifest, console)
    return RunDir.open_existing(request.run, request.lock_text, manifest)


def _under_another_lock(
    request: Request, old: Plan, text: str, manifest: Mapping[str, Any], console: Console
) -> RunDir:
    sources: dict[str, str] = manifest["sources"]
    known = read_manifest(request.run).get("sources", {})
    # Of data only what both plans read is compared: the same documents as before.
    both = {name: sources.get(name, fingerprint) for name, fingerprint in known.items()}
    run = RunDir.open_existing(request.run, text, {**manifest, "sources": both})
    try:
        plan, only = request.plan, request.only
        change_lock(run, old, plan, request.lock_text, sources, only, console.say)
    except BaseException:
        run.close()
        raise
    return run


def _machine(job: Job, kernels: Sequence[str]) -> dict[str, str]:
    threads = f"{job.launch.threads} thread" + ("s" if job.launch.threads > 1 else "")
    is_cuda = job.device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(job.device) if is_cuda else "cpu",
        "threads": threads,
        "precision": job.launch.precision,
        "torch": f"torch {torch.__version__}",
        "layers": "layers compiled" if job.compiles else "layers as written",
        "recompute": f"recomputation {job.launch.recompute}",
        PACKING: f"packed by {_packed_by(job.workers)}",
        "attention": "; ".join(kernels),
    }


def _packed_by(workers: int) -> str:
    if not workers:
        return "a thread"
    return "1 process" if workers == 1 else f"{workers} processes"


def _manifest(
    plan: Plan, launch: Launch, sources: Mapping[str, Source], machine: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "format": 1,
        "plan": plan.name,
        "digest": plan.digest,
        "data": str(launch.data.resolve()),
        "sources": {name: source.fingerprint for name, source in sources.items()},
        "machine": dict(machine),
        "python": platform.python_version(),
        "platform": platform.platform(),
    }


def _say_differences(
    began: Mapping[str, Any], machine: Mapping[str, Any], console: Console
) -> None:
    changed = {k: f"{began[k]}, now {v}" for k, v in machine.items() if began.get(k, v) != v}
    if packing := changed.pop(PACKING, None):
        console.say(f"the run was begun with data {packing}: they are the same")
    if changed:
        console.say(
            f"the run was begun with {'; '.join(changed.values())}: its losses may differ in their "
            "last digits from those of a run that was never stopped"
        )
