"""Attention alone: every backend that is here, forward and backward, at the lengths of the table

TFLOP/s count pairs of one document only, causal, forward and backward: 6 x (query + value length) x
heads x len^2 / 2. What a kernel computes beyond (a backward pass that makes the scores again) is
not counted, so 5/7 of its own figure is the most that is seen here.
"""

import time
from collections.abc import Iterator, Sequence
from itertools import accumulate
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

HEADS = ((32, 64, 64), (16, 128, 128), (16, 192, 128))
"""Heads, length of a query, length of a value: dense-1b's, the experts', Moonlight's."""

TINY_HEADS = ((2, 16, 16), (2, 24, 16))


def packings(tiny: bool) -> dict[str, list[int]]:
    """Lengths of the documents of each packing: many in 8K and 32K rows, one of 128K."""
    unit = 128 if tiny else 8192
    random = np.random.default_rng(0)

    def cut(total: int) -> list[int]:
        lengths: list[int] = []
        while sum(lengths) < total:
            drawn = int(np.exp(random.normal(6.2 if not tiny else 3.0, 1.2))) + 1
            lengths.append(min(drawn, total - sum(lengths)))
        return lengths

    rows = [length for _ in range(4) for length in cut(unit)]
    return {"8K packed": rows, "32K packed": cut(4 * unit), "128K": [16 * unit]}


def rows(
    device: "torch.device", tiny: bool, left_s: Any, repeats: int = 5
) -> Iterator[dict[str, Any]]:
    """Time every backend that can compute a case; `left_s()` says when there is no time left."""
    import torch

    from curriculum.models.attention_choice import Backend, asking
    from curriculum.models.attention_found import case_of, choice_for, fitting

    for heads, qk_dim, v_dim in TINY_HEADS if tiny else HEADS:
        chosen = choice_for(device, torch.bfloat16, qk_dim, v_dim).backend
        backends: Sequence[Backend] = fitting(case_of(device, torch.bfloat16, qk_dim, v_dim))
        for what, lengths in packings(tiny).items():
            for backend in backends:
                about = {"heads": [heads, qk_dim, v_dim], "lengths": what, "backend": backend}
                if left_s() <= 0:
                    yield {**about, "words": "skipped: no time left"}
                    continue
                try:
                    with asking(backend if device.type == "cuda" else None):
                        seconds = _seconds(device, lengths, (heads, qk_dim, v_dim), repeats)
                except (RuntimeError, NotImplementedError) as error:
                    first = str(error).partition("\n")[0][:80]
                    yield {**about, "words": f"{type(error).__name__}: {first}"}
                    continue
                pairs = sum(length**2 for length in lengths) / 2
                flops = 6 * heads * (qk_dim + v_dim) * pairs
                words = "chosen" if backend == chosen else ""
                yield {**about, "s": seconds, "flops_per_s": flops / seconds, "words": words}


def _seconds(
    device: "torch.device", lengths: list[int], heads: tuple[int, int, int], repeats: int
) -> float:
    import torch

    from curriculum.models.attention import packed_attention

    number, qk_dim, v_dim = heads
    total = sum(lengths)
    made = [
        torch.randn(total, number, width, device=device, dtype=torch.bfloat16)
        for width in (qk_dim, qk_dim, v_dim, v_dim)
    ]
    q, k, v = (x.requires_grad_() for x in made[:3])
    starts = torch.tensor([0, *accumulate(lengths)], dtype=torch.int32, device=device)

    def once() -> float:
        sync(device)
        began_s = time.perf_counter()
        out = packed_attention(q, k, v, starts, max(lengths), causal=True, scale=qk_dim**-0.5)
        torch.autograd.grad(out, (q, k, v), made[3])
        sync(device)
        return time.perf_counter() - began_s

    once()  # compiles, where a backend does
    once()
    return median(once() for _ in range(repeats))


def matmul_ceiling(device: "torch.device", tiny: bool) -> float:
    """FLOP/s of the best bf16 matrix product of three sizes."""
    import torch

    best = 0.0
    for size in (256,) if tiny else (4096, 8192, 16_384):
        a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
        for _ in range(3):
            a @ b
        spent = []
        for _ in range(5):
            sync(device)
            began_s = time.perf_counter()
            for _ in range(4):
                a @ b
            sync(device)
            spent.append((time.perf_counter() - began_s) / 4)
        best = max(best, 2 * size**3 / median(spent))
    return best


def sync(device: "torch.device") -> None:
    """Wait for a GPU."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)
