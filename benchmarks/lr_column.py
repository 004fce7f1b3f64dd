"""LR column of the full plan against stepping torch's SequentialLR for the same steps"""

import argparse
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LinearLR, SequentialLR

from curriculum.compile import compile_file
from curriculum.plan import Plan

ROOT = Path(__file__).parents[1]
AIM = 30
PEAK_LR = 4.2e-4
WARMUP_STEPS = 2000
STAGES = ("text", "joint", "cooldown", "long-32k", "long-128k")  # the path that trains the LLM


def planned(plan: Plan) -> list[float]:
    """Return the LLM's LR at every step of the path, stage after stage."""
    column: list[float] = []
    for name in STAGES:
        stage = plan.stage(name)
        steps = range(stage.steps)
        curve = stage.lr_of("llm")
        assert curve is not None, f"{name} has no LR for llm"
        column += curve.values(steps, stage.clock_tokens(steps))
    return column


def stepped(num_steps: int, cosine_steps: int) -> list[float]:
    """Return the LR of `num_steps` steps of torch's nearest scheduler: warm-up, cosine, constant.

    torch has no clock in tokens and no hand-over between stages, so this is the same number of
    steps, not the same curve.
    """
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK_LR)
    schedule = SequentialLR(
        optimizer,
        [
            LinearLR(optimizer, start_factor=1e-8, total_iters=WARMUP_STEPS),
            CosineAnnealingLR(optimizer, T_max=cosine_steps, eta_min=PEAK_LR / 10),
            ConstantLR(optimizer, factor=0.1, total_iters=num_steps),
        ],
        milestones=[WARMUP_STEPS, WARMUP_STEPS + cosine_steps],
    )
    column: list[float] = []
    for _ in range(num_steps):
        column.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return column


def times_s(work: Callable[[], list[float]], rounds: int) -> list[float]:
    """Return the wall time of each of `rounds` calls, in seconds."""
    spent = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        spent.append(time.perf_counter() - start)
    return spent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    # SequentialLR steps its own members with the epoch argument that torch deprecates.
    warnings.filterwarnings("ignore", message=r"The epoch parameter in `scheduler\.step\(\)`")

    plan = compile_file(ROOT / "plans" / "kimi-vl.yaml").plan
    assert plan is not None, "plans/kimi-vl.yaml does not compile"
    num_steps = len(planned(plan))
    cosine_steps = plan.stage("text").steps - WARMUP_STEPS
    ours_s = times_s(lambda: planned(plan), rounds)
    torchs_s = times_s(lambda: stepped(num_steps, cosine_steps), rounds)

    print(f"Python {platform.python_version()}, torch {torch.__version__}, {os.cpu_count()} CPUs")
    print(f"{num_steps:,} steps of {', '.join(STAGES)}; {rounds} rounds{'':<6}best   median")
    for name, spent in (("curriculum, values(range)", ours_s), ("torch, SequentialLR", torchs_s)):
        per_step_us = 1e6 * median(spent) / num_steps
        print(f"{name:<28}{min(spent):>9.3f}s{median(spent):>8.3f}s{per_step_us:>8.2f} us/step")
    ratio = median(torchs_s) / median(ours_s)
    print(f"torch / curriculum {ratio:.1f}x (aim {AIM}x: {'met' if ratio >= AIM else 'missed'})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
