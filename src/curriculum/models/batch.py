"""A packed batch as tensors on a device, with everything the host must know to run it

T positions, P patches of I images, N caption tokens, L positions that bear loss.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from curriculum.data.packed import IMAGE, NO_LOSS, PAD, Packed
from curriculum.models.encoder import Spans


@dataclass(frozen=True, slots=True)
class TorchBatch:
    """`Packed` for a forward pass; sizes that kernels and counts need are plain numbers.

    `tokens`, `targets` and what goes with them are empty where a stage counts ViT positions;
    `captions` is empty elsewhere.
    """

    tokens: Tensor  # [T] int64
    positions: Tensor  # [T] int64
    spans: Spans  # of packed documents
    live: Tensor  # [T] bool: not padding
    image_index: Tensor  # [T_image] int64: positions that the projector fills
    loss_index: Tensor  # [L] int64: positions that bear loss
    targets: Tensor  # [L] int64: their next tokens
    patches: Tensor  # [P, channels * patch * patch]
    grids: tuple[tuple[int, int], ...]  # I of (rows, columns)
    captions: Tensor  # [N] int64
    caption_positions: Tensor  # [N] int64
    caption_spans: Spans
    caption_targets: Tensor  # [N] int64, NO_LOSS at each caption's last token
    num_caption_targets: int
    num_sequences: int
    num_live: int
    doc_loss_tokens: tuple[int, ...]  # of each packed document: its positions that bear loss
    caption_lens: tuple[int, ...]  # of each caption: its tokens, the last of which bears no loss


def to_device(array: NDArray[np.generic], device: torch.device) -> Tensor:
    """Bring an array to a device; to CUDA through pinned memory, so that the host need not wait."""
    there = torch.from_numpy(np.ascontiguousarray(array))
    if device.type == "cuda":
        return there.pin_memory().to(device, non_blocking=True)
    return there.to(device)


def to_torch(
    packed: Packed, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> TorchBatch:
    """Bring a packed batch to a device; `dtype` is that of the patches."""
    device = torch.device(device)

    bring = partial(to_device, device=device)
    before = np.concatenate([[0], np.cumsum(packed.targets != NO_LOSS)])
    per_doc = np.diff(before[packed.cu_seqlens]) if len(packed.targets) else np.zeros(0, dtype=int)
    has_tokens = len(packed.tokens) > 0
    loss_index = np.flatnonzero(packed.targets != NO_LOSS)
    images = packed.kinds == IMAGE if has_tokens else np.zeros(0, dtype=bool)
    lengths = np.diff(packed.caption_cu_seqlens)
    starts = np.repeat(packed.caption_cu_seqlens[:-1], lengths)
    caption_targets = np.full(len(packed.captions), NO_LOSS, dtype=np.int64)
    caption_targets[:-1] = packed.captions[1:]
    caption_targets[packed.caption_cu_seqlens[1:] - 1] = NO_LOSS
    caption_positions = np.arange(len(packed.captions), dtype=np.int64) - starts
    return TorchBatch(
        tokens=bring(packed.tokens),
        positions=bring(packed.positions),
        spans=Spans(bring(packed.cu_seqlens), int(packed.max_seqlen)),
        live=bring(packed.kinds != PAD),
        image_index=bring(np.flatnonzero(images)),
        loss_index=bring(loss_index),
        targets=bring(packed.targets[loss_index]),
        patches=bring(packed.patches).to(dtype),
        grids=tuple((int(rows), int(columns)) for rows, columns in packed.grids),
        captions=bring(packed.captions),
        caption_positions=bring(caption_positions),
        caption_spans=Spans(bring(packed.caption_cu_seqlens), int(lengths.max(initial=0))),
        caption_targets=bring(caption_targets),
        num_caption_targets=int((caption_targets != NO_LOSS).sum()),
        num_sequences=len(packed.sources),
        num_live=int((packed.kinds != PAD).sum()),
        doc_loss_tokens=tuple(per_doc.tolist()),
        caption_lens=tuple(lengths.tolist()),
    )
