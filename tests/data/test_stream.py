"""Streams: every token once per epoch, at random access, across changes of context."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from curriculum.data.packing import Row
from curriculum.data.store import Source, held_out
from curriculum.data.stream import Reads, Stream, open_stream
from data.made import Piece, image_source, text_source

LENGTHS = st.one_of(
    st.lists(st.integers(1, 50), min_size=1, max_size=3),
    st.lists(st.integers(1, 30), min_size=4, max_size=40),
    st.lists(st.integers(1, 3), min_size=257, max_size=600),  # more than one window
)
PIECE = st.one_of(st.integers(1, 12), st.tuples(st.integers(1, 2), st.integers(1, 3)))
IMAGES = st.lists(st.lists(PIECE, min_size=1, max_size=8), min_size=1, max_size=300)


def positions(rows: Sequence[Row]) -> Counter[tuple[int, int]]:
    return Counter(
        (doc, i) for row in rows for doc, start, end in row.spans for i in range(start, end)
    )


def every_position(source: Source, times: int) -> Counter[tuple[int, int]]:
    lengths = source.lengths("llm").tolist()
    return Counter({(d, i): times for d, n in enumerate(lengths) for i in range(n)})


def read(stream: Stream, first: int, end: int) -> list[Row]:
    return [stream.row(k) for k in range(first, end)]


@settings(max_examples=120, deadline=None)
@given(LENGTHS, st.lists(st.tuples(st.integers(1, 70), st.integers(0, 20)), max_size=4), st.data())
def test_text_is_read_once_per_epoch_across_contexts(
    lengths: list[int], stages: list[tuple[int, int]], data: st.DataObject
) -> None:
    source, total = text_source(lengths), sum(lengths)
    rows: list[Row] = []
    history: list[Reads] = []
    for seq_len, num_rows in stages:
        rows += read(open_stream(source, history, 5, seq_len, "llm"), 0, num_rows)
        history.append(Reads(seq_len, num_rows))
    so_far = sum(row.seq_len for row in rows)
    epochs = so_far // total + data.draw(st.integers(1, 2))
    missing = epochs * total - so_far
    seq_len = data.draw(st.sampled_from([n for n in range(1, 80) if missing % n == 0]))
    rows += read(open_stream(source, history, 5, seq_len, "llm"), 0, missing // seq_len)
    assert positions(rows) == every_position(source, epochs)
    for row in rows:
        assert sum(end - start for _, start, end in row.spans) == row.seq_len


@settings(max_examples=80, deadline=None)
@given(LENGTHS, st.integers(1, 70), st.integers(0, 9), st.data())
def test_text_rows_are_the_same_in_any_order_and_from_any_object(
    lengths: list[int], seq_len: int, seed: int, data: st.DataObject
) -> None:
    source = text_source(lengths)
    history = data.draw(
        st.lists(st.builds(Reads, st.integers(1, 70), st.integers(0, 9)), max_size=2)
    )
    rows = read(open_stream(source, history, seed, seq_len, "llm"), 0, 30)
    stream = open_stream(text_source(lengths), history, seed, seq_len, "llm")
    for k in data.draw(st.lists(st.integers(0, 29), min_size=1, max_size=8)):
        assert stream.row(k) == rows[k]
    # A stage of the same context simply runs on, in however many stages the rows were read.
    split = data.draw(st.integers(0, 29))
    more = [*history, Reads(seq_len, split // 2), Reads(seq_len, split - split // 2)]
    runs_on = open_stream(source, more, seed, seq_len, "llm")
    assert read(runs_on, 0, 30 - split) == rows[split:]


@settings(max_examples=80, deadline=None)
@given(
    LENGTHS,
    st.lists(
        st.tuples(st.integers(1, 70), st.integers(0, 9), st.sampled_from(["best-fit", "concat"])),
        max_size=3,
    ),
)
def test_text_is_read_once_per_epoch_in_whatever_order_it_is_packed(
    lengths: list[int], stages: list[tuple[int, int, str]]
) -> None:
    source = text_source(lengths)
    rows: list[Row] = []
    history: list[Reads] = []
    for seq_len, num_rows, packing in [*stages, (7, sum(lengths), "concat-across")]:
        stream = open_stream(source, history, 5, seq_len, "llm", packing=packing)
        assert all(sum(e - s for _, s, e in row.spans) == seq_len for row in read(stream, 0, 5))
        rows += read(stream, 0, num_rows)
        history.append(Reads(seq_len, num_rows, "llm", packing))
    counts = Counter((doc, at) for row in rows for doc, s, e in row.spans for at in range(s, e))
    assert set(counts) == {(doc, at) for doc, n in enumerate(lengths) for at in range(n)}
    # What an epoch leaves is dealt with the next one's first window, in any order.
    assert max(counts.values()) - min(counts.values()) <= 2


def test_concat_cuts_documents_where_rows_end_and_nowhere_else() -> None:
    lengths = [3 + (i * 37) % 60 for i in range(200)]
    stream = open_stream(text_source(lengths), [], 0, 128, "llm", packing="concat")
    for row in read(stream, 0, sum(lengths) // 128):
        for place, (doc, start, end) in enumerate(row.spans):
            assert start == 0 or place == 0
            assert end == lengths[doc] or place == len(row.spans) - 1
    across = open_stream(text_source(lengths), [], 0, 128, "llm", packing="concat-across")
    assert read(across, 0, 20) == read(stream, 0, 20)
    runs_on = [Reads(128, 9, "llm", "concat"), Reads(128, 2, "llm", "concat-across")]
    on = open_stream(text_source(lengths), runs_on, 0, 128, "llm", packing="concat")
    assert read(on, 0, 5) == read(stream, 11, 16)


@pytest.mark.parametrize(
    ("packing", "golden"), [("best-fit", "222c96e3b758338e"), ("concat", "c1e10be71e87b089")]
)
def test_the_rows_of_today_are_the_rows_of_tomorrow(packing: str, golden: str) -> None:
    """Golden: across windows, contexts and epochs; a change of it changes VERSION of stream.py."""
    source = text_source([1 + i * 37 % 90 for i in range(600)])
    history = [Reads(64, 210), Reads(96, 31, packing="concat")]
    stream = open_stream(source, history, 3, 128, "llm", packing=packing)
    rows = [stream.row(k) for k in (*range(300), 5000, 70_000)]
    spans = repr([[tuple(span) for span in row.spans] for row in rows])
    assert sha256(spans.encode()).hexdigest()[:16] == golden


def test_empty_documents_are_passed_over() -> None:
    source = text_source([5, 4, 3])
    gaps = replace(
        source,
        offsets=np.array([0, 0, 5, 5, 9, 9, 12, 12]),
        doc_hashes=np.zeros((7, 32), dtype=np.uint8),
        image_offsets=np.zeros(8, dtype=np.int64),
    )
    for seed in range(20):
        stream = open_stream(gaps, [], seed, 4, "llm", packing="concat")
        rows = read(stream, 0, 6)
        assert all(start < end for row in rows for _, start, end in row.spans)
        assert positions(rows) == every_position(gaps, 2)


def test_epochs_and_sources_and_seeds_are_dealt_differently() -> None:
    source = text_source([4] * 500)
    rows = read(open_stream(source, [], 0, 4, "llm"), 0, 1000)
    assert positions(rows[:500]) == positions(rows[500:]) == every_position(source, 1)
    assert rows[:500] != rows[500:]
    other_seed = read(open_stream(source, [], 1, 4, "llm"), 0, 500)
    other_name = read(open_stream(text_source([4] * 500, "other"), [], 0, 4, "llm"), 0, 500)
    assert [row.spans for row in rows[:500]] != [row.spans for row in other_seed]
    assert [row.spans for row in rows[:500]] != [row.spans for row in other_name]


def test_few_documents_that_fit_a_row_are_cut() -> None:
    lengths = [3 + (i * 37) % 60 for i in range(2000)]
    stream = open_stream(text_source(lengths), [], 0, 128, "llm")
    pieces = Counter(span.doc for row in read(stream, 0, sum(lengths) // 128) for span in row.spans)
    cut = sum(n > 1 for n in pieces.values()) / len(lengths)
    chunked = sum(lengths) / 128 / len(lengths)  # cut by rows that end where they end
    assert cut < 0.05 < 0.2 < chunked


@settings(max_examples=80, deadline=None)
@given(IMAGES, st.lists(st.tuples(st.integers(8, 60), st.integers(0, 12)), max_size=3))
def test_images_are_read_once_per_epoch_across_contexts(
    documents: list[list[Piece]], stages: list[tuple[int, int]]
) -> None:
    source = image_source(documents)
    total = int(source.lengths("llm").sum())
    rows: list[Row] = []
    history: list[Reads] = []
    for seq_len, num_rows in stages:
        rows += read(open_stream(source, history, 5, seq_len, "llm"), 0, num_rows)
        history.append(Reads(seq_len, num_rows))
    so_far = sum(end - start for row in rows for _, start, end in row.spans)
    # What is left of a window may be read beside the next epoch's first one, but no later.
    stream, k = open_stream(source, history, 5, 24, "llm"), 0
    while so_far % total or not so_far:
        rows.append(stream.row(k))
        k += 1
        so_far += sum(end - start for _, start, end in rows[-1].spans)
        assert so_far < (len(stages) + 30) * total
    assert positions(rows) == every_position(source, so_far // total)
    for row in rows:
        assert 0 < sum(end - start for _, start, end in row.spans) <= row.seq_len


@settings(max_examples=50, deadline=None)
@given(IMAGES, st.integers(8, 70), st.data())
def test_image_rows_are_the_same_in_any_order_and_from_any_object(
    documents: list[list[Piece]], seq_len: int, data: st.DataObject
) -> None:
    source = image_source(documents)
    history = data.draw(
        st.lists(st.builds(Reads, st.integers(8, 70), st.integers(0, 9)), max_size=2)
    )
    rows = read(open_stream(source, history, 0, seq_len, "llm"), 0, 20)
    stream = open_stream(image_source(documents), history, 0, seq_len, "llm")
    for k in data.draw(st.lists(st.integers(0, 19), min_size=1, max_size=8)):
        assert stream.row(k) == rows[k]
    split = data.draw(st.integers(0, 19))
    runs_on = open_stream(source, [*history, Reads(seq_len, split)], 0, seq_len, "llm")
    assert read(runs_on, 0, 20 - split) == rows[split:]


@settings(max_examples=50, deadline=None)
@given(IMAGES, st.integers(0, 40))
def test_after_patches_the_llm_reads_on_at_the_next_window(
    documents: list[list[Piece]], num_rows: int
) -> None:
    source = image_source(documents)
    patches = source.lengths("vit")
    assume(patches.any())
    seen = read(open_stream(source, [], 0, 32, "vit"), 0, num_rows)
    for row in seen:
        assert 0 < sum(end - start for _, start, end in row.spans) <= 32
    whole, epochs = open_stream(source, [], 0, 24, "llm"), 1
    on = open_stream(source, [Reads(32, num_rows, "vit")], 0, 24, "llm")
    if not num_rows:
        assert read(on, 0, 9) == read(whole, 0, 9)
    elif len(documents) < 256:
        # One window is one epoch: the rest of the one that was begun is skipped.
        epoch_rows, so_far = 0, 0
        total = int(source.lengths("llm").sum())
        for row in seen:
            so_far += sum(end - start for _, start, end in row.spans)
        epochs = -(-so_far // int(patches.sum()))
        for _ in range(epochs):
            size = 0
            while size < total:
                size += sum(end - start for _, start, end in whole.row(epoch_rows).spans)
                epoch_rows += 1
        assert read(on, 0, 5) == read(whole, epoch_rows, epoch_rows + 5)


def test_held_out_documents_are_never_read() -> None:
    source, share = text_source([5] * 400), Fraction(1, 4)
    kept = set((~held_out(source, share)).nonzero()[0].tolist())
    assert 250 < len(kept) < 350
    stream = open_stream(source, [], 0, 10, "llm", share)
    rows = read(stream, 0, len(kept))  # two epochs
    assert {span.doc for row in rows for span in row.spans} == kept


def test_what_cannot_be_read_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="`pictures` has an image of 11 positions"):
        open_stream(image_source([[(3, 3)]], "pictures"), [], 0, 10, "llm")
    with pytest.raises(ValueError, match=r"image of 36 positions \(vit\)"):
        open_stream(image_source([[(3, 3)]], "pictures"), [], 0, 35, "vit")
    with pytest.raises(ValueError, match="`words` has no document to read in units of `vit`"):
        open_stream(text_source([3], "words"), [], 0, 35, "vit")
    with pytest.raises(ValueError, match="`pictures` holds images, which concat would cut"):
        open_stream(image_source([[(3, 3)]], "pictures"), [], 0, 35, "llm", packing="concat")
    with pytest.raises(ValueError, match="holdout 1"):
        open_stream(text_source([3], "words"), [], 0, 35, "llm", Fraction(1))
