"""A source as plain arrays in a folder, prepared once and known by its fingerprint

    text and images --Document--> write_source --> source.json, tokens.npy, offsets.npy, ...
                                                     |
    packing, loader <-- Source (memory-mapped) <-- open_source (fingerprint checked)

Letters: D documents, T tokens of all documents, I images, X bytes of all pixels.
"""

import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

FORMAT = 1
Modality = Literal["text", "image-text", "video-text"]
Unit = Literal["llm", "vit"]

ARRAYS = {
    "tokens": "<u2",  # [T] token ids; each image is a run of image positions between its wrappers
    "offsets": "<i8",  # [D + 1] where documents begin in tokens, and T
    "doc_hashes": "|u1",  # [D, 32] sha256 of each document's content
    "image_offsets": "<i8",  # [D + 1] the first image of each document, and I
    "image_px": "<i4",  # [I, 2] height and width in pixels
    "pixel_offsets": "<i8",  # [I + 1] where images begin in pixels, and X
    "pixels": "|u1",  # [X] red, green, blue of each pixel, row by row
}
"""The arrays of a source in the order in which its fingerprint reads them."""


class DataError(ValueError):
    """A data folder that cannot be read as what it says it is; the message names the file."""


@dataclass(frozen=True, slots=True)
class Specials:
    """Token ids that are not text; the wrappers around images are text positions all the same."""

    pad: int
    begin: int
    end: int
    image: int
    image_end: int
    image_position: int


@dataclass(frozen=True, slots=True)
class About:
    """What a person should know of a source, and what a reader needs besides the arrays."""

    name: str
    modality: Modality
    licence: str
    origin: str
    tokenizer: str  # fingerprint
    specials: Specials
    patch_px: int  # side of a ViT patch
    merge: int  # patches per side that make one position of the LLM


@dataclass(frozen=True, slots=True)
class Document:
    """Token ids, with image positions in them, and the images, each [height, width, 3].

    `identity` is the content before it was tokenized or scaled: its hash is the document's, so that
    another tokenizer holds out the same documents. Where it is empty, tokens and pixels are hashed.
    """

    tokens: tuple[int, ...]
    images: tuple[NDArray[np.uint8], ...] = ()
    identity: bytes = b""


@dataclass(frozen=True, slots=True)
class Source:
    """A prepared source; the arrays may be memory-mapped and are not to be written to."""

    about: About
    fingerprint: str
    tokens: NDArray[np.uint16]
    offsets: NDArray[np.int64]
    doc_hashes: NDArray[np.uint8]
    image_offsets: NDArray[np.int64]
    image_px: NDArray[np.int32]
    pixel_offsets: NDArray[np.int64]
    pixels: NDArray[np.uint8]
    chosen: NDArray[np.bool_] | None = None  # [D]: the documents of a part; None: all of them

    @property
    def num_docs(self) -> int:
        return len(self.offsets) - 1

    def docs(self, among: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return the numbers of the documents that a mask [D] and the source's part have."""
        return np.flatnonzero(among if self.chosen is None else among & self.chosen)

    def doc_tokens(self, doc: int) -> NDArray[np.uint16]:
        return self.tokens[self.offsets[doc] : self.offsets[doc + 1]]

    def doc_hash(self, doc: int) -> bytes:
        return bytes(self.doc_hashes[doc])

    def image(self, index: int) -> NDArray[np.uint8]:
        """Pixels of one image, [height, width, 3]."""
        height, width = self.image_px[index].tolist()
        flat = self.pixels[self.pixel_offsets[index] : self.pixel_offsets[index + 1]]
        return flat.reshape(height, width, 3)

    def document(self, doc: int) -> Document:
        images = range(int(self.image_offsets[doc]), int(self.image_offsets[doc + 1]))
        return Document(tuple(self.doc_tokens(doc).tolist()), tuple(map(self.image, images)))

    def num_patches(self) -> NDArray[np.int64]:
        """Patches of each image, [I]."""
        px = self.image_px.astype(np.int64) // self.about.patch_px
        return px[:, 0] * px[:, 1]

    def lengths(self, unit: Unit) -> NDArray[np.int64]:
        """Positions of each document, [D]: tokens for the LLM, patches for the ViT."""
        if unit == "llm":
            return np.diff(self.offsets)
        before = np.concatenate([[0], np.cumsum(self.num_patches())])
        return np.diff(before[self.image_offsets])


def is_held_out(doc_hash: bytes, share: Fraction) -> bool:
    """Whether a document is kept out of training: its own content decides, and nothing else does.

    >>> is_held_out(bytes(32), Fraction(1, 50)), is_held_out(b"\\xff" * 32, Fraction(1, 50))
    (True, False)
    """
    place = int.from_bytes(doc_hash[:8], "big")
    return place * share.denominator < share.numerator << 64


def held_out(source: Source, share: Fraction) -> NDArray[np.bool_]:
    """`is_held_out` of each document, [D]."""
    threshold = -(-(share.numerator << 64) // share.denominator)
    if threshold >= 1 << 64:
        return np.ones(source.num_docs, dtype=bool)
    places = np.ascontiguousarray(source.doc_hashes[:, :8]).view(">u8")[:, 0]
    return np.asarray(places < np.uint64(threshold))


def collect(about: About, documents: Iterable[Document]) -> Source:
    """Documents as a source in memory; ValueError where tokens and images do not fit together."""
    tokens: list[NDArray[np.uint16]] = []
    images: list[NDArray[np.uint8]] = []
    hashes, num_images = [], [0]
    for number, document in enumerate(documents):
        _require_whole(about, number, document)
        tokens.append(np.array(document.tokens, dtype=ARRAYS["tokens"]))
        hashes.append(_content_hash(document))
        images.extend(document.images)
        num_images.append(len(images))
    if not tokens:
        raise ValueError(f"source `{about.name}` has no documents")
    pixels = [image.reshape(-1) for image in images]
    arrays = {
        "tokens": np.concatenate(tokens),
        "offsets": np.cumsum([0, *map(len, tokens)]),
        "doc_hashes": np.frombuffer(b"".join(hashes), dtype=np.uint8).reshape(-1, 32),
        "image_offsets": np.array(num_images),
        "image_px": np.array([image.shape[:2] for image in images]).reshape(-1, 2),
        "pixel_offsets": np.cumsum([0, *map(len, pixels)]),
        "pixels": np.concatenate([np.empty(0), *pixels]),
    }
    typed = {name: arrays[name].astype(dtype) for name, dtype in ARRAYS.items()}
    return Source(about=about, fingerprint=_fingerprint(about, typed), **typed)


def write_source(folder: Path, about: About, documents: Iterable[Document]) -> Source:
    """Prepare a source in a folder of its own; what stands there is replaced at the end."""
    source = collect(about, documents)
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name in ARRAYS:
        np.save(partial / f"{name}.npy", getattr(source, name), allow_pickle=False)
    facts = {
        "format": FORMAT,
        **asdict(about),
        "documents": source.num_docs,
        "tokens": len(source.tokens),
        "images": len(source.image_px),
        "patches": int(source.num_patches().sum()),
        "fingerprint": source.fingerprint,
    }
    (partial / "source.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return source


def open_source(folder: Path, *, verify: bool = True) -> Source:
    """Memory-map a prepared source; DataError, naming the file, where it is not as it says."""
    facts = _read_facts(folder)
    try:
        plain = {field.name: facts[field.name] for field in fields(About)}
        about = About(**plain | {"specials": Specials(**facts["specials"])})
        fingerprint, documents = facts["fingerprint"], facts["documents"]
    except (KeyError, TypeError) as error:
        raise DataError(f"{folder / 'source.json'}: a field is missing or wrong: {error}") from None
    if about.modality not in get_args(Modality):
        raise DataError(f"{folder / 'source.json'}: no such modality: {about.modality}")
    arrays = {name: _load(folder / f"{name}.npy", dtype) for name, dtype in ARRAYS.items()}
    source = Source(about=about, fingerprint=fingerprint, **arrays)
    if source.num_docs != documents:
        raise DataError(f"{folder / 'offsets.npy'}: {source.num_docs} documents, not {documents}")
    for end, name in (("offsets", "tokens"), ("pixel_offsets", "pixels")):
        if arrays[end][-1] != len(arrays[name]):
            raise DataError(
                f"{folder / (name + '.npy')}: {len(arrays[name])} entries, "
                f"but {end} ends at {arrays[end][-1]}"
            )
    if verify and _fingerprint(about, arrays) != fingerprint:
        raise DataError(
            f"{folder}: the arrays do not have the fingerprint in source.json; they were changed "
            "or damaged after they were prepared: prepare the source again"
        )
    return source


def _read_facts(folder: Path) -> dict[str, Any]:
    path = folder / "source.json"
    if not folder.is_dir():
        raise DataError(f"{folder}: no such data folder; prepare source `{folder.name}` first")
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: missing; {folder} is no prepared source") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise DataError(f"{path}: not of format {FORMAT}: prepare the source again")
    return facts


def _load(path: Path, dtype: str) -> NDArray[Any]:
    try:
        # A memory map cannot be empty; a file of no entries is read like any other.
        array: NDArray[Any] = np.load(path, allow_pickle=False)
        if array.size:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise DataError(f"{path}: missing") from None
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: truncated, or no array: {error}") from None
    if array.dtype.str != dtype:
        raise DataError(f"{path}: holds {array.dtype.str}, not {dtype}")
    return array


def _fingerprint(about: About, arrays: dict[str, NDArray[Any]]) -> str:
    digest = sha256(json.dumps([FORMAT, about.tokenizer, about.patch_px, about.merge]).encode())
    digest.update(json.dumps(asdict(about.specials), sort_keys=True).encode())
    for name, dtype in ARRAYS.items():
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {dtype} {array.shape}\n".encode())
        digest.update(array.data)
    return digest.hexdigest()


def _content_hash(document: Document) -> bytes:
    if document.identity:
        return sha256(document.identity).digest()
    digest = sha256(f"{document.tokens}\n".encode())
    for image in document.images:
        digest.update(f"{image.shape}\n".encode() + image.tobytes())
    return digest.digest()


def _require_whole(about: About, number: int, document: Document) -> None:
    place = f"source `{about.name}`, document {number}"
    ids, side = about.specials, about.patch_px * about.merge
    if not document.tokens:
        raise ValueError(f"{place}: no tokens")
    if not 0 <= min(document.tokens) <= max(document.tokens) < 1 << 16:
        raise ValueError(f"{place}: a token id outside 0..65535")
    expected: list[int] = []
    for image in document.images:
        height, width = image.shape[:2]
        if image.dtype != np.uint8 or image.shape[2:] != (3,) or height % side or width % side:
            raise ValueError(
                f"{place}: an image is uint8 [height, width, 3] with sides of multiples of "
                f"{side} pixels, not {image.dtype} {image.shape}"
            )
        positions = (height // side) * (width // side)
        expected += [ids.image, *[ids.image_position] * positions, ids.image_end]
    special = {ids.image, ids.image_position, ids.image_end}
    if [token for token in document.tokens if token in special] != expected:
        raise ValueError(f"{place}: image positions do not match the images in it")
