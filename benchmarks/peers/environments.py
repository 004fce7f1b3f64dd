"""Environments of their own for the peers of cpu.py: made once, with pip, and found again

    FOLDER/hf/bin/python        transformers, accelerate
    FOLDER/litgpt/bin/python    litgpt, lightning

Each gets the newest versions that go with the torch that curriculum runs on.
"""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

PACKAGES: Mapping[str, tuple[str, ...]] = {
    "hf": ("transformers", "accelerate", "numpy", "safetensors"),
    "litgpt": ("litgpt", "numpy", "safetensors", "torchmetrics", "jsonargparse"),
}


def environment(folder: Path, name: str, torch_version: str) -> Path:
    """Return the Python of a peer's environment, which is made where it is not there.

    CalledProcessError where pip cannot.
    """
    python = folder.resolve() / name / "bin" / "python"
    if not python.exists():
        print(f"making {folder / name}: takes minutes, and some GB", file=sys.stderr, flush=True)
        partial = folder / f".{name}.partial"
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(partial)], check=True)
        torch = f"torch=={torch_version.partition('+')[0]}"
        pip = [str(partial / "bin" / "python"), "-m", "pip", "install", "-q"]
        subprocess.run([*pip, torch, *PACKAGES[name]], check=True, stdout=sys.stderr)
        # Scripts in bin/ name the folder that they were made in; only `python` is run here.
        partial.rename(folder / name)
    return python
