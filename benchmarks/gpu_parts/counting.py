"""FLOPs of a step with attention counted per document, as MFU wants them

MFU = FLOPs / seconds / peak, where a module's FLOPs are 6 N x positions that are not padding, and
6 x (layers x heads x (query + value length)) x pairs of positions of one document that see each
other: half of len^2 where attention is causal, len^2 where it is not. N is without embeddings and
with the head; nothing is counted for recomputation, for padding, or across documents.
"""

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from curriculum.data.packed import PAD, Packed
from curriculum.models.flops import attention_width, flops_params, flops_per_patch
from curriculum.models.shapes import ProjectorShape, Shape

PEAK_FLOPS: Mapping[str, float] = {"H100": 989e12, "H200": 989e12, "A100": 312e12}
"""Dense bf16, by a word of the device's name (data sheets of the SXM parts)."""


def step_flops(shapes: Mapping[str, Shape], batches: Iterable[Packed]) -> float:
    """Sum a step's FLOPs over its micro-batches; `shapes` of trained modules, by kind."""
    return sum(
        sum(of_module(kind, shape, packed) for kind, shape in shapes.items()) for packed in batches
    )


def of_module(kind: str, shape: Shape, packed: Packed) -> float:
    """Count one module's forward and backward pass over one packed batch."""
    patches = np.prod(packed.grids.astype(np.float64), axis=1)
    captions = np.diff(packed.caption_cu_seqlens).astype(np.float64)
    match kind:
        case "llm":
            lengths = document_lengths(packed)
            positions, pairs = lengths.sum(), (lengths**2).sum() / 2
        case "vit":
            positions, pairs = patches.sum(), (patches**2).sum()
        case "projector":
            assert isinstance(shape, ProjectorShape)
            positions, pairs = patches.sum() / shape.merge**2, 0.0
        case "text_tower":
            positions, pairs = captions.sum(), (captions**2).sum()
        case "captioner":  # itself, and the image that it looks at
            positions, pairs = captions.sum(), (captions**2).sum() / 2 + (captions * patches).sum()
        case _:
            raise AssertionError(f"no such kind: {kind}")
    products = 6 * flops_params(shape) * positions + 6 * attention_width(shape) * pairs
    return float(products + flops_per_patch(shape) * patches.sum())


def document_lengths(packed: Packed) -> NDArray[np.float64]:
    """Positions of each packed document, padding left out."""
    starts = packed.cu_seqlens[:-1]
    lengths = np.diff(packed.cu_seqlens).astype(np.float64)
    found: NDArray[np.float64] = lengths[packed.kinds[starts] != PAD]
    return found


def peak_flops(device_name: str) -> float | None:
    """Return what a device can do at most by its data sheet; None where it is not known here.

    >>> peak_flops("NVIDIA H100 80GB HBM3"), peak_flops("cpu")
    (989000000000000.0, None)
    """
    return next((peak for word, peak in PEAK_FLOPS.items() if word in device_name), None)
