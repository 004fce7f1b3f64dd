"""Rotary positions: what turns queries and keys, layer by layer, from the plan's own floats

    (inv_freq, attention factor) of each layer --fill--> buffer [D, R / 2], which row a layer reads
    positions [T] --forward--> of each layer (turn [T, 1, R / 2] complex, attention factor)

T packed tokens, H heads, R dimensions of a head that turn, D distinct layers. Pairs are neighbours
(2i, 2i + 1). Source: arXiv 2104.09864, eq. 34; the attention factor: arXiv 2309.00071, 3.4.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from curriculum.rope import base_of

LayerRotation = tuple[Sequence[float], float]
"""The rotation speeds of a layer, rad/token, fastest first, and its attention factor."""


def rotate_pairs(x: Tensor, turn: Tensor) -> Tensor:
    """Turn neighbouring pairs of x [T, H, R] by complex `turn` [T, 1, R / 2], in float32."""
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(pairs * turn).flatten(-2).to(x.dtype)


class Rotation(nn.Module):
    """What the layers of a decoder turn by. Nothing of it is in a checkpoint."""

    inv_freq: Tensor

    def __init__(self, num_layers: int, head_dim: int) -> None:
        super().__init__()
        self.num_layers = num_layers
        speeds = torch.zeros(1, head_dim // 2, dtype=torch.float64)
        self.register_buffer("inv_freq", speeds, persistent=False)
        self.attention_factors: tuple[float, ...] = ()  # of each row of the buffer
        self.rows: tuple[int, ...] = ()  # of each layer; none: RoPE was not set

    def fill(self, layers: Sequence[LayerRotation]) -> None:
        """Take the plan's rotations, one for each layer; speeds of 0 do not turn.

        The attention factor is that of queries and of keys, so the softmax scale is times its
        square (YaRN's temperature; else 1).
        """
        if len(layers) != self.num_layers:
            raise ValueError(f"{len(layers)} rotations for {self.num_layers} layers")
        found: dict[tuple[tuple[float, ...], float], int] = {}
        pairs = self.inv_freq.shape[1]
        for inv_freq, factor in layers:
            if len(inv_freq) != pairs:
                raise ValueError(f"{len(inv_freq)} rotation speeds, but heads turn {pairs} pairs")
            found.setdefault((tuple(inv_freq), factor), len(found))
        speeds = torch.tensor([inv_freq for inv_freq, _ in found], dtype=torch.float64)
        self.inv_freq = speeds.to(self.inv_freq.device)
        self.attention_factors = tuple(factor for _, factor in found)
        self.rows = tuple(found[tuple(inv_freq), factor] for inv_freq, factor in layers)

    def forward(self, positions: Tensor) -> list[tuple[Tensor, float]]:
        """Return, for each layer, the turn of each position [T, 1, R / 2], and its factor."""
        if not self.rows:
            raise RuntimeError("the decoder has no RoPE: call set_rope first")
        turns = []
        for speeds in self.inv_freq:
            angles = positions.double().unsqueeze(1) * speeds
            turn = torch.polar(torch.ones_like(angles), angles).to(torch.complex64).unsqueeze(1)
            turns.append(turn)
        return [(turns[row], self.attention_factors[row]) for row in self.rows]

    def by_layer(self) -> list[tuple[list[float], float]]:
        """Read back what each layer turns by, and its attention factor."""
        speeds = self.inv_freq.tolist()
        return [(speeds[row], self.attention_factors[row]) for row in self.rows]

    def base(self) -> float | None:
        """Read the base back from the speeds of the first layer that turns; None where none does.

        A scaling that changes the first two speeds is in it.
        """
        return next((base for speeds, _ in self.by_layer() if (base := base_of(speeds))), None)
