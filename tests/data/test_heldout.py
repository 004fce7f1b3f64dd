from fractions import Fraction

import numpy as np
import pytest

from curriculum.data.heldout import as_rows, derange, held_out_docs, subset
from curriculum.data.stream import open_stream
from data.made import SPECIALS, image_source, text_source

SHARE = Fraction(1, 5)
PICTURES = image_source([[(1 + i % 2, 1 + i % 3), 1 + i % 7] for i in range(200)])


def test_held_out_documents_are_the_ones_that_training_never_reads() -> None:
    docs = held_out_docs(PICTURES, SHARE)
    stream = open_stream(PICTURES, [], 0, 32, "llm", SHARE)
    read = {span.doc for k in range(200) for span in stream.row(k).spans}
    assert 20 < len(docs) < 60
    assert read == set(range(200)) - set(docs)


def test_as_rows_they_are_whole_or_cut_where_they_must_be() -> None:
    source = text_source([5, 40, 9])
    rows = as_rows(source, [0, 1, 2], 16)
    spans = sorted(span for row in rows for span in row.spans)
    assert spans == [(0, 0, 5), (1, 0, 16), (1, 16, 32), (1, 32, 40), (2, 0, 9)]
    assert all(sum(end - start for _, start, end in row.spans) <= 16 for row in rows)
    patches = as_rows(PICTURES, [0, 1], 24, "vit")
    assert sorted(span for row in patches for span in row.spans) == [(0, 0, 4), (1, 0, 16)]


def test_deranged_documents_keep_their_text_and_lose_their_image() -> None:
    docs = held_out_docs(PICTURES, SHARE)
    right, wrong = subset(PICTURES, docs), derange(PICTURES, docs)
    ids = SPECIALS
    for i in range(len(docs)):
        this, other = right.document(i), wrong.document(i)
        text = this.tokens[this.tokens.index(ids.image_end) :]
        assert text == other.tokens[other.tokens.index(ids.image_end) :]
        assert np.array_equal(other.images[0], right.document((i + 1) % len(docs)).images[0])
    assert derange(PICTURES, docs).fingerprint == wrong.fingerprint


def test_what_cannot_be_exchanged_is_refused() -> None:
    with pytest.raises(ValueError, match="no two held-out documents"):
        derange(PICTURES, [3])
    with pytest.raises(ValueError, match="one for one"):
        derange(image_source([[3], [(1, 1), 3]]), [0, 1])
