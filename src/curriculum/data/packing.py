"""Documents into rows: exact fill or one behind the other for text, best fit for images

A row is one packed sequence: spans of documents that fill `seq_len` positions. Text may be cut
anywhere, so its rows are full to the token. An image may not, so rows with images may be padded.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from curriculum.data.store import Source, Unit


class Span(NamedTuple):
    """Positions [start, end) of a document, in the unit of the row that holds it."""

    doc: int
    start: int
    end: int


class Block(NamedTuple):
    """A stretch of a document: an image with its wrappers, which stays whole, or text."""

    length: int
    whole: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One packed sequence before its tokens are fetched; what the spans leave is padding."""

    source: str
    seq_len: int
    unit: Unit
    spans: tuple[Span, ...]


def exact_fill(spans: Sequence[Span], seq_len: int) -> list[tuple[Span, ...]]:
    """Pack spans, together a whole number of rows, into full rows that hold each token once.

    Repeatedly takes the largest span that fits; when nothing fits, slices the longest. Ties go by
    position. Nearly all documents that fit a row stay whole.

    >>> lengths = [3, 5, 2, 2]
    >>> rows = exact_fill([Span(doc, 0, n) for doc, n in enumerate(lengths)], 6)
    >>> [[tuple(span) for span in row] for row in rows]
    [[(1, 0, 5), (0, 0, 1)], [(0, 1, 3), (2, 0, 2), (3, 0, 2)]]
    """
    # Ascending by length; among equals the earliest comes last, where both searches look.
    free = sorted((span.end - span.start, -place) for place, span in enumerate(spans))
    left = list(spans)
    rows = []
    while free:
        row, room = [], seq_len
        while room:
            fit = bisect_right(free, (room, 1)) - 1
            length, place = free.pop(fit) if fit >= 0 else free.pop()
            span = left[-place]
            if length > room:
                doc, start, end = span
                span = Span(doc, start, start + room)
                left[-place] = Span(doc, start + room, end)
                insort(free, (length - room, place))
                length = room
            row.append(span)
            room -= length
        rows.append(tuple(row))
    return rows


def in_order(spans: Iterable[Span], seq_len: int) -> list[tuple[Span, ...]]:
    """Pack spans, together a whole number of rows, one behind the other, cut where a row is full.

    >>> rows = in_order([Span(0, 0, 3), Span(1, 0, 5), Span(2, 0, 4)], 6)
    >>> [[tuple(span) for span in row] for row in rows]
    [[(0, 0, 3), (1, 0, 3)], [(1, 3, 5), (2, 0, 4)]]
    """
    rows: list[tuple[Span, ...]] = []
    row: list[Span] = []
    room = seq_len
    for doc, start, end in spans:
        while start < end:
            taken = min(end - start, room)
            row.append(Span(doc, start, start + taken))
            start, room = start + taken, room - taken
            if not room:
                rows.append(tuple(row))
                row, room = [], seq_len
    assert not row, "not a whole number of rows"
    return rows


def best_fit(spans: Sequence[Span], seq_len: int) -> list[tuple[Span, ...]]:
    """Pack spans of at most `seq_len` whole into few rows: longest first, into the tightest room.

    Source: best-fit decreasing, Johnson et al. 1974; at most 11/9 of the fewest rows, plus 4.

    >>> rows = best_fit([Span(0, 0, 2), Span(1, 0, 4), Span(2, 0, 3), Span(3, 0, 3)], 6)
    >>> [[span.doc for span in row] for row in rows]
    [[1, 0], [2, 3]]
    """
    rows: list[list[Span]] = []
    rooms: list[tuple[int, int]] = []  # (room left, row), ascending
    for span in sorted(spans, key=lambda span: span.start - span.end):
        length = span.end - span.start
        fit = bisect_left(rooms, (length, -1))
        if fit < len(rooms):
            room, index = rooms.pop(fit)
        else:
            room, index = seq_len, len(rows)
            rows.append([])
        rows[index].append(span)
        if room > length:
            insort(rooms, (room - length, index))
    return [tuple(row) for row in rows]


def cut(span: Span, blocks: Iterable[Block], seq_len: int) -> list[Span]:
    """A long span as spans of at most `seq_len`, cut between the blocks of its document.

    Only text that is longer than `seq_len` is cut inside.

    >>> cut(Span(7, 0, 16), [Block(4, True), Block(3, False), Block(9, False)], 8)
    [Span(doc=7, start=0, end=7), Span(doc=7, start=7, end=15), Span(doc=7, start=15, end=16)]
    """
    parts, start, at = [], span.start, 0
    for length, whole in blocks:
        end = min(at + length, span.end)
        if end - start > seq_len and at > start:
            parts.append(Span(span.doc, start, at))
            start = at
        assert end - start <= seq_len or not whole, "an image longer than a row"
        while end - start > seq_len:
            parts.append(Span(span.doc, start, start + seq_len))
            start += seq_len
        at += length
    return [*parts, Span(span.doc, start, span.end)]


def blocks_of(source: Source, doc: int, unit: Unit) -> list[Block]:
    """A document as its images and the text between them, in the positions of a unit."""
    if unit == "vit":
        px = source.image_px[source.image_offsets[doc] : source.image_offsets[doc + 1]]
        return [Block(h * w, True) for h, w in (px // source.about.patch_px).tolist()]
    tokens, ids = source.doc_tokens(doc), source.about.specials
    blocks, at = [], 0
    starts, ends = (np.flatnonzero(tokens == i).tolist() for i in (ids.image, ids.image_end))
    for start, end in zip(starts, ends, strict=True):
        blocks += [Block(start - at, False), Block(end + 1 - start, True)]
        at = end + 1
    blocks.append(Block(len(tokens) - at, False))
    return [block for block in blocks if block.length]
