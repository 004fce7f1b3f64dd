"""The optimizer of one stage: sets LRs, clips, updates, gives its state away and takes it

    stage + parameters --groups_of--> groups --step--> parameters, state
    at(step).lr --set_lr--> groups        at(step).optimizer --set_values--> groups
    groups --read_lr, read_values, state_steps--> ledger

What the stage does not train does not require gradient, and has no group.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from curriculum.errors import RunError
from curriculum.models.shapes import part_of
from curriculum.plan import Stage
from curriculum.train.ademamix import AdEMAMixState, ademamix_step
from curriculum.train.groups import Group, Value, groups_of, read_values
from curriculum.train.muon import muon_step

_STATE = {
    "muon": ("step", "momentum"),
    "adamw": ("step", "exp_avg", "exp_avg_sq"),
    "ademamix": ("step", "exp_avg", "exp_avg_slow", "exp_avg_sq"),
}


class StageOptimizer:
    """Everything that changes parameters in one stage.

    `modules` are all modules that are there, by name, and `kinds` the kind of each one's shape.
    Newton-Schulz runs in `ns_dtype`: bfloat16 as published, float32 where cuts of a step into
    micro-batches are compared digit by digit.
    """

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        stage: Stage,
        kinds: Mapping[str, str],
        ns_dtype: torch.dtype = torch.bfloat16,
    ) -> None:
        self._ns_dtype = ns_dtype
        self._params = {
            f"{module}/{name}": param
            for module in sorted(modules)
            for name, param in modules[module].named_parameters()
        }
        self.parts = {  # of every parameter of every module, trained or not
            name: part_of(kinds[name.partition("/")[0]], name.partition("/")[2])
            for name in self._params
        }
        self.groups = groups_of(self._params, stage, kinds)
        self._kind_of = {name: group.kind for group in self.groups for name in group.names}
        for name, param in self._params.items():
            param.requires_grad_(name in self._kind_of)
        self._averages: dict[str, dict[str, Tensor]] = {}  # but AdamW's, which torch holds
        self._steps: dict[str, int] = {}
        self.values_change = False  # whether they are set anew at each step
        settings = [group.settings for group in self.groups if group.kind == "adamw"]
        self._adamw = torch.optim.AdamW(settings, fused=True) if settings else None

    def set_lr(self, lr: Mapping[str, float]) -> None:
        """Set the LR of every group from the targets' values; ValueError where one is missing."""
        missing = sorted({g.target for g in self.groups} - lr.keys())
        if missing:
            raise ValueError(f"no LR for {', '.join(missing)}")
        for group in self.groups:
            group.settings["lr"] = lr[group.target]

    def set_values(self, values: Mapping[str, Mapping[str, Value]]) -> None:
        """Put all values but LRs in force, by the modules or parts that rules are said of."""
        self.values_change = True
        for group in self.groups:
            if group.rule in values:
                group.set_values(values[group.rule])

    def read_lr(self) -> dict[str, float]:
        """Return the LR in force of every target, read from the groups.

        RunError where groups of one target differ: no step may run with them.
        """
        found: dict[str, float] = {}
        for group in self.groups:
            if found.setdefault(group.target, group.lr) != group.lr:
                raise RunError(
                    f"the optimizer's groups of {group.target} have different LRs: "
                    f"{found[group.target]!r} and {group.lr!r} ({group.kind})"
                )
        return found

    def read_values(self) -> list[dict[str, Any]]:
        """Return the other values in force, by kind, with the parts that they hold for."""
        return read_values(self.groups, self.parts)

    def state_steps(self) -> dict[str, list[int]]:
        """Return, per trained module, how many updates the state has seen: 0 without state.

        One number where all its parameters agree, else all that there are, the least first.
        """
        on_device: dict[str, Tensor] = {}
        found: dict[str, set[int]] = {}
        for name, kind in self._kind_of.items():
            counts = found.setdefault(name.partition("/")[0], set())
            if kind != "adamw":
                counts.add(self._steps.get(name, 0))
            elif "step" in (state := self._state(name, kind)):
                on_device[name] = state["step"]
            else:
                counts.add(0)
        steps = torch.stack(list(on_device.values())).tolist() if on_device else []
        for name, count in zip(on_device, steps, strict=True):
            found[name.partition("/")[0]].add(int(count))
        return {module: sorted(counts) for module, counts in sorted(found.items())}

    @torch.no_grad()
    def grad_norm(self) -> float:
        """Return the 2-norm of the gradient of all trained parameters, summed in float32."""
        norms = [
            torch.linalg.vector_norm(param.grad, dtype=torch.float32)
            for group in self.groups
            for param in group.params
            if param.grad is not None
        ]
        return float(torch.linalg.vector_norm(torch.stack(norms))) if norms else 0.0

    def zero_grad(self) -> None:
        """Forget all gradients, those of frozen parameters too."""
        for param in self._params.values():
            param.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Clip the gradient by its norm over the stage, and update what has a gradient."""
        self._clip()
        for group in self.groups:
            if group.kind == "muon":
                self._muon(group)
            elif group.kind == "ademamix":
                self._ademamix(group)
        if self._adamw is not None:
            self._adamw.step()

    def state_of(self, module: str) -> dict[str, Tensor]:
        """Return the state of a module's trained parameters, as `<param>.<what>`, not copied."""
        found: dict[str, Tensor] = {}
        for name, kind in self._kind_of.items():
            owner, _, param = name.partition("/")
            if owner == module:
                state = self._state(name, kind)
                found |= {f"{param}.{what}": tensor for what, tensor in state.items()}
        return found

    @torch.no_grad()
    def load_state(self, module: str, tensors: Mapping[str, Tensor]) -> None:
        """Take over what `state_of` gave: a hand-over with `carry`, or a resume.

        Parameters that this stage does not train let go of their state; those without one begin
        anew. RunError where the state is another optimizer's, of another size or of no parameter.
        """
        states: dict[str, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            param, _, what = key.rpartition(".")
            states.setdefault(param, {})[what] = tensor
        for param, state in states.items():
            name = f"{module}/{param}"
            if name not in self._params:
                raise RunError(f"optimizer state of {name}, but {module} has no such parameter")
            if name in self._kind_of:
                self._load(name, self._kind_of[name], state)

    def _load(self, name: str, kind: str, state: Mapping[str, Tensor]) -> None:
        if sorted(state) != sorted(_STATE[kind]):
            raise RunError(
                f"optimizer state of {name} holds {', '.join(sorted(state))}, but {kind} updates "
                f"it here and needs {', '.join(sorted(_STATE[kind]))}; say `carry: none` for "
                f"{name.partition('/')[0]}, or give it the optimizer that it had"
            )
        param = self._params[name]
        for what, tensor in state.items():
            expected = () if what == "step" else tuple(param.shape)
            if tuple(tensor.shape) != expected:
                raise RunError(f"{what} of {name} is {tuple(tensor.shape)}, not {expected}")
        placed = {what: tensor.to(param.device, copy=True) for what, tensor in state.items()}
        if kind != "adamw":
            self._steps[name] = int(placed.pop("step"))
            self._averages[name] = placed
        else:
            assert self._adamw is not None
            self._adamw.state[param] = {what: placed[what] for what in _STATE[kind]}

    def _state(self, name: str, kind: str) -> dict[str, Tensor]:
        if kind != "adamw":
            if name not in self._averages:
                return {}
            return {"step": torch.tensor(self._steps[name]), **self._averages[name]}
        assert self._adamw is not None
        state = self._adamw.state.get(self._params[name], {})
        return {what: state[what] for what in _STATE[kind] if what in state}

    def _muon(self, group: Group) -> None:
        params, grads, averages = self._next(group)
        muon_step(
            params,
            grads,
            [average["momentum"] for average in averages],
            group.lr,
            group.muon,
            self._ns_dtype,
        )

    def _ademamix(self, group: Group) -> None:
        params, grads, averages = self._next(group)
        names = [n for n, p in zip(group.names, group.params, strict=True) if p.grad is not None]
        states = [
            AdEMAMixState(a["exp_avg"], a["exp_avg_slow"], a["exp_avg_sq"], self._steps[name])
            for name, a in zip(names, averages, strict=True)
        ]
        ademamix_step(params, grads, states, group.lr, group.ademamix)

    def _next(self, group: Group) -> tuple[list[Tensor], list[Tensor], list[dict[str, Tensor]]]:
        """Count an update of all parameters that have a gradient; what begins, begins at 0."""
        params: list[Tensor] = []
        grads: list[Tensor] = []
        averages: list[dict[str, Tensor]] = []
        for name, param in zip(group.names, group.params, strict=True):
            if param.grad is None:
                continue
            if name not in self._averages:
                whats = (what for what in _STATE[group.kind] if what != "step")
                self._averages[name] = {what: torch.zeros_like(param) for what in whats}
            self._steps[name] = self._steps.get(name, 0) + 1
            params.append(param)
            grads.append(param.grad)
            averages.append(self._averages[name])
        return params, grads, averages

    def _clip(self) -> None:
        limits = [group.clip_norm for group in self.groups]
        if all(limit is None for limit in limits):
            return
        norm = self.grad_norm()
        for group, limit in zip(self.groups, limits, strict=True):
            if limit is not None and norm > limit:
                grads = [param.grad for param in group.params if param.grad is not None]
                torch._foreach_mul_(grads, limit / norm)
