"""Training tokens/s on a CPU beside Hugging Face's Trainer and litgpt's pretraining loop

The same model (a Llama, from the same weights), the same tokens in the same rows, the same AdamW:
every trainer's loss is printed, and they agree. Each is a process in an environment of its own, at
the settings that took the least CPU time in a short trial (wall time would choose by luck where
other work goes on), and the way to wait for threads that took the least wall time. Then they take
turns, round by round, so that whatever else the machine does is everyone's. Nothing is evaluated,
logged or saved within a round.

`whole` documents fill a row each: then all three compute the same thing. `packed` documents share
rows: curriculum computes attention document by document, transformers masks, litgpt lets attention
cross documents.

The aim is told by wall time, and by CPU time, all threads together, which other work moves less.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from curriculum.train.launch import default_threads, prepare_environment
from curriculum.train.summary import aligned
from peers.environments import environment
from peers.turns import Peer, PeerError, Settings, Timed, as_json, in_turns, quickest
from peers.world import BATCH_SEQS, SEQ_LEN, SIZES, Documents, World, make_world

ROOT = Path(__file__).parents[1]
AIM = 1.3
SAME = 0.02  # nats between losses before the first update: more is another model
OURS = "curriculum"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument(
        "--documents", nargs="+", choices=get_args(Documents), default=list(get_args(Documents))
    )
    parser.add_argument("--threads", type=int, default=default_threads(), help="of everyone")
    parser.add_argument("--rounds", type=int, default=6, help="of each, in turns")
    parser.add_argument("--steps", type=int, default=4, help="of each round")
    parser.add_argument("--trial-steps", type=int, default=2, help="of each round of a trial")
    parser.add_argument(
        "--environments",
        type=Path,
        default=ROOT / "runs" / "peers",
        help="where the peers' environments are, or are made (some GB)",
    )
    parser.add_argument("--out", type=Path, help="write the numbers as json too")
    asked = parser.parse_args()
    prepare_environment()  # before torch is imported
    import torch

    try:
        theirs = [
            Peer(name, environment(asked.environments, name, torch.__version__), module)
            for name, module in (("hf", "peers.hf"), ("litgpt", "peers.litgpt_run"))
        ]
    except subprocess.CalledProcessError as error:
        sys.exit(f"error: {error}")
    peers = [Peer(OURS, Path(sys.executable), "peers.ours"), *theirs]
    print(f"Python {platform.python_version()}, torch {torch.__version__}, {os.cpu_count()} CPUs")
    print(f"{BATCH_SEQS * SEQ_LEN:,} tokens a step in rows of {SEQ_LEN}", flush=True)
    found = []
    for size in asked.sizes:
        chosen: dict[str, Settings] = {}
        for documents in asked.documents:
            try:
                found.append(compare(peers, size, documents, chosen, asked))
            except PeerError as error:
                sys.exit(f"error: {error}")
            if asked.out is not None:  # a run that is cut off leaves what there was
                about = {"torch": torch.__version__, "cpus": os.cpu_count(), "aim": AIM}
                asked.out.write_text(json.dumps({**about, "found": found}, indent=1) + "\n")
    return 0 if all(one["same_model"] for one in found) else 1


def compare(
    peers: Sequence[Peer],
    size: str,
    documents: Documents,
    chosen: dict[str, Settings],
    asked: argparse.Namespace,
) -> dict[str, Any]:
    """Compare the trainers on one world; print the table, and return it for json.

    `chosen` holds each trainer's settings once they were tried for this size.
    """
    folder = Path(tempfile.mkdtemp(prefix="curriculum-cpu-"))
    try:
        steps = max((asked.rounds + 1) * asked.steps, 3 * asked.trial_steps)
        world = make_world(folder / "world", SIZES[size], steps, documents)
        trials: list[Timed] = []
        for peer in peers:
            if peer.name not in chosen:
                tried = try_out(peer, world.folder, folder / "trials", asked)
                chosen[peer.name] = tried[0].settings
                trials += tried
        for line in trial_lines(trials):
            print(line, flush=True)
        sides = [(peer, chosen[peer.name]) for peer in peers]
        timed = in_turns(sides, world.folder, folder / "turns", asked.rounds, asked.steps)
        load = os.getloadavg()[0]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for line in table(size, documents, world, timed, load):
        print(line, flush=True)
    return {
        "size": size,
        "params": world.params,
        "documents": documents,
        "load": load,
        "trials": [as_json(one) for one in trials],
        "timed": [as_json(one) for one in timed],
        "same_model": all(same_model(timed[0], other) for other in timed[1:]),
        "ratios": [ratios(timed[0], other) for other in timed[1:]],
    }


def try_out(peer: Peer, world: Path, scratch: Path, asked: argparse.Namespace) -> list[Timed]:
    """Time a trainer at each of its settings for a few steps; what it shall have comes first."""
    made = candidates(peer, asked.threads)
    tried = quickest(peer, made, world, scratch, asked.trial_steps)
    best = next(one for one in tried if one.settings.precision != "all-bf16")
    rest = [one for one in tried if one is not best]
    if peer.name == OURS:
        return [best, *rest]
    # Whoever spins burns CPU time for it, so of the two ways to wait the quicker by wall is taken.
    spins = replace(best.settings, waits="openmp")
    other = in_turns([(peer, spins)], world, scratch / f"{peer.name}-waits", 2, asked.trial_steps)
    return [*sorted([best, *other], key=lambda timed: timed.best_s), *rest]


def candidates(peer: Peer, threads: int) -> list[Settings]:
    """Return the settings that a trainer is tried at.

    `all-bf16` is tried where a trainer has it, and told: its weights are bf16 too, so it loses
    updates that are smaller than a 256th of a weight, and is not what the others compute.
    """
    found = [Settings(kind, how, threads) for kind in ("fp32", "bf16") for how in (False, True)]
    if peer.name != OURS:
        found += [Settings("all-bf16", how, threads) for how in (False, True)]
    return found


def trial_lines(trials: Sequence[Timed]) -> list[str]:
    """Write what each trial took."""
    if not trials:
        return []
    rows: list[tuple[str, ...]] = [("  trial of", "settings", "s a step", "CPU s")]
    for one in trials:
        rows.append(
            (f"  {one.peer}", one.settings.words(), f"{one.best_s:.3f}", f"{one.cpu_s:.3f}")
        )
    return aligned(rows, left=(0, 1))


def same_model(ours: Timed, other: Timed) -> bool:
    """Whether two trainers had the same loss before their first update."""
    return abs(ours.first_loss - other.first_loss) < SAME


def ratios(ours: Timed, other: Timed) -> dict[str, Any]:
    """How many times as quick as another trainer ours is."""
    return {
        "against": other.peer,
        "median": other.median_s / ours.median_s,
        "best": other.best_s / ours.best_s,
        "cpu": other.cpu_s / ours.cpu_s,
    }


def table(
    size: str, documents: str, world: World, timed: Sequence[Timed], load: float
) -> list[str]:
    """Write what was measured, with the ratios against each peer."""
    tokens = BATCH_SEQS * SEQ_LEN
    rows: list[tuple[str, ...]] = [
        ("", "median", "best", "per CPU s", "first loss", "last loss", "settings")
    ]
    for one in timed:
        versions = " ".join(f"{k} {v}" for k, v in one.rounds[0].versions.items() if k != "torch")
        rates = (f"{tokens / s:,.0f} tok/s" for s in (one.median_s, one.best_s, one.cpu_s))
        name = f"  {one.peer}" + (f" ({versions})" if versions else "")
        losses = (f"{loss:.4f}" for loss in (one.first_loss, one.last_loss))
        rows.append((name, *rates, *losses, one.settings.words()))
    for other in timed[1:]:
        found = ratios(timed[0], other)
        verdict = _verdict(found) if same_model(timed[0], other) else "NOT THE SAME MODEL"
        rows.append((f"  {OURS} / {other.peer}", *_times(found), "", "", verdict))
    head = f"{size} ({world.params:,} parameters), {documents} documents, load {load:.1f}"
    return [head, *aligned(rows, left=(0, 6))]


def _times(found: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(f"{found[what]:.2f}x" for what in ("median", "best", "cpu"))


def _verdict(found: Mapping[str, Any]) -> str:
    wall, cpu = ("met" if found[what] >= AIM else "missed" for what in ("median", "cpu"))
    return f"aim {AIM}: {wall} by the median, {cpu} by CPU time"


if __name__ == "__main__":
    sys.exit(main())
