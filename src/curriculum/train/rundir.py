"""The run directory: one plan, one data, one trainer at a time; what it holds and refuses

    lock.json       the plan that runs here      manifest.json   data fingerprints, launch
    ledger.jsonl    a line per step              metrics.jsonl   losses, times, evaluations
    summary.json    the end                      checkpoints/<stage>/<step>/
    locks/<digest>.json   the locks that it ran under before

A run exists once its lock.json does. The ledger is on the disk before the checkpoint that follows
it, so going back to a checkpoint means cutting both files at a line that is there.
"""

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from curriculum.errors import RunError
from curriculum.train import checkpoint
from curriculum.train.ledger import LedgerLine
from curriculum.train.same_run import data_difference, lock_difference
from curriculum.train.seams import Seam

LOCK, MANIFEST, SUMMARY = "lock.json", "manifest.json", "summary.json"
LEDGER, METRICS, CHECKPOINTS = "ledger.jsonl", "metrics.jsonl", "checkpoints"
LOCKS = "locks"
_HOLDER = ".trainer"  # locked by whoever trains here, and holds its process number
_MADE_BEFORE_THE_LOCK = {_HOLDER, MANIFEST, f"{MANIFEST}.partial", f"{LOCK}.partial"}


class RunDir:
    """An open run directory, held against other trainers until `close` or the process ends."""

    def __init__(self, path: Path, manifest: Mapping[str, Any], holder: IO[str]) -> None:
        self.path = path
        self.manifest = manifest
        self._holder = holder
        self._ledger = _open_at_end(self.ledger_file)
        self._metrics = _open_at_end(self.metrics_file)

    @classmethod
    def open_new(cls, path: Path, lock_text: str, manifest: Mapping[str, Any]) -> Self:
        """Begin a run in a folder that is new or empty; RunError where anything is in it."""
        if path.exists() and not path.is_dir():
            raise RunError(f"{path} is a file; --run needs a folder")
        if (path / LOCK).exists():
            raise RunError(
                f"{path} holds a run already: go on with --resume, or name another folder"
            )
        if path.exists() and (names := _names(path) - _MADE_BEFORE_THE_LOCK):
            raise RunError(
                f"{path} is not a run, and not empty ({', '.join(sorted(names)[:3])}): "
                "name a new folder"
            )
        try:
            path.mkdir(parents=True, exist_ok=True)
            holder = _hold(path)
            if (path / LOCK).exists():
                holder.close()
                raise RunError(f"{path}: another trainer has just begun a run here")
            _replace(path / MANIFEST, _json(manifest))
            (path / CHECKPOINTS).mkdir(exist_ok=True)
            _replace(path / LOCK, lock_text)
            return cls(path, manifest, holder)
        except OSError as error:
            raise RunError(f"{path}: no run can be made here: {error.strerror}") from None

    @classmethod
    def open_existing(cls, path: Path, lock_text: str, manifest: Mapping[str, Any]) -> Self:
        """Go on with a run; RunError where plan or data are not those that it began with.

        `manifest["sources"]` are fingerprints by source. What a kill left halfway is tidied up.
        """
        if not path.is_dir():
            raise RunError(f"{path}: there is no run to resume; leave --resume away to begin one")
        if not (path / LOCK).is_file():
            raise RunError(f"{path} is not a run (it has no {LOCK}): nothing to resume")
        holder = _hold(path)
        try:
            began = read_text(path / LOCK)
            if difference := lock_difference(began, lock_text):
                raise RunError(
                    f"{path} runs another plan: {difference}; resume it with its own lock "
                    f"({path / LOCK}), or begin a new run"
                )
            kept = read_manifest(path)
            if (path / LOCKS).is_dir():  # what an earlier lock read need not be read by this one
                known = kept.get("sources", {})
                read = {name: known[name] for name in manifest.get("sources", {}) if name in known}
                compared = {"sources": read}
            else:
                compared = kept
            if difference := data_difference(compared, manifest):
                raise RunError(
                    f"{path} was begun with other data: {difference}; give the data that it had, "
                    "or begin a new run"
                )
            checkpoint.sweep(path / CHECKPOINTS)
            for name in (LEDGER, METRICS):
                _drop_torn_end(path / name)
            return cls(path, kept, holder)
        except OSError as error:
            holder.close()
            raise RunError(f"{path}: the run cannot be opened: {error.strerror}") from None
        except RunError:
            holder.close()
            raise

    @property
    def checkpoints(self) -> Path:
        return self.path / CHECKPOINTS

    @property
    def lock_file(self) -> Path:
        return self.path / LOCK

    @property
    def ledger_file(self) -> Path:
        return self.path / LEDGER

    @property
    def metrics_file(self) -> Path:
        return self.path / METRICS

    def checkpoint(self, stage: str, step: int) -> Path:
        """Return the folder of the checkpoint after `step` steps of a stage."""
        return checkpoint.checkpoint_path(self.checkpoints, stage, step)

    def append_ledger(self, line: LedgerLine) -> None:
        """Write one step down; a kill may lose the last lines, `sync` does not."""
        self._append(self._ledger, line.to_json())

    def append_seam(self, seam: Seam) -> None:
        """Write down that what comes is done under another lock; it is on the disk at once."""
        self._append(self._ledger, seam.to_json())
        self.sync()

    def replace_lock(self, digest: str, lock_text: str, sources: Mapping[str, str]) -> None:
        """Go on under another lock; the one before, of this digest, is kept in `locks/`.

        `sources` are fingerprints of what it reads. Whatever is killed in between, the run has one
        whole lock, the former one is kept, and either can be resumed.
        """
        try:
            (self.path / LOCKS).mkdir(exist_ok=True)
            _replace(self.path / LOCKS / f"{digest}.json", read_text(self.lock_file))
            known = {**self.manifest.get("sources", {}), **sources}
            manifest = {**self.manifest, "sources": dict(sorted(known.items()))}
            _replace(self.path / MANIFEST, _json(manifest))
            self.manifest = manifest
            _replace(self.lock_file, lock_text)
        except OSError as error:
            raise self._full(LOCK, error) from None

    def append_metrics(self, values: Mapping[str, Any]) -> None:
        """Write down whatever goes with a step; `values` holds its `stage` and `step`."""
        assert {"stage", "step"} <= values.keys()
        self._append(self._metrics, json.dumps(values))

    def sync(self) -> None:
        """Put ledger and metrics on the disk; a checkpoint is written only after that."""
        try:
            for file in (self._ledger, self._metrics):
                os.fsync(file.fileno())
        except OSError as error:
            raise self._full(LEDGER, error) from None

    def cut_back(self, stage: str | None, step: int) -> None:
        """Cut ledger and metrics to what was written before a checkpoint; stage None is the start.

        RunError where the ledger lacks the step before the checkpoint.
        """
        done = self._cut_ledger(stage, step)
        self._cut_metrics(done, stage, step)
        self.sync()

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Write or replace the summary."""
        try:
            _replace(self.path / SUMMARY, _json(summary))
        except OSError as error:
            raise self._full(SUMMARY, error) from None

    def close(self) -> None:
        """Let go of the directory."""
        for file in (self._ledger, self._metrics, self._holder):
            file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _append(self, file: IO[bytes], text: str) -> None:
        try:
            written = file.write(text.encode() + b"\n")
        except OSError as error:
            raise self._full(Path(file.name).name, error) from None
        if written <= len(text.encode()):
            raise RunError(f"{file.name}: the disk is full; make room and go on with --resume")

    def _full(self, name: str, error: OSError) -> RunError:
        return RunError(
            f"{self.path / name} could not be written: {error.strerror}; "
            "make room and go on with --resume"
        )

    def _cut_ledger(self, stage: str | None, step: int) -> set[str]:
        """Cut the ledger; return the stages that are wholly or partly left in it."""
        content = self.ledger_file.read_bytes()
        end, done, last = 0, set[str](), None
        for number, text in enumerate(content.splitlines(keepends=True), 1):
            here = _place_of(text, f"{self.ledger_file}:{number}")
            if stage is None or (here[0] == stage and here[1] >= step):
                break
            if last is not None and last[0] == stage != here[0]:
                break
            end, last = end + len(text), here
            done.add(here[0])
        if stage is not None and step > 0 and last != (stage, step - 1):
            has = "is empty" if last is None else f"ends at step {last[1]} of `{last[0]}`"
            raise RunError(
                f"{self.ledger_file} {has}, but the checkpoint stands after step {step - 1} of "
                f"`{stage}`: the ledger was changed or lost"
            )
        self._ledger.truncate(end)
        return done

    def _cut_metrics(self, done: set[str], stage: str | None, step: int) -> None:
        content = self.metrics_file.read_bytes()
        kept = []
        for number, text in enumerate(content.splitlines(keepends=True), 1):
            here = _place_of(text, f"{self.metrics_file}:{number}")
            if here[0] in done and (here[0] != stage or here[1] < step):
                kept.append(text)
        self._metrics.close()
        _replace(self.metrics_file, b"".join(kept).decode())
        self._metrics = _open_at_end(self.metrics_file)


def read_manifest(path: Path) -> dict[str, Any]:
    """Return a run's manifest; RunError where it is missing or damaged."""
    try:
        manifest = json.loads(read_text(path / MANIFEST))
    except ValueError as error:
        raise RunError(f"{path / MANIFEST} is damaged: {error}") from None
    if not isinstance(manifest, dict):
        raise RunError(f"{path / MANIFEST} is damaged: no object")
    return manifest


def _hold(path: Path) -> IO[str]:
    """Lock the directory for this process; the kernel lets go of it however the process ends."""
    file = (path / _HOLDER).open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        number = file.read().strip()
        file.close()
        who = f" (process {number})" if number else ""
        raise RunError(f"{path}: another trainer is at work here{who}") from None
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def _open_at_end(path: Path) -> IO[bytes]:
    # Unbuffered: a line is one call, and a kill between calls tears nothing.
    return path.open("ab", buffering=0)


def _drop_torn_end(path: Path) -> None:
    """Drop a last line that a kill tore: the next one would be written behind it."""
    if path.exists():
        content = path.read_bytes()
        os.truncate(path, content.rfind(b"\n") + 1)


def _place_of(text: bytes, place: str) -> tuple[str, int]:
    try:
        line = json.loads(text)
        return str(line["stage"]), int(line["step"])
    except (ValueError, KeyError, TypeError):
        raise RunError(f"{place}: no line with a stage and a step; the file was changed") from None


def _names(path: Path) -> set[str]:
    return {entry.name for entry in path.iterdir()}


def read_text(path: Path) -> str:
    """Return a text file of a run; RunError where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{path} cannot be read: {error}") from None


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=1) + "\n"


def _replace(path: Path, text: str) -> None:
    """Write a file whole, or leave what was there."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)
