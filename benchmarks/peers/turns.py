"""Trainers as processes that take turns: started, asked for a round, compared

    Peer + settings --start--> process --round after round--> seconds of each step, losses

Only one of them computes at a time. What a trainer prints goes to a file of its own.
"""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

from curriculum.train.launch import prepare_environment

Precision = Literal["fp32", "bf16", "all-bf16"]
Waits = Literal["briefly", "openmp"]

HERE = Path(__file__).resolve().parent
OURS = "peers.ours"

WORDS: Mapping[str, str] = {
    "fp32": "fp32",
    "bf16": "bf16 over fp32 weights",
    "all-bf16": "all in bf16, weights too",
}


WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


class PeerError(RuntimeError):
    """A trainer ended before its time; the message holds its last words."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One trainer: the Python it runs in, and its module in this folder."""

    name: str
    python: Path
    module: str


@dataclass(frozen=True, slots=True)
class Settings:
    """What a trainer may choose for itself.

    Threads that wait spin `briefly` (1 ms, as curriculum sets it) and then sleep, or do as OpenMP
    does where nothing is set.
    """

    precision: Precision
    compile: bool
    threads: int
    waits: Waits = "briefly"

    def words(self) -> str:
        """Say them in a few words.

        >>> Settings("bf16", True, 1).words()
        'bf16 over fp32 weights, compiled, 1 thread'
        """
        compiled = "compiled" if self.compile else "as written"
        threads = f"{self.threads} thread" + ("s" if self.threads > 1 else "")
        waits = ", OpenMP's own waits" if self.waits == "openmp" else ""
        return f"{WORDS[self.precision]}, {compiled}, {threads}{waits}"


@dataclass(frozen=True, slots=True)
class Round:
    """What one round of steps took, and what was learned in it."""

    seconds: tuple[float, ...]  # wall time of each step
    cpu_s: float  # of all of them, all threads together
    losses: tuple[float, ...]
    versions: Mapping[str, str]


class Running:
    """A trainer under way; its first round, with all that comes before it, is a warm-up."""

    def __init__(self, process: "subprocess.Popen[str]", words: Path) -> None:
        self._process, self._words = process, words

    def first(self) -> Round:
        """Wait for the first round."""
        assert self._process.stdout is not None
        answer = self._process.stdout.readline()
        if not answer:
            said = self._words.read_text(encoding="utf-8", errors="replace").splitlines()
            raise PeerError(f"{self._words.stem} ended: " + "\n".join(said[-8:]))
        found = json.loads(answer)
        return Round(
            tuple(found["seconds"]), found["cpu_s"], tuple(found["losses"]), found["versions"]
        )

    def next(self) -> Round:
        """Ask for another round, and wait for it."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self.first()


@contextmanager
def running(
    peer: Peer, settings: Settings, world: Path, scratch: Path, rounds: int, steps: int
) -> Iterator[Running]:
    """Start a trainer on a world, and end it on leaving."""
    scratch.mkdir(parents=True)
    shape = json.loads((world / "shape.json").read_text(encoding="utf-8"))
    want = {"folder": str(world), "scratch": str(scratch), "shape": shape, "rounds": rounds}
    asked = scratch / "asked.json"
    asked.write_text(json.dumps({**want, "steps": steps, **asdict(settings)}), encoding="utf-8")
    words = scratch / f"{peer.name}.log"
    environment = {name: value for name, value in os.environ.items() if name not in WAITING}
    if settings.waits == "briefly":
        prepared: dict[str, str] = {}
        prepare_environment(prepared)
        environment |= {name: prepared[name] for name in WAITING}
    paths = [str(HERE.parent), *([str(HERE.parents[1] / "src")] if peer.module == OURS else [])]
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    if not settings.compile:
        environment["TORCHDYNAMO_DISABLE"] = "1"  # litgpt knows no other way
    with (
        words.open("w", encoding="utf-8") as log,
        subprocess.Popen(
            [str(peer.python), "-m", peer.module, str(asked)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment,
            cwd=scratch,
        ) as process,
    ):
        try:
            yield Running(process, words)
        finally:
            assert process.stdin is not None
            process.stdin.close()  # which ends it behind its round
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()


@dataclass(frozen=True, slots=True)
class Timed:
    """All rounds of one trainer but the warm-up."""

    peer: str
    settings: Settings
    rounds: tuple[Round, ...]
    first_loss: float  # of step 0

    @property
    def median_s(self) -> float:
        """Seconds of a step in the middle."""
        return median(second for one in self.rounds for second in one.seconds)

    @property
    def best_s(self) -> float:
        """Seconds of the quickest step."""
        return min(second for one in self.rounds for second in one.seconds)

    @property
    def cpu_s(self) -> float:
        """CPU seconds of a step, of the round in the middle."""
        return median(one.cpu_s / len(one.seconds) for one in self.rounds)

    @property
    def last_loss(self) -> float:
        """The loss of the last step."""
        return self.rounds[-1].losses[-1]


def in_turns(
    sides: Sequence[tuple[Peer, Settings]], world: Path, scratch: Path, rounds: int, steps: int
) -> list[Timed]:
    """Time trainers round by round, one after the other, after a warm-up of each."""
    with ExitStack() as stack:
        started = [
            stack.enter_context(
                running(peer, settings, world, scratch / str(at), rounds + 1, steps)
            )
            for at, (peer, settings) in enumerate(sides)
        ]
        found = [[one.first()] for one in started]
        for number in range(rounds):
            # Whoever goes first has what the others left of the machine: take turns in that too.
            turn = number % len(started)
            for at in [*range(turn, len(started)), *range(turn)]:
                found[at].append(started[at].next())
    return [
        Timed(peer.name, settings, tuple(rest), first.losses[0])
        for (peer, settings), (first, *rest) in zip(sides, found, strict=True)
    ]


def quickest(
    peer: Peer, candidates: Sequence[Settings], world: Path, scratch: Path, steps: int
) -> list[Timed]:
    """Try settings one after the other, a warm-up and two rounds each; the least CPU time first."""
    found = []
    for number, settings in enumerate(candidates):
        folder = scratch / f"{peer.name}-{number}"
        found += in_turns([(peer, settings)], world, folder, 2, steps)
    return sorted(found, key=lambda timed: timed.cpu_s)


def as_json(timed: Timed) -> dict[str, Any]:
    """Return a trainer's times as JSON has them."""
    return {
        "trainer": timed.peer,
        "settings": asdict(timed.settings),
        "versions": dict(timed.rounds[0].versions),
        "median_s": timed.median_s,
        "best_s": timed.best_s,
        "cpu_s": timed.cpu_s,
        "first_loss": timed.first_loss,
        "last_loss": timed.last_loss,
    }
