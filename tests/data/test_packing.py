from collections import Counter
from collections.abc import Iterable, Sequence

from hypothesis import given
from hypothesis import strategies as st

from curriculum.data.packing import Block, Span, best_fit, blocks_of, cut, exact_fill
from data.made import image_source

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=40)


def positions(spans: Iterable[Span]) -> Counter[tuple[int, int]]:
    return Counter((doc, i) for doc, start, end in spans for i in range(start, end))


def whole(lengths: Sequence[int]) -> list[Span]:
    return [Span(doc, 0, length) for doc, length in enumerate(lengths)]


@given(LENGTHS, st.integers(1, 30))
def test_exact_fill_holds_every_token_once_in_full_rows(lengths: list[int], seq_len: int) -> None:
    lengths.append(-sum(lengths) % seq_len)
    spans = [span for span in whole(lengths) if span.end]
    rows = exact_fill(spans, seq_len)
    assert all(sum(end - start for _, start, end in row) == seq_len for row in rows)
    assert positions(span for row in rows for span in row) == positions(spans)
    assert all(start < end for row in rows for _, start, end in row)


@given(LENGTHS, st.integers(1, 30))
def test_exact_fill_cuts_no_more_than_once_a_row(lengths: list[int], seq_len: int) -> None:
    lengths.append(-sum(lengths) % seq_len)
    spans = [span for span in whole(lengths) if span.end]
    rows = exact_fill(spans, seq_len)
    assert sum(len(row) for row in rows) <= len(spans) + len(rows)


def filled_by_definition(spans: list[Span], seq_len: int) -> list[tuple[Span, ...]]:
    """The largest span that fits, else the longest, cut; the first of equals. By looking at all."""
    rows = []
    while spans:
        row, room = [], seq_len
        while room:
            sizes = [end - start for _, start, end in spans]
            at = sizes.index(max([n for n in sizes if n <= room] or sizes))
            doc, start, end = spans[at]
            middle = min(end, start + room)
            row.append(Span(doc, start, middle))
            spans[at : at + 1] = [Span(doc, middle, end)] if middle < end else []
            room -= middle - start
        rows.append(tuple(row))
    return rows


@given(LENGTHS, st.integers(1, 30))
def test_exact_fill_is_what_it_says(lengths: list[int], seq_len: int) -> None:
    lengths.append(-sum(lengths) % seq_len)
    spans = [span for span in whole(lengths) if span.end]
    assert exact_fill(spans, seq_len) == filled_by_definition(list(spans), seq_len)


def test_exact_fill_cuts_the_longest_and_leaves_what_fits_whole() -> None:
    rows = exact_fill(whole([10, 6, 6, 6, 6, 3, 3]), 10)
    cuts = {
        doc for row in rows for doc, start, end in row if end - start < [10, *[6] * 4, 3, 3][doc]
    }
    assert rows[0] == (Span(0, 0, 10),)
    assert 0 not in cuts
    assert len(cuts) == 2  # 6 + 3 + 1 twice: only the two sixes that give the last token


@given(st.lists(st.integers(1, 20), min_size=1, max_size=60), st.integers(20, 50))
def test_best_fit_keeps_spans_whole_and_wastes_little(lengths: list[int], seq_len: int) -> None:
    rows = best_fit(whole(lengths), seq_len)
    assert all(0 < sum(end - start for _, start, end in row) <= seq_len for row in rows)
    assert sorted(span for row in rows for span in row) == whole(lengths)
    fewest = -(-sum(lengths) // seq_len)
    assert len(rows) <= 11 / 9 * 2 * fewest + 4
    # No two rows could have been one.
    sizes = [sum(end - start for _, start, end in row) for row in rows]
    assert len(sizes) == 1 or sum(sorted(sizes)[:2]) > seq_len


@given(
    st.lists(
        st.one_of(
            st.integers(1, 90).map(lambda n: Block(n, False)),
            st.integers(1, 30).map(lambda n: Block(n, True)),
        ),
        min_size=1,
        max_size=12,
    ),
    st.integers(30, 64),
    st.data(),
)
def test_a_cut_document_keeps_its_images_whole(
    blocks: list[Block], seq_len: int, data: st.DataObject
) -> None:
    ends = [sum(b.length for b in blocks[: i + 1]) for i in range(len(blocks))]
    span = Span(3, 0, ends[-1])
    for context in (seq_len, data.draw(st.integers(30, seq_len))):  # cut, and cut again
        parts = cut(span, blocks, context)
        assert [part.start for part in parts] == [span.start, *(part.end for part in parts[:-1])]
        assert parts[-1].end == span.end
        assert all(0 < part.end - part.start <= context for part in parts)
        for block, end in zip(blocks, ends, strict=True):
            if block.whole:
                assert not any(end - block.length < part.start < end for part in parts)
        span = data.draw(st.sampled_from(parts))


def test_blocks_are_the_images_and_the_text_between_them() -> None:
    source = image_source([[(1, 2), 3, (2, 2), (1, 1), 4], [6]])
    assert blocks_of(source, 0, "llm") == [
        Block(1, False),  # begin
        Block(4, True),
        Block(3, False),
        Block(6, True),
        Block(3, True),
        Block(5, False),  # text and end
    ]
    assert blocks_of(source, 0, "vit") == [Block(8, True), Block(16, True), Block(4, True)]
    assert blocks_of(source, 1, "llm") == [Block(8, False)]
    assert blocks_of(source, 1, "vit") == []
