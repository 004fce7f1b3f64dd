"""What every CUDA backend is handed; and, where there is a GPU, what each of them computes"""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from curriculum.models.attention import packed_attention
from curriculum.models.attention_choice import IN_ORDER, Backend, asking, refusal
from curriculum.models.attention_found import case_of, fitting, missing
from curriculum.models.attention_kernels import narrowed, widened
from curriculum.models.probe import MASKS, probe, repeats

BACKENDS: tuple[Backend, ...] = (*IN_ORDER, "flex")
CUDA = torch.device("cuda")


def test_what_is_narrower_gets_zeros_and_loses_them_again() -> None:
    x = torch.randn(5, 2, 20)
    wide = widened(x, 24)
    assert wide.shape == (5, 2, 24)
    assert torch.equal(wide[..., :20], x)
    assert not wide[..., 20:].any()
    assert torch.equal(narrowed(wide, 20), x)
    assert narrowed(wide, 20).is_contiguous()


def test_rows_off_sixteen_bytes_are_copied_and_others_are_not() -> None:
    whole = torch.zeros(6, 2, 48, dtype=torch.bfloat16)
    first, second = whole.split((16, 32), dim=-1)
    assert widened(first, 16) is first  # a view whose rows begin at multiples of 16 bytes
    assert widened(second, 32) is second
    shifted = whole[..., 4:20]
    assert widened(shifted, 16).is_contiguous()
    turned = torch.zeros(6, 16, 2).transpose(1, 2)
    assert widened(turned, 16).stride(-1) == 1


def without_a_gpu() -> bool:
    return not torch.cuda.is_available()


@pytest.fixture
def deterministic() -> Iterator[None]:
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(before)


def skip_unless_here(backend: Backend, dtype: torch.dtype, dims: tuple[int, int]) -> None:
    if why := refusal(backend, case_of(CUDA, dtype, *dims)) or missing(backend):
        pytest.skip(f"{backend} {why}")


# None of the tests below has run yet: they wait for a machine with a GPU.
gpu = pytest.mark.gpu
needs_gpu = pytest.mark.skipif(without_a_gpu(), reason="needs a GPU")
every = pytest.mark.parametrize("backend", BACKENDS)
of_models = pytest.mark.parametrize("dims", [(64, 64), (128, 128), (192, 128), (72, 72), (20, 12)])
dtypes = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])


@gpu
@needs_gpu
@every
@of_models
@dtypes
def test_each_backend_is_right(backend: Backend, dims: tuple[int, int], dtype: torch.dtype) -> None:
    """Against float64, over documents of which some are empty, causal, full and cross."""
    skip_unless_here(backend, dtype, dims)
    with asking(backend):
        for mask in MASKS:
            found = probe(CUDA, dtype, dims, mask)
            assert f"cuda: {backend}, " in found.backend
            assert found.is_right, found


@gpu
@needs_gpu
@every
@of_models
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.usefixtures("deterministic")
def test_each_backend_repeats_its_bits(
    backend: Backend, dims: tuple[int, int], dtype: torch.dtype
) -> None:
    skip_unless_here(backend, dtype, dims)
    with asking(backend):
        for mask in MASKS:
            assert repeats(CUDA, dtype, dims, mask)


def rows(num: int, dims: tuple[int, int]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(7)
    made = [torch.randn(num, 2, n, generator=generator) for n in (dims[0], dims[0], dims[1])]
    return [x.to("cuda", torch.bfloat16).requires_grad_() for x in made]


def starts(lengths: list[int]) -> Tensor:
    return torch.tensor([0, *lengths]).cumsum(0).to("cuda", torch.int32)


@gpu
@needs_gpu
@every
def test_empty_documents_change_nothing(backend: Backend) -> None:
    skip_unless_here(backend, torch.bfloat16, (128, 128))
    q, k, v = rows(300, (128, 128))
    found = []
    with asking(backend):
        for lengths in ([200, 100], [0, 200, 0, 0, 100, 0, 0]):
            out = packed_attention(q, k, v, starts(lengths), 200, causal=True, scale=0.1)
            found.append([out, *torch.autograd.grad(out, (q, k, v), torch.ones_like(out))])
    for plain, padded in zip(*found, strict=True):
        assert not padded.isnan().any()
        torch.testing.assert_close(padded, plain, atol=2e-2, rtol=2e-2)


@gpu
@needs_gpu
@every
def test_two_graphs_for_any_packing_on_a_gpu(backend: Backend) -> None:
    skip_unless_here(backend, torch.bfloat16, (192, 128))
    torch._dynamo.reset()
    count = 0

    def counting(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> object:
        from torch._dynamo.backends.debugging import aot_eager

        nonlocal count
        count += 1
        return aot_eager(graph, inputs)

    compiled = torch.compile(packed_attention, backend=counting, fullgraph=True)
    q, k, v = rows(300, (192, 128))
    with asking(backend):
        for lengths in ([300, 0, 0, 0], [200, 100, 0, 0], [0, 1, 149, 150], [75, 75, 75, 75]):
            out = compiled(q, k, v, starts(lengths), max(lengths), causal=True, scale=0.1)
            out.sum().backward()
    assert 1 <= count <= 2


@gpu
@needs_gpu
def test_a_gpu_has_a_backend_for_every_dtype() -> None:
    for dtype in (torch.bfloat16, torch.float32):
        assert fitting(case_of(CUDA, dtype, 128, 128))
