"""Small sources made up for tests: documents whose tokens and pixels say who they are."""

from collections.abc import Sequence

import numpy as np

from curriculum.data.store import About, Document, Modality, Source, Specials, collect

SPECIALS = Specials(pad=0, begin=1, end=2, image=3, image_end=4, image_position=5)
Piece = int | tuple[int, int]  # so many text tokens, or the grid of an image in merged cells


def about(name: str = "made", modality: Modality = "text") -> About:
    return About(
        name=name,
        modality=modality,
        licence="CC0",
        origin="made for a test",
        tokenizer="none",
        specials=SPECIALS,
        patch_px=4,
        merge=2,
    )


def text_source(lengths: Sequence[int], name: str = "made") -> Source:
    """Documents of so many tokens; the tokens of document d are 100 + d, 101 + d, ..."""
    return collect(
        about(name),
        [Document(tuple(100 + (d + i) % 60_000 for i in range(n))) for d, n in enumerate(lengths)],
    )


def image_document(number: int, pieces: Sequence[Piece]) -> Document:
    tokens, images = [SPECIALS.begin], []
    for place, piece in enumerate(pieces):
        if isinstance(piece, int):
            tokens += [10 + (number + place) % 50] * piece
        else:
            rows, columns = piece
            rng = np.random.default_rng([number, place])
            images.append(rng.integers(0, 256, (rows * 8, columns * 8, 3), dtype=np.uint8))
            run = [SPECIALS.image_position] * (rows * columns)
            tokens += [SPECIALS.image, *run, SPECIALS.image_end]
    return Document((*tokens, SPECIALS.end), tuple(images))


def image_source(documents: Sequence[Sequence[Piece]], name: str = "made") -> Source:
    made = [image_document(number, pieces) for number, pieces in enumerate(documents)]
    return collect(about(name, "image-text"), made)
