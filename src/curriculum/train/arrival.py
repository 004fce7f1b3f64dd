"""The arrays of a step on their way to a GPU, while it is busy with the step before

    thread: Drawn --pinned, copied on a stream of its own--> Arriving      main: wait on the GPU

On a CPU nothing has to be brought anywhere, and nothing is.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from curriculum.models.batch import TorchBatch, to_torch
from curriculum.models.encoder import Spans
from curriculum.train.feed import Drawn


@dataclass(frozen=True, slots=True)
class Arriving:
    """A step's arrays, and the same as tensors on the device, which may still be copied."""

    drawn: Drawn
    batches: tuple[TorchBatch, ...] | None  # None: made where they are used
    copied: torch.cuda.Event | None

    def arrived(self) -> tuple[TorchBatch, ...] | None:
        """Let what the device does next wait for the copies; the host waits for nothing."""
        if self.copied is not None and self.batches is not None:
            stream = torch.cuda.current_stream()
            stream.wait_event(self.copied)
            for batch in self.batches:
                for tensor in tensors_of(batch):
                    # Made on another stream: its memory is free once this one is done with it.
                    tensor.record_stream(stream)
        return self.batches


def bringer(make: Callable[[int], Drawn], device: torch.device) -> Callable[[int], Arriving]:
    """Return what makes a step's arrays and sends them on their way."""
    if device.type != "cuda":
        return lambda step: Arriving(make(step), None, None)
    stream = torch.cuda.Stream(device)

    def bring(step: int) -> Arriving:
        drawn = make(step)
        with torch.cuda.stream(stream):
            batches = tuple(to_torch(packed, device) for packed in drawn.micro_batches)
            return Arriving(drawn, batches, stream.record_event())

    return bring


def tensors_of(batch: TorchBatch) -> list[Tensor]:
    """Return all tensors of a batch."""
    found: list[Tensor] = []
    for field in fields(batch):
        value = getattr(batch, field.name)
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, Spans):
            found.append(value.cu_seqlens)
    return found
