"""The ledger: what a run consumed, step by step, measured where it was consumed

    arrays of the forward pass --count_sources--> sources     optimizer's groups --> lr
    weights before and after --fingerprint--> weights, trained   RoPE's buffer --> rope

docs/ledger.md says how each field is measured (by `measure.py`). Nothing here reads the plan, so
that a wrong trainer cannot write a right ledger; `audit` compares the two. One line of JSON per
step; a last line that a kill tore is no line.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from curriculum.data.packed import IMAGE, NO_LOSS, PAD, TEXT, Packed
from curriculum.errors import RunError
from curriculum.train.seams import is_seam

COUNTS = ("sequences", "tokens", "text", "image", "pad", "loss_tokens", "vit_patches")
"""What is counted per source: sequences, positions by what they are, patches before the merge."""

Counts = dict[str, dict[str, int]]
"""Counts by source."""

Fingerprint = dict[str, int]
"""The sum of the bits of each parameter and saved buffer, by its name."""


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """One step as it was done; docs/ledger.md says how each field is measured."""

    stage: str
    step: int
    tokens: int
    sources: Mapping[str, Mapping[str, int]]
    lr: Mapping[str, float]
    seq_len: int
    rope_base: Mapping[str, float]
    trained: list[str]
    drawn_hash: str
    loss: Mapping[str, float]
    total: float  # the weighted sum of the loss terms that was propagated back
    trained_parts: Mapping[str, list[str]]  # by module
    weights: Mapping[str, list[str]]  # by module: before the step and after it
    state_steps: Mapping[str, list[int]]  # by trained module: updates that the state had seen
    router_bias_rate: Mapping[str, list[float] | None]  # by module: rate, what rounding may add
    optimizer: list[dict[str, Any]] | None  # {kind, values, parts}; None where nothing changes
    optimizer_hash: str  # of what `optimizer` would say
    batch_hash: str
    # By decoder: {layers, inv_freq, attention_factor}, layers that turn alike together.
    rope: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the line without its end; ValueError where a number is not finite."""
        return json.dumps(asdict(self), allow_nan=False)


def count_sources(packed: Packed) -> Counts:
    """Count, per source, what stands in the arrays of one forward pass.

    In a stage that counts ViT positions an image position is a patch, and the loss tokens are those
    of the captions behind their first.
    """
    num_seqs = len(packed.sources)
    kinds = packed.kinds.reshape(num_seqs, packed.seq_len)
    by_seq = {
        "sequences": np.ones(num_seqs, dtype=np.int64),
        "tokens": np.full(num_seqs, packed.seq_len),
        "text": (kinds == TEXT).sum(axis=1),
        "image": (kinds == IMAGE).sum(axis=1),
        "pad": (kinds == PAD).sum(axis=1),
    }
    patches = np.prod(packed.grids.astype(np.int64), axis=1)
    seq_of_image = _sequence_of_images(by_seq["image"], patches)
    by_seq["vit_patches"] = _sum_by_sequence(patches, seq_of_image, num_seqs)
    if len(packed.targets):
        has_loss = packed.targets.reshape(num_seqs, packed.seq_len) != NO_LOSS
        by_seq["loss_tokens"] = has_loss.sum(axis=1)
    else:
        predicted = np.maximum(np.diff(packed.caption_cu_seqlens.astype(np.int64)) - 1, 0)
        by_seq["loss_tokens"] = _sum_by_sequence(predicted, seq_of_image, num_seqs)
    return merge_counts(
        {source: {what: int(by_seq[what][i]) for what in COUNTS}}
        for i, source in enumerate(packed.sources)
    )


def merge_counts(parts: Iterable[Mapping[str, Mapping[str, int]]]) -> Counts:
    """Sum counts over micro-batches, or over steps.

    >>> merge_counts([{"code": {"tokens": 8}}, {"code": {"tokens": 8}, "web": {"tokens": 4}}])
    {'code': {'tokens': 16}, 'web': {'tokens': 4}}
    """
    total: Counts = {}
    for part in parts:
        for source, counts in part.items():
            sums = total.setdefault(source, {})
            for what, count in counts.items():
                sums[what] = sums.get(what, 0) + count
    return dict(sorted(total.items()))


@torch.no_grad()
def fingerprint(module: nn.Module) -> Fingerprint:
    """Return what shows whether a weight of a module changed: see `fingerprint_of`."""
    return fingerprint_of(module.state_dict())


@torch.no_grad()
def fingerprint_of(weights: Mapping[str, Tensor]) -> Fingerprint:
    """Return what shows whether a weight changed: the sum of its bits, read as whole numbers.

    Whole numbers wrap around, so the order of summing does not matter, and a single flipped bit
    always shows. Weights are parameters and the buffers that checkpoints hold: a router's bias.
    """
    names, sums = [], []
    for name, weight in weights.items():
        bits = weight.contiguous().flatten()
        # Eight bytes at a time where they come out even: nothing has to be widened.
        even = (bits.storage_offset() | bits.numel()) * bits.element_size() % 8 == 0
        bits = bits.view(torch.int64 if even else _INTEGERS[bits.element_size()])
        sums.append(bits.sum(dtype=torch.int64))
        names.append(name)
    return dict(zip(names, torch.stack(sums).tolist() if sums else [], strict=True))


def digest(found: Fingerprint) -> str:
    """Return 12 hexadecimal digits that stand for a fingerprint.

    >>> digest({"weight": 1}), digest({"weight": 2})
    ('7fcce5413555', '53df5865187d')
    """
    return sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:12]


def read(path: Path) -> Iterator[LedgerLine]:
    """Read a ledger; RunError with the number of a line that is not one.

    A last line without its end is left out: the step that wrote it did not come to its end. So are
    seams, which are no steps: `seams.read_seams` has them.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise RunError(f"{path}: there is no ledger") from None
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from None
    for number, text in enumerate(content.split(b"\n")[:-1], 1):
        if not is_seam(text):
            yield _parse(text, f"{path}:{number}")


_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def _parse(text: bytes, place: str) -> LedgerLine:
    try:
        raw = json.loads(text)
    except ValueError as error:
        raise RunError(f"{place}: no line of a ledger: {error}") from None
    names = {one.name for one in fields(LedgerLine)}
    if not isinstance(raw, dict) or set(raw) != names:
        odd = sorted(set(raw) ^ names) if isinstance(raw, dict) else []
        raise RunError(f"{place}: no line of a ledger: missing or unknown: {', '.join(odd)}")
    for name, kind in (("stage", str), ("step", int), ("tokens", int), ("seq_len", int)):
        if type(raw[name]) is not kind:
            raise RunError(f"{place}: {name} is {raw[name]!r}")
    counts = raw["sources"]
    if not isinstance(counts, dict) or not all(
        isinstance(c, dict) and set(c) == set(COUNTS) and all(type(n) is int for n in c.values())
        for c in counts.values()
    ):
        raise RunError(f"{place}: sources does not hold whole numbers of {', '.join(COUNTS)}")
    for name in ("lr", "rope_base", "loss"):
        values = raw[name]
        if not isinstance(values, dict) or not all(
            type(x) in (int, float) and math.isfinite(x) for x in values.values()
        ):
            raise RunError(f"{place}: {name} does not hold finite numbers: {values!r}")
    if not isinstance(raw["trained"], list) or not isinstance(raw["drawn_hash"], str):
        raise RunError(f"{place}: trained is a list of modules, drawn_hash a text")
    if wrong := [name for name, is_kind in _KINDS.items() if not is_kind(raw[name])]:
        raise RunError(f"{place}: {wrong[0]} is {str(raw[wrong[0]])[:100]}")
    return LedgerLine(**raw)


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]


def _is_by_module(value: object, kind: type, length: int | None) -> bool:
    """Whether it is lists by module, of one kind and of one length where that is said."""
    return isinstance(value, dict) and all(
        isinstance(items, list)
        and all(type(item) is kind for item in items)
        and length in (None, len(items))
        for items in value.values()
    )


def _is_rates(value: object) -> bool:
    return isinstance(value, dict) and all(
        pair is None
        or (isinstance(pair, list) and len(pair) == 2 and all(_is_number(x) for x in pair))
        for pair in value.values()
    )


def _is_values(value: object) -> bool:
    return value is None or (
        isinstance(value, list)
        and all(
            isinstance(entry, dict)
            and entry.keys() == {"kind", "values", "parts"}
            and isinstance(entry["values"], dict)
            and isinstance(entry["parts"], list)
            for entry in value
        )
    )


def _is_ropes(value: object) -> bool:
    """Whether it is, by module, layers with their speeds and their attention factor."""
    return isinstance(value, dict) and all(
        isinstance(entries, list)
        and all(
            isinstance(entry, dict)
            and entry.keys() == {"layers", "inv_freq", "attention_factor"}
            and isinstance(entry["layers"], list)
            and all(type(layer) is int for layer in entry["layers"])
            and isinstance(entry["inv_freq"], list)
            and all(map(_is_number, [*entry["inv_freq"], entry["attention_factor"]]))
            for entry in entries
        )
        for entries in value.values()
    )


_KINDS: dict[str, Callable[[object], bool]] = {
    "total": _is_number,
    "trained_parts": lambda value: _is_by_module(value, str, None),
    "weights": lambda value: _is_by_module(value, str, 2),
    "state_steps": lambda value: _is_by_module(value, int, None),
    "router_bias_rate": _is_rates,
    "optimizer": _is_values,
    "optimizer_hash": lambda value: isinstance(value, str),
    "batch_hash": lambda value: isinstance(value, str),
    "rope": _is_ropes,
}


def _sequence_of_images(
    image_positions: NDArray[np.int64], patches: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Of each image, the sequence that holds it: images fill the image positions in order."""
    if not len(patches):
        return np.zeros(0, dtype=np.int64)
    positions = int(image_positions.sum())
    per_position, left = divmod(int(patches.sum()), max(positions, 1))
    assert left == 0, f"{patches.sum()} patches for {positions} image positions"
    starts = (np.cumsum(patches) - patches) // per_position
    return np.searchsorted(np.cumsum(image_positions), starts, side="right").astype(np.int64)


def _sum_by_sequence(
    values: NDArray[np.int64], sequences: NDArray[np.int64], num_seqs: int
) -> NDArray[np.int64]:
    sums = np.zeros(num_seqs, dtype=np.int64)
    np.add.at(sums, sequences, values)
    return sums
