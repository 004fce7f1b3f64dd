import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest

from curriculum.data.collate import caption, collate, drawn_hash, to_patches
from curriculum.data.packed import IMAGE, NO_LOSS, PAD, TEXT, Packed
from curriculum.data.packing import Row, Span
from curriculum.data.store import Unit
from data.made import SPECIALS, Piece, image_source, text_source

BEGIN, END, PAD_ID, OPEN, CLOSE, AT = 1, 2, 0, 3, 4, 5
DOCUMENTS: list[list[Piece]] = [[(1, 2), 2], [3], [1, (2, 2), 2, (1, 1), 1]]
PICTURES = image_source(DOCUMENTS, "pictures")
WORDS = text_source([6, 4], "words")
SOURCES = {"pictures": PICTURES, "words": WORDS}


def row(source: str, seq_len: int, *spans: tuple[int, int, int], unit: Unit = "llm") -> Row:
    return Row(source, seq_len, unit, tuple(Span(*span) for span in spans))


def test_a_row_of_a_caption_and_a_text() -> None:
    packed = collate([row("pictures", 16, (0, 0, 8), (1, 0, 5))], SOURCES)
    text = 10  # the tokens of document 0 say so
    assert packed.tokens.tolist() == [
        *(BEGIN, OPEN, AT, AT, CLOSE, text + 1, text + 1, END),
        *(BEGIN, 11, 11, 11, END),
        *(PAD_ID, PAD_ID, PAD_ID),
    ]
    no = NO_LOSS
    assert packed.targets.tolist() == [
        *(no, no, no, no, text + 1, text + 1, END, no),
        *(11, 11, 11, END, no),
        *(no, no, no),
    ]
    assert packed.kinds.tolist() == [
        *(TEXT, TEXT, IMAGE, IMAGE, TEXT, TEXT, TEXT, TEXT),
        *([TEXT] * 5),
        *([PAD] * 3),
    ]
    assert packed.positions.tolist() == [*range(8), *range(5), *range(3)]
    assert packed.cu_seqlens.tolist() == [0, 8, 13, 16]
    assert packed.max_seqlen == 8
    assert packed.doc_ids == ((0, 1),)
    assert packed.grids.tolist() == [[2, 4]]
    assert np.array_equal(packed.patches, to_patches(PICTURES.image(0), 4))
    assert (packed.captions.tolist(), packed.caption_cu_seqlens.tolist()) == ([], [0])


def test_across_documents_a_row_is_one_document_whose_tokens_predict_each_other() -> None:
    rows = [row("words", 5, (0, 0, 3), (1, 0, 2)), row("words", 5, (0, 3, 6), (1, 2, 4))]
    apart, across = collate(rows, SOURCES), collate(rows, SOURCES, across=True)
    assert apart.cu_seqlens.tolist() == [0, 3, 5, 8, 10]
    assert (across.cu_seqlens.tolist(), across.max_seqlen) == ([0, 5, 10], 5)
    assert across.positions.tolist() == [*range(5), *range(5)]
    no = NO_LOSS
    assert apart.targets.tolist() == [101, 102, no, 102, no, 104, 105, no, 104, no]
    assert across.targets.tolist() == [101, 102, 101, 102, no, 104, 105, 103, 104, no]
    assert across.tokens.tolist() == apart.tokens.tolist()
    assert across.doc_ids == apart.doc_ids == ((0, 1), (0, 1))


def test_a_row_for_the_vit_holds_images_and_their_captions() -> None:
    rows = [row("pictures", 30, (2, 0, 20), (0, 0, 8), unit="vit")]
    packed = collate(rows, SOURCES)
    assert packed.kinds.tolist() == [IMAGE] * 28 + [PAD] * 2
    assert packed.cu_seqlens.tolist() == [0, 16, 20, 28, 30]
    assert packed.positions.tolist() == [*range(16), *range(4), *range(8), *range(2)]
    assert packed.grids.tolist() == [[4, 4], [2, 2], [2, 4]]
    assert packed.captions.tolist() == [1, 14, 14, 2, 1, 16, 2, 1, 11, 11, 2]
    assert packed.caption_cu_seqlens.tolist() == [0, 4, 7, 11]
    assert packed.tokens.size == packed.targets.size == 0
    assert len(packed.patches) == 28
    assert packed.doc_ids == ((2, 0),)


def test_a_cut_document_brings_the_images_of_its_span() -> None:
    # begin, one word, 6 of the first image, 2 words | 3 of the second, a word, end
    parts = [collate([row("pictures", 10, span)], SOURCES) for span in [(2, 0, 10), (2, 10, 15)]]
    assert [part.grids.tolist() for part in parts] == [[[4, 4]], [[2, 2]]]
    assert np.array_equal(parts[1].patches, to_patches(PICTURES.image(2), 4))
    assert parts[0].targets[-1] == parts[1].targets[4] == NO_LOSS
    assert parts[1].cu_seqlens.tolist() == [0, 5, 10]


def parts_of(packed: Packed) -> list[object]:
    return [getattr(packed, field.name) for field in dataclasses.fields(packed)]


def test_a_slice_of_the_rows_is_a_slice_of_the_batch() -> None:
    rows = [
        row("pictures", 15, (0, 0, 8), (1, 0, 5)),
        row("words", 15, (0, 0, 6), (1, 0, 4)),
        row("pictures", 15, (2, 0, 15)),
    ]
    whole = collate(rows, SOURCES)
    pieces = [collate([r], SOURCES) for r in rows]
    for name in ("kinds", "positions", "tokens", "targets", "patches", "grids"):
        joined = np.concatenate([getattr(piece, name) for piece in pieces])
        assert np.array_equal(getattr(whole, name), joined), name
    again = collate(rows, SOURCES)
    for one, other in zip(parts_of(whole), parts_of(again), strict=True):
        assert one.tobytes() == other.tobytes() if isinstance(one, np.ndarray) else one == other  # type: ignore[attr-defined]


def test_the_types_are_those_of_the_contract() -> None:
    packed = collate([row("words", 10, (0, 0, 6), (1, 0, 4))], SOURCES)
    types = {
        field.name: getattr(packed, field.name).dtype.name
        for field in dataclasses.fields(packed)
        if isinstance(getattr(packed, field.name), np.ndarray)
    }
    assert types == {
        "kinds": "uint8",
        "positions": "int64",
        "cu_seqlens": "int32",
        "tokens": "int64",
        "targets": "int64",
        "patches": "float32",
        "grids": "int32",
        "captions": "int64",
        "caption_cu_seqlens": "int32",
    }
    assert packed.patches.shape == (0, 48)


def test_patches_are_row_major_and_between_minus_one_and_one() -> None:
    pixels = np.arange(8 * 12 * 3, dtype=np.uint8).reshape(8, 12, 3)
    patches = to_patches(pixels, 4)
    assert patches.shape == (6, 48)
    for p in range(6):
        y, x = p // 3 * 4, p % 3 * 4
        expected = pixels[y : y + 4, x : x + 4].transpose(2, 0, 1).reshape(-1) / 127.5 - 1
        assert np.allclose(patches[p], expected, atol=1e-6)
    assert to_patches(np.full((4, 4, 3), 255, dtype=np.uint8), 4).max() == 1
    assert to_patches(np.zeros((4, 4, 3), dtype=np.uint8), 4).min() == -1


def test_a_caption_is_the_text_up_to_the_next_image() -> None:
    assert caption(PICTURES, 2, 0) == [SPECIALS.begin, 14, 14, SPECIALS.end]
    assert caption(PICTURES, 2, 1) == [SPECIALS.begin, 16, SPECIALS.end]


ONE = row("pictures", 16, (0, 0, 8), (1, 0, 5))


@pytest.mark.parametrize(
    "other",
    [
        [row("pictures", 16, (1, 0, 5), (0, 0, 8))],
        [row("pictures", 16, (0, 0, 8), (1, 0, 4))],
        [row("words", 16, (0, 0, 8), (1, 0, 5))],
        [ONE, ONE],
    ],
)
def test_the_hash_of_what_was_drawn_sees_order_spans_and_sources(other: Sequence[Row]) -> None:
    assert drawn_hash([ONE], SOURCES) == drawn_hash([ONE], SOURCES) != drawn_hash(other, SOURCES)
    assert len(drawn_hash([], SOURCES)) == 64


def test_rows_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        collate([], SOURCES)
    with pytest.raises(ValueError, match="one context"):
        collate([ONE, row("words", 6, (0, 0, 6))], SOURCES)
    about = dataclasses.replace(WORDS.about, tokenizer="another")
    mixed = {**SOURCES, "words": dataclasses.replace(WORDS, about=about)}
    with pytest.raises(ValueError, match="`pictures` and `words` were prepared with different"):
        collate([ONE, row("words", 16, (0, 0, 6))], mixed)
