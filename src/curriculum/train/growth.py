"""Modules that do not simply go on: vocabularies that grow, weights that are added, fresh parts

parent's tensors --+--> as they are        (same name, same size)
a fresh module's --+--> its rows, or the mean of the old ones, below those that were there
                   +--> as they are        (new names, parts that start anew)
"""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from curriculum.models.shapes import Shape, part_of
from curriculum.plan import Plan, Stage

GROWING = ("embeddings", "head")
"""The parts whose weights have a row for each token of the vocabulary."""


def grown(old: Tensor, fresh: Tensor, rows: str) -> Tensor:
    """Old rows [V, ...] and below them new ones, to the size of `fresh` [V + n, ...].

    `rows` is `new` (the fresh module's own) or `mean` (of the old rows, summed in float64).

    >>> grown(torch.tensor([[1.0], [2.0]]), torch.zeros(3, 1), "mean").flatten().tolist()
    [1.0, 2.0, 1.5]
    """
    below = fresh[len(old) :].to(old.dtype)
    if rows == "mean":
        below = old.double().mean(0, keepdim=True).to(old.dtype).expand_as(below)
    return torch.cat((old, below.to(old.device)))


def is_made_anew(stage: Stage, module: str) -> bool:
    """Say whether a module starts with other weights than those it comes from."""
    names = {target.partition("/")[0] for target in stage.lifecycle.fresh}
    return module in names or module in stage.lifecycle.rows


def settle(
    stage: Stage,
    module: str,
    kind: str,
    weights: Mapping[str, Tensor],
    fresh: Mapping[str, Tensor],
) -> dict[str, Tensor]:
    """What a module starts with: its parent's weights, grown and begun anew as the stage says."""
    found = dict(weights)
    rows = stage.lifecycle.rows.get(module)
    for name, new in fresh.items():
        is_fresh = f"{module}/{part_of(kind, name)}" in stage.lifecycle.fresh
        if is_fresh or (rows is not None and name not in found):
            found[name] = new
        elif rows is not None and found[name].shape != new.shape:
            found[name] = grown(found[name], new, rows)
    return found


def settle_state(
    stage: Stage,
    module: str,
    kind: str,
    state: Mapping[str, Tensor],
    fresh: Mapping[str, Tensor],
) -> dict[str, Tensor]:
    """The optimizer state that comes along: none for fresh parts, zeros for rows that are new."""
    found = {}
    for key, tensor in state.items():
        param = key.rpartition(".")[0]
        if f"{module}/{part_of(kind, param)}" in stage.lifecycle.fresh:
            continue
        size = fresh[param].shape
        if tensor.ndim and tensor.shape != size and module in stage.lifecycle.rows:
            tensor = grown(tensor, torch.zeros(size), "new")
        found[key] = tensor
    return found


def shape_left(plan: Plan, stage: Stage, module: str) -> Shape:
    """Return the shape of a module where a stage takes it from."""
    for origin in plan.origins(stage.init[module], module):  # of an average all are alike
        if origin.stage is not None and plan.has_stage(origin.stage):
            return plan.shape_of(plan.stage(origin.stage), module)
    return plan.modules[module].shape


def cannot_grow(plan: Plan, stage: Stage, module: str) -> Iterator[str]:
    """Tell, in words, what of a reshaped module is no growth."""
    old, shape = shape_left(plan, stage, module).weights(), plan.shape_of(stage, module)
    new = shape.weights()
    for name in (name for name in old if name not in new):
        yield f"{name} would be gone"
    for name, size in new.items():
        before = old.get(name, size)
        is_longer = size[:1] > before[:1] and size[1:] == before[1:]
        grows = is_longer and part_of(shape.kind, name) in GROWING and "positions" not in name
        if before != size and not grows:
            yield f"{name} would change from {before} to {size}"
    added = [name for name in new if name not in old]
    if added and stage.init[module].carries_state:
        yield f"{added[0]} would be added and have no optimizer state: say carry without {module}"
