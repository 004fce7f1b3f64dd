"""Documents that were kept out of training, as rows to evaluate on, and with the wrong images"""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from curriculum.data.packing import Row, Span, best_fit, blocks_of, cut
from curriculum.data.store import Document, Source, Unit, collect, held_out


def held_out_docs(source: Source, share: Fraction) -> list[int]:
    """The documents held out of a source, in the order of their hashes: as good as shuffled."""
    docs = source.docs(held_out(source, share)).tolist()
    return sorted(docs, key=source.doc_hash)


def as_rows(source: Source, docs: Sequence[int], seq_len: int, unit: Unit = "llm") -> list[Row]:
    """Documents as padded rows, cut only where they are longer than a row."""
    lengths = source.lengths(unit)
    spans = [
        part
        for doc in docs
        if lengths[doc]
        for part in cut(Span(doc, 0, int(lengths[doc])), blocks_of(source, doc, unit), seq_len)
    ]
    return [Row(source.about.name, seq_len, unit, row) for row in best_fit(spans, seq_len)]


def derange(source: Source, docs: Sequence[int]) -> Source:
    """The documents with each other's images: each gets the next one's, the last the first's.

    For documents of one image each; document i of the result holds the text of `docs[i]`.
    ValueError where there are no two documents to exchange, or one has not exactly one image.
    """
    if len(docs) < 2:
        raise ValueError(f"source `{source.about.name}`: no two held-out documents to exchange")
    right = [source.document(doc) for doc in docs]
    wrong = [
        _with_image(source, this, other)
        for this, other in zip(right, [*right[1:], right[0]], strict=True)
    ]
    return collect(source.about, wrong)


def subset(source: Source, docs: Sequence[int]) -> Source:
    """Some documents of a source as a source in memory, in the given order."""
    return collect(source.about, [source.document(doc) for doc in docs])


def _with_image(source: Source, this: Document, other: Document) -> Document:
    ids = source.about.specials
    if len(this.images) != 1 or len(other.images) != 1:
        raise ValueError(f"source `{source.about.name}`: images are exchanged one for one")
    start, end = this.tokens.index(ids.image), this.tokens.index(ids.image_end)
    first, last = other.tokens.index(ids.image), other.tokens.index(ids.image_end)
    tokens = (*this.tokens[:start], *other.tokens[first:last], *this.tokens[end:])
    return replace(other, tokens=tokens)
