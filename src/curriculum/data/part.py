"""Parts of a prepared source: some of its documents, by their order or by their length"""

from dataclasses import replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from curriculum.data.store import Source


def by_order(source: Source, share: tuple[Fraction, Fraction]) -> Source:
    """Return the documents that begin in a share of the source's tokens, as the LLM counts them.

    So the parts `first 10%` and `10% to 100%` have no document in common and together all.
    """
    start, end = (_least(x, int(source.offsets[-1])) for x in share)
    begins = source.offsets[:-1]
    return _chosen(source, (begins >= start) & (begins < end))


def by_length(source: Source, min_tokens: int | None, max_tokens: int | None) -> Source:
    """Return the documents of `min_tokens` or more and fewer than `max_tokens` tokens."""
    lengths = np.diff(source.offsets)
    chosen = lengths >= (min_tokens or 0)
    return _chosen(source, chosen if max_tokens is None else chosen & (lengths < max_tokens))


def _least(share: Fraction, tokens: int) -> int:
    """The first token at or after a share of all."""
    return -(-share.numerator * tokens // share.denominator)


def _chosen(source: Source, docs: NDArray[np.bool_]) -> Source:
    return replace(source, chosen=docs if source.chosen is None else docs & source.chosen)
