"""A probe sees a wrong kernel, and the kernels of this machine are right"""

import pytest
import torch

from curriculum.models import probe as probing
from curriculum.models.attention import packed_attention
from curriculum.models.presets import PRESETS
from curriculum.models.probe import MASKS, Probe, head_sizes, probe, probes, repeats

CPU = torch.device("cpu")


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("dims", [(64, 64), (192, 128), (72, 72)])
def test_the_attention_of_a_cpu_is_right(dims: tuple[int, int], mask: str) -> None:
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        found = probe(CPU, dtype, dims, mask)
        assert found.is_right, found
        assert len(found.errors) == 4
        assert max(found.errors) > 0  # it computed, and did not compare a value with itself


def test_a_wrong_kernel_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    right = packed_attention

    def forgets_the_scale(*args: object, scale: float, **settings: object) -> torch.Tensor:
        return right(*args, scale=scale * 1.05, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(probing, "packed_attention", forgets_the_scale)
    assert not probe(CPU, torch.float32, (32, 32), "causal").is_right


def test_nan_is_not_right() -> None:
    assert not Probe(8, 8, torch.float32, "full", "none", (float("nan"), 0.0, 0.0, 0.0)).is_right


def test_every_head_of_the_presets_is_probed() -> None:
    sizes = head_sizes(PRESETS.values())
    assert {(192, 128), (128, 128), (72, 72)} <= set(sizes)
    assert sizes == sorted(set(sizes))
    few = list(probes(CPU, [(8, 8)], (torch.float32,)))
    assert [p.mask for p in few] == list(MASKS)


def test_a_cpu_repeats_its_bits_and_what_does_not_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(repeats(CPU, torch.float32, (48, 32), mask) for mask in MASKS)
    right, calls = packed_attention, iter(range(9))

    def drifts(*args: object, **settings: object) -> torch.Tensor:
        return right(*args, **settings) * (1 + 1e-6 * next(calls))  # type: ignore[arg-type]

    monkeypatch.setattr(probing, "packed_attention", drifts)
    assert not repeats(CPU, torch.float32, (48, 32), "causal")


def test_a_kernel_that_fails_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args: object, **settings: object) -> torch.Tensor:
        raise TypeError("unexpected argument")

    monkeypatch.setattr(probing, "packed_attention", fails)
    with pytest.raises(
        RuntimeError, match=r"cpu: torch's flash .*: TypeError: unexpected argument"
    ):
        probe(CPU, torch.float32, (8, 8), "full")
