"""The doctor names kernels that ran, what is missing, and fails where something is wrong"""

import json
from dataclasses import replace

import pytest
import torch

from curriculum.cli.main import run
from curriculum.errors import RunError
from curriculum.models.attention_found import Found
from curriculum.models.presets import PRESETS
from curriculum.models.probe import Probe
from curriculum.train import doctor


def test_a_machine_is_told_as_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["format"] == 1
    assert found["packages"]["train"]["torch"] == torch.__version__.partition("+")[0] or (
        found["packages"]["train"]["torch"] == torch.__version__
    )
    assert found["devices"][0]["kind"] == "cpu"
    assert found["attention"]
    assert all(probe["ok"] and probe["error"] > 0 for probe in found["attention"])
    assert found["problems"] == []


def test_a_person_reads_kernels_and_what_would_do_more(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert run(["doctor"]) == 0
    text = capsys.readouterr().out
    assert "cpu: torch's flash kernel" in text
    assert "would do more" in text
    assert all(len(line) < 160 for line in text.splitlines())


def test_what_is_missing_comes_with_the_command_that_brings_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(doctor.EXTRAS, "simulate", ("polars", "not-a-package-of-anybody"))
    hints = " ".join(doctor.examine().hints)
    assert "pip install 'curriculum[simulate]' brings not-a-package-of-anybody" in hints


def test_a_wrong_kernel_fails_the_doctor_and_stops_a_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def off(device: torch.device, sizes: object, dtypes: object) -> list[Probe]:
        return [Probe(64, 64, torch.float32, "causal", "cpu: a kernel", (0.1, 0.0, 0.0, 0.0))]

    monkeypatch.setattr(doctor, "probes", off)
    assert run(["doctor"]) == 1
    assert "causal attention with heads 64/64 in fp32 is off by 1.0e-01" in capsys.readouterr().out
    with pytest.raises(RunError, match="is off by"):
        doctor.require_right_attention(torch.device("cpu"), list(PRESETS.values()), "fp32")


def test_a_device_without_kernels_stops_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(device: torch.device, sizes: object, dtypes: object) -> list[Probe]:
        raise RuntimeError("it needs libcudart.so.12; install nvidia-cuda-runtime-cu12")

    monkeypatch.setattr(doctor, "probes", none)
    with pytest.raises(RunError, match="install nvidia-cuda-runtime-cu12"):
        doctor.require_right_attention(torch.device("cpu"), list(PRESETS.values()), "bf16")
    health = doctor.examine()
    assert health.problems == ("cpu: it needs libcudart.so.12; install nvidia-cuda-runtime-cu12",)
    assert "wrong here" in doctor.report(replace(health, hints=()))


def test_backends_and_what_they_need_are_told_on_a_torch_for_cuda(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runtime = "needs libcudart.so.12 for xformers: pip install nvidia-cuda-runtime-cu12"
    found = (
        Found("fa3", "flash-attn-3", "flash-attn-3", "3.0.0", None),
        Found("fa2", "xformers with torch's own flash 2", "xformers", "0.0.35", runtime),
    )
    monkeypatch.setattr(doctor, "survey", lambda: iter(found))
    monkeypatch.setattr(doctor, "probes", lambda *_: iter(()))
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    health = doctor.examine()
    lines = doctor.report(health)
    title = "attention backends on a GPU (CURRICULUM_ATTENTION asks for one of them)"
    begin = lines.index(title)
    assert lines[begin + 1 : begin + 3] == [
        "  fa3      here: flash-attn-3 (flash-attn-3 3.0.0)",
        f"  fa2      {runtime}",
    ]
    assert health.as_json()["backends"][1]["missing"] == runtime
    monkeypatch.setattr(torch.version, "cuda", None)
    assert title not in doctor.report(health)


def test_what_is_asked_for_and_does_not_fit_stops_a_run_and_fails_the_doctor(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CURRICULUM_ATTENTION", "fa3")
    said = "CURRICULUM_ATTENTION=fa3: fa3 needs a CUDA device, not cpu"
    with pytest.raises(RunError, match=said):
        doctor.require_right_attention(torch.device("cpu"), list(PRESETS.values()), "fp32")
    assert run(["doctor"]) == 1
    assert capsys.readouterr().out.count(said) == 1


def test_a_run_that_is_to_repeat_itself_asks_its_kernels_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a GPU; here its place is taken by the device's name."""
    right = Probe(64, 64, torch.float32, "causal", "cuda: a kernel", (0.0, 0.0, 0.0, 0.0))
    monkeypatch.setattr(doctor, "probes", lambda *_: iter([right]))
    monkeypatch.setattr(doctor, "repeats", lambda *_: False)
    shapes = list(PRESETS.values())
    monkeypatch.setattr(doctor, "is_deterministic", lambda: False)
    said = doctor.require_right_attention(torch.device("cuda"), shapes, "fp32")
    assert said == ["64/64 cuda: a kernel"]
    monkeypatch.setattr(doctor, "is_deterministic", lambda: True)
    with pytest.raises(RunError, match="gives other bits when it is computed again.*names another"):
        doctor.require_right_attention(torch.device("cuda"), shapes, "fp32")
    monkeypatch.setattr(doctor, "repeats", lambda *_: True)
    assert doctor.require_right_attention(torch.device("cuda"), shapes, "fp32") == said
