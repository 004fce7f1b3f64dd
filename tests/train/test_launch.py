import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from curriculum.errors import RunError
from curriculum.train.launch import Launch, default_threads, prepare_environment, start


def test_a_micro_batch_is_whole_sequences_and_at_most_the_batch() -> None:
    launch = Launch(Path("data"))
    assert launch.micro_batch("cpu", 32, 128) == 32
    assert launch.micro_batch("cpu", 32, 16_384) == 1
    assert Launch(Path("data"), micro_batch_seqs=64).micro_batch("cpu", 32, 128) == 32


def test_two_threads_at_most() -> None:
    assert 1 <= default_threads() <= 2


def test_what_the_user_set_stays() -> None:
    chosen = {"OMP_WAIT_POLICY": "ACTIVE"}
    prepare_environment(chosen)
    assert chosen["OMP_WAIT_POLICY"] == "ACTIVE"
    assert "GOMP_SPINCOUNT" not in chosen  # it would overrule the policy
    assert chosen["MKL_CBWR"] == "AUTO,STRICT"


def test_the_module_loads_no_torch() -> None:
    program = "import curriculum.train.launch, sys; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_start_sets_threads_and_determinism() -> None:
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    try:
        device = start(Launch(Path("data"), device="cpu", threads=1))
        assert (device.type, torch.get_num_threads()) == ("cpu", 1)
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])


@pytest.mark.parametrize("deterministic", [True, False])
def test_a_gpu_is_deterministic_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, deterministic: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(False)
    try:
        device = start(Launch(Path("data"), deterministic=deterministic))
        assert device.type == "cuda"
        assert torch.are_deterministic_algorithms_enabled() is deterministic
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_cuda_that_is_not_there_is_refused() -> None:
    with pytest.raises(RunError, match="finds no CUDA device here; say --device cpu"):
        start(Launch(Path("data"), device="cuda"))


def test_threads_wait_asleep_in_the_tests_too() -> None:
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"


@pytest.mark.skipif(sys.platform != "linux", reason="mallopt is glibc's")
def test_memory_that_arrays_give_back_is_kept() -> None:
    program = (
        "import resource, sys, torch\n"
        "from curriculum.train.launch import keep_memory\n"
        "keep_memory()\n"
        "def work():\n"
        "    x = torch.ones(16 << 20)\n"
        "    return float((x * 2 + 1)[0])\n"
        "def faults():\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "[work() for _ in range(3)]\n"
        "before = faults()\n"
        "[work() for _ in range(3)]\n"
        "print(faults() - before)\n"
    )

    def faults(**environment: str) -> int:
        said = {name: value for name, value in os.environ.items() if "MALLOC_" not in name}
        said.pop("GLIBC_TUNABLES", None)
        command = [sys.executable, "-c", program]
        done = subprocess.run(
            command, capture_output=True, text=True, env=said | environment, check=True
        )
        return int(done.stdout)

    pages = 3 * 2 * (16 << 20) * 4 // 4096  # of two arrays, three times
    assert faults() < pages // 10
    assert faults(MALLOC_TOP_PAD_="131072") > pages // 2  # said by the user: left alone
