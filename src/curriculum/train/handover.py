"""The hand-over: every module of a stage from where the plan says, and from nowhere else

Start new ----------> fresh weights, a function of (seed, module, parameter)
Start text@8 -------> the shelf: checkpoints of this run (or memory, in a dry run)
Start siglip -------> an outside checkpoint: safetensors below the data folder, or a stand-in
                         |--> grow, begin parts anew --> load --> freeze --> RoPE
                         |--> optimizer state where it is carried
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import safetensors
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from curriculum.errors import RunError
from curriculum.models.block import Recompute, set_blocks
from curriculum.models.decoder import Decoder
from curriculum.models.dense_shape import DenseDecoderShape
from curriculum.models.shapes import DecoderShape
from curriculum.models.vlm import build
from curriculum.plan import OutsideStage, Plan, Stage
from curriculum.rope import Rope, ropes_by_layer
from curriculum.train import checkpoint
from curriculum.train.growth import settle, settle_state
from curriculum.train.optimizer import StageOptimizer
from curriculum.train.step import Crew

Tensors = dict[str, dict[str, Tensor]]
"""Tensors of several modules, by module and then by name."""


class Shelf(Protocol):
    """Where stages that were left at a step lie."""

    def modules(self, stage: str, step: int, names: Sequence[str]) -> Tensors:
        """Return the weights of some modules; RunError where they are not there."""

    def optimizer(self, stage: str, step: int, names: Sequence[str]) -> Tensors:
        """Return the optimizer state of some modules; RunError where it is not there."""


@dataclass(frozen=True, slots=True)
class RunShelf:
    """The checkpoints of a run directory."""

    checkpoints: Path

    def modules(self, stage: str, step: int, names: Sequence[str]) -> Tensors:
        """See Shelf."""
        return checkpoint.load_modules(self._path(stage, step), names)

    def optimizer(self, stage: str, step: int, names: Sequence[str]) -> Tensors:
        """See Shelf."""
        return checkpoint.load_optimizer(self._path(stage, step), names)

    def _path(self, stage: str, step: int) -> Path:
        path = checkpoint.checkpoint_path(self.checkpoints, stage, step)
        if not checkpoint.is_complete(path):
            raise RunError(f"there is no complete checkpoint {path}")
        return path


@dataclass(frozen=True, slots=True)
class MemoryShelf:
    """What a dry run leaves: each stage once, whatever step it was left at."""

    weights: dict[str, Tensors] = field(default_factory=dict)
    states: dict[str, Tensors] = field(default_factory=dict)

    def modules(self, stage: str, step: int, names: Sequence[str]) -> Tensors:
        """See Shelf."""
        return {name: self.weights[stage][name] for name in names}

    def optimizer(self, stage: str, step: int, names: Sequence[str]) -> Tensors:
        """See Shelf."""
        return {name: self.states[stage][name] for name in names}

    def put(self, stage: str, assembly: "Assembly") -> None:
        """Keep what a stage ends with."""
        self.weights[stage] = {
            name: {key: value.detach().clone() for key, value in tensors.items()}
            for name, tensors in assembly.weights().items()
        }
        self.states[stage] = {
            name: {key: value.clone() for key, value in tensors.items()}
            for name, tensors in assembly.states().items()
        }


@dataclass(frozen=True, slots=True)
class Assembly:
    """The modules of a stage, and what updates those that it trains."""

    modules: Mapping[str, nn.Module]
    kinds: Mapping[str, str]
    trained: tuple[str, ...]  # modules, of which at least a part is trained
    optimizer: StageOptimizer
    held: Tensors  # carried state of modules that this stage freezes: kept for those after it

    @property
    def by_kind(self) -> dict[str, nn.Module]:
        """The modules by kind, as the forward pass takes them."""
        return {self.kinds[name]: module for name, module in self.modules.items()}

    def crew(
        self,
        device: torch.device,
        precision: str,
        recompute: Recompute = "none",
        compiles: bool = False,
    ) -> Crew:
        """What a step needs of it; its layers are recomputed and compiled as is said."""
        for module in self.modules.values():
            set_blocks(module, recompute, compiles)
        return Crew(self.by_kind, self.optimizer, device, precision)

    def weights(self) -> Tensors:
        """All parameters and saved buffers, for a checkpoint."""
        return {name: dict(module.state_dict()) for name, module in self.modules.items()}

    def states(self) -> Tensors:
        """All optimizer state, for a checkpoint."""
        return {**self.held, **{name: self.optimizer.state_of(name) for name in self.trained}}


def assemble(
    plan: Plan,
    stage: Stage,
    shelf: Shelf,
    data: Path,
    device: torch.device,
    say: Callable[[str], None],
) -> Assembly:
    """Build a stage at its step 0: each module from where `init` says it comes.

    RunError where a parent's checkpoint or an outside one is missing or does not fit.
    """
    modules = _build(plan, stage, device)
    outside = {o.name: o for o in plan.outside}
    kinds = {name: plan.modules[name].shape.kind for name in modules}
    carried: Tensors = {}

    def fresh(name: str) -> Mapping[str, Tensor]:
        return modules[name].state_dict()

    def settled(name: str, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        return settle(stage, name, kinds[name], weights, fresh(name))

    for name, start in stage.init.items():
        if start.stage is None:
            continue
        if start.stage in outside:
            weights = _outside_weights(name, outside[start.stage], data, say)
            if weights is not None:
                _fill(name, modules[name], settled(name, weights), start.stage)
            continue
        try:
            weights = shelf.modules(start.stage, start.step, [name])[name]
            if start.carries_state:
                state = shelf.optimizer(start.stage, start.step, [name])[name]
                carried[name] = settle_state(stage, name, kinds[name], state, fresh(name))
        except RunError as error:
            raise RunError(
                f"stage `{stage.name}` takes `{name}` from `{start.stage}` at step {start.step}: "
                f"{error}"
            ) from None
        _fill(name, modules[name], settled(name, weights), start.stage)
    return _finish(plan, stage, modules, carried)


def reassemble(plan: Plan, stage: Stage, step: int, shelf: Shelf, device: torch.device) -> Assembly:
    """Build a stage as its own checkpoint at `step` left it."""
    modules = _build(plan, stage, device)
    weights = shelf.modules(stage.name, step, stage.modules)
    for name, module in modules.items():
        _fill(name, module, weights[name], stage.name)
    carriers = [n for n, start in stage.init.items() if start.carries_state]
    names = list(dict.fromkeys([*_trained(stage), *carriers]))
    return _finish(plan, stage, modules, shelf.optimizer(stage.name, step, names))


def _build(plan: Plan, stage: Stage, device: torch.device) -> dict[str, nn.Module]:
    kinds = [plan.modules[name].shape.kind for name in stage.modules]
    if len(set(kinds)) < len(kinds):
        raise RunError(f"stage `{stage.name}` has two modules of one kind: {', '.join(kinds)}")
    return {
        name: build(plan.shape_of(stage, name), device, plan.seed, name) for name in stage.modules
    }


def _finish(plan: Plan, stage: Stage, modules: dict[str, nn.Module], carried: Tensors) -> Assembly:
    """Freeze what is not trained, set RoPE, and give the optimizer the state that comes along."""
    kinds = {name: plan.modules[name].shape.kind for name in modules}
    trained = _trained(stage)
    for name, module in modules.items():
        module.train(name in trained)
        if isinstance(module, Decoder):
            module.rope.fill(_rotations(stage, name, module.shape))
    optimizer = StageOptimizer(modules, stage, kinds)
    for name in trained:
        if name in carried:
            optimizer.load_state(name, carried.pop(name))
    return Assembly(modules, kinds, trained, optimizer, carried)


def _rotations(
    stage: Stage, name: str, shape: DecoderShape | DenseDecoderShape
) -> list[tuple[list[float], float]]:
    """Return what turns in each layer: the plan's own floats. Layers that never turn have zeros."""
    ropes = ropes_by_layer(stage.rope, name, shape.rope_layers(), shape.rope_parts())
    rotations = []
    for layer in range(shape.num_layers):
        rope = ropes.get(layer, Rope(None))
        if rope is None:
            raise RunError(f"stage `{stage.name}` says no RoPE base for `{name}`")
        rotations.append((rope.inv_freq(shape.rope_head_dim), rope.attention_factor))
    return rotations


def _trained(stage: Stage) -> tuple[str, ...]:
    return tuple(dict.fromkeys(target.partition("/")[0] for target in stage.train))


def _fill(name: str, module: nn.Module, weights: Mapping[str, Tensor], whence: str) -> None:
    """Load all of a module, and only what belongs to it."""
    expected = module.state_dict()
    for problem, names in (
        ("lacks", expected.keys() - weights.keys()),
        ("has the unknown", weights.keys() - expected.keys()),
        (
            "has another size of",
            {k for k in expected.keys() & weights.keys() if expected[k].shape != weights[k].shape},
        ),
    ):
        if names:
            raise RunError(
                f"`{whence}` does not fit module `{name}`: it {problem} {min(names)}"
                + (f" and {len(names) - 1} more" if len(names) > 1 else "")
            )
    module.load_state_dict(dict(weights))


def fill_from_outside(
    name: str, module: nn.Module, outside: OutsideStage, data: Path, say: Callable[[str], None]
) -> None:
    """Load a module from an outside checkpoint; leave it fresh where it has a stand-in."""
    weights = _outside_weights(name, outside, data, say)
    if weights is not None:
        _fill(name, module, weights, outside.name)


def _outside_weights(
    name: str, outside: OutsideStage, data: Path, say: Callable[[str], None]
) -> dict[str, Tensor] | None:
    """Read a module from `<path>/<module>.safetensors`; None where it has a stand-in."""
    given = outside.checkpoint
    if given.path is None:
        if not given.stand_in:
            raise RunError(
                f"the outside checkpoint `{outside.name}` has no `path`: say where its weights lie "
                "below the data folder, or `weights: new` to start from fresh ones"
            )
        say(f"{outside.name}: no checkpoint, `{name}` starts with fresh weights (stand_in)")
        return None
    file = data / given.path / f"{name}.safetensors"
    try:
        weights: dict[str, Tensor] = load_file(file)
    except FileNotFoundError:
        raise RunError(f"{file}: the outside checkpoint `{outside.name}` is not there") from None
    except (OSError, safetensors.SafetensorError) as error:
        raise RunError(f"{file}: cannot be read: {error}") from None
    return weights
