r"""Processes that make the arrays of steps ahead of the trainer, in an order that changes nothing

    trainer --(stage, step)--> worker step % N --arrays--> trainer        over its stdin and stdout

A step's arrays are a function of the step, so it is all one who makes them: each worker reads the
lock, opens the data for itself, and has one step under way. A worker lives as long as its pipes:
the trainer may be killed at any moment, and it ends with the step that it has under way. Signals
are the trainer's business. No worker loads torch.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from curriculum.data.store import Source
from curriculum.errors import RunError
from curriculum.lock import read_lock, write_lock
from curriculum.plan import Plan, Stage
from curriculum.train.feed import Drawn, drawing, open_data
from curriculum.train.launch import Launch
from curriculum.train.pipes import receive, send

_PATIENCE_S = 5.0
_START = "from curriculum.train.packers import work; work()"


@dataclass(frozen=True, slots=True)
class _Work:
    """What a worker must know before its first step."""

    lock: str
    data: Path
    launch: Launch
    device: str


class Packers:
    """Worker processes, while entered; RunError where one of them is gone."""

    def __init__(self, plan: Plan, launch: Launch, device: str, count: int) -> None:
        # Paths as they are seen from here, for a worker that finds the program as this one did.
        paths = os.pathsep.join(str(Path(path).resolve()) for path in sys.path)
        environment = {**os.environ, "PYTHONPATH": paths}
        with _signals_blocked():  # and they are in the workers, from their first moment on
            self._workers = [
                subprocess.Popen(
                    [sys.executable, "-c", _START],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    env=environment,
                    process_group=0,  # a terminal's Ctrl-C is for the trainer
                )
                for _ in range(count)
            ]
        work = _Work(write_lock(plan), launch.data, launch, device)
        for worker in self._workers:
            assert worker.stdin is not None
            with suppress(OSError):  # of one that is gone its first step is missed
                send(worker.stdin, work)

    def maker(self, stage: Stage, steps: range) -> Callable[[int], Drawn]:
        """Return what makes the arrays of `steps` of a stage; each is asked for once, in order."""
        count = len(self._workers)
        for step in steps[:count]:
            self._ask(stage, step)

        def make(step: int) -> Drawn:
            drawn = self._answer(stage, step)
            if step + count < steps.stop:
                self._ask(stage, step + count)
            return drawn

        return make

    def close(self) -> None:
        """End all workers, whatever they are doing."""
        for worker in self._workers:
            for pipe in (worker.stdin, worker.stdout):
                assert pipe is not None
                with suppress(OSError):
                    pipe.close()
        for worker in self._workers:
            try:
                worker.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(self, stage: Stage, step: int) -> None:
        worker = self._workers[step % len(self._workers)]
        assert worker.stdin is not None
        with suppress(OSError):  # its answer is missed, and that is told
            send(worker.stdin, (stage.name, step))

    def _answer(self, stage: Stage, step: int) -> Drawn:
        worker = self._workers[step % len(self._workers)]
        assert worker.stdout is not None
        try:
            answer = receive(worker.stdout)
        except (EOFError, OSError):
            raise RunError(
                f"stage `{stage.name}`, step {step}: the process that packs its data is gone "
                f"({_end_of(worker)}); go on with --resume, or with --workers 0"
            ) from None
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, Drawn)
        return answer


def work() -> None:
    """Make the arrays of the steps that stdin asks for, until nobody asks any more."""
    requests = sys.stdin.buffer
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what is printed here is no answer
    with suppress(EOFError, BrokenPipeError):
        _serve(receive(requests), requests, answers)
    os._exit(0)  # nothing is left to be written, and nobody to read it


def _serve(asked: _Work, requests: IO[bytes], answers: IO[bytes]) -> None:
    plan = read_lock(asked.lock, "the plan's lock")
    sources: dict[str, Source] = {}
    makers: dict[str, Callable[[int], Drawn]] = {}
    while True:
        name, step = receive(requests)
        try:
            # The trainer has verified the fingerprints.
            sources = sources or open_data(plan, plan.stages, asked.data, verify=False)
            if name not in makers:
                stage = plan.stage(name)
                makers = {name: drawing(plan, stage, sources, asked.launch, asked.device)}
            answer: Drawn | Exception = makers[name](step)
        except Exception as error:  # it is raised where the step is asked for
            answer = error
        send(answers, answer)


@contextmanager
def _signals_blocked() -> Iterator[None]:
    before = signal.pthread_sigmask(
        signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    )
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_of(worker: subprocess.Popen[bytes]) -> str:
    try:
        code = worker.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:
        return "it closed its pipe"
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"it ended with code {code}"
