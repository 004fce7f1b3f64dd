"""One packed batch as plain arrays: what the loader makes and the models read

Letters: T positions of all sequences together, D packed documents, I images, P patches of all
images, C caption tokens of all images. Sequences stand one behind the other, each exactly `seq_len`
positions long; attention never crosses a document; padding at the end of a sequence is a document
of its own.

    sequence 0 (seq_len positions)         | sequence 1 ...
    doc a ...... | doc b ........ | padding| doc c ......
    0            cu_seqlens[1]   ...                                 cu_seqlens[D] == T
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TEXT, IMAGE, PAD = 0, 1, 2
"""What one position is: a text token, an image position after the projector's merge, padding."""

NO_LOSS = -100
"""The target of a position that bears no loss (padding, images, the last token of a document)."""


@dataclass(frozen=True, slots=True)
class Packed:
    """Some sequences of one step, ready for a forward pass; all of numpy, in global order.

    In a stage that counts LLM positions, `tokens` and what belongs to it has length T and
    `captions` is empty. In a stage that counts ViT positions (`count: vit`), the T positions are
    patches and padding: `kinds` says which, `tokens` and `targets` are empty, and `captions` holds
    one caption per image.
    """

    seq_len: int
    sources: tuple[str, ...]  # of each sequence, its source: len(sources) * seq_len == T
    doc_ids: tuple[tuple[int, ...], ...]  # of each sequence, the documents in it, in packed order
    kinds: NDArray[np.uint8]  # [T] TEXT, IMAGE or PAD
    positions: NDArray[np.int64]  # [T] position within its packed document
    cu_seqlens: NDArray[np.int32]  # [D + 1] where packed documents begin, and T
    max_seqlen: int  # longest packed document
    tokens: NDArray[np.int64]  # [T] token ids; at an image position the image token's id
    targets: NDArray[np.int64]  # [T] the next token of the same document, or NO_LOSS
    patches: NDArray[np.float32]  # [P, channels * patch * patch] in [-1, 1], row-major per image
    grids: NDArray[np.int32]  # [I, 2] patches per image: rows, columns (both even)
    captions: NDArray[np.int64]  # [C] caption tokens of all images, begin and end included
    caption_cu_seqlens: NDArray[np.int32]  # [I + 1], or [1] where there are no captions
