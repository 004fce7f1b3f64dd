"""Places of packed patches: all at once, equal to image by image, however many sizes there are"""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from curriculum.models import vit as vit_module
from curriculum.models.patches import Grids, layout_of, resizing, rope_2d, taps_of
from curriculum.models.presets import shape_of
from curriculum.models.vit import Vit
from curriculum.models.vlm import build

CPU = torch.device("cpu")
GRIDS = ((8, 8), (4, 6), (2, 10), (4, 6), (12, 2), (1, 1))


def vit(**overrides: object) -> Vit:
    shape = shape_of("moonvit-proxy", {"hidden": 48, "mlp_dim": 64, **overrides})
    module = build(shape, "cpu", seed=4)
    assert isinstance(module, Vit)
    return module


def test_rows_and_columns_are_those_of_a_loop() -> None:
    layout = layout_of(GRIDS, CPU)
    places = [(r, c) for rows, columns in GRIDS for r in range(rows) for c in range(columns)]
    assert list(zip(layout.rows.tolist(), layout.columns.tolist(), strict=True)) == places
    assert layout.spans.cu_seqlens.tolist() == [0, 64, 88, 108, 132, 156, 157]
    assert (layout.spans.max_seqlen, layout.longest_side) == (64, 12)
    assert layout_of(GRIDS, CPU) is layout


def test_no_images_are_no_patches() -> None:
    layout = layout_of((), CPU)
    assert layout.spans.cu_seqlens.tolist() == [0]
    assert layout.rows.tolist() == layout.columns.tolist() == []


def test_turns_are_those_of_the_formula() -> None:
    head_dim, base = 16, 100.0
    turns = torch.view_as_complex(rope_2d(layout_of(GRIDS, CPU), head_dim, base)).squeeze(1)
    speeds = base ** (-torch.arange(0, head_dim, 4, dtype=torch.float64) / head_dim)
    at = 0
    for rows, columns in GRIDS:
        for r in range(rows):
            for c in range(columns):
                angles = torch.stack((c * speeds, r * speeds), dim=1).flatten()
                expected = torch.polar(torch.ones_like(angles), angles).to(torch.complex64)
                assert torch.equal(turns[at], expected)
                at += 1
    assert at == len(turns)


@pytest.mark.parametrize("table", [(8, 8), (3, 5), (64, 64)])
def test_taps_are_the_matrices_of_the_resizing(table: tuple[int, int]) -> None:
    """At most four along a side, also where several fall on the same edge."""
    rows, columns = table
    which, weights = taps_of(GRIDS, rows, columns, CPU)
    dense = torch.zeros(len(which), rows * columns).scatter_add_(1, which, weights)
    expected = [torch.kron(resizing(rows, h), resizing(columns, w)) for h, w in GRIDS]
    torch.testing.assert_close(dense, torch.cat(expected), atol=1e-6, rtol=0)


@pytest.mark.parametrize("table", [(8, 8), (3, 5)])
def test_many_sizes_have_the_positions_of_few(
    table: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = vit(position_rows=table[0], position_columns=table[1])
    found = []
    for few in (16, 0):
        monkeypatch.setattr(vit_module, "FEW_SIZES", few)
        model.zero_grad()
        positions = model.positions_of(GRIDS)
        seed = torch.randn(positions.shape, generator=torch.Generator().manual_seed(1))
        positions.backward(seed)
        assert model.positions.grad is not None
        found.append((positions.detach(), model.positions.grad.clone()))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


class Operations(TorchDispatchMode):
    """How many operations run."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.count += 1
        return func(*args, **(kwargs or {}))


def operations(grids: Grids) -> int:
    model = vit()
    patches = torch.rand(sum(h * w for h, w in grids), 48)
    model(patches, grids)  # what follows from the grids alone is made once
    counted = Operations()
    with counted:
        out: Tensor = model(patches, grids)
        out.sum().backward()
    return counted.count


def test_more_images_are_no_more_operations() -> None:
    sizes = [(2 + i % 9, 2 + i % 7) for i in range(63)]  # all different
    assert operations(sizes[:30]) == operations(sizes)
