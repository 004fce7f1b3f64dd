"""Which backend computes an attention: by device, capability, heads, dtype and determinism

    Case + what is missing on this machine + CURRICULUM_ATTENTION --> Choice, or a refusal

What a backend takes is written here, from the sources named at each rule, and nowhere else; no
tensor is touched. The order is that of published speeds, until a run here has measured it.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal, assert_never, get_args

import torch

Backend = Literal["cpu", "fa3", "fa4", "fa2", "cutlass", "flex"]

VARIABLE = "CURRICULUM_ATTENTION"
"""Environment variable that names the backend to take; unset or `auto` leaves the choice to us."""

KERNELS: dict[Backend, str] = {
    "cpu": "torch's flash kernel (xformers has none for a cpu)",
    "fa3": "flash-attn-3",
    "fa4": "flash-attn-4",
    "fa2": "xformers with torch's own flash 2",
    "cutlass": "xformers with torch's own cutlass kernels",
    "flex": "torch's FlexAttention",
}

IN_ORDER: tuple[Backend, ...] = ("fa3", "fa4", "fa2", "cutlass")
"""What is tried on a GPU, fastest first; `flex` only runs where it is asked for."""

_HALF = (torch.bfloat16, torch.float16)
_NAMES = {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32"}
_FA4_MAJORS = (9, 10, 11)

CPU_BF16 = "products over blocks of queries (torch's flash kernel takes 1.4 times as long)"
"""What computes bf16 on a CPU: attention_blocks.py."""

NO_CUDNN = (
    "cudnn is not offered: torch 2.11 to 2.13 keep it off for packed documents themselves, its "
    "backward may read past its buffers (pytorch#186142) and it plans anew on every call (#191576)"
)


@dataclass(frozen=True, slots=True)
class Case:
    """One attention to find a backend for; `capability` of a GPU, as (9, 0)."""

    device: str
    dtype: torch.dtype
    qk_dim: int
    v_dim: int
    capability: tuple[int, int] = (0, 0)
    deterministic: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """A backend, the head sizes that its kernel sees (padded with zeros), and why it was taken."""

    backend: Backend
    qk_width: int
    v_width: int
    reason: str

    def words(self, case: Case) -> str:
        """Say it in one line.

        >>> case, nothing = Case("cpu", torch.float32, 48, 32), {}.get
        >>> choose(case, nothing).words(case)
        "cpu: torch's flash kernel (xformers has none for a cpu); values padded 32 -> 48"
        """
        said = f"{case.device}: "
        if case.device == "cuda":
            said += f"{self.backend}, "
        is_blocks = self.backend == "cpu" and case.dtype == torch.bfloat16
        said += CPU_BF16 if is_blocks else KERNELS[self.backend]
        said += f" ({self.reason})" if self.reason else ""
        if case.qk_dim < self.qk_width:
            said += f"; queries and keys padded {case.qk_dim} -> {self.qk_width}"
        if case.v_dim < self.v_width:
            said += f"; values padded {case.v_dim} -> {self.v_width}"
        return said


def choose(
    case: Case, missing: Callable[[Backend], str | None], asked: Backend | None = None
) -> Choice:
    """Take the backend that is asked for, or the first of `IN_ORDER` that can do it.

    `missing` says of backends why they are not to be had here, with the way to get them;
    RuntimeError where none is left, or where what is asked for does not fit: nothing else is
    taken in its place.

    >>> case = Case("cuda", torch.bfloat16, 192, 128, capability=(9, 0))
    >>> away = {"fa3": "is not installed", "fa4": "is not installed"}
    >>> choose(case, away.get).words(case)
    "cuda: fa2, xformers with torch's own flash 2 (fa3, fa4: not here); values padded 128 -> 192"
    """
    if case.device != "cuda":
        if asked not in (None, "cpu"):
            raise RuntimeError(
                f"{VARIABLE}={asked}: {asked} needs a CUDA device, not {case.device}"
            )
        if case.dtype == torch.bfloat16:
            return Choice("cpu", case.qk_dim, case.v_dim, "")
        width = max(case.qk_dim, case.v_dim)
        return Choice("cpu", width, width, "")
    if asked is not None:
        if why := refusal(asked, case) or missing(asked):
            raise RuntimeError(f"{VARIABLE}={asked}: {asked} {why}")
        return replace(_taken(asked, case), reason=_reason(case, f"asked for by {VARIABLE}"))
    unfit: list[str] = []
    away: list[Backend] = []
    for backend in IN_ORDER:
        if (why := refusal(backend, case)) is not None:
            unfit.append(f"{backend} {why}")
        elif missing(backend) is not None:
            away.append(backend)
        else:
            passed = [f"{', '.join(away)}: not here"] if away else []
            return replace(_taken(backend, case), reason=_reason(case, *passed, *unfit))
    ways: dict[str | None, list[Backend]] = {}
    for backend in away:
        ways.setdefault(missing(backend), []).append(backend)
    said = [f"{', '.join(names)}: {way}" for way, names in ways.items()]
    raise RuntimeError("no attention backend: " + "; ".join([*said, *unfit]))


def refusal(backend: Backend, case: Case) -> str | None:
    """Say why a backend cannot compute such a case, were it installed; None if it can.

    >>> refusal("fa2", Case("cuda", torch.float32, 64, 64, capability=(9, 0)))
    'takes bf16 and fp16, not fp32'
    """
    if backend == "cpu":
        return None if case.device == "cpu" else "is for tensors on a CPU"
    if case.device != "cuda":
        return f"needs a CUDA device, not {case.device}"
    return (
        _wrong_device(backend, case.capability)
        or _wrong_dtype(backend, case)
        or _wrong_heads(backend, case)
        or (_not_deterministic(backend, case) if case.deterministic else None)
    )


def _wrong_device(backend: Backend, capability: tuple[int, int]) -> str | None:
    said = "{}.{}".format(*capability)
    match backend:
        case "fa3":  # built for Hopper; its Ampere kernels are no faster than flash 2
            return None if capability == (9, 0) else f"needs capability 9.0, not {said}"
        case "fa4":  # flash_attn/cute/interface.py: _flash_attn_bwd
            fits = capability[0] in _FA4_MAJORS
            return None if fits else f"needs capability 9 to 11, not {said}"
        case "fa2" | "flex":
            return None if capability >= (8, 0) else f"needs capability 8.0, not {said}"
        case "cutlass":  # xformers, fmha/cutlass.py: CUDA_MAXIMUM_COMPUTE_CAPABILITY
            fits = (5, 0) <= capability <= (9, 0)
            return None if fits else f"needs capability 5.0 to 9.0, not {said}"
        case "cpu":
            return "is for tensors on a CPU"
        case _:
            assert_never(backend)


def _wrong_dtype(backend: Backend, case: Case) -> str | None:
    name = _NAMES.get(case.dtype, str(case.dtype).removeprefix("torch."))
    if backend in ("cutlass", "flex"):
        if case.dtype == torch.bfloat16 and case.capability < (8, 0):
            return "takes bf16 from capability 8.0 on"
        fits = case.dtype in (*_HALF, torch.float32)
        return None if fits else f"takes fp32, bf16 and fp16, not {name}"
    return None if case.dtype in _HALF else f"takes bf16 and fp16, not {name}"


def _wrong_heads(backend: Backend, case: Case) -> str | None:
    width = max(case.qk_dim, case.v_dim)
    # cutlass: xformers' SUPPORTED_MAX_K; the others: 256 in their sources.
    limit = 65_536 if backend == "cutlass" else 256
    return None if width <= limit else f"takes heads up to {limit}, not {width}"


def _not_deterministic(backend: Backend, case: Case) -> str | None:
    width = max(_eights(case.qk_dim), _eights(case.v_dim))
    match backend:
        case "fa3" if width > 192:  # hopper/flash_api.cpp: mha_bwd
            return "has no deterministic backward for heads above 192"
        case "flex":
            return "is not known to be deterministic"
        case _:
            # fa2 and cutlass follow torch.use_deterministic_algorithms (pytorch,
            # attention_backward.cu: `determinisitic` and one split of keys); fa3, fa4: a flag.
            return None


def _taken(backend: Backend, case: Case) -> Choice:
    """Return a backend with the head sizes that its kernels take: multiples of 8, padded."""
    qk, v = _eights(case.qk_dim), _eights(case.v_dim)
    same = max(qk, v)
    match backend:
        case "fa2":  # one width for all; unequal heads make xformers take cutlass
            widths = same, same
        case "fa3":  # hopper/flash_api.cpp: mha_fwd; xformers' SUPPORTED_MIN_K of its backward
            is_latent = 128 < qk <= 192 and 96 < v <= 128
            widths = (qk, v) if is_latent else (max(same, 64),) * 2
        case "fa4":  # flash_attn/cute/interface.py: _validate_head_dims
            widths = (qk, v) if case.capability[0] == 9 or same <= 128 else _fa4_blackwell(qk, v)
        case "cutlass":
            widths = qk, v
        case "flex":  # pads by itself
            widths = case.qk_dim, case.v_dim
        case "cpu":
            widths = same, same
        case _:
            assert_never(backend)
    return Choice(backend, *widths, "")


def _fa4_blackwell(qk: int, v: int) -> tuple[int, int]:
    return (192, 128) if qk <= 192 and v <= 128 else (256, 256)


def _reason(case: Case, *parts: str) -> str:
    return "; ".join([*parts, *(["deterministic"] if case.deterministic else [])])


def _eights(dim: int) -> int:
    return -(-dim // 8) * 8


def asked_for(environment: Mapping[str, str] | None = None) -> Backend | None:
    """Read `CURRICULUM_ATTENTION`; None where the choice is ours, RuntimeError if nobody's name.

    >>> asked_for({"CURRICULUM_ATTENTION": "fa2"}), asked_for({})
    ('fa2', None)
    """
    said = (os.environ if environment is None else environment).get(VARIABLE, "").strip().lower()
    if said in ("", "auto"):
        return None
    for backend in get_args(Backend):
        if said == backend:
            return backend
    names = ", ".join(get_args(Backend))
    why = NO_CUDNN if said == "cudnn" else "no such backend"
    raise RuntimeError(f"{VARIABLE}={said}: {why}; there are auto, {names}")


@contextmanager
def asking(backend: Backend | None) -> Iterator[None]:
    """Ask for one backend for a while; None: leave the choice as it is."""
    if backend is None:
        yield
        return
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = backend
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before
