"""Rotary positions: what turns queries and keys, layer by layer, from the plan's own floats

    (inv_freq, attention factor) of each layer --fill--> buffer [D, R / 2], which row a layer reads
    positions [T] --forward--> of each layer (turn [T, 1, R / 2, 2], attention factor)

T packed tokens, H heads, R dimensions of a head that turn, D distinct layers. A turn is cosine and
sine, in the memory of a complex number. Pairs are neighbours (2i, 2i + 1), or stand half a head
apart. Source: arXiv 2104.09864, eq. 34; the attention factor: arXiv 2309.00071, 3.4.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from curriculum.rope import base_of

LayerRotation = tuple[Sequence[float], float]
"""The rotation speeds of a layer, rad/token, fastest first, and its attention factor."""


def rotate_pairs(x: Tensor, turn: Tensor) -> Tensor:
    """Turn neighbouring pairs of x [T, H, R] by `turn` [T, 1, R / 2, 2], in float32."""
    pairs = x.float().unflatten(-1, (-1, 2))
    if torch.compiler.is_compiling():
        first, second = pairs.unbind(-1)
        return torch.stack(_turned(first, second, turn), dim=-1).flatten(-2).to(x.dtype)
    turned = torch.view_as_complex(pairs.contiguous()) * torch.view_as_complex(turn)
    return torch.view_as_real(turned).flatten(-2).to(x.dtype)


def rotate_halves(x: Tensor, turn: Tensor) -> Tensor:
    """Turn pairs (i, i + R / 2) of x [T, H, R] by `turn` [T, 1, R / 2, 2], in float32."""
    first, second = x.float().chunk(2, dim=-1)
    if torch.compiler.is_compiling():
        return torch.cat(_turned(first, second, turn), dim=-1).to(x.dtype)
    turned = torch.complex(first, second) * torch.view_as_complex(turn)
    return torch.cat((turned.real, turned.imag), dim=-1).to(x.dtype)


def _turned(first: Tensor, second: Tensor, turn: Tensor) -> tuple[Tensor, Tensor]:
    """The complex product written out: a compiler fuses it, and knows no complex numbers."""
    cosine, sine = turn.unbind(-1)
    return first * cosine - second * sine, first * sine + second * cosine


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
        """Return, for each layer, the turn of each position [T, 1, R / 2, 2], and its factor."""
        if not self.rows:
            raise RuntimeError("the decoder has no RoPE: call set_rope first")
        turns = []
        for speeds in self.inv_freq:
            angles = positions.double().unsqueeze(1) * speeds
            turn = torch.polar(torch.ones_like(angles), angles).to(torch.complex64).unsqueeze(1)
            turns.append(torch.view_as_real(turn))
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
