"""Where a run stands and where it shall stop: a stage and the step that comes next"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from curriculum.plan import Stage
from curriculum.train import checkpoint
from curriculum.train.ledger import read
from curriculum.train.rundir import RunDir


@dataclass(frozen=True, slots=True)
class Position:
    """Before step `step` of a stage."""

    stage: str
    step: int


def next_step(checkpoints: Path, stage: Stage) -> int:
    """Return the step that comes next in a stage: 0 where it has no checkpoint."""
    return max(checkpoint.steps_of(checkpoints, stage.name), default=0)


def rewind(run: RunDir, stages: Sequence[Stage], say: Callable[[str], None]) -> None:
    """Bring a run back to its newest undamaged checkpoint, aloud where one is refused.

    What ledger and metrics say of later steps is cut off, and so are checkpoints of steps that the
    ledger no longer holds. A checkpoint that was deleted means that its stage, and what came after
    it, is done again: that is said too.
    """
    names = [stage.name for stage in stages]
    newest = checkpoint.latest(run.checkpoints, names)
    for sentence in newest.refused:
        say(f"refused: {sentence}")
    if newest.refused:
        say(f"taking the one before: {newest.path or 'none, so the run begins anew'}")
    _drop(run.checkpoints, names, lambda place: _is_after(place, newest, names))
    reached = _reached(run)
    lost = [
        f"{name}/{step}"
        for name in names
        for step in checkpoint.steps_of(run.checkpoints, name)
        if step > reached.get(name, 0)
    ]
    if lost:
        say(f"the ledger does not reach {', '.join(lost)}: taking the checkpoint before")
    _drop(run.checkpoints, names, lambda place: place.step > reached.get(place.stage, 0))
    for stage in stages:
        step = next_step(run.checkpoints, stage)
        if step < stage.steps:
            _say_gap(stage, names, reached, say)
            run.cut_back(stage.name, step)
            break
    reached = _reached(run)
    _drop(run.checkpoints, names, lambda place: place.step > reached.get(place.stage, 0))


def _reached(run: RunDir) -> dict[str, int]:
    """Return, by stage, the step that comes after the last one in the ledger."""
    return {line.stage: line.step + 1 for line in read(run.ledger_file)}


def _say_gap(
    stage: Stage, names: Sequence[str], reached: dict[str, int], say: Callable[[str], None]
) -> None:
    later = [name for name in names[names.index(stage.name) + 1 :] if name in reached]
    if later and reached.get(stage.name, 0) >= stage.steps:
        again = ", ".join([stage.name, *later])
        say(f"the checkpoint {stage.name}/{stage.steps} is missing: done again from there: {again}")


def _is_after(place: Position, newest: checkpoint.Latest, names: Sequence[str]) -> bool:
    if newest.stage is None:
        return True
    at = (names.index(newest.stage), newest.step)
    return (names.index(place.stage), place.step) > at


def _drop(checkpoints: Path, names: Sequence[str], is_stale: Callable[[Position], bool]) -> None:
    for name in names:
        for step in checkpoint.steps_of(checkpoints, name):
            if is_stale(Position(name, step)):
                shutil.rmtree(checkpoint.checkpoint_path(checkpoints, name, step))
