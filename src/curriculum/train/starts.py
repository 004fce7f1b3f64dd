"""What modules must begin with that do not simply go on, from the checkpoints of their parents

Written from the plan and from what lies in the run directory, and not by what fills modules, so
that a fault there is seen by the audit.
"""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from curriculum.errors import RunError
from curriculum.models.shapes import part_of
from curriculum.models.vlm import build
from curriculum.plan import Plan, Stage
from curriculum.train.checkpoint import checkpoint_path, is_complete, load_modules
from curriculum.train.growth import grown, is_made_anew
from curriculum.train.ledger import digest, fingerprint_of

Starts = Mapping[tuple[str, str], str]
"""By stage and module, the fingerprint that its weights must begin with."""


def expected_starts(plan: Plan, checkpoints: Path) -> tuple[Starts, list[str]]:
    """Return what can be known of modules that are made anew, and a note for each that cannot."""
    found: dict[tuple[str, str], str] = {}
    notes = []
    for stage in plan.stages:
        for module, start in stage.init.items():
            if start.stage is None or not is_made_anew(stage, module):
                continue
            place = f"`{module}` of stage `{stage.name}` is made anew of `{start.stage}`"
            path = checkpoint_path(checkpoints, start.stage, start.step)
            if not plan.has_stage(start.stage) or not is_complete(path):
                notes.append(f"{place}, which is not here: what it began with was not looked at")
                continue
            try:
                left = load_modules(path, [module])[module]
            except RunError as error:
                notes.append(f"{place}: {error}")
                continue
            found[stage.name, module] = _expected(plan, stage, module, left)
    return found, notes


def _expected(plan: Plan, stage: Stage, module: str, left: dict[str, Tensor]) -> str:
    shape, said = plan.shape_of(stage, module), stage.lifecycle
    new = build(shape, "cpu", plan.seed, module).state_dict()
    weights = {}
    for name in new:
        is_fresh = f"{module}/{part_of(shape.kind, name)}" in said.fresh or name not in left
        if is_fresh or left[name].shape == new[name].shape:
            weights[name] = new[name] if is_fresh else left[name]
        else:
            weights[name] = grown(left[name], new[name], said.rows[module])
    return digest(fingerprint_of(weights))
