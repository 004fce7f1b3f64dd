"""The laptop plan on a GPU in one call, and attention against a float64 reference; never run

This script has never been run on a GPU: no machine with one was at hand when it was written. What
is tested is that it runs on a CPU (`--device cpu`), without anything that the list below lacks.

Needs a lock, the prepared arrays, torch, numpy, safetensors, xformers and
nvidia-cuda-runtime-cu12, and no installation of this package:

    curriculum plan plans/kimi-vl-laptop.yaml -o plan.lock.json           here, with
    python -m curriculum.data.demo data                                   curriculum[train,demo]
    pip download --no-deps -d wheels xformers==0.0.35 nvidia-cuda-runtime-cu12

    pip install --no-deps --no-index --target site wheels/*.whl &&        there, in one call
        PYTHONPATH=site python benchmarks/gpu_smoke.py plan.lock.json data out

Attention is checked on the backend that is chosen, with `--every-backend` on all that are here, and
whether it gives the same bits twice under deterministic algorithms.

Exit code 0: all as it should be; 1: attention is not exact enough, or does not repeat its bits,
or the audit found a difference; 2: it could not be done. What was measured is left in
OUT_DIR/gpu_smoke.json.
"""

import argparse
import json
import platform
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

if TYPE_CHECKING:
    import torch

    from curriculum.plan import Plan
    from curriculum.train.position import Position

NO_GPU = "no CUDA device: nothing was run on a GPU"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("lock", type=Path, metavar="LOCK", help="from `curriculum plan -o`")
    parser.add_argument("data", type=Path, metavar="DATA", help="the prepared arrays")
    parser.add_argument("out", type=Path, metavar="OUT_DIR", help="a new folder")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--stop-at", metavar="STAGE@step N", help="stop before this step")
    parser.add_argument("--precision", choices=("fp32", "bf16"), help="bf16 on cuda, fp32 on a cpu")
    parser.add_argument(
        "--every-backend",
        action="store_true",
        help="check all attention backends that are here, not only those that are chosen",
    )
    asked = parser.parse_args()

    from curriculum.errors import CurriculumError
    from curriculum.train.launch import prepare_environment

    prepare_environment()  # before torch is imported
    try:
        return smoke(asked)
    except (CurriculumError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def smoke(asked: argparse.Namespace) -> int:
    """Check attention, train, audit; print the tables and write the numbers down."""
    import torch

    from curriculum.lock import read_lock
    from curriculum.models.presets import PRESETS
    from curriculum.models.probe import head_sizes
    from curriculum.train.rundir import read_text

    if asked.device == "cuda" and not torch.cuda.is_available():
        print(f"{NO_GPU} (torch {torch.__version__}, built for CUDA {torch.version.cuda})")
        return 2
    lock_text = read_text(asked.lock)
    plan = read_lock(lock_text, str(asked.lock))
    stop_at = position(plan, asked.stop_at)
    if asked.out.exists() and any(asked.out.iterdir()):
        print(f"error: {asked.out} is not empty: name a new folder", file=sys.stderr)
        return 2
    asked.out.mkdir(parents=True, exist_ok=True)
    device = torch.device(asked.device)
    about = machine(device)
    print(", ".join(f"{name} {value}" for name, value in about.items()))

    shapes = [module.shape for module in plan.modules.values()]
    try:
        sizes = head_sizes([*shapes, *PRESETS.values()])
        checks = list(check_attention(device, sizes, every=asked.every_backend))
    except RuntimeError as error:  # xformers is missing, or refuses this machine
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"\nattention on {device.type} against float64, ||d|| / ||ref||")
    print("\n".join(attention_table(checks)))
    found: dict[str, Any] = {"format": 1, "machine": about, "attention": checks}
    write(asked.out, found)  # a run that is cut off leaves at least this

    precision = asked.precision or ("bf16" if device.type == "cuda" else "fp32")
    print(f"\n{plan.name}, {precision}")
    summary, wall_s = train(plan, lock_text, asked, precision, stop_at)
    print("\n".join(stage_table(summary)))
    memory_bytes = torch.cuda.max_memory_allocated() if device.type == "cuda" else None
    if memory_bytes is not None:
        print(f"at most {memory_bytes / 2**30:.2f} GiB of GPU memory")
    print(f"{wall_s:.1f} s with data, evaluation, checkpoints and audit")
    write(asked.out, {**found, "wall_s": wall_s, "memory_bytes": memory_bytes, "run": summary})

    bad = [check for check in checks if not check["ok"] or check["repeats"] is False]
    differences = [d for stage in summary["audit"]["stages"] for d in stage["differences"]]
    print(f"attention: {len(checks) - len(bad)} of {len(checks)} within tolerance, and repeatable")
    print("audit: " + verdict(summary["audit"]))
    if device.type != "cuda":
        print("device cpu was asked for: nothing was run on a GPU")
    return 1 if bad or differences else 0


def position(plan: "Plan", text: str | None) -> "Position | None":
    """Read `STAGE@step N`; the whole language of marks belongs to `curriculum train`."""
    from curriculum.errors import RunError
    from curriculum.train.position import Position

    if text is None:
        return None
    name, _, mark = text.partition("@")
    digits = mark.strip().removeprefix("step").strip().replace("_", "")
    if not plan.has_stage(name) or not digits.isdecimal():
        names = ", ".join(stage.name for stage in plan.stages)
        raise RunError(f"--stop-at {text}: write STAGE@step N; there are {names}")
    step = int(digits)
    if not 0 < step <= plan.stage(name).steps:
        raise RunError(f"--stop-at {text}: `{name}` has steps 1 to {plan.stage(name).steps}")
    return Position(name, step)


def machine(device: "torch.device") -> dict[str, str]:
    """Say what it runs on."""
    import torch

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    try:
        xformers = version("xformers")
    except PackageNotFoundError:
        xformers = "not there"
    return {
        "device": f"{device.type} ({name})",
        "torch": torch.__version__,
        "xformers": xformers,
        "Python": platform.python_version(),
    }


def check_attention(
    device: "torch.device", sizes: Sequence[tuple[int, int]], *, every: bool = False
) -> Iterator[dict[str, Any]]:
    """Probe packed attention, forward and backward, against a reference in float64.

    `every` backend that is here, or the one that is chosen; twice, for the same bits under
    deterministic algorithms, where it claims them. RuntimeError where the device has no kernel.
    """
    import torch

    from curriculum.models.attention_choice import Backend, asking
    from curriculum.models.attention_found import case_of, fitting
    from curriculum.models.probe import probes

    for size in sizes:
        for dtype in (torch.float32, torch.bfloat16):
            backends: Sequence[Backend | None] = [None]
            if every:
                backends = fitting(case_of(device, dtype, *size))
            for backend in backends:
                with asking(backend):
                    for found in probes(device, [size], (dtype,)):
                        yield {
                            "heads": [found.qk_dim, found.v_dim],
                            "dtype": str(found.dtype).removeprefix("torch."),
                            "mask": found.mask,
                            "backend": found.backend,
                            **dict(zip(("out", "dq", "dk", "dv"), found.errors, strict=True)),
                            "repeats": repeats(device, dtype, size, found.mask),
                            "ok": found.is_right,
                        }


def repeats(
    device: "torch.device", dtype: "torch.dtype", size: tuple[int, int], mask: str
) -> bool | None:
    """Whether it gives the same bits twice under deterministic algorithms; None: it refuses to."""
    import torch

    from curriculum.models import probe
    from curriculum.models.attention import describe_backend

    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        describe_backend(device, dtype, *size)
    except RuntimeError:
        return None
    else:
        return probe.repeats(device, dtype, size, mask)
    finally:
        torch.use_deterministic_algorithms(before)


def attention_table(checks: Sequence[Mapping[str, Any]]) -> list[str]:
    """Write a line per check."""
    from curriculum.train.summary import aligned

    rows = [("heads", "dtype", "mask", "out", "dq", "dk", "dv", "repeats", "")]
    for check in checks:
        qk_dim, v_dim = check["heads"]
        errors = (f"{check[name]:.1e}" for name in ("out", "dq", "dk", "dv"))
        verdict = "ok" if check["ok"] else "not exact enough"
        again = {True: "yes", False: "NO", None: "refused"}[check["repeats"]]
        heads = f"{qk_dim}/{v_dim}"
        rows.append((heads, check["dtype"], check["mask"], *errors, again, verdict))
    first, *lines = aligned(rows, left=(1, 2, 7, 8))
    told = [first]
    for before, check, line in zip([None, *checks], checks, lines, strict=False):
        if before is None or before["backend"] != check["backend"]:
            told.append(str(check["backend"]))
        told.append(line)
    return told


def train(
    plan: "Plan",
    lock_text: str,
    asked: argparse.Namespace,
    precision: str,
    stop_at: "Position | None",
) -> tuple[dict[str, Any], float]:
    """Train the plan as `curriculum train` does; return its summary and the wall time in s."""
    from curriculum.train.console import Console
    from curriculum.train.execute import Request, run_plan
    from curriculum.train.launch import Launch, default_threads

    launch = Launch(
        data=asked.data,
        device=asked.device,
        precision="bf16" if precision == "bf16" else "fp32",
        threads=default_threads(),
    )
    request = Request(plan, lock_text, launch, asked.out / "run", stop_at=stop_at)
    start_s = time.perf_counter()
    summary = run_plan(request, Console())
    return summary, time.perf_counter() - start_s


def stage_table(summary: Mapping[str, Any]) -> list[str]:
    """Write a line per stage that ran."""
    from curriculum.train.summary import aligned

    audited = {stage["name"]: stage for stage in summary["audit"]["stages"]}
    rows = [("stage", "steps", "tokens", "wall", "tok/s", "loss", "audit")]
    for stage in summary["stages"]:
        report = audited[stage["name"]]
        words = "ok" if not report["differences"] else report["differences"][0]
        if report["steps"] < report["planned_steps"]:
            words += f" so far ({report['planned_steps']} planned)"
        rate = stage["tokens_per_s"]
        rows.append(
            (
                stage["name"],
                f"{stage['steps']:,}",
                f"{stage['tokens']:,}",
                f"{stage['wall_s']:.1f} s",
                f"{rate:,.0f}" if rate else "-",
                ", ".join(f"{term} {value:.3f}" for term, value in stage["loss"].items()),
                words,
            )
        )
    return aligned(rows, left=(0, 5, 6))


def verdict(audit: Mapping[str, Any]) -> str:
    """Say in a few words what the audit found."""
    if audit["ok"]:
        return "ok, what ran is what was planned"
    return "; ".join(finding["message"] for finding in audit["findings"][:3])


def write(out: Path, found: Mapping[str, Any]) -> None:
    """Write the numbers; NaN, which JSON has no word for, as null."""
    text = json.dumps(_finite(found), indent=1, allow_nan=False)
    (out / "gpu_smoke.json").write_text(text + "\n", encoding="utf-8")


def _finite(value: Any) -> Any:
    match value:
        case float() if value != value or abs(value) == float("inf"):
            return None
        case dict():
            return {key: _finite(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_finite(inner) for inner in value]
        case _:
            return value


if __name__ == "__main__":
    sys.exit(main())
