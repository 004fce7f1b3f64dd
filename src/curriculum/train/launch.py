"""The launch: what belongs to the machine, not to the plan; what is set before torch loads

prepare_environment()   once, before torch is imported: the libraries read it when they load
Launch                  data folder, device, precision, micro-batch, checkpoints
start(launch)           threads and determinism, once torch is there
"""

import ctypes
import os
import sys
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from curriculum.errors import RunError

if TYPE_CHECKING:
    import torch

    from curriculum.models.block import Recompute

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["fp32", "bf16"]

MICRO_BATCH_TOKENS = {"cpu": 8192, "cuda": 65_536}
"""Tokens of one micro-batch where nobody says its sequences; more is faster while memory lasts."""

_ENVIRONMENT = {
    # Threads that wait must sleep: on two shared cores a spinning pool halves the speed of both.
    # But not at once: to be woken takes longer than most waits, so they spin for a millisecond.
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "100000",
    # The number of threads decides how sums are cut, so it may not follow the machine's load.
    "OMP_DYNAMIC": "FALSE",
    "MKL_DYNAMIC": "FALSE",
    # The same sums wherever an array happens to lie in memory: a resumed run must not drift.
    "MKL_CBWR": "AUTO,STRICT",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
}

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # malloc.h of glibc
_MALLOC_WORDS = ("GLIBC_TUNABLES", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "MALLOC_MMAP_MAX_")


@dataclass(frozen=True, slots=True)
class Launch:
    """Where and how a plan runs; nothing here changes what it computes, only its last digits."""

    data: Path
    device: Device = "auto"
    precision: Precision = "fp32"
    micro_batch_seqs: int | None = None  # None: by tokens
    checkpoint_every_steps: int = 50
    keep: int = 2  # besides the ends of stages and the marks that others start from
    threads: int = 1
    log_every_s: float = 10.0
    evaluates: bool = True
    deterministic: bool = False  # on a GPU too; a CPU always is
    compiles: bool | None = None  # each layer; None: where that pays
    recompute: "Recompute" = "none"  # of what layers would keep for the backward pass
    workers: int | None = None  # processes that make arrays; 0: a thread; None: by device and cores

    def micro_batch(self, device: str, batch_seqs: int, seq_len: int) -> int:
        """Return the sequences of one micro-batch.

        >>> Launch(Path("data")).micro_batch("cpu", 16, 256)
        16
        >>> Launch(Path("data")).micro_batch("cpu", 16, 4096)
        2
        >>> Launch(Path("data"), micro_batch_seqs=3).micro_batch("cpu", 16, 256)
        3
        """
        if self.micro_batch_seqs is not None:
            return min(self.micro_batch_seqs, batch_seqs)
        return max(1, min(batch_seqs, MICRO_BATCH_TOKENS[device] // seq_len))

    def compiles_on(self, device: str, has_experts: bool) -> bool:
        """Say whether layers are compiled: on CUDA, unless it was said.

        On a CPU it takes longer than short stages gain. Experts are traced in bf16 alone.

        >>> Launch(Path("data"), precision="bf16").compiles_on("cuda", has_experts=True)
        True
        >>> Launch(Path("data")).compiles_on("cpu", has_experts=False)
        False
        """
        if self.compiles is not None:
            return self.compiles
        return device == "cuda" and not (has_experts and self.precision == "fp32")

    def workers_on(self, device: str) -> int:
        """Return the processes that make the arrays of steps; 0 is a thread of the trainer's own.

        A GPU leaves the cores free, and one thread shares its interpreter with the trainer. On a
        CPU another process would take from the cores that compute.

        >>> Launch(Path("data")).workers_on("cpu")
        0
        >>> Launch(Path("data"), workers=3).workers_on("cpu")
        3
        """
        if self.workers is not None:
            return self.workers
        return min(4, cores() // 4) if device == "cuda" else 0


def default_threads() -> int:
    """Return two threads, or one where there is one core: small models gain nothing from more."""
    return min(2, cores())


def cores() -> int:
    """Return the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def prepare_environment(environment: MutableMapping[str, str] | None = None) -> None:
    """Set what libraries read when they are loaded; what the user has set stays.

    >>> chosen = {"OMP_WAIT_POLICY": "ACTIVE"}
    >>> prepare_environment(chosen)
    >>> chosen["OMP_WAIT_POLICY"], chosen["MKL_DYNAMIC"]
    ('ACTIVE', 'FALSE')
    """
    target = os.environ if environment is None else environment
    waits = target.setdefault("OMP_WAIT_POLICY", _ENVIRONMENT["OMP_WAIT_POLICY"])
    for name, value in _ENVIRONMENT.items():
        # A spin count overrules the policy, so it goes with ours alone.
        if name != "GOMP_SPINCOUNT" or waits.upper() == "PASSIVE":
            target.setdefault(name, value)


def keep_memory(environment: Mapping[str, str] = os.environ) -> None:
    """Let the allocator keep what arrays give back; what the user has set stays.

    Every step makes the same large arrays. By default glibc asks the kernel for each of them and
    returns it, and each page is cleared again where it is first written: a tenth of a step. Other
    allocators than glibc's are left as they are.
    """
    if sys.platform != "linux" or any(name in environment for name in _MALLOC_WORDS):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)
        mallopt(_M_TOP_PAD, 256 << 20)


def start(launch: Launch) -> "torch.device":
    """Set threads and determinism, and return the device; RunError if it is not there."""
    import torch

    torch.set_num_threads(launch.threads)
    has_cuda = torch.cuda.is_available()
    if launch.device == "cuda" and not has_cuda:
        raise RunError("--device cuda: torch finds no CUDA device here; say --device cpu")
    is_cuda = has_cuda and launch.device != "cpu"
    if not is_cuda:
        keep_memory()
    if launch.deterministic or not is_cuda:
        torch.use_deterministic_algorithms(True)
        # That would also fill fresh memory with NaN: time spent, and nothing here reads it.
        deterministic: Any = torch.utils.deterministic
        deterministic.fill_uninitialized_memory = False
    return torch.device("cuda" if is_cuda else "cpu")
