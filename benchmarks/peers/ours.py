"""curriculum's trainer as `curriculum train` runs it, in rounds: one of the peers of cpu.py

Everything that a run does is done: the run's folder, the measured ledger, metrics, the audit; no
evaluation, and no checkpoint within a round.
"""

from pathlib import Path

from curriculum.train.launch import Launch, prepare_environment
from peers.rounds import Gate, asked


def main() -> None:
    prepare_environment()  # before torch is imported
    from curriculum.lock import read_lock
    from curriculum.train.console import Console, Progress
    from curriculum.train.execute import Request, run_plan

    want = asked()
    folder = Path(want["folder"])
    lock_text = (folder / "plan.lock.json").read_text(encoding="utf-8")
    plan = read_lock(lock_text, "plan.lock.json")
    import torch

    losses: list[float] = []

    def taken() -> list[float]:
        found = losses[:]
        losses.clear()
        return found

    gate = Gate(want["steps"], taken, {"versions": {"torch": torch.__version__}})

    def show(progress: Progress) -> None:
        losses.append(progress.loss)
        gate.step_done()

    console = Console(every_s=1e9)
    console.show = show  # type: ignore[method-assign]
    launch = Launch(
        folder / "data",
        device="cpu",
        precision="bf16" if want["precision"] == "bf16" else "fp32",
        threads=want["threads"],
        compiles=want["compile"],
        checkpoint_every_steps=1_000_000,
        evaluates=False,
    )
    run_plan(Request(plan, lock_text, launch, Path(want["scratch"]) / "run"), console)


if __name__ == "__main__":
    main()
