"""Stages that only compose, executed: averages of their parents' checkpoints, as checkpoints

    checkpoints/a/00000010 --+
    checkpoints/b/00000010 --+--> float64 sum --> checkpoints/soup/00000000
    checkpoints/c/00000010 --+

Each is made as soon as its parents are there, and holds no optimizer state. The audit makes every
average anew and compares.
"""

import shutil
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import torch

from curriculum.composed import ComposedStage, Share
from curriculum.errors import RunError
from curriculum.models.vlm import build
from curriculum.plan import Plan, Start
from curriculum.train import checkpoint
from curriculum.train.averaging import averaged
from curriculum.train.handover import RunShelf, Shelf, Tensors, fill_from_outside
from curriculum.units import decimal_words

Say = Callable[[str], None]


def compose(plan: Plan, composed: ComposedStage, shelf: Shelf, data: Path, say: Say) -> Tensors:
    """Return the averages of all modules of a stage, on the CPU.

    RunError where a parent's checkpoint or an outside one is missing, or parents do not fit.
    """
    found: Tensors = {}
    for module, shares in composed.averages.items():
        parents = (_weights_of(plan, share, module, shelf, data, say) for share in shares)
        try:
            found[module] = averaged(parents)
        except RunError as error:
            raise RunError(f"stage `{composed.name}` composes `{module}`: {error}") from None
    return found


def compose_ready(plan: Plan, checkpoints: Path, data: Path, say: Say) -> None:
    """Make what is not there yet and has all its parents."""
    for composed in plan.composed:
        path = checkpoint.checkpoint_path(checkpoints, composed.name, 0)
        if checkpoint.is_complete(path) or missing_parents(plan, composed, checkpoints):
            continue
        weights = compose(plan, composed, RunShelf(checkpoints), data, say)
        averages = {m: list(map(_share_words, shares)) for m, shares in composed.averages.items()}
        state = {"stage": composed.name, "step": 0, "averages": averages}
        checkpoint.save(path, weights, {}, state)
        words = "; ".join(f"{m} of {', '.join(parts)}" for m, parts in averages.items())
        say(f"composed {composed.name}: {words}")


def require_composed(plan: Plan, checkpoints: Path) -> None:
    """Raise RunError where something could not be composed in a run that is at its end."""
    for composed in plan.composed:
        path = checkpoint.checkpoint_path(checkpoints, composed.name, 0)
        if not checkpoint.is_complete(path):
            missing = missing_parents(plan, composed, checkpoints)
            raise RunError(
                f"stage `{composed.name}` could not be composed: there is no complete checkpoint "
                f"{missing[0]}; delete those of its stage behind it and go on with --resume"
            )


def missing_parents(plan: Plan, composed: ComposedStage, checkpoints: Path) -> list[Path]:
    """Return the checkpoints that a stage is composed of and that are not there."""
    paths = [checkpoint.checkpoint_path(checkpoints, *p) for p in places_of(plan, composed)]
    return [path for path in paths if not checkpoint.is_complete(path)]


def places_of(plan: Plan, composed: ComposedStage) -> Iterator[tuple[str, int]]:
    """Go through the stages of the run, and their steps, that a stage is composed of."""
    outside = {stage.name for stage in plan.outside}
    for _, start in composed.starts:
        if start.stage is not None and start.stage not in outside:
            yield start.stage, start.step


def drop_stale(plan: Plan, checkpoints: Path, say: Say) -> None:
    """Delete what is damaged, and what is composed of steps that will be done again."""
    for composed in plan.composed:
        path = checkpoint.checkpoint_path(checkpoints, composed.name, 0)
        if not path.is_dir():
            continue
        reached = (
            step <= max(checkpoint.steps_of(checkpoints, stage), default=-1)
            for stage, step in places_of(plan, composed)
        )
        if all(reached):
            try:
                checkpoint.verify(path)
                continue
            except RunError as error:
                say(f"refused: {error}; {composed.name} is composed anew")
        shutil.rmtree(path)


def _weights_of(
    plan: Plan, share: Share, module: str, shelf: Shelf, data: Path, say: Say
) -> "tuple[dict[str, torch.Tensor], Fraction]":
    start = share.start
    assert start.stage is not None
    outside = next((o for o in plan.outside if o.name == start.stage), None)
    if outside is None:
        return shelf.modules(start.stage, start.step, [module])[module], share.weight
    shape = plan.modules[module].shape
    fresh = build(shape, torch.device("cpu"), plan.seed, module)
    fill_from_outside(module, fresh, outside, data, say)
    return dict(fresh.state_dict()), share.weight


def _share_words(share: Share) -> str:
    return f"{decimal_words(share.weight)} {_start_words(share.start)}"


def _start_words(start: Start) -> str:
    return f"{start.stage}@{start.step}"
