"""A line of the ledger, measured: nothing in this file knows what the plan wanted

arrays of the step ---------------------> tokens, sources, context   documents in the rows --> hash
tensors that the forward pass had ------> hash             factors of the backward pass --> total
the optimizer's groups and state -------> LR, values, updates done    RoPE's buffer --> RoPE
weights before and after the step ------> what is trained, fingerprints, rate of the router's bias
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from curriculum.data.packed import Packed
from curriculum.models.decoder import Decoder
from curriculum.train.groups import hash_values
from curriculum.train.ledger import (
    Fingerprint,
    LedgerLine,
    count_sources,
    digest,
    fingerprint,
    merge_counts,
)
from curriculum.train.optimizer import StageOptimizer
from curriculum.train.router_rate import measured_rate
from curriculum.train.step import StepLosses


class Meter:
    """Watches the modules of a stage from before its first step."""

    def __init__(self, modules: Mapping[str, nn.Module], optimizer: StageOptimizer) -> None:
        self._modules, self._optimizer = modules, optimizer
        self._decoders = {n: m for n, m in modules.items() if isinstance(m, Decoder)}
        self.begin()

    def begin(self) -> None:
        """Measure what the coming step starts from: something may have happened since the last."""
        self._start_from(self._fingerprints())

    def read(
        self,
        stage: str,
        step: int,
        micro_batches: Sequence[Packed],
        drawn_hash: str,
        found: StepLosses,
    ) -> LedgerLine:
        """Return what the step that was just done did; the next one starts here."""
        before, after = self._before, self._fingerprints()
        parts = self._changed_parts(before, after)
        values = self._optimizer.read_values()
        line = LedgerLine(
            stage=stage,
            step=step,
            tokens=sum(len(packed.kinds) for packed in micro_batches),
            sources=merge_counts([count_sources(packed) for packed in micro_batches]),
            lr=self._optimizer.read_lr(),
            seq_len=micro_batches[0].seq_len,
            rope_base={
                name: base
                for name, module in self._decoders.items()
                if (base := module.rope.base()) is not None
            },
            trained=sorted(parts),
            drawn_hash=drawn_hash,
            loss=dict(found.terms),
            total=found.total,
            trained_parts=parts,
            weights={name: [digest(before[name]), digest(after[name])] for name in after},
            state_steps=self._state_steps,
            router_bias_rate=self._router_bias_rates(found.expert_counts),
            optimizer=values if step == 0 or self._optimizer.values_change else None,
            optimizer_hash=hash_values(values),
            batch_hash=found.batch_hash,
            rope={name: _rope(module) for name, module in self._decoders.items()},
        )
        self._start_from(after)
        return line

    def _start_from(self, prints: dict[str, Fingerprint]) -> None:
        self._before = prints
        self._state_steps = self._optimizer.state_steps()
        self._biases = {name: _router_biases(module) for name, module in self._decoders.items()}

    def _fingerprints(self) -> dict[str, Fingerprint]:
        return {name: fingerprint(module) for name, module in self._modules.items()}

    def _changed_parts(
        self, before: Mapping[str, Fingerprint], after: Mapping[str, Fingerprint]
    ) -> dict[str, list[str]]:
        """By module, the parts of which a parameter changed; buffers are no part of anything."""
        found: dict[str, set[str]] = {}
        for name, part in self._optimizer.parts.items():
            module, _, param = name.partition("/")
            if before[module][param] != after[module][param]:
                found.setdefault(module, set()).add(part)
        return {module: sorted(parts) for module, parts in sorted(found.items())}

    def _router_bias_rates(
        self, expert_counts: Sequence[Sequence[int]]
    ) -> dict[str, list[float] | None]:
        rates: dict[str, list[float] | None] = {}
        for name, module in self._decoders.items():
            rate = measured_rate(self._biases[name], _router_biases(module), expert_counts)
            rates[name] = None if rate is None else list(rate)
        return rates


def _rope(module: Decoder) -> list[dict[str, Any]]:
    """What turns in each layer; layers that turn alike stand together."""
    found: list[dict[str, Any]] = []
    for layer, (inv_freq, factor) in enumerate(module.rope.by_layer()):
        same = {"inv_freq": inv_freq, "attention_factor": factor}
        known = next((entry for entry in found if same.items() <= entry.items()), None)
        if known is None:
            found.append({"layers": [layer], **same})
        else:
            known["layers"].append(layer)
    return found


def _router_biases(module: Decoder) -> list[list[float]]:
    return [moe.router_bias.tolist() for moe in module.moe_layers()]
