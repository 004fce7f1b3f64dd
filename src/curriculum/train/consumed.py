"""What entered the forward pass, as one hash that does not depend on how the step was cut

    tensors of the micro-batches --joined, kind by kind--> sha256 each --> sha256 of them all

Places in a micro-batch (where images stand, where loss is borne) become places in the step, and
`cu_seqlens` the lengths of documents. Not in it: `max_seqlen`, a bound that kernels size by.
"""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from curriculum.models.batch import TorchBatch

Named = Iterator[tuple[str, NDArray[np.generic]]]


def batch_hash(batches: Sequence[TorchBatch]) -> str:
    """Return the hash of a step's tensors, in hexadecimal; they come from their device for it."""
    hashes = {name: sha256() for name, _ in _arrays(batches[0], 0)}
    first = 0
    for batch in batches:
        for name, array in _arrays(batch, first):
            hashes[name].update(np.ascontiguousarray(array).data)
        first += len(batch.positions)
    return sha256(_joined((name, hashes[name].digest()) for name in sorted(hashes))).hexdigest()


def _arrays(batch: TorchBatch, first: int) -> Named:
    """All that a forward pass reads; position 0 of the micro-batch is position `first`."""
    yield "tokens", _host(batch.tokens)
    yield "positions", _host(batch.positions)
    yield "document lengths", np.diff(_host(batch.spans.cu_seqlens))
    yield "live", _host(batch.live)
    yield "image positions", _host(batch.image_index) + first
    yield "loss positions", _host(batch.loss_index) + first
    yield "targets", _host(batch.targets)
    yield "patches", _host(batch.patches)
    yield "grids", np.array(batch.grids, dtype=np.int64)
    yield "captions", _host(batch.captions)
    yield "caption positions", _host(batch.caption_positions)
    yield "caption lengths", np.diff(_host(batch.caption_spans.cu_seqlens))
    yield "caption targets", _host(batch.caption_targets)


def _host(tensor: Tensor) -> NDArray[np.generic]:
    array: NDArray[np.generic] = tensor.detach().to(torch.device("cpu")).numpy()
    return array


def _joined(parts: Iterable[tuple[str, bytes]]) -> bytes:
    return b"".join(name.encode() + b"\0" + digest for name, digest in parts)
