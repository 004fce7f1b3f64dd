"""Cold start of `curriculum plan` on every plan, against `import torch` and an empty interpreter"""

import argparse
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
AIM = 1 / 8  # of `import torch`, for a planner without pydantic
PLANS_BETWEEN = 8  # fresh imports of torch: a slow moment of the machine hits both
# Bytecode is cached, as it is for whoever installs: torch's was compiled when it was installed.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


class Spent(NamedTuple):
    """What one process took, in seconds; other work on the machine hardly moves `cpu_s`."""

    wall_s: float
    cpu_s: float  # user and system


def spent_by(command: list[str]) -> Spent:
    """Run `command` once in a fresh process."""
    before, start = getrusage(RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT
    )
    wall_s, after = time.perf_counter() - start, getrusage(RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Spent(wall_s, used)


def middle(spent: list[Spent]) -> Spent:
    return Spent(median(one.wall_s for one in spent), median(one.cpu_s for one in spent))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("plans", nargs="*", type=Path, help="all files of plans/ if none is named")
    parser.add_argument("--rounds", type=int, default=9, help="fresh processes of each plan")
    asked = parser.parse_args()
    plans = asked.plans or sorted((ROOT / "plans").glob("*.yaml"))

    script = shutil.which("curriculum", path=Path(sys.executable).parent)
    if script is None:
        sys.exit("curriculum is not installed beside this Python: make setup")
    empty, torch = [sys.executable, "-c", "pass"], [sys.executable, "-c", "import torch"]
    commands = [[script, "plan", str(plan)] for plan in plans]
    turn = [empty]
    for index, command in enumerate(commands):
        turn += [torch, command] if index % PLANS_BETWEEN == 0 else [command]

    # One round unmeasured, so that every file is in the page cache and compiled.
    measured: dict[str, list[Spent]] = {}
    for number in range(asked.rounds + 1):
        for command in turn:
            spent = spent_by(command)
            if number:
                measured.setdefault(" ".join(command), []).append(spent)

    base = middle(measured[" ".join(torch)])
    names = [*(plan.name for plan in plans), "python -c pass", "python -c 'import torch'"]
    rows = []
    for name, command in zip(names, [*commands, empty, torch], strict=True):
        now = middle(measured[" ".join(command)])
        rows.append((name, now, now.wall_s / base.wall_s, now.cpu_s / base.cpu_s))
    told = rows[: len(plans)]
    worst = max(cpu for _, _, _, cpu in told)
    print(f"Python {platform.python_version()}, {os.cpu_count()} CPUs, {asked.rounds} rounds each")
    print("medians, and their ratios to import torch")
    print(f"{'':<28}{'wall':>9}{'CPU':>9}{'wall':>9}{'CPU':>9}")
    for name, now, wall, cpu in rows:
        mark = "  worst" if cpu == worst else ""
        print(f"{name:<28}{now.wall_s:>8.3f}s{now.cpu_s:>8.3f}s{wall:>8.3f}x{cpu:>8.3f}x{mark}")
    by_wall = sum(wall <= AIM for _, _, wall, _ in told)
    by_cpu = sum(cpu <= AIM for _, _, _, cpu in told)
    print(
        f"aim: at most {AIM:.3f} of import torch on every plan: "
        f"{'met' if by_wall == len(plans) else 'missed'} "
        f"({by_wall} of {len(plans)} by wall time, {by_cpu} by CPU time)"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
