"""What a machine lacks comes with the way to get it: CUDA, a runtime, a package, a sound one"""

import importlib
import sys
from importlib.metadata import PackageNotFoundError
from types import ModuleType

import pytest
import torch

from curriculum.models import attention_found, attention_xformers
from curriculum.models.attention_found import case_of, choice_for, fitting, missing, survey
from models.pretended import run_pretended

without_cuda_build = pytest.mark.skipif(
    torch.version.cuda is not None, reason="this torch is built for CUDA"
)


@pytest.fixture(autouse=True)
def _forget() -> None:
    for cached in (missing, attention_xformers.missing, attention_xformers.load):
        cached.cache_clear()


def test_a_cpu_has_its_kernel_and_looks_for_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention_found, "missing", None)  # what would import
    case = case_of(torch.device("cpu"), torch.float32, 64, 64)
    assert fitting(case) == ["cpu"]
    monkeypatch.undo()
    assert missing("cpu") is None
    assert choice_for(torch.device("cpu"), torch.float32, 64, 64).backend == "cpu"


@without_cuda_build
def test_a_torch_without_cuda_has_none() -> None:
    said = {found.backend: found.missing for found in survey()}
    assert list(said) == ["fa3", "fa4", "fa2", "cutlass", "flex"]
    assert set(said.values()) == {f"needs a torch built for CUDA, not {torch.__version__}"}


def test_a_cuda_13_torch_without_the_runtime_of_12() -> None:
    program = """
for found in attention_found.survey():
    print(found.backend, found.missing)
try:
    describe_backend(CUDA, BF16, 128, 128)
except RuntimeError as error:
    print(error)
let_xformers_load()
print([f.missing for f in attention_found.survey() if f.package == "xformers"])
"""
    said = run_pretended(program)
    runtime = (
        "needs libcudart.so.12 for xformers, which torch for CUDA 13.0 does not bring: "
        "pip install nvidia-cuda-runtime-cu12"
    )
    fa3 = (
        "needs flash-attn-3, which is not installed: pip install flash-attn-3 --index-url "
        "https://download.pytorch.org/whl/cu130 (it is not on PyPI)"
    )
    fa4 = "needs flash-attn-4, which is not installed: pip install --pre flash-attn-4"
    assert said[:4] == [f"fa3 {fa3}", f"fa4 {fa4}", f"fa2 {runtime}", f"cutlass {runtime}"]
    assert said[5] == f"no attention backend: fa3: {fa3}; fa4: {fa4}; fa2, cutlass: {runtime}"
    assert said[6] == "[None, None]"


def pretend_cuda(monkeypatch: pytest.MonkeyPatch, version: str = "12.8") -> None:
    monkeypatch.setattr(torch.version, "cuda", version)
    monkeypatch.setattr(torch.backends.cuda, "is_flash_attention_available", lambda: True)


def test_xformers_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_cuda(monkeypatch)

    def none(package: str) -> str:
        raise PackageNotFoundError(package)

    monkeypatch.setattr(attention_xformers, "version", none)
    assert missing("fa2") == (
        "needs xformers==0.0.35, which is not installed: pip install 'curriculum[gpu]'"
    )
    with pytest.raises(RuntimeError, match="attention on CUDA needs xformers"):
        attention_xformers.load()


def test_another_xformers_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_cuda(monkeypatch)
    monkeypatch.setattr(attention_xformers, "version", lambda package: "0.0.36")
    monkeypatch.setitem(sys.modules, "xformers", None)
    said = missing("cutlass")
    assert said is not None
    assert said.startswith("needs xformers==0.0.35; 0.0.36 is here and cannot be imported (")
    assert said.endswith("): pip install xformers==0.0.35")


def test_a_library_of_xformers_that_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_cuda(monkeypatch)
    xformers, ops, library = (ModuleType(n) for n in ("xformers", "ops", "library"))
    failure = RuntimeError("does not fit")
    failure.__cause__ = OSError("undefined symbol: aoti")
    library._cpp_library_load_exception = failure  # type: ignore[attr-defined]
    ops.fmha = ModuleType("fmha")  # type: ignore[attr-defined]
    ops.fmha.common = ModuleType("common")
    ops.fmha.common._built_with_cuda = False
    xformers._cpp_lib = library  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "xformers", xformers)
    monkeypatch.setitem(sys.modules, "xformers.ops", ops)
    assert missing("fa2") == (
        "needs xformers' own library, which does not load (undefined symbol: aoti): "
        "pip install --force-reinstall --no-deps xformers==0.0.35"
    )


def test_a_torch_without_flash_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_cuda(monkeypatch)
    monkeypatch.setattr(torch.backends.cuda, "is_flash_attention_available", lambda: False)
    said = f"needs a torch with flash attention, which {torch.__version__} was built without"
    assert missing("fa2") == said


def test_a_package_that_is_there_and_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_cuda(monkeypatch)
    monkeypatch.setattr(attention_found, "_version", lambda package: "3.0.0")

    def broken(module: str) -> ModuleType:
        raise OSError("libtorch.so: no such file\nand more")

    monkeypatch.setattr(importlib, "import_module", broken)
    assert missing("fa3") == (
        "needs flash-attn-3, which is here and cannot be imported (libtorch.so: no such file): "
        "pip install flash-attn-3 --index-url https://download.pytorch.org/whl/cu128 "
        "(it is not on PyPI)"
    )


def test_flex_needs_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_cuda(monkeypatch)
    monkeypatch.setattr(attention_found, "_version", lambda package: None)
    monkeypatch.setitem(sys.modules, "triton", None)
    assert missing("flex") == "needs triton, which is not installed: pip install triton"
    monkeypatch.setitem(sys.modules, "triton", ModuleType("triton"))
    missing.cache_clear()
    monkeypatch.setattr(attention_found, "_version", lambda package: "3.6")
    assert missing("flex") is None
