"""`curriculum train`: execute a plan or a lock, resume it, or try it dry"""

import json
import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curriculum.cli.at_point import step_of
from curriculum.cli.load import load
from curriculum.cli.options import File, Format, FormatOption, Set
from curriculum.errors import CurriculumError, Diagnostic, FindingsError, Severity
from curriculum.findings import (
    finding_json,
    in_order,
    silenced_json,
    silenced_lines,
    text_of,
)
from curriculum.lock import write_lock

if TYPE_CHECKING:
    from curriculum.compile import Compiled
    from curriculum.plan import Plan
    from curriculum.train.evaluate import Decode


class Device(StrEnum):
    """Where it is computed."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class Recompute(StrEnum):
    """What layers make again in the backward pass rather than keep."""

    NONE = "none"
    SELECTIVE = "selective"
    FULL = "full"


class Precision(StrEnum):
    """In what it is computed; parameters and sums are fp32 in both."""

    FP32 = "fp32"
    BF16 = "bf16"


def command(
    file: File,
    run: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The run's folder: new, or with --resume.")
    ] = None,
    data: Annotated[
        Path, typer.Option(metavar="DIR", help="The folder that sources' paths start from.")
    ] = Path("data"),
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the run stands.")] = False,
    stage: Annotated[
        str | None, typer.Option(metavar="STAGE", help="Only this stage; its parents are there.")
    ] = None,
    stop_at: Annotated[
        str | None,
        typer.Option(metavar="STAGE@MARK", help="Stop there: 0.7T, step 100, 50% or end."),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Build, hand over, time two steps a stage; write nothing."),
    ] = False,
    device: Annotated[Device, typer.Option(help="Where to compute.")] = Device.AUTO,
    precision: Annotated[Precision, typer.Option(help="In what to compute.")] = Precision.FP32,
    deterministic: Annotated[
        bool,
        typer.Option("--deterministic", help="The same bits every time on a GPU too, or refuse."),
    ] = False,
    threads: Annotated[
        int | None,
        typer.Option(min=1, max=1024, metavar="N", help="CPU threads; 2 if there are cores."),
    ] = None,
    micro_batch: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Sequences computed at once.")
    ] = None,
    compile: Annotated[
        bool | None,
        typer.Option(
            "--compile/--no-compile", help="Compile each layer; if not said, on CUDA alone."
        ),
    ] = None,
    recompute: Annotated[
        Recompute, typer.Option(help="What layers make again: saves memory, costs time.")
    ] = Recompute.NONE,
    workers: Annotated[
        int | None,
        typer.Option(min=0, max=64, metavar="N", help="Processes that pack data; 0: a thread."),
    ] = None,
    checkpoint_every: Annotated[
        int, typer.Option(min=1, metavar="N", help="Steps between two checkpoints.")
    ] = 50,
    keep: Annotated[
        int, typer.Option(min=1, metavar="K", help="Checkpoints kept beside ends and marks.")
    ] = 2,
    evaluate: Annotated[
        bool, typer.Option("--evaluate/--no-evaluate", help="Evaluate at the end of stages.")
    ] = True,
    set_: Set = None,
    format: FormatOption = Format.TEXT,
) -> None:
    """Execute a plan, with checkpoints and a ledger."""
    plan, compiled = _plan(file, set_)
    findings, lock_text = compiled.findings, write_lock(plan)
    if run is None and not dry_run:
        raise CurriculumError("say --run DIR, where the run is written, or --dry-run")
    try:
        from curriculum.train import launch as launches

        launches.prepare_environment()  # before torch is imported
        from curriculum.train.console import Console
        from curriculum.train.dry_run import launched, table
        from curriculum.train.execute import Request, dry_run_plan, run_plan
        from curriculum.train.gates import gate_line
        from curriculum.train.position import Position
        from curriculum.train.summary import screen
    except ModuleNotFoundError as error:
        raise CurriculumError(
            f"train needs {error.name}: pip install 'curriculum[train]'"
        ) from error

    launch = launches.Launch(
        data=data,
        device=device.value,
        precision=precision.value,
        micro_batch_seqs=micro_batch,
        checkpoint_every_steps=checkpoint_every,
        keep=keep,
        threads=threads or launches.default_threads(),
        evaluates=evaluate,
        deterministic=deterministic,
        compiles=compile,
        recompute=recompute.value,
        workers=workers,
    )
    console = Console(every_s=launch.log_every_s)
    warnings = [finding for finding in findings if finding.severity is not Severity.INFO]
    if warnings and format is Format.TEXT:
        console.say(text_of(warnings).rstrip())
    if compiled.silenced and format is Format.TEXT:
        console.say(silenced_lines(compiled.silenced).rstrip())
    if run is None or dry_run:
        machine, timed = dry_run_plan(plan, launch, console)
        stages = [asdict(t) for t in timed]
        document: dict[str, Any] = {"plan": plan.name, "machine": machine, "stages": stages}
        gates = [line for one in plan.stages if (line := gate_line(plan, one)) is not None]
        text = "\n".join((*table(timed), *gates, "", *launched(machine)))
    else:
        stop = None
        if stop_at is not None:
            stop_stage, stop_step = step_of(plan, stop_at)
            stop = Position(stop_stage.name, stop_step)
        request = Request(plan, lock_text, launch, run, resume, stage, stop)
        document = run_plan(request, console, _decoder(data))
        text = screen(document)
    if format is Format.JSON:
        document = {**document, "format": 1, "findings": [finding_json(f) for f in findings]}
        document["allowed"] = [silenced_json(one) for one in compiled.silenced]
        text = json.dumps(document, indent=2, allow_nan=False)
    sys.stdout.write(text + "\n")
    # A run that was stopped on purpose is not finished; everything else the audit says is wrong.
    said = document.get("audit", {}).get("findings", [])
    if any(finding["rule"] != "run-not-finished" for finding in said):
        raise typer.Exit(1)


def _plan(file: Path, settings: list[str] | None) -> "tuple[Plan, Compiled]":
    """Read a plan or a lock; FindingsError where it has errors or unknowns."""
    compiled = load(file, settings)
    plan = compiled.plan
    if plan is None or compiled.errors:
        raise FindingsError(compiled.findings)
    if not plan.is_executable:
        raise FindingsError(in_order([*compiled.findings, *_unknowns(plan, file)]))
    return plan, compiled


def _unknowns(plan: "Plan", file: Path) -> tuple[Diagnostic, ...]:
    found = [(p.path, p.span) for p in plan.provenance if p.kind == "unknown"]
    found = found or [(f"stages.{stage.name}", None) for stage in plan.unknown]
    way_out = "say a value: what nobody knows cannot be trained"
    return tuple(
        Diagnostic("unknown", f"{path} is unknown", span, way_out)
        for path, span in found or [(str(file), None)]
    )


def _decoder(data: Path) -> "Decode":
    """The tokenizer of the data, for what the model writes; token ids where there is none."""
    path = data / "tokenizer.json"
    if not path.is_file():
        return lambda tokens: " ".join(map(str, tokens))
    from curriculum.data.tokenizer import load_tokenizer

    return load_tokenizer(path).decode
