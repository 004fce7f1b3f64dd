"""Parts of a source: by order no document is lost or in two of them, by length none either."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.data.heldout import held_out_docs
from curriculum.data.part import by_length, by_order
from curriculum.data.store import Source
from curriculum.data.stream import open_stream
from data.made import text_source

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=60)


def docs_of(source: Source) -> list[int]:
    found: list[int] = source.docs(np.ones(source.num_docs, dtype=bool)).tolist()
    return found


@given(LENGTHS, st.lists(st.integers(0, 20), max_size=4))
def test_parts_by_order_share_all_documents_out(lengths: list[int], cuts: list[int]) -> None:
    source = text_source(lengths)
    marks = [Fraction(0), *sorted(Fraction(cut, 20) for cut in cuts), Fraction(1)]
    parts = [by_order(source, (a, b)) for a, b in itertools.pairwise(marks)]
    assert [doc for part in parts for doc in docs_of(part)] == list(range(len(lengths)))


@given(LENGTHS, st.integers(0, 45))
def test_parts_by_length_are_half_open(lengths: list[int], limit: int) -> None:
    source = text_source(lengths)
    short, long = by_length(source, None, limit), by_length(source, limit, None)
    assert docs_of(short) == [doc for doc, n in enumerate(lengths) if n < limit]
    assert docs_of(long) == [doc for doc, n in enumerate(lengths) if n >= limit]


def test_a_part_begins_with_the_document_that_begins_in_it() -> None:
    source = text_source([5, 5, 10])
    assert docs_of(by_order(source, (Fraction(0), Fraction(3, 10)))) == [0, 1]
    assert docs_of(by_order(source, (Fraction(1, 4), Fraction(1)))) == [1, 2]
    assert docs_of(by_order(by_length(source, 6, None), (Fraction(0), Fraction(1, 2)))) == []


def test_a_stream_of_a_part_reads_nothing_else() -> None:
    part = by_length(text_source([4, 9, 4, 9]), 9, None)
    stream = open_stream(part, (), 0, 6, "llm")
    read = {span.doc for k in range(6) for span in stream.row(k).spans}
    assert read == {1, 3}
    held = held_out_docs(by_length(text_source([4, 9, 4, 9]), None, 9), Fraction(1, 2))
    assert set(held) <= {0, 2}


def test_a_part_without_documents_cannot_be_read() -> None:
    with pytest.raises(ValueError, match="has no document to read"):
        open_stream(by_length(text_source([4]), 5, None), (), 0, 6, "llm")
