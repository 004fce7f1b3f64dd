"""Which attention backends this machine has, and how to get those that it lacks

Asked once a process and backend, when a choice needs it: looking means importing.
"""

import functools
import importlib
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import assert_never

import torch

from curriculum.models import attention_xformers
from curriculum.models.attention_choice import (
    IN_ORDER,
    KERNELS,
    Backend,
    Case,
    Choice,
    asked_for,
    choose,
    refusal,
)
from curriculum.models.attention_flash import is_deterministic

_PACKAGES: dict[Backend, str] = {
    "fa3": "flash-attn-3",
    "fa4": "flash-attn-4",
    "fa2": "xformers",
    "cutlass": "xformers",
    "flex": "torch",
}


@dataclass(frozen=True, slots=True)
class Found:
    """One backend for GPUs: what it is, its package's version, and what keeps it from running."""

    backend: Backend
    kernels: str
    package: str
    version: str | None
    missing: str | None  # with the way to get it


def choice_for(device: torch.device, dtype: torch.dtype, qk_dim: int, v_dim: int) -> Choice:
    """Choose the backend of one attention here and now; RuntimeError where there is none."""
    return _chosen(case_of(device, dtype, qk_dim, v_dim), asked_for())


def case_of(device: torch.device, dtype: torch.dtype, qk_dim: int, v_dim: int) -> Case:
    """Describe one attention on a device of this machine, as `choose` wants it."""
    if device.type != "cuda":
        return Case(device.type, dtype, qk_dim, v_dim)
    return Case("cuda", dtype, qk_dim, v_dim, _capability(device), is_deterministic())


def fitting(case: Case) -> list[Backend]:
    """Return every backend that is here and can compute a case, `flex` included."""
    if case.device != "cuda":
        return ["cpu"]
    names: tuple[Backend, ...] = (*IN_ORDER, "flex")
    return [name for name in names if refusal(name, case) is None and missing(name) is None]


def survey() -> Iterator[Found]:
    """Look for every backend for GPUs."""
    for backend, package in _PACKAGES.items():
        yield Found(backend, KERNELS[backend], package, _version(package), missing(backend))


@functools.cache
def missing(backend: Backend) -> str | None:
    """Say why a backend is not to be had here, and the way to get it; None where it is."""
    if backend == "cpu":
        return None
    cuda = torch.version.cuda
    if cuda is None:
        return f"needs a torch built for CUDA, not {torch.__version__}"
    match backend:
        case "fa2" if not torch.backends.cuda.is_flash_attention_available():
            return (
                f"needs a torch with flash attention, which {torch.__version__} was built without"
            )
        case "fa2" | "cutlass":
            return attention_xformers.missing()
        case "fa3":
            index = f"https://download.pytorch.org/whl/cu{cuda.replace('.', '')}"
            way = f"pip install flash-attn-3 --index-url {index} (it is not on PyPI)"
            return _unimportable("flash_attn_3._C", "flash-attn-3", way)
        case "fa4":
            way = "pip install --pre flash-attn-4"
            return _unimportable("flash_attn.cute.interface", "flash-attn-4", way)
        case "flex":
            return _unimportable("triton", "triton", "pip install triton")
        case _:
            assert_never(backend)


def _unimportable(module: str, package: str, way: str) -> str | None:
    if _version(package) is None and importlib.util.find_spec(module.partition(".")[0]) is None:
        return f"needs {package}, which is not installed: {way}"
    try:
        importlib.import_module(module)
    except Exception as error:  # built for another torch, GPU or driver: they raise what they like
        said = str(error).partition("\n")[0] or type(error).__name__
        return f"needs {package}, which is here and cannot be imported ({said}): {way}"
    return None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@functools.cache
def _capability(device: torch.device) -> tuple[int, int]:
    return torch.cuda.get_device_capability(device)


@functools.lru_cache(maxsize=256)
def _chosen(case: Case, asked: Backend | None) -> Choice:
    return choose(case, missing, asked)
