"""Functions of tensors that are fused where layers are compiled, and run as written elsewhere"""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")

BACKEND = "inductor"


class _Fusing:
    """What `fuse` said last: a run compiles all of its layers or none."""

    compiles = False


def fuse(compiles: bool) -> None:
    """Say whether functions that are `fused` are compiled from here on."""
    _Fusing.compiles = compiles


def fused(function: Callable[P, R]) -> Callable[P, R]:
    """Let `fuse` have a function compiled, for tensors of any size in one graph.

    It may change nothing but what it returns: in place only what it made itself.
    """
    compiled: dict[str, Callable[..., Any]] = {}

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if not _Fusing.compiles:
            return function(*args, **kwargs)
        if BACKEND not in compiled:
            compiled[BACKEND] = torch.compile(function, dynamic=True, backend=BACKEND)
        found: R = compiled[BACKEND](*args, **kwargs)
        return found

    return call
