"""Where the time of a training step goes on a CPU: products, attention, optimizer, all else

One of the Llamas of cpu.py, trained by curriculum as `curriculum train` does, under torch's
profiler for some steps. Shares are of the time of the main thread, which waits for all others.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path
from typing import get_args

from curriculum.train.launch import default_threads, prepare_environment
from curriculum.train.summary import aligned
from peers.ours import train_world
from peers.world import SIZES, Documents, make_world

ATTENTION = "curriculum::packed_attention"
WARM_UP = 6  # steps, with what is compiled in the first of them

Shares = dict[str, float]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--documents", choices=get_args(Documents), default="packed")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="bf16")
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    parser.add_argument("--threads", type=int, default=default_threads())
    parser.add_argument("--steps", type=int, default=8)
    asked = parser.parse_args()
    prepare_environment()  # before torch is imported
    found = {size: profiled(size, asked) for size in asked.sizes}
    rows: list[tuple[str, ...]] = [("share of a step", *found)]
    for what in next(iter(found.values())):
        rows.append((what, *(f"{shares[what]:.1%}" for shares in found.values())))
    for line in aligned(rows, left=(0,)):
        print(line)
    return 0


def profiled(size: str, asked: argparse.Namespace) -> Shares:
    """Train one size, and return each part's share of the steps that were looked at."""
    from torch.profiler import ProfilerActivity, profile

    from curriculum.train.console import Progress

    folder = Path(tempfile.mkdtemp(prefix="curriculum-profile-"))
    try:
        steps = WARM_UP + asked.steps
        world = make_world(folder / "world", SIZES[size], steps, asked.documents)
        looking, done = profile(activities=[ProfilerActivity.CPU]), 0

        def show(progress: Progress) -> None:
            nonlocal done
            done += 1
            if done == WARM_UP:
                looking.start()
            if done == steps:
                looking.stop()

        how = asked.precision, asked.threads, asked.compile
        train_world(world.folder, folder / "run", show, *how)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    own = {event.key: event.self_cpu_time_total for event in looking.key_averages()}
    whole = {event.key: event.cpu_time_total for event in looking.key_averages()}
    parts = {
        "products of layers and head": own["aten::mm"],
        "attention": sum(us for key, us in whole.items() if key.startswith(ATTENTION)),
        "optimizer": whole["aten::_fused_adamw_"],
    }
    total = sum(own.values())
    shares = {what: us / total for what, us in parts.items()}
    return {**shares, "all else": 1 - sum(shares.values())}


if __name__ == "__main__":
    sys.exit(main())
