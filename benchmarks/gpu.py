"""Training on one GPU: tokens/s, MFU, memory and attention backends, beside transformers; never run

This script has never been run on a GPU: no machine with one was at hand when it was written. What
is tested is `--device cpu --tiny`: every path of it, at a size of which no figure means anything.

One call, no network; it needs torch, numpy, safetensors, PyYAML and xformers, no installation:

    PYTHONPATH=site python benchmarks/gpu.py --out gpu.json

Printed are the ceiling of a matrix product measured here, a table of attention backends at 8K and
32K packed and 128K, and a row for each preset and context: tokens/s (images/s), MFU, share of that
ceiling, peak memory, share of the time that was spent waiting for data; below it transformers, with
Liger and torchtitan where they can be imported, on the same shape and the same rows. What MFU
counts stands in gpu_parts/counting.py: 6 N x positions that are not padding, and attention per
document, half of it where it is causal.

A row that does not fit is run again with more recomputation, and says so; where none fits, or
something else fails, the row tells it and the others go on. After `--budget-s` what is left is
skipped, and told.
"""

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from gpu_parts.tables import HEAD, attention_table, row_lines
from gpu_parts.worlds import Recompute, Row, World, tiny_worlds, worlds

if TYPE_CHECKING:
    pass

FORMULA = "MFU: (6 N x live positions + attention per document) / s / peak; nothing recomputed"
PEERS = ("transformers", "liger_kernel", "torchtitan")


@dataclass(frozen=True, slots=True)
class Setting:
    """What the whole run goes by."""

    device: str
    tiny: bool
    steps: int
    ends_s: float  # of time.monotonic
    compiles: bool

    def left_s(self) -> float:
        """Seconds that are left of the budget."""
        return self.ends_s - time.monotonic()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="toy size, to try the script on a CPU")
    parser.add_argument("--steps", type=int, default=6, help="timed, of each row")
    parser.add_argument(
        "--budget-s", type=float, default=460.0, help="what is left then is skipped"
    )
    parser.add_argument("--worlds", nargs="+", metavar="NAME", help="only these presets")
    parser.add_argument("--out", type=Path, help="write the numbers as json")
    asked = parser.parse_args()
    if asked.device == "cpu" and not asked.tiny:
        parser.error("--device cpu is for --tiny: full shapes would take hours")

    from curriculum.train.launch import prepare_environment

    prepare_environment()  # before torch is imported
    import torch

    if asked.device == "cuda" and not torch.cuda.is_available():
        print(f"no CUDA device: nothing was run on a GPU (torch {torch.__version__})")
        return 2
    setting = Setting(
        asked.device,
        asked.tiny,
        asked.steps,
        time.monotonic() + asked.budget_s,
        compiles=asked.device == "cuda",
    )
    chosen = [w for w in (tiny_worlds() if asked.tiny else worlds())
              if asked.worlds is None or w.name in asked.worlds]  # fmt: skip
    found = measure(setting, chosen, asked.out)
    if asked.device == "cpu":
        print("device cpu was asked for: nothing was run on a GPU, and no figure means anything")
    return 1 if any(row["status"] == "failed" for row in found["rows"]) else 0


def measure(setting: Setting, chosen: Sequence[World], out: Path | None) -> dict[str, Any]:
    """Measure and print everything; what was found so far is always in the file."""
    import torch

    from gpu_parts.attention import matmul_ceiling, rows
    from gpu_parts.counting import peak_flops

    device = torch.device(setting.device)
    is_cuda = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if is_cuda else "cpu"
    ceiling = matmul_ceiling(device, setting.tiny)
    peak = peak_flops(name) if is_cuda and not setting.tiny else None
    packages = {package: _version(package) for package in ("xformers", "triton", *PEERS)}
    about = {
        "device": name,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "packages": packages,
        "ceiling_flops_per_s": ceiling,
        "peak_flops_per_s": peak,
        "tiny": setting.tiny,
    }
    found: dict[str, Any] = {"format": 1, "machine": about, "attention": [], "rows": []}
    there = ", ".join(f"{k} {v}" for k, v in packages.items() if v) or "no peers"
    print(f"{name}, torch {torch.__version__}, {there}")
    print(f"matrix product in bf16: {ceiling / 1e12:.1f} TFLOP/s measured")
    print("\nattention, forward and backward, bf16, causal, pairs of one document counted")
    for row in rows(device, setting.tiny, setting.left_s):
        found["attention"].append(row)
    _say(attention_table(found["attention"]))
    _write(out, found)
    print(f"\n{FORMULA}")
    print(HEAD)
    for world in chosen:
        for row in world_rows(setting, world):
            found["rows"].append(row)
            _say(row_lines(row, ceiling, peak))
            _write(out, found)
    return found


def world_rows(setting: Setting, world: World) -> Iterator[dict[str, Any]]:
    """Build a world once, and yield a row for each of its contexts."""
    from gpu_parts.ours import build_world, freed

    with tempfile.TemporaryDirectory(prefix="curriculum-gpu-") as folder, freed(setting.device):
        built = None
        for row in world.rows:
            base = {"world": world.name, "stage": row.stage, "target_mfu": row.target}
            if setting.left_s() <= 0:
                yield {**base, "status": "skipped", "words": "the time budget is used up"}
                continue
            try:
                if built is None:
                    built = build_world(world, Path(folder), setting.device, setting.compiles)
                ours = at_the_first_that_fits(setting, built, row)
            except Exception as error:  # whatever it is, the other rows are worth having
                yield {**base, "status": "failed", "words": _words(error)}
                continue
            beside = row.beside and ours["status"] == "ok"
            theirs = list(peer_rows(setting, built, row, ours)) if beside else []
            yield {**base, **ours, "peers": theirs}


def at_the_first_that_fits(setting: Setting, built: Any, row: Row) -> dict[str, Any]:
    """Time a row with the recomputation that it asks for, or with more where memory is short."""
    import torch

    from gpu_parts.ours import freed, time_row

    ways: Sequence[Recompute] = get_args(Recompute)
    tried: list[str] = []
    for recompute in ways[ways.index(row.recompute) :]:
        try:
            with freed(setting.device):
                measured = time_row(built, row, recompute, setting.steps)
        except torch.OutOfMemoryError:
            tried.append(recompute)
            built.assembly.optimizer.zero_grad()
            continue
        said = f"recomputation {recompute}"
        said += f" (out of memory with {', '.join(tried)})" if tried else ""
        return {"status": "ok", "words": said, **measured.as_json(), "recompute": recompute}
    return {"status": "failed", "words": f"out of memory with recomputation {', '.join(tried)}"}


def peer_rows(
    setting: Setting, built: Any, row: Row, ours: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Time what there is of peers on the shape and rows of ours; a failure is told, not raised."""
    from gpu_parts.ours import drawn_batches, elsewhere, freed
    from gpu_parts.theirs import time_variant, variants

    if list(built.shapes) != ["llm"]:
        return
    shape = built.shapes["llm"]
    found = variants(shape, setting.device)
    # Ours is off the GPU while a peer has it: both would not fit.
    with elsewhere(built):
        for variant in found:
            if setting.left_s() <= 0:
                yield {"variant": variant, "words": "skipped: the time budget is used up"}
                continue
            batches = drawn_batches(built, row, setting.steps + 2)
            try:
                with freed(setting.device):
                    timed = time_variant(
                        variant,
                        shape,
                        batches,
                        built.job.device,
                        compiles=setting.compiles,
                        recompute=ours["recompute"] != "none",
                    )
            except Exception as error:  # a peer's failure is its row's
                yield {"variant": variant, "words": _words(error)}
                continue
            tokens = ours["tokens_per_s"] * ours["step_s"]
            yield {**timed, "tokens_per_s": tokens / timed["step_s"],
                   "ratio": timed["step_s"] / ours["step_s"]}  # fmt: skip


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0][:160]}"


def _say(lines: Sequence[str]) -> None:
    for line in lines:
        print(line, flush=True)


def _write(out: Path | None, found: Mapping[str, Any]) -> None:
    if out is not None:
        out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def _version(package: str) -> str | None:
    try:
        return version(package.replace("_", "-"))
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    sys.exit(main())
