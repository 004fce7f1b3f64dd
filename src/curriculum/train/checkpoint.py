"""Checkpoints: complete or they do not count, every byte checked, no pickle

    checkpoints/<stage>/<step>/
        <module>.safetensors            parameters and persistent buffers
        <module>.optimizer.safetensors  optimizer state, where there is one
        state.json                      what else the trainer keeps
        checkpoint.json                 bytes and sha256 of the others, written last

A checkpoint is written beside its place and renamed into it, so that a kill or a full disk leaves
the ones before it as they were. Every file is checked against its sha256 whenever it is read.
"""

import errno
import json
import os
import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from curriculum.errors import RunError

FORMAT = 1
INDEX = "checkpoint.json"
STATE = "state.json"
_PARTIAL, _REPLACED, _DELETED = ".partial", ".replaced", ".deleted"
_CHUNK_BYTES = 1 << 24

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Latest:
    """The newest checkpoint that is whole, and a sentence for each newer one that was refused."""

    path: Path | None
    stage: str | None
    step: int
    refused: tuple[str, ...]


def checkpoint_path(checkpoints: Path, stage: str, step: int) -> Path:
    """Return the folder of a checkpoint after `step` steps of a stage.

    >>> checkpoint_path(Path("checkpoints"), "joint", 120).as_posix()
    'checkpoints/joint/00000120'
    """
    return checkpoints / stage / f"{step:08d}"


def save(
    path: Path,
    modules: Mapping[str, Tensors],
    optimizer: Mapping[str, Tensors],
    state: Mapping[str, object],
) -> None:
    """Write a checkpoint: it is whole afterwards, or nothing but a RunError has happened.

    `modules` and `optimizer` are tensors by module (`module.state_dict()`, `state_of(module)`).
    """
    partial = path.with_name(path.name + _PARTIAL)
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        facts = {}
        for name, content in _contents(modules, optimizer, state):
            facts[name] = {"bytes": len(content), "sha256": sha256(content).hexdigest()}
            _write(partial / name, content)
        _write(partial / INDEX, _index(facts))
        _sync_folder(partial)
        _move_into_place(partial, path)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        why = "the disk is full" if full else error.strerror or str(error)
        raise RunError(
            f"checkpoint {path} could not be written: {why}; those before it are as they were: "
            "make room and go on with --resume"
        ) from None


def load_modules(path: Path, names: Iterable[str]) -> dict[str, dict[str, Tensor]]:
    """Return the tensors of modules, on the CPU; RunError naming what is damaged or not there."""
    index = _read_index(path)
    return {name: _load(path, index, f"{name}.safetensors") for name in names}


def load_optimizer(path: Path, names: Iterable[str]) -> dict[str, dict[str, Tensor]]:
    """Return the optimizer states of modules; RunError naming what is damaged or not there."""
    index = _read_index(path)
    return {name: _load(path, index, f"{name}.optimizer.safetensors") for name in names}


def load_state(path: Path) -> dict[str, Any]:
    """Return what the trainer kept beside the tensors."""
    state: dict[str, Any] = json.loads(_read(path, _read_index(path), STATE))
    return state


def has_optimizer(path: Path, module: str) -> bool:
    """Say whether a checkpoint holds an optimizer state of a module."""
    return f"{module}.optimizer.safetensors" in _read_index(path)


def is_complete(path: Path) -> bool:
    """Say whether a checkpoint was written to its end; `verify` says whether it is undamaged."""
    return (path / INDEX).is_file()


def verify(path: Path) -> None:
    """Read every byte of a checkpoint; RunError names the first file that is damaged or missing."""
    index = _read_index(path)
    for name in index:
        _read(path, index, name)


def latest(checkpoints: Path, stages: Sequence[str]) -> Latest:
    """Return the newest undamaged checkpoint, by the order of `stages` and then by step."""
    refused = []
    for stage in reversed(stages):
        for step in reversed(steps_of(checkpoints, stage)):
            path = checkpoint_path(checkpoints, stage, step)
            try:
                verify(path)
            except RunError as error:
                refused.append(str(error))
                continue
            return Latest(path, stage, step, tuple(refused))
    return Latest(None, None, 0, tuple(refused))


def steps_of(checkpoints: Path, stage: str) -> list[int]:
    """Return the steps at which a stage has checkpoints, in order, damaged ones included."""
    folder = checkpoints / stage
    if not folder.is_dir():
        return []
    return sorted(int(p.name) for p in folder.iterdir() if p.name.isdecimal() and p.is_dir())


def prune(
    checkpoints: Path,
    stages: Sequence[str],
    keep: int,
    keep_always: Collection[tuple[str, int]],
) -> list[Path]:
    """Delete all but the newest `keep` and those of `keep_always`; return what was deleted.

    `keep_always` are (stage, step): the ends of stages, and the marks that children start from.
    """
    places = [(stage, step) for stage in stages for step in steps_of(checkpoints, stage)]
    passing = [place for place in places if place not in keep_always]
    deleted = [
        checkpoint_path(checkpoints, *place) for place in passing[: max(len(passing) - keep, 0)]
    ]
    for path in deleted:
        # Renamed first: a kill halfway leaves nothing that looks like a checkpoint.
        doomed = path.with_name(path.name + _DELETED)
        shutil.rmtree(doomed, ignore_errors=True)
        path.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)
    return deleted


def sweep(checkpoints: Path) -> None:
    """Tidy up after a kill: delete what is halfway written or deleted, put back what was moved."""
    for path in checkpoints.glob(f"*/*{_REPLACED}"):
        place = path.with_name(path.name.removesuffix(_REPLACED))
        if place.exists():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.rename(place)
    for ending in (_PARTIAL, _DELETED):
        for path in checkpoints.glob(f"*/*{ending}"):
            shutil.rmtree(path, ignore_errors=True)


def _contents(
    modules: Mapping[str, Tensors], optimizer: Mapping[str, Tensors], state: Mapping[str, object]
) -> Iterable[tuple[str, bytes]]:
    """Names and bytes, one at a time: only one file's tensors are in memory twice."""
    for module, tensors in sorted(modules.items()):
        yield f"{module}.safetensors", _packed(tensors)
    for module, tensors in sorted(optimizer.items()):
        yield f"{module}.optimizer.safetensors", _packed(tensors)
    yield STATE, _json(state)


def _packed(tensors: Tensors) -> bytes:
    # Written by Python, not by safetensors' own file writer, so that a full disk is an OSError.
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    content: bytes = safetensors.torch.save(plain)
    return content


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def _index(facts: Mapping[str, object]) -> bytes:
    body = {"format": FORMAT, "files": facts}
    return _json({**body, "sha256": sha256(_json(body)).hexdigest()})


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        view = memoryview(content)
        for start in range(0, len(view), _CHUNK_BYTES):
            file.write(view[start : start + _CHUNK_BYTES])
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _move_into_place(partial: Path, path: Path) -> None:
    """Rename; what stands there is a damaged one that was refused, or the same once more."""
    replaced = path.with_name(path.name + _REPLACED)
    shutil.rmtree(replaced, ignore_errors=True)
    if path.exists():
        path.rename(replaced)
    partial.rename(path)
    _sync_folder(path.parent)
    _sync_folder(path.parent.parent)
    shutil.rmtree(replaced, ignore_errors=True)


def _read_index(path: Path) -> dict[str, Any]:
    """Bytes and sha256 of every file, from an index that is itself undamaged."""
    place = path / INDEX
    try:
        content = place.read_bytes()
    except FileNotFoundError:
        raise RunError(f"checkpoint {path} is not complete: {INDEX} is missing") from None
    except OSError as error:
        raise RunError(f"checkpoint {path} cannot be read: {error.strerror}") from None
    try:
        files = json.loads(content)["files"]
        whole = content == _index(files)
    except (ValueError, TypeError, KeyError):
        whole = False
    if not whole:
        raise RunError(f"checkpoint {path} is damaged: {INDEX} is not as it was written")
    assert isinstance(files, dict)
    return files


def _read(path: Path, index: Mapping[str, Any], name: str) -> bytes:
    if name not in index:
        raise RunError(f"checkpoint {path} holds no {name}")
    try:
        content = (path / name).read_bytes()
    except FileNotFoundError:
        raise RunError(f"checkpoint {path} is damaged: {name} is missing") from None
    except OSError as error:
        raise RunError(f"checkpoint {path}: {name} cannot be read: {error.strerror}") from None
    if len(content) != index[name]["bytes"]:
        raise RunError(
            f"checkpoint {path} is damaged: {name} has {len(content)} bytes, "
            f"not {index[name]['bytes']}"
        )
    if sha256(content).hexdigest() != index[name]["sha256"]:
        raise RunError(f"checkpoint {path} is damaged: {name} is not what was written (sha256)")
    return content


def _load(path: Path, index: Mapping[str, Any], name: str) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = safetensors.torch.load(_read(path, index, name))
    return tensors
