"""A source as an endless row of packed sequences, any of which can be asked for

    epoch keys --permute--> documents --windows--> spans --pack--> rows --permute--> row(k)

Nothing is remembered between rows. What the ancestors of a stage read of a source (`Reads`) says
where its reading goes on: with the same context it simply runs on; after another context, what was
not yet read of the last window comes first, so that every token is still read once in each epoch.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from itertools import groupby, repeat
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from curriculum.data.packing import Row, Span, best_fit, blocks_of, cut, exact_fill, in_order
from curriculum.data.permute import derive_key
from curriculum.data.permute_many import permutation, permute_many
from curriculum.data.store import Source, Unit, held_out

WINDOW_DOCS = 256
WINDOW_ROWS = 64  # windows that pad grow to about this many rows, so that the last one costs little
_WINDOWS_KEPT = 4

VERSION = "windows-1"
"""The name of this order of reading; whoever changes the order changes the name."""


@dataclass(frozen=True, slots=True)
class Reads:
    """What one stage read of a source: so many rows of this context, in this unit."""

    seq_len: int
    rows: int
    unit: Unit = "llm"
    packing: str = "best-fit"

    @property
    def fill(self) -> str:
        """How its rows were filled; what attention crosses is nothing to the order of reading."""
        return self.packing.removesuffix("-across")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where reading goes on: spans left over from a window, then the stream of documents.

    `after` counts tokens of the stream for text, documents for what is padded.
    """

    left: tuple[Span, ...] = ()
    after: int = 0


class _Epochs:
    """The documents that may be read, dealt anew for every epoch."""

    def __init__(self, source: Source, seed: int, unit: Unit, holdout: Fraction) -> None:
        lengths = source.lengths(unit)
        # In both units the same documents: what has no images is dealt too, and is of no length.
        docs = source.docs(~held_out(source, holdout))
        if not lengths[docs].any():
            raise ValueError(
                f"source `{source.about.name}` has no document to read in units of `{unit}` "
                f"(holdout {holdout})"
            )
        self.source, self.seed, self.unit = source, seed, unit
        self.size, self.total = len(docs), int(lengths[docs].sum())
        self.lengths, self._docs = lengths, docs
        self.epoch = lru_cache(maxsize=_WINDOWS_KEPT)(self._epoch)

    def _epoch(self, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Documents in the order of this epoch, and where each ends in its stream; both [size]."""
        key = derive_key(self.seed, self.source.about.name, "documents", epoch)
        order = permute_many(key, self.size, np.arange(self.size))
        return self._docs[order], np.cumsum(self.lengths[self._docs[order]])

    def shuffled(
        self, window: int, seq_len: int, rows: Sequence[tuple[Span, ...]]
    ) -> list[tuple[Span, ...]]:
        key = derive_key(self.seed, self.source.about.name, "rows", self.unit, seq_len, window)
        return [rows[i] for i in permutation(key, len(rows))] if rows else []


class TextStream:
    """Rows without padding: each window packs the part of the token stream that fills whole rows.

    The stream is all epochs one behind the other. A window ends where its last document does,
    rounded down to whole rows: the rest, the last tokens of the window, is the head of the next
    one. So where a window begins follows from sums of lengths, without the packing of any other.
    """

    def __init__(
        self, epochs: _Epochs, place: _Place, seq_len: int, first_row: int, fill: str = "best-fit"
    ) -> None:
        self._epochs, self._place = epochs, place
        self._seq_len, self._first_row = seq_len, first_row
        self._fill = exact_fill if fill == "best-fit" else in_order
        self._left_len = sum(span.end - span.start for span in place.left)
        self._pack = lru_cache(maxsize=_WINDOWS_KEPT)(self._pack_window)

    def row(self, k: int) -> Row:
        """The k-th row that this stage reads of the source, k = 0, 1, ..."""
        k += self._first_row
        first, end, boundary = self._window(k)
        spans = self._pack(first, end, boundary)[k - first]
        return Row(self._epochs.source.about.name, self._seq_len, "llm", spans)

    def place_after(self, rows: int) -> _Place:
        """Where reading goes on after so many rows, for a stage of another context."""
        rows += self._first_row
        first, end, boundary = self._window(rows)
        unread: list[Span] = []
        if rows == first:
            end = first
        else:
            unread = [
                span for row in self._pack(first, end, boundary)[rows - first :] for span in row
            ]
        done = end * self._seq_len
        if done < self._left_len:
            return _Place(
                (*unread, *_between(self._place.left, done, self._left_len)), self._place.after
            )
        return _Place(tuple(unread), self._place.after + done - self._left_len)

    def _window(self, k: int) -> tuple[int, int, int]:
        """The window of row k: its first row, the row behind its last, its end in the stream."""
        start = self._place.after
        needed = start + (k + 1) * self._seq_len - self._left_len
        before, boundary = self._boundaries(max(needed, start, 1))
        first = (before - start + self._left_len) // self._seq_len if before >= start else 0
        return first, (boundary - start + self._left_len) // self._seq_len, boundary

    def _boundaries(self, at_least: int) -> tuple[int, int]:
        """The first end of a window at or after a token of the stream, and the end before it."""
        epoch = (at_least - 1) // self._epochs.total
        base = epoch * self._epochs.total
        ends = self._epochs.epoch(epoch)[1]
        first = int(ends.searchsorted(at_least - base)) // WINDOW_DOCS * WINDOW_DOCS
        before = base + int(ends[first - 1]) if first else base
        return before, base + int(ends[min(first + WINDOW_DOCS, len(ends)) - 1])

    def _pack_window(self, first: int, end: int, boundary: int) -> list[tuple[Span, ...]]:
        start, stop = first * self._seq_len, end * self._seq_len
        spans = _between(self._place.left, start, stop)
        offset = self._place.after - self._left_len
        spans += self._stream(max(start, self._left_len) + offset, stop + offset)
        rows = self._fill(spans, self._seq_len)
        return self._epochs.shuffled(boundary, self._seq_len, rows)

    def _stream(self, start: int, stop: int) -> list[Span]:
        """Tokens [start, stop) of the stream of all epochs, as spans."""
        spans: list[Span] = []
        while start < stop:
            epoch = start // self._epochs.total
            base = epoch * self._epochs.total
            upto = min(stop, base + self._epochs.total)
            docs, ends = self._epochs.epoch(epoch)
            first = int(ends.searchsorted(start - base, side="right"))
            last = int(ends.searchsorted(upto - base))
            # Everything whole, then the two ends cut to what was asked for.
            numbers = docs[first : last + 1]
            lengths = self._epochs.lengths[numbers].tolist()
            whole = [s for s in map(Span, numbers.tolist(), repeat(0), lengths) if s.end]
            whole[-1] = whole[-1]._replace(end=whole[-1].end - (base + int(ends[last]) - upto))
            whole[0] = whole[0]._replace(start=start - base - int(ends[first]) + lengths[0])
            spans += whole
            start = upto
        return spans


class PaddedStream:
    """Rows of documents with images: windows of whole documents, packed best-fit, then padded."""

    def __init__(self, epochs: _Epochs, place: _Place, seq_len: int, first_row: int) -> None:
        self._epochs, self._place = epochs, place
        self._seq_len, self._first_row = seq_len, first_row
        self._window_docs = _window_docs(epochs, seq_len)
        self._starts, self._rows_before, self._lock = [place.after], [0], Lock()
        self._pack = lru_cache(maxsize=_WINDOWS_KEPT)(self._pack_window)

    def row(self, k: int) -> Row:
        """The k-th row that this stage reads of the source, k = 0, 1, ..."""
        window = self._window(k + self._first_row)
        spans = self._pack(window)[k + self._first_row - self._rows_before[window]]
        return Row(self._epochs.source.about.name, self._seq_len, self._epochs.unit, spans)

    def place_after(self, rows: int) -> _Place:
        """Where reading goes on after so many rows, for a stage of another context."""
        rows += self._first_row
        window = self._window(rows)
        first = self._rows_before[window]
        if rows == first:
            return _Place(self._place.left if window == 0 else (), self._starts[window])
        unread = [span for row in self._pack(window)[rows - first :] for span in row]
        return _Place(tuple(unread), self._starts[window + 1])

    def _window(self, k: int) -> int:
        """The window that holds row k; the table of windows grows as far as it is asked for."""
        with self._lock:
            while self._rows_before[-1] <= k:
                window = len(self._rows_before) - 1
                start, size = self._starts[window], self._epochs.size
                epoch_start = start // size * size
                grid = (start - epoch_start) // self._window_docs + 1
                self._starts.append(epoch_start + min(grid * self._window_docs, size))
                self._rows_before.append(self._rows_before[-1] + len(self._pack(window)))
            return bisect_right(self._rows_before, k) - 1

    def _pack_window(self, window: int) -> list[tuple[Span, ...]]:
        start, stop = self._starts[window], self._starts[window + 1]
        epoch, place = divmod(start, self._epochs.size)
        docs = self._epochs.epoch(epoch)[0][place : place + stop - start]
        spans = [Span(int(doc), 0, int(self._epochs.lengths[doc])) for doc in docs]
        if window == 0:
            spans = [*self._place.left, *spans]
        fitting = [part for span in spans for part in self._cut(span)]
        return self._epochs.shuffled(stop, self._seq_len, best_fit(fitting, self._seq_len))

    def _cut(self, span: Span) -> list[Span]:
        if span.start == span.end:
            return []
        if span.end - span.start <= self._seq_len:
            return [span]
        return cut(span, blocks_of(self._epochs.source, span.doc, self._epochs.unit), self._seq_len)


Stream = TextStream | PaddedStream


def open_stream(
    source: Source,
    history: Sequence[Reads],
    seed: int,
    seq_len: int,
    unit: Unit,
    holdout: Fraction = Fraction(0),
    packing: str = "best-fit",
) -> Stream:
    """The rows that a stage reads of a source, after what its ancestors read, furthest first.

    ValueError where there is nothing to read, or an image is longer than `seq_len` or would be cut.
    """
    stages = [
        Reads(context, sum(r.rows for r in reads), read_unit, fill)
        for (context, read_unit, fill), reads in groupby(
            (r for r in history if r.rows), key=lambda r: (r.seq_len, r.unit, r.fill)
        )
    ]
    own = Reads(seq_len, 0, unit, packing)
    runs_on = stages and replace(stages[-1], rows=0) == replace(own, packing=own.fill)
    first_row = stages.pop().rows if runs_on else 0
    place, place_unit = _Place(), unit
    for reads in (*stages, own):
        if reads.unit != place_unit:
            # What was left of a window in the other unit stays unread.
            place, place_unit = _Place(after=place.after), reads.unit
        _require_rows_that_hold_images(source, reads.seq_len, reads.unit)
        epochs = _Epochs(source, seed, reads.unit, holdout)
        stream: Stream
        at = 0 if reads.rows else first_row
        if source.about.modality == "text":
            stream = TextStream(epochs, place, reads.seq_len, at, reads.fill)
        elif reads.fill == "best-fit":
            stream = PaddedStream(epochs, place, reads.seq_len, at)
        else:
            raise ValueError(
                f"source `{source.about.name}` holds images, which {packing} would cut"
            )
        if reads.rows:
            place = stream.place_after(reads.rows)
    return stream


def _require_rows_that_hold_images(source: Source, seq_len: int, unit: Unit) -> None:
    if not len(source.image_px):
        return
    patches = int(source.num_patches().max())
    longest = patches if unit == "vit" else patches // source.about.merge**2 + 2
    if longest > seq_len:
        raise ValueError(
            f"source `{source.about.name}` has an image of {longest} positions ({unit}), which no "
            f"row of {seq_len} holds: read it with a longer context"
        )


def _window_docs(epochs: _Epochs, seq_len: int) -> int:
    docs = WINDOW_DOCS
    while docs < epochs.size and docs * epochs.total < WINDOW_ROWS * seq_len * epochs.size:
        docs *= 2
    return docs


def _between(spans: Sequence[Span], start: int, stop: int) -> list[Span]:
    """Positions [start, stop) of some spans one behind the other, as spans."""
    parts, at = [], 0
    for doc, first, last in spans:
        a, b = max(start - at, 0), min(stop - at, last - first)
        if a < b:
            parts.append(Span(doc, first + a, first + b))
        at += last - first
    return parts
