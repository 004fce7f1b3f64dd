import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.data.store import (
    ARRAYS,
    DataError,
    Document,
    Source,
    collect,
    held_out,
    is_held_out,
    open_source,
    write_source,
)
from data.made import SPECIALS, about, image_document, text_source

DOCUMENTS = [
    image_document(0, [(2, 1), 5]),
    image_document(1, [7]),
    image_document(2, [3, (1, 1), 2, (2, 2), 9]),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_source(tmp_path / "mixed", about("mixed", "image-text"), DOCUMENTS)
    return tmp_path / "mixed"


def same(document: Document, other: Document) -> bool:
    return document.tokens == other.tokens and all(
        np.array_equal(a, b) for a, b in zip(document.images, other.images, strict=True)
    )


def test_what_was_written_is_read(folder: Path) -> None:
    source = open_source(folder)
    assert source.about == about("mixed", "image-text")
    assert all(same(source.document(i), document) for i, document in enumerate(DOCUMENTS))
    assert source.lengths("llm").tolist() == [len(d.tokens) for d in DOCUMENTS]
    assert source.lengths("vit").tolist() == [8, 0, 4 + 16]
    assert source.num_patches().tolist() == [8, 4, 16]
    facts = json.loads((folder / "source.json").read_text())
    assert (facts["documents"], facts["images"], facts["patches"]) == (3, 3, 28)
    assert facts["tokens"] == len(source.tokens)
    assert facts["licence"] == "CC0"


def test_preparing_again_gives_the_same_fingerprint_and_replaces(folder: Path) -> None:
    before = open_source(folder).fingerprint
    again = write_source(folder, about("mixed", "image-text"), DOCUMENTS)
    assert again.fingerprint == open_source(folder).fingerprint == before
    fewer = write_source(folder, about("mixed", "image-text"), DOCUMENTS[:2])
    assert open_source(folder).fingerprint == fewer.fingerprint != before
    assert [path.name for path in folder.parent.iterdir()] == ["mixed"]


@pytest.mark.parametrize("array", ARRAYS)
def test_a_changed_array_is_refused(folder: Path, array: str) -> None:
    values = np.load(folder / f"{array}.npy")
    values.reshape(-1)[0] ^= 1
    np.save(folder / f"{array}.npy", values)
    with pytest.raises(DataError, match="do not have the fingerprint"):
        open_source(folder)


@pytest.mark.parametrize("array", ARRAYS)
@pytest.mark.parametrize("kept", [0, 20, 0.9])
def test_a_truncated_array_is_named(folder: Path, array: str, kept: float) -> None:
    path = folder / f"{array}.npy"
    raw = path.read_bytes()
    path.write_bytes(raw[: int(kept * len(raw)) if kept < 1 else int(kept)])
    with pytest.raises(DataError, match=f"{array}.npy: truncated, or no array"):
        open_source(folder)


def test_what_is_missing_or_foreign_is_named(folder: Path) -> None:
    with pytest.raises(DataError, match="prepare source `web` first"):
        open_source(folder.with_name("web"))
    np.save(folder / "tokens.npy", np.zeros(3))
    with pytest.raises(DataError, match="tokens.npy: holds <f8, not <u2"):
        open_source(folder)
    np.save(folder / "tokens.npy", np.zeros(3, dtype="<u2"))
    with pytest.raises(DataError, match="tokens.npy: 3 entries, but offsets ends at"):
        open_source(folder, verify=False)
    (folder / "pixels.npy").unlink()
    with pytest.raises(DataError, match="pixels.npy: missing"):
        open_source(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "not of format 1"),
        ('{"format": 2}', "not of format 1"),
        ('{"format": 1}', "a field is missing or wrong"),
    ],
)
def test_a_description_that_is_none_is_refused(folder: Path, text: str, message: str) -> None:
    (folder / "source.json").write_text(text)
    with pytest.raises(DataError, match=f"source.json: {message}"):
        open_source(folder)


def test_an_array_of_objects_is_never_unpickled(folder: Path) -> None:
    np.save(folder / "tokens.npy", np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="tokens.npy: truncated, or no array"):
        open_source(folder)


PIXELS = np.zeros((8, 8, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (Document(()), "document 0: no tokens"),
        (Document((70_000,)), "a token id outside"),
        (Document((1, 2), (PIXELS,)), "do not match the images"),
        (Document((SPECIALS.image,)), "do not match the images"),
        (Document((3, 5, 5, 4), (PIXELS,)), "do not match the images"),
        (Document((3, 5, 4), (PIXELS[:4],)), "multiples of 8 pixels, not uint8"),
        (Document((3, 5, 4), (PIXELS.astype(float),)), "not float64"),
    ],
)
def test_documents_that_do_not_fit_their_images_are_refused(
    document: Document, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        collect(about(), [document])


def test_a_source_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="`made` has no documents"):
        collect(about(), [])


def chosen(source: Source, share: Fraction) -> set[tuple[int, ...]]:
    return {source.document(int(doc)).tokens for doc in np.flatnonzero(held_out(source, share))}


def test_added_documents_move_no_held_out_one() -> None:
    share = Fraction(1, 10)
    few, many = text_source([3] * 300), text_source([3] * 900)
    old = {few.document(doc).tokens for doc in range(few.num_docs)}
    assert 10 < len(chosen(few, share)) < 60
    assert chosen(few, share) == chosen(many, share) & old


def test_identity_decides_over_tokens() -> None:
    one, other = (
        collect(about(), [Document(tokens, identity=b"the same text")]) for tokens in [(7, 8), (9,)]
    )
    assert one.doc_hash(0) == other.doc_hash(0)
    assert one.fingerprint != other.fingerprint


@given(st.fractions(0, 1))
def test_holding_out_all_at_once_equals_one_by_one(share: Fraction) -> None:
    assert held_out(SOURCE, share).tolist() == [
        is_held_out(SOURCE.doc_hash(doc), share) for doc in range(SOURCE.num_docs)
    ]


SOURCE = text_source([2] * 200)
