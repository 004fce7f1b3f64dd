"""What a run composed, made anew from the checkpoints of the parents, and compared

checkpoints of the parents --average--> due       checkpoint of the stage --> found
ledger: what the parents left ---------> == their checkpoints     step 0 of its child == due
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from curriculum.composed import ComposedStage
from curriculum.errors import RunError
from curriculum.plan import Plan
from curriculum.train import checkpoint
from curriculum.train.chain import Chain
from curriculum.train.composing import compose, missing_parents, places_of
from curriculum.train.handover import RunShelf, Tensors
from curriculum.train.ledger import digest, fingerprint_of

Weights = Mapping[str, str]
"""Fingerprints of weights by module."""


@dataclass(frozen=True, slots=True)
class Composed:
    """A stage that only composes, as it must be and as it is; `found` None where it is not made."""

    name: str
    due: Weights
    found: Weights | None
    parents: Mapping[tuple[str, int], Weights] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ComposedReport:
    """The verdict on one of them; `differences` are sentences."""

    name: str
    is_made: bool
    weights: Weights
    differences: tuple[str, ...]


def composed_of_run(
    plan: Plan, checkpoints: Path, data: Path | None
) -> tuple[tuple[Composed, ...], tuple[str, ...]]:
    """Make all averages anew; return them, and a sentence for each that could not be looked at."""
    if plan.composed and not checkpoints.is_dir():
        return (), ("the checkpoints are not here: averages were not made anew from them",)
    found, notes = [], []
    for composed in plan.composed:
        try:
            found.append(_anew(plan, composed, checkpoints, data))
        except RunError as error:
            as_it_is = Composed(composed.name, {}, _found(checkpoints, composed))
            found.append(as_it_is)
            if as_it_is.found is not None:
                notes.append(f"stage `{composed.name}` was not composed anew: {error}")
    return tuple(found), tuple(notes)


def report_of(composed: Composed, chain: Chain) -> ComposedReport:
    """Compare what was composed with what it had to be, and its parents with the ledger."""
    words = tuple(_differences(composed, chain))
    return ComposedReport(composed.name, composed.found is not None, composed.found or {}, words)


def _differences(composed: Composed, chain: Chain) -> Iterator[str]:
    if composed.found is not None and not composed.found:
        yield "its checkpoint is damaged, or does not hold its modules"
    for module, found in (composed.found or {}).items():
        if (due := composed.due.get(module, found)) != found:
            yield f"`{module}` has weights {found}, the average of its parents has {due}"
    for (stage, step), weights in composed.parents.items():
        left = chain.left(stage, step)
        for module, found in weights.items():
            if module in left and left[module] != found:
                yield (
                    f"the checkpoint of `{stage}` at step {step} has weights {found} of "
                    f"`{module}`, the ledger says that it left {left[module]}"
                )


def _anew(plan: Plan, composed: ComposedStage, checkpoints: Path, data: Path | None) -> Composed:
    if missing := missing_parents(plan, composed, checkpoints):
        raise RunError(f"there is no complete checkpoint {missing[0]}")
    shelf = RunShelf(checkpoints)
    outside = {stage.name for stage in plan.outside}
    if data is None and any(start.stage in outside for _, start in composed.starts):
        raise RunError("the data folder, which holds the outside checkpoint, is not here")
    due = compose(plan, composed, shelf, data or Path(), lambda _: None)
    parents: dict[tuple[str, int], Weights] = {}
    for stage, step in dict.fromkeys(places_of(plan, composed)):
        names = [m for m, start in composed.starts if (start.stage, start.step) == (stage, step)]
        parents[stage, step] = _fingerprints(shelf.modules(stage, step, names))
    return Composed(composed.name, _fingerprints(due), _found(checkpoints, composed), parents)


def _found(checkpoints: Path, composed: ComposedStage) -> Weights | None:
    """Return what a stage's checkpoint holds: None where there is none, nothing if damaged."""
    path = checkpoint.checkpoint_path(checkpoints, composed.name, 0)
    if not checkpoint.is_complete(path):
        return None
    try:
        return _fingerprints(checkpoint.load_modules(path, composed.averages))
    except RunError:
        return {}


def _fingerprints(tensors: Tensors) -> Weights:
    return {module: digest(fingerprint_of(weights)) for module, weights in tensors.items()}
