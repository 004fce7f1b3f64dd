"""Rounds of steps on call: how the trainers of cpu.py take turns, in whatever Python each lives

    driver --a line on stdin--> one round of steps --{"seconds", "cpu_s", ...} on stdout--> driver

Only the standard library is imported: this file is read by every environment.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Losses = Callable[[], list[float]]
"""The losses of the steps since it was last asked."""


class Gate:
    """Stands behind every step: counts, times, and at the end of a round waits for the next.

    The first round begins at once, with all that a trainer does before its first step.
    """

    def __init__(self, steps: int, losses: Losses, about: Mapping[str, Any]) -> None:
        self._steps, self._losses, self._about = steps, losses, about
        self._seconds: list[float] = []
        # Whatever a library prints goes to stderr: stdout is the driver's.
        self._answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        self._began_s, self._began_cpu_s = time.perf_counter(), time.process_time()

    def step_done(self) -> None:
        """Note a step; SystemExit where the driver asks for no more."""
        self._seconds.append(time.perf_counter() - self._began_s)
        if len(self._seconds) == self._steps:
            cpu_s = time.process_time() - self._began_cpu_s
            found = {"seconds": self._seconds, "cpu_s": cpu_s, "losses": self._losses()}
            answer = {**found, **self._about}
            print(json.dumps(answer), file=self._answers, flush=True)
            if not sys.stdin.readline():
                raise SystemExit(0)
            self._seconds, self._began_cpu_s = [], time.process_time()
        self._began_s = time.perf_counter()


def asked() -> dict[str, Any]:
    """Read what the driver asks for: a file of JSON, the only argument."""
    found: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    return found
