"""What repeated data is worth, and in how many epochs it loses that"""

from fractions import Fraction
from math import exp

MANY_EPOCHS = 4
"""Up to here repeated text is nearly as good as new (arXiv 2305.16264)."""

MOST_EPOCHS = 40
"""From about here on another epoch gains nothing (the same)."""

R_STAR_D = 15.387756
"""After so many repetitions one is worth 1/e of the first (huggingface/datablations, README)."""

SOURCE = "Muennighoff et al., arXiv 2305.16264"


def worth_tokens(unique: Fraction, read: Fraction) -> float:
    """Return how many tokens of new text are worth as much as what was read of a source, in tokens.

    D' = U (1 + R* (1 - exp(-R / R*))), where R = D / U - 1 are the repetitions: of U tokens, D were
    read, at least U. It is a fit to decoders of up to 9B parameters on up to 900B tokens of text.

    Source: arXiv 2305.16264, 3.1, with the constant of its code (huggingface/datablations).

    >>> round(worth_tokens(Fraction(25), Fraction(100)), 1)  # 4 epochs
    93.1
    >>> round(worth_tokens(Fraction(1), Fraction(1700)), 2)  # never more than 1 + R*
    16.39
    """
    repetitions = float(read / unique) - 1
    return float(unique) * (1 + R_STAR_D * (1 - exp(-repetitions / R_STAR_D)))
