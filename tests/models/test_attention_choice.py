"""Every branch of the choice: device, capability, heads, dtype, determinism, what is asked for"""

import os

import pytest
import torch

from curriculum.models.attention_choice import (
    IN_ORDER,
    NO_CUDNN,
    VARIABLE,
    Backend,
    Case,
    asked_for,
    asking,
    choose,
    refusal,
)

BF16, FP16, FP32, FP64 = torch.bfloat16, torch.float16, torch.float32, torch.float64
HOPPER, AMPERE, BLACKWELL, VOLTA = (9, 0), (8, 0), (10, 0), (7, 0)
NOTHING: dict[Backend, str] = {}
NO_FLASH_34: dict[Backend, str] = {"fa3": "is not here: way 3", "fa4": "is not here: way 4"}


def case(
    dtype: torch.dtype = BF16,
    dims: tuple[int, int] = (128, 128),
    capability: tuple[int, int] = HOPPER,
    deterministic: bool = False,
) -> Case:
    return Case("cuda", dtype, *dims, capability, deterministic)


@pytest.mark.parametrize(
    ("given", "missing", "backend", "widths"),
    [
        (case(), NOTHING, "fa3", (128, 128)),
        (case(dims=(192, 128)), NOTHING, "fa3", (192, 128)),  # MLA, as it is
        (case(dims=(72, 72)), NOTHING, "fa3", (72, 72)),  # MoonViT
        (case(dims=(32, 32)), NOTHING, "fa3", (64, 64)),  # its backward begins there
        (case(dims=(128, 64)), NOTHING, "fa3", (128, 128)),
        (case(), {"fa3": "gone"}, "fa4", (128, 128)),
        (case(dims=(192, 128)), {"fa3": "gone"}, "fa4", (192, 128)),
        (case(), NO_FLASH_34, "fa2", (128, 128)),
        (case(FP16), NO_FLASH_34, "fa2", (128, 128)),
        (case(dims=(192, 128)), NO_FLASH_34, "fa2", (192, 192)),
        (case(dims=(72, 72)), NO_FLASH_34, "fa2", (72, 72)),
        (case(dims=(20, 12)), NO_FLASH_34, "fa2", (24, 24)),
        (case(FP32, (64, 64)), NOTHING, "cutlass", (64, 64)),
        (case(FP32, (192, 128)), NOTHING, "cutlass", (192, 128)),
        (case(dims=(576, 512)), NOTHING, "cutlass", (576, 512)),  # MLA with absorbed matrices
        (case(capability=AMPERE), NOTHING, "fa2", (128, 128)),
        (case(FP16, capability=VOLTA), NOTHING, "cutlass", (128, 128)),
        (case(capability=BLACKWELL), NOTHING, "fa4", (128, 128)),
        (case(dims=(192, 128), capability=BLACKWELL), NOTHING, "fa4", (192, 128)),
        (case(dims=(160, 64), capability=BLACKWELL), NOTHING, "fa4", (192, 128)),
        (case(dims=(256, 256), capability=BLACKWELL), NOTHING, "fa4", (256, 256)),
        (case(capability=(12, 0)), NOTHING, "fa2", (128, 128)),
        (case(deterministic=True), NOTHING, "fa3", (128, 128)),
        (case(dims=(256, 256), deterministic=True), NOTHING, "fa4", (256, 256)),
        (case(FP32, deterministic=True), NOTHING, "cutlass", (128, 128)),
        (Case("cpu", FP64, 48, 32), NO_FLASH_34, "cpu", (48, 48)),
    ],
)
def test_a_backend_is_taken(
    given: Case, missing: dict[Backend, str], backend: Backend, widths: tuple[int, int]
) -> None:
    found = choose(given, missing.get)
    assert (found.backend, found.qk_width, found.v_width) == (backend, *widths)
    assert refusal(backend, given) is None
    assert found.qk_width >= given.qk_dim
    assert found.v_width >= given.v_dim


def test_what_was_passed_over_is_told_with_the_reason() -> None:
    latent = case(dims=(192, 128))
    assert choose(latent, NO_FLASH_34.get).words(latent) == (
        "cuda: fa2, xformers with torch's own flash 2 (fa3, fa4: not here); "
        "values padded 128 -> 192"
    )
    exact = case(FP32, (64, 64))
    assert choose(exact, NOTHING.get).words(exact) == (
        "cuda: cutlass, xformers with torch's own cutlass kernels (fa3 takes bf16 and fp16, not "
        "fp32; fa4 takes bf16 and fp16, not fp32; fa2 takes bf16 and fp16, not fp32)"
    )
    again = case(dims=(256, 256), deterministic=True)
    assert choose(again, NOTHING.get).words(again) == (
        "cuda: fa4, flash-attn-4 (fa3 has no deterministic backward for heads above 192; "
        "deterministic)"
    )


def test_what_is_asked_for_is_taken_or_refused_and_nothing_else() -> None:
    asked = case()
    found = choose(asked, NOTHING.get, "cutlass")
    assert "(asked for by CURRICULUM_ATTENTION)" in found.words(asked)
    assert found.backend == "cutlass"
    assert choose(asked, NOTHING.get, "flex").backend == "flex"
    with pytest.raises(RuntimeError, match="CURRICULUM_ATTENTION=fa3: fa3 is not here: way 3"):
        choose(asked, NO_FLASH_34.get, "fa3")
    with pytest.raises(RuntimeError, match="CURRICULUM_ATTENTION=fa2: fa2 takes bf16 and fp16"):
        choose(case(FP32), NOTHING.get, "fa2")
    with pytest.raises(RuntimeError, match="fa2 needs a CUDA device, not cpu"):
        choose(Case("cpu", FP32, 64, 64), NOTHING.get, "fa2")
    with pytest.raises(RuntimeError, match="cpu is for tensors on a CPU"):
        choose(asked, NOTHING.get, "cpu")


def test_deterministic_refuses_what_is_not() -> None:
    with pytest.raises(RuntimeError, match="flex is not known to be deterministic"):
        choose(case(deterministic=True), NOTHING.get, "flex")
    with pytest.raises(RuntimeError, match="fa3 has no deterministic backward for heads above 192"):
        choose(case(dims=(256, 256), deterministic=True), NOTHING.get, "fa3")


def test_no_backend_says_the_ways_to_one() -> None:
    none = dict.fromkeys(IN_ORDER, "needs xformers: pip install it")
    with pytest.raises(RuntimeError, match="no attention backend: fa3, fa4, fa2, cutlass: needs"):
        choose(case(), none.get)
    with pytest.raises(RuntimeError, match="cutlass takes fp32, bf16 and fp16, not float64"):
        choose(case(FP64), NOTHING.get)
    with pytest.raises(RuntimeError, match=r"cutlass needs capability 5.0 to 9.0, not 10.0"):
        choose(case(FP32, capability=BLACKWELL), NOTHING.get)
    with pytest.raises(RuntimeError, match=r"cutlass takes bf16 from capability 8.0 on"):
        choose(case(capability=VOLTA), NOTHING.get)


def test_every_refusal_has_words() -> None:
    old, huge = case(capability=VOLTA), case(dims=(512, 512))
    assert refusal("fa3", case(capability=AMPERE)) == "needs capability 9.0, not 8.0"
    assert refusal("fa4", case(capability=AMPERE)) == "needs capability 9 to 11, not 8.0"
    assert refusal("fa2", old) == "needs capability 8.0, not 7.0"
    assert refusal("flex", old) == "needs capability 8.0, not 7.0"
    assert [refusal(name, huge) for name in ("fa3", "fa4", "fa2")] == [
        "takes heads up to 256, not 512"
    ] * 3


def test_the_variable_names_a_backend() -> None:
    assert asked_for({VARIABLE: "auto"}) is None
    assert asked_for({VARIABLE: " FA4 "}) == "fa4"
    with pytest.raises(RuntimeError, match="=fast: no such backend; there are auto, cpu, fa3, fa4"):
        asked_for({VARIABLE: "fast"})
    with pytest.raises(RuntimeError, match="pytorch#186142"):
        asked_for({VARIABLE: "cudnn"})
    assert "cudnn is not offered" in NO_CUDNN


def test_asking_is_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with asking("fa2"):
        assert asked_for() == "fa2"
        with asking(None):
            assert asked_for() == "fa2"
    assert VARIABLE not in os.environ
    monkeypatch.setenv(VARIABLE, "fa4")
    with asking("fa2"):
        assert asked_for() == "fa2"
    assert asked_for() == "fa4"
