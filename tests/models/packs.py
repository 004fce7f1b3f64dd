"""Small packed batches for tests, made by hand: text, images with text, images with captions

Every row is one sequence; documents fill it, what is left is padding, a document of its own.
"""

from collections.abc import Sequence

import numpy as np

from curriculum.data.packed import IMAGE, NO_LOSS, PAD, TEXT, Packed

PATCH_DIM = 48  # 3 channels, patches of 4 pixels
IMAGE_TOKEN = 1
Document = list[int] | tuple[tuple[int, int], list[int]]  # tokens, or (grid, caption)


def llm_rows(rows: Sequence[Sequence[Document]], seq_len: int, seed: int = 0) -> Packed:
    """Rows of documents as the LLM reads them; an image stands before its caption."""
    kinds: list[int] = []
    positions: list[int] = []
    tokens: list[int] = []
    targets: list[int] = []
    lengths: list[int] = []
    grids: list[tuple[int, int]] = []
    for row in rows:
        used = 0
        for document in row:
            grid, text = document if isinstance(document, tuple) else (None, document)
            cells = 0 if grid is None else grid[0] * grid[1] // 4
            ids = [IMAGE_TOKEN] * cells + list(text)
            grids += [] if grid is None else [grid]
            kinds += [IMAGE] * cells + [TEXT] * len(text)
            positions += range(len(ids))
            tokens += ids
            # The last image position predicts the first word, a word the next word.
            targets += [NO_LOSS] * max(cells - 1, 0) + ids[max(cells, 1) :] + [NO_LOSS]
            lengths.append(len(ids))
            used += len(ids)
        if used < seq_len:
            left = seq_len - used
            kinds += [PAD] * left
            positions += range(left)
            tokens += [0] * left
            targets += [NO_LOSS] * left
            lengths.append(left)
    return _packed(len(rows), seq_len, kinds, positions, lengths, tokens, targets, grids, [], seed)


def caption_rows(pairs: Sequence[tuple[tuple[int, int], list[int]]], seed: int = 0) -> Packed:
    """Images with one caption each, one image a row of 64 patches, for a stage without an LLM."""
    kinds: list[int] = []
    positions: list[int] = []
    lengths: list[int] = []
    for (rows, columns), _ in pairs:
        size = rows * columns
        kinds += [IMAGE] * size + [PAD] * (64 - size)
        positions += [*range(size), *range(64 - size)]
        lengths += [size] + ([64 - size] if size < 64 else [])
    grids, captions = [grid for grid, _ in pairs], [caption for _, caption in pairs]
    return _packed(len(pairs), 64, kinds, positions, lengths, [], [], grids, captions, seed)


def _packed(
    num_rows: int,
    seq_len: int,
    kinds: list[int],
    positions: list[int],
    lengths: list[int],
    tokens: list[int],
    targets: list[int],
    grids: list[tuple[int, int]],
    captions: list[list[int]],
    seed: int,
) -> Packed:
    num_patches = sum(rows * columns for rows, columns in grids)
    pixels = np.random.default_rng(seed).uniform(-1, 1, (num_patches, PATCH_DIM))
    return Packed(
        seq_len=seq_len,
        sources=("made",) * num_rows,
        doc_ids=((),) * num_rows,
        kinds=np.array(kinds, dtype=np.uint8),
        positions=np.array(positions, dtype=np.int64),
        cu_seqlens=np.cumsum([0, *lengths], dtype=np.int32),
        max_seqlen=max(lengths),
        tokens=np.array(tokens, dtype=np.int64),
        targets=np.array(targets, dtype=np.int64),
        patches=pixels.astype(np.float32),
        grids=np.array(grids, dtype=np.int32).reshape(-1, 2),
        captions=np.array([token for caption in captions for token in caption], dtype=np.int64),
        caption_cu_seqlens=np.cumsum([0, *(len(c) for c in captions)], dtype=np.int32),
    )
