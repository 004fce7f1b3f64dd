"""What a person sees while a run goes on: a live line on a terminal, else a line every 10 s

Everything goes to stderr: stdout belongs to the results. Nothing a user wrote is read as markup.
"""

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from curriculum.units import rounded_in_words

if TYPE_CHECKING:
    from rich.live import Live


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands after one step."""

    stage: str
    step: int  # the step that was just done, from 0
    steps: int
    tokens: int  # of the stage, this step included
    loss: float
    lr: Mapping[str, float]
    mix: Mapping[str, float]  # share of each source in this step
    tokens_per_s: float
    left_s: float | None  # until the end of the run


class Console:
    """Shows progress and says sentences; `close` ends the live line.

    rich is loaded for a terminal only: a machine that trains need not have it.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        every_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stream = sys.stderr if stream is None else stream
        self.every_s = every_s
        self.clock = clock
        self._said_s: float | None = None
        self._live: Live | None = None

    def show(self, progress: Progress) -> None:
        """Show where the run stands: at once on a terminal, else when it is time for a line.

        The first and the last step of a stage always have their line.
        """
        if self.stream.isatty():
            self._show_live(line(progress))
            return
        now_s = self.clock()
        is_edge = progress.step in (0, progress.steps - 1)
        if is_edge or self._said_s is None or now_s - self._said_s >= self.every_s:
            self._said_s = now_s
            self.say(line(progress))

    def say(self, sentence: str) -> None:
        """Print one sentence, above the live line where there is one."""
        if self._live is not None:
            self._live.console.print(sentence, markup=False, highlight=False, soft_wrap=True)
        else:
            print(sentence, file=self.stream, flush=True)

    def close(self) -> None:
        """End the live line."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _show_live(self, words: str) -> None:
        from rich.console import Console as RichConsole
        from rich.live import Live
        from rich.text import Text

        if self._live is None:
            console = RichConsole(file=self.stream)
            self._live = Live(console=console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(Text(words, no_wrap=True, overflow="ellipsis"), refresh=True)


def line(progress: Progress) -> str:
    """Say in one line where a run stands.

    >>> line(Progress("text", 9, 40, 40_960, 4.5, {"llm": 4e-4}, {"web": 1.0}, 8000.0, 75.0))
    'text 10/40  41K tok  loss 4.5000  lr 4e-4  web 100%  8K tok/s  ETA 1:15'
    """
    p = progress
    words = [
        f"{p.stage} {p.step + 1}/{p.steps}",
        f"{rounded_in_words(p.tokens)} tok",
        f"loss {p.loss:.4f}",
        lr_words(p.lr),
        " ".join(f"{name} {share:.0%}" for name, share in p.mix.items() if share),
        f"{rounded_in_words(round(p.tokens_per_s))} tok/s",
    ]
    if p.left_s is not None:
        words.append(f"ETA {duration_words(p.left_s)}")
    return "  ".join(words)


def lr_words(lr: Mapping[str, float]) -> str:
    """Say the learning rates: one number where all modules have the same.

    >>> lr_words({"llm": 4.2e-4, "vit": 4.2e-4}), lr_words({"llm": 1e-4, "vit": 1.5e-5})
    ('lr 4.2e-4', 'lr llm 1e-4 vit 1.5e-5')
    """
    if len(set(lr.values())) == 1:
        return f"lr {short_float(next(iter(lr.values())))}"
    return "lr " + " ".join(f"{name} {short_float(x)}" for name, x in lr.items())


def short_float(x: float) -> str:
    """Write a small number as people write learning rates.

    >>> short_float(4.2e-4), short_float(0.0), short_float(3.34576e-5)
    ('4.2e-4', '0', '3.346e-5')
    """
    if x == 0:
        return "0"
    mantissa, _, exponent = f"{x:.3e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def duration_words(seconds: float) -> str:
    """Write a duration.

    >>> duration_words(75.4), duration_words(3 * 3600 + 62)
    ('1:15', '3:01:02')
    """
    whole = max(0, round(seconds))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
