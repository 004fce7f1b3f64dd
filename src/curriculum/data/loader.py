"""The rows of any step of a stage, and their batches, without any state but the step

    draws: counts per source --order--> the global order --stream--> rows --collate--> Packed

A rank or a micro-batch takes a contiguous slice of the global order; nothing here knows which.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from curriculum.data.collate import collate, drawn_hash
from curriculum.data.draws import Draws, order
from curriculum.data.packed import Packed
from curriculum.data.packing import Row
from curriculum.data.store import DataError, Source, Unit, open_source
from curriculum.data.stream import Reads, Stream, open_stream

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StageData:
    """What the data of a stage follows from; `history` and `holdout` may leave out sources.

    The context is `seq_len` from step 0 on; `later_contexts` are the steps at which it changes, and
    what it changes to.
    """

    draws: Draws
    seed: int
    seq_len: int
    unit: Unit
    history: Mapping[str, Sequence[Reads]]  # what the ancestors read of each source, furthest first
    holdout: Mapping[str, Fraction]
    later_contexts: tuple[tuple[int, int], ...] = ()
    packing: str = "best-fit"


@dataclass(frozen=True, slots=True)
class _Window:
    """The steps of one context, on from `first_step`; rows read before, and the streams."""

    first_step: int
    before: Mapping[str, int]
    streams: Mapping[str, Stream]


class StageReader:
    """Reads a stage's sequences at any step; every call is a pure function of its arguments."""

    def __init__(self, stage: StageData, sources: Mapping[str, Source]) -> None:
        """ValueError, naming the source, where one cannot be read as the stage asks."""
        missing = [name for name in stage.draws.names if name not in sources]
        if missing:
            raise DataError(f"no data for the sources {', '.join(missing)}")
        self._draws, self._across = stage.draws, stage.packing == "concat-across"
        self._sources = {name: sources[name] for name in stage.draws.names}
        self._windows: list[_Window] = []
        history = {name: list(stage.history.get(name, ())) for name in self._sources}
        contexts = [(0, stage.seq_len), *stage.later_contexts, (stage.draws.steps, 0)]
        for (first_step, seq_len), (end_step, _) in pairwise(contexts):
            before, after = stage.draws.before(first_step), stage.draws.before(end_step)
            self._windows.append(
                _Window(
                    first_step,
                    before,
                    {
                        name: open_stream(
                            source,
                            history[name],
                            stage.seed,
                            seq_len,
                            stage.unit,
                            stage.holdout.get(name, Fraction(0)),
                            stage.packing,
                        )
                        for name, source in self._sources.items()
                        # A source of which nothing is drawn need not be readable in this context.
                        if after[name] > before[name]
                    },
                )
            )
            for name, reads in history.items():
                rows = after[name] - before[name]
                reads.append(Reads(seq_len, rows, stage.unit, stage.packing))

    def rows(self, step: int, start: int = 0, stop: int | None = None) -> list[Row]:
        """Rows [start, stop) of a step, in the step's global order."""
        names, before = order(self._draws.counts(step)), self._draws.before(step)
        window = self._windows[bisect_right(self._windows, step, key=_first_step) - 1]
        places = []
        for name in names:
            places.append((name, before[name] - window.before[name]))
            before[name] += 1
        return [window.streams[name].row(k) for name, k in places[start:stop]]

    def pack(self, rows: Sequence[Row]) -> Packed:
        """Rows as one batch of arrays."""
        return collate(rows, self._sources, self._across)

    def drawn_hash(self, rows: Sequence[Row]) -> str:
        """A hash of the documents in some rows, for the ledger."""
        return drawn_hash(rows, self._sources)


def _first_step(window: _Window) -> int:
    return window.first_step


def open_sources(data: Path, names: Iterable[str], *, verify: bool = True) -> dict[str, Source]:
    """Open the folders of some sources below a data folder; DataError names what is wrong."""
    return {name: open_source(data / name, verify=verify) for name in names}


@contextmanager
def prefetched(make: Callable[[int], T], steps: range) -> Iterator[Iterator[T]]:
    """Make the next step's item in a thread while this one's is used; the items are the same.

    An exception in `make` is raised where its item is asked for. Leaving the block, also by an
    exception, waits for at most the one item under way.

    >>> with prefetched(lambda step: step * step, range(2, 5)) as items:
    ...     list(items)
    [4, 9, 16]
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="prefetch") as pool:

        def items() -> Iterator[T]:
            coming = [pool.submit(make, step) for step in steps[:1]]
            for step in steps:
                item = coming.pop().result()
                if step != steps[-1]:
                    coming.append(pool.submit(make, step + steps.step))
                yield item

        yield items()
