"""Microseconds to ask one step of the full plan, by `at` with everything read and by ranges"""

import argparse
import platform
import random
import sys
import time
from pathlib import Path

from curriculum.compile import compile_file
from curriculum.plan import Stage

ROOT = Path(__file__).parents[1]
AIM_US = 10


def at_us(stage: Stage, steps: list[int]) -> float:
    """Return microseconds per `at` at these steps, with LR, shares, ratios, loss and set read."""
    begin = time.perf_counter()
    for step in steps:
        now = stage.at(step)
        now.lr, now.shares, now.ratios, now.loss, now.settings, now.batch_seqs, now.tokens  # noqa: B018
    return (time.perf_counter() - begin) / len(steps) * 1e6


def range_us(stage: Stage) -> float:
    """Return microseconds per step of all LRs of the stage, as ranges."""
    begin = time.perf_counter()
    steps = range(stage.steps)
    tokens = stage.clock_tokens(steps)
    for curve in {id(curve): curve for curve in stage.lr.values() if curve is not None}.values():
        curve.values(steps, tokens)
    return (time.perf_counter() - begin) / stage.steps * 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plan", type=Path, default=ROOT / "plans" / "kimi-vl.yaml")
    parser.add_argument("--steps", type=int, default=5000, help="random steps of each stage")
    args = parser.parse_args()
    plan = compile_file(args.plan).plan
    if plan is None:
        print(f"{args.plan} does not compile", file=sys.stderr)
        return 1
    print(f"Python {platform.python_version()}, {platform.machine()}; best of 3")
    print(f"{'stage':<12}{'steps':>9}{'at':>10}{'range':>10}")
    dealt = random.Random(0)
    worst = 0.0
    for stage in plan.stages:
        steps = [dealt.randrange(stage.steps) for _ in range(args.steps)]
        each = min(at_us(stage, steps) for _ in range(3))
        ranged = min(range_us(stage) for _ in range(3))
        worst = max(worst, each)
        print(f"{stage.name:<12}{stage.steps:>9,}{each:>7.2f} us{ranged:>7.2f} us")
    print(f"slowest `at`: {worst:.2f} us (aim: below {AIM_US})")
    return 0 if worst < AIM_US else 1


if __name__ == "__main__":
    sys.exit(main())
