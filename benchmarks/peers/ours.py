"""curriculum's trainer as `curriculum train` runs it, in rounds: one of the peers of cpu.py

Everything that a run does is done: the run's folder, the measured ledger, metrics, the audit; no
evaluation, and no checkpoint within a round.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from curriculum.train.launch import Launch, prepare_environment
from peers.rounds import Gate, asked

if TYPE_CHECKING:
    from curriculum.train.console import Progress
    from curriculum.train.launch import Precision


def main() -> None:
    prepare_environment()  # before torch is imported
    import torch

    want = asked()
    losses: list[float] = []

    def taken() -> list[float]:
        found = losses[:]
        losses.clear()
        return found

    gate = Gate(want["steps"], taken, {"versions": {"torch": torch.__version__}})

    def show(progress: "Progress") -> None:
        losses.append(progress.loss)
        gate.step_done()

    precision: Precision = "bf16" if want["precision"] == "bf16" else "fp32"
    run = Path(want["scratch"]) / "run"
    train_world(Path(want["folder"]), run, show, precision, want["threads"], want["compile"])


def train_world(
    folder: Path,
    run: Path,
    show: "Callable[[Progress], None]",
    precision: "Precision",
    threads: int,
    compiles: bool,
) -> None:
    """Train on a world as `curriculum train` does; `show` hears of every step."""
    from curriculum.lock import read_lock
    from curriculum.train.console import Console
    from curriculum.train.execute import Request, run_plan

    lock_text = (folder / "plan.lock.json").read_text(encoding="utf-8")
    plan = read_lock(lock_text, "plan.lock.json")
    console = Console(every_s=1e9)
    console.show = show  # type: ignore[method-assign,assignment]
    launch = Launch(
        folder / "data",
        device="cpu",
        precision=precision,
        threads=threads,
        compiles=compiles,
        checkpoint_every_steps=1_000_000,
        evaluates=False,
    )
    run_plan(Request(plan, lock_text, launch, run), console)


if __name__ == "__main__":
    main()
