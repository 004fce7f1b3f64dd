"""What was learned, on documents that training never read

text      mean nats per token, against the entropy of the same tokens' own frequencies
captions  with the right image, and with another held-out caption's image
samples   what the model writes for six held-out images, beside the truth
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from math import log
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from curriculum.data.collate import caption, collate
from curriculum.data.heldout import as_rows, derange, held_out_docs
from curriculum.data.packed import NO_LOSS, Packed
from curriculum.data.store import Source, Specials
from curriculum.models.batch import to_torch
from curriculum.models.decoder import Decoder
from curriculum.models.vlm import forward_losses

Decode = Callable[[Sequence[int]], str]

TEXT_TOKENS = 32_768
"""Held-out tokens of text that one evaluation reads, shared by the sources."""

PAIRS = 128
"""Held-out captions that one evaluation reads at most."""

SAMPLES = 6
SAMPLE_TOKENS = 24
BATCH_TOKENS = 8192


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Held-out documents of the sources of a run: of each, which ones are read."""

    text: tuple[tuple[Source, tuple[int, ...]], ...]
    captions: tuple[tuple[Source, tuple[int, ...]], ...]  # of one image each, no caption twice


def held_out(sources: Mapping[str, Source], shares: Mapping[str, Fraction]) -> HeldOut:
    """Choose the documents: the same ones after every stage, in the order of their hashes."""
    names = [name for name in sorted(sources) if shares.get(name)]
    docs = {name: held_out_docs(sources[name], shares[name]) for name in names}
    texts = [name for name in names if sources[name].about.modality == "text" and docs[name]]
    text = [
        (sources[name], _as_many(sources[name], docs[name], TEXT_TOKENS // len(texts)))
        for name in texts
    ]
    seen: set[tuple[int, ...]] = set()
    captions = []
    for name in names:
        source = sources[name]
        if source.about.modality == "image-text":
            found = tuple(_distinct(source, docs[name], seen))
            if len(found) > 1:
                captions.append((source, found))
    return HeldOut(tuple(text), tuple(captions))


def evaluate(
    by_kind: Mapping[str, nn.Module],
    held: HeldOut,
    seq_len: int,
    decode: Decode,
    device: torch.device,
) -> dict[str, Any]:
    """Evaluate what a stage ends with; empty where it has no LLM or nothing is held out.

    Losses are in nats per token that bears loss.
    """
    if "llm" not in by_kind:
        return {}
    found: dict[str, Any] = {}
    with evaluating(by_kind):
        if held.text:
            found["text"] = _text(by_kind, held, seq_len, device)
        if held.captions and {"vit", "projector"} <= by_kind.keys():
            found["captions"] = _captions(by_kind, held, seq_len, device)
            found["samples"] = samples(by_kind, held, decode, device)
    return found


@contextmanager
def evaluating(by_kind: Mapping[str, nn.Module]) -> Iterator[None]:
    """Call modules without gradient, and without the experts counting what they are given."""
    were = {kind: module.training for kind, module in by_kind.items()}
    for module in by_kind.values():
        module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for kind, module in by_kind.items():
            module.train(were[kind])


def unigram_entropy(tokens: Sequence[int]) -> float:
    """Return the entropy of tokens' own frequencies, in nats: what knowing no context leaves.

    >>> round(unigram_entropy([1, 1, 2, 2]), 6)
    0.693147
    """
    counts = np.unique(np.asarray(tokens), return_counts=True)[1]
    return float(sum(-n / len(tokens) * log(n / len(tokens)) for n in counts.tolist()))


def _text(
    by_kind: Mapping[str, nn.Module], held: HeldOut, seq_len: int, device: torch.device
) -> dict[str, Any]:
    total, targets, by_source = 0.0, [], {}
    for source, docs in held.text:
        loss, read = _loss(by_kind, source, docs, seq_len, device)
        by_source[source.about.name] = loss / len(read)
        total += loss
        targets += read
    return {
        "loss": total / len(targets),
        "unigram_entropy": unigram_entropy(targets),
        "tokens": len(targets),
        "documents": sum(len(docs) for _, docs in held.text),
        "by_source": by_source,
    }


def _captions(
    by_kind: Mapping[str, nn.Module], held: HeldOut, seq_len: int, device: torch.device
) -> dict[str, Any]:
    right = other = 0.0
    tokens = 0
    for source, docs in held.captions:
        wrong = derange(source, docs)
        loss, read = _loss(by_kind, source, docs, seq_len, device)
        wrong_loss, wrong_read = _loss(by_kind, wrong, range(len(docs)), seq_len, device)
        assert sorted(read) == sorted(wrong_read), "both sides predict the same captions"
        right, other, tokens = right + loss, other + wrong_loss, tokens + len(read)
    return {
        "right_image": right / tokens,
        "other_image": other / tokens,
        "pairs": sum(len(docs) for _, docs in held.captions),
        "tokens": tokens,
    }


def _loss(
    by_kind: Mapping[str, nn.Module],
    source: Source,
    docs: Sequence[int],
    seq_len: int,
    device: torch.device,
) -> tuple[float, list[int]]:
    """Return the summed loss of documents, and the tokens that it predicts."""
    rows = as_rows(source, docs, seq_len)
    total, targets = 0.0, []
    size = max(1, BATCH_TOKENS // seq_len)
    for start in range(0, len(rows), size):
        packed = collate(rows[start : start + size], {source.about.name: source})
        targets += packed.targets[packed.targets != NO_LOSS].tolist()
        found = forward_losses(by_kind, to_torch(packed, device), {"next_token": 1.0})
        total += found["next_token"].total.item()
    return total, targets


def samples(
    by_kind: Mapping[str, nn.Module], held: HeldOut, decode: Decode, device: torch.device
) -> list[dict[str, str]]:
    """Return what the model writes for some held-out images, beside the truth."""
    source, docs = held.captions[0]
    docs = docs[:SAMPLES]
    ids = source.about.specials
    prompts = []
    for doc in docs:
        tokens = source.doc_tokens(doc).tolist()
        prompts.append(tokens[: tokens.index(ids.image_end) + 1])
    images = [_image_of(source, doc) for doc in docs]
    written = write(by_kind, prompts, images, ids, device)
    special = {ids.pad, ids.begin, ids.end, ids.image, ids.image_end, ids.image_position}
    return [
        {
            "truth": decode([t for t in caption(source, doc, 0) if t not in special]).strip(),
            "written": decode([t for t in tokens if t not in special]).strip(),
        }
        for doc, tokens in zip(docs, written, strict=True)
    ]


def write(
    by_kind: Mapping[str, nn.Module],
    prompts: Sequence[Sequence[int]],
    images: Sequence[Packed],
    ids: Specials,
    device: torch.device,
) -> list[list[int]]:
    """Go on with prompts of one image each, greedily, until the end or so many tokens.

    Only text and the end are written, no other special token. Everything is read again for every
    token: six short prompts need no cache.
    """
    llm = by_kind["llm"]
    assert isinstance(llm, Decoder)
    cells = []
    for packed in images:
        batch = to_torch(packed, device)
        cells.append(by_kind["projector"](by_kind["vit"](batch.patches, batch.grids), batch.grids))
    image = torch.cat(cells)
    written: list[list[int]] = [[] for _ in prompts]
    for _ in range(SAMPLE_TOKENS):
        docs = [[*prompt, *more] for prompt, more in zip(prompts, written, strict=True)]
        tokens = torch.tensor([token for doc in docs for token in doc], device=device)
        lengths = [len(doc) for doc in docs]
        cu_seqlens = torch.tensor([0, *np.cumsum(lengths).tolist()], dtype=torch.int32)
        positions = torch.cat([torch.arange(length) for length in lengths]).to(device)
        x = llm.embed(tokens)
        x[tokens == ids.image_position] = image.to(x.dtype)
        hidden = llm(x, positions, cu_seqlens.to(device), max(lengths))
        last = hidden[(cu_seqlens[1:].long() - 1).to(device)]
        logits = functional.linear(last, llm.head_weight)
        logits[:, [ids.pad, ids.begin, ids.image, ids.image_end, ids.image_position]] = -torch.inf
        for more, token in zip(written, logits.argmax(-1).tolist(), strict=True):
            if ids.end not in more:
                more.append(token)
        if all(ids.end in more for more in written):
            break
    return written


def _image_of(source: Source, doc: int) -> Packed:
    """The image of a document as arrays of its own."""
    row = as_rows(source, [doc], int(source.lengths("vit")[doc]), "vit")
    return collate(row, {source.about.name: source})


def _as_many(source: Source, docs: Sequence[int], tokens: int) -> tuple[int, ...]:
    """The documents, in their order, that fit into so many tokens; the shortest if none does."""
    lengths = source.lengths("llm")
    chosen = []
    for doc in docs:
        if lengths[doc] <= tokens:
            chosen.append(doc)
            tokens -= int(lengths[doc])
    return tuple(chosen) or (min(docs, key=lambda doc: int(lengths[doc])),)


def _distinct(source: Source, docs: Sequence[int], seen: set[tuple[int, ...]]) -> Iterator[int]:
    """Documents of one image, no caption twice, up to `PAIRS` over all sources."""
    for doc in docs:
        if len(seen) == PAIRS:
            return
        if source.image_offsets[doc + 1] - source.image_offsets[doc] != 1:
            continue
        text = tuple(caption(source, doc, 0))
        if text not in seen:
            seen.add(text)
            yield doc
