"""Cold start of `curriculum plan` against an empty interpreter and against `import torch`"""

import argparse
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
AIM = 1 / 8  # of `import torch`, for a planner without pydantic
# Bytecode is cached, as it is for whoever installs: torch's was compiled when it was installed.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def wall_s(command: list[str]) -> float:
    """Run `command` once and return its wall time in seconds."""
    start = time.perf_counter()
    subprocess.run(
        command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT
    )
    return time.perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("plan", nargs="?", type=Path, default=ROOT / "plans" / "kimi-vl.yaml")
    parser.add_argument("--rounds", type=int, default=9, help="fresh processes of each command")
    asked = parser.parse_args()

    script = shutil.which("curriculum", path=Path(sys.executable).parent)
    if script is None:
        sys.exit("curriculum is not installed beside this Python: make setup")
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        f"curriculum plan {asked.plan.name}": [script, "plan", str(asked.plan)],
        "python -c 'import torch'": [sys.executable, "-c", "import torch"],
    }
    # One round unmeasured, so that every file is in the page cache and compiled; then in turns, so
    # that a slow moment of the machine hits all of them.
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(asked.rounds + 1):
        for name, command in commands.items():
            spent_s = wall_s(command)
            if turn:
                seconds[name].append(spent_s)

    print(f"Python {platform.python_version()}, {os.cpu_count()} CPUs, {asked.rounds} rounds each")
    print(f"{'':<36}{'best':>9}{'median':>9}")
    for name, spent in seconds.items():
        print(f"{name:<36}{min(spent):>8.3f}s{median(spent):>8.3f}s")
    empty, plan, torch = seconds.values()
    for name, other in (("python -c pass", empty), ("import torch", torch)):
        best, middle = min(plan) / min(other), median(plan) / median(other)
        print(f"{'plan / ' + name:<36}{best:>8.3f}x{middle:>8.3f}x")
    ratio = median(plan) / median(torch)
    print(f"aim: at most {AIM:.3f} of import torch: {'met' if ratio <= AIM else 'missed'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
