"""Rows into one packed batch: tokens, targets, patches and captions fetched from the sources

Letters as in packed.py: T positions, D packed documents, I images, P patches, C caption tokens.
"""

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from curriculum.data.packed import IMAGE, NO_LOSS, PAD, TEXT, Packed
from curriculum.data.packing import Row
from curriculum.data.store import Source, Specials


class _Image(NamedTuple):
    source: Source
    doc: int
    ordinal: int  # among the images of its document

    @property
    def pixels(self) -> NDArray[np.uint8]:
        return self.source.image(int(self.source.image_offsets[self.doc]) + self.ordinal)

    @property
    def grid(self) -> tuple[int, int]:
        height, width = self.pixels.shape[:2]
        return height // self.source.about.patch_px, width // self.source.about.patch_px


def collate(rows: Sequence[Row], sources: Mapping[str, Source], across: bool = False) -> Packed:
    """Pack rows of one context and unit; the same rows give the same bytes.

    A packed document is a span for the LLM, an image for the ViT; with `across`, all of a row of
    text: attention crosses its documents, and the last of one predicts the first of the next.
    Wrappers around images and image positions are read, not predicted. ValueError where rows do
    not go together.
    """
    if not rows or len({(row.seq_len, row.unit) for row in rows}) != 1:
        raise ValueError("a batch has at least one row, and all rows are of one context and unit")
    about = sources[rows[0].source].about
    shared = (about.tokenizer, about.specials, about.patch_px, about.merge)
    for other in {row.source: sources[row.source].about for row in rows}.values():
        if (other.tokenizer, other.specials, other.patch_px, other.merge) != shared:
            raise ValueError(
                f"sources `{about.name}` and `{other.name}` were prepared with different "
                "tokenizers or patches"
            )
    seq_len, for_llm = rows[0].seq_len, rows[0].unit == "llm"
    images = [image for row in rows for image in _images(row, sources[row.source])]
    lengths, padding = _documents(rows, sources)
    if across:
        assert not any(padding), "rows of text are full"
        lengths, padding = [seq_len] * len(rows), [False] * len(rows)
    cu_seqlens = np.concatenate([[0], np.cumsum(lengths)])
    is_padding = np.repeat(padding, lengths)
    captions = (
        [] if for_llm else [caption(image.source, image.doc, image.ordinal) for image in images]
    )
    tokens = _tokens(rows, sources, about.specials.pad) if for_llm else np.empty(0, dtype=np.int64)
    kinds = np.full(len(rows) * seq_len, IMAGE, dtype=np.uint8)
    if for_llm:
        kinds[tokens != about.specials.image_position] = TEXT
    kinds[is_padding] = PAD
    return Packed(
        seq_len=seq_len,
        sources=tuple(row.source for row in rows),
        doc_ids=tuple(tuple(span.doc for span in row.spans) for row in rows),
        kinds=kinds,
        positions=np.arange(len(kinds)) - np.repeat(cu_seqlens[:-1], lengths),
        cu_seqlens=cu_seqlens.astype(np.int32),
        max_seqlen=max(lengths),
        tokens=tokens,
        targets=_targets(tokens, is_padding, cu_seqlens, about.specials) if for_llm else tokens,
        patches=np.concatenate(
            [
                np.empty((0, 3 * about.patch_px**2), dtype=np.float32),
                *(to_patches(image.pixels, about.patch_px) for image in images),
            ]
        ),
        grids=np.array([image.grid for image in images], dtype=np.int32).reshape(-1, 2),
        captions=np.array([token for text in captions for token in text], dtype=np.int64),
        caption_cu_seqlens=np.cumsum([0, *map(len, captions)]).astype(np.int32),
    )


def to_patches(pixels: NDArray[np.uint8], patch_px: int) -> NDArray[np.float32]:
    """An image [height, width, 3] as patches [P, 3 * patch_px ** 2] in [-1, 1].

    Patches stand row by row over the grid; within a patch channels first, then rows.

    >>> to_patches(np.array([[[0, 51, 255], [255, 51, 0]]], dtype=np.uint8), 1).round(1).tolist()
    [[-1.0, -0.6000000238418579, 1.0], [1.0, -0.6000000238418579, -1.0]]
    """
    height, width = pixels.shape[0] // patch_px, pixels.shape[1] // patch_px
    grid = pixels.reshape(height, patch_px, width, patch_px, 3).transpose(0, 2, 4, 1, 3)
    return grid.reshape(height * width, -1).astype(np.float32) / np.float32(127.5) - np.float32(1)


def caption(source: Source, doc: int, ordinal: int) -> list[int]:
    """The text that follows an image, up to the next image, begin and end included."""
    ids, tokens = source.about.specials, source.doc_tokens(doc).tolist()
    ends = [at for at, token in enumerate(tokens) if token == ids.image_end]
    text = tokens[ends[ordinal] + 1 :]
    if ids.image in text:
        text = text[: text.index(ids.image)]
    return [ids.begin, *(token for token in text if token not in (ids.begin, ids.end)), ids.end]


def drawn_hash(rows: Sequence[Row], sources: Mapping[str, Source]) -> str:
    """sha256, in hex, of what rows hold, in order: source, content, start and end of each span."""
    digest = sha256()
    for row in rows:
        digest.update(f"{row.source} {row.seq_len} {row.unit}\n".encode())
        for doc, start, end in row.spans:
            digest.update(sources[row.source].doc_hash(doc) + f"{start} {end}\n".encode())
    return digest.hexdigest()


def _images(row: Row, source: Source) -> Iterator[_Image]:
    """The images of a row, in packed order; spans hold images whole."""
    for doc, start, end in row.spans:
        if row.unit == "llm":
            starts = np.flatnonzero(source.doc_tokens(doc) == source.about.specials.image)
        else:
            images = slice(source.image_offsets[doc], source.image_offsets[doc + 1])
            patches = np.prod(source.image_px[images] // source.about.patch_px, axis=1)
            starts = np.cumsum(patches) - patches
        first, stop = np.searchsorted(starts, [start, end])
        yield from (_Image(source, doc, ordinal) for ordinal in range(int(first), int(stop)))


def _documents(rows: Sequence[Row], sources: Mapping[str, Source]) -> tuple[list[int], list[bool]]:
    """Length of each packed document, and whether it is padding."""
    lengths, padding = [], []
    for row in rows:
        if row.unit == "llm":
            parts = [end - start for _, start, end in row.spans]
        else:
            parts = [h * w for h, w in (image.grid for image in _images(row, sources[row.source]))]
        room = row.seq_len - sum(parts)
        lengths += [*parts, room] if room else parts
        padding += [*(False for _ in parts), True] if room else [False for _ in parts]
    return lengths, padding


def _tokens(rows: Sequence[Row], sources: Mapping[str, Source], pad: int) -> NDArray[np.int64]:
    tokens = np.full((len(rows), rows[0].seq_len), pad, dtype=np.int64)
    for line, row in zip(tokens, rows, strict=True):
        at = 0
        for doc, start, end in row.spans:
            line[at : at + end - start] = sources[row.source].doc_tokens(doc)[start:end]
            at += end - start
    return tokens.reshape(-1)


def _targets(
    tokens: NDArray[np.int64],
    is_padding: NDArray[np.bool_],
    cu_seqlens: NDArray[np.int64],
    ids: Specials,
) -> NDArray[np.int64]:
    targets = np.append(tokens[1:], NO_LOSS)
    targets[np.isin(targets, (ids.image, ids.image_position, ids.image_end))] = NO_LOSS
    targets[cu_seqlens[1:] - 1] = NO_LOSS
    targets[is_padding] = NO_LOSS
    return targets
