"""Over what a loss term is taken, and what each token of a sample weighs in it"""

from dataclasses import dataclass
from math import sqrt
from typing import Literal, assert_never, cast, get_args

Reduce = Literal["tokens", "samples", "sqrt"]

REDUCTIONS: tuple[str, ...] = get_args(Reduce)
MASKS = ("all", "text", "answers")


@dataclass(frozen=True, slots=True)
class LossRule:
    """What a term reads, and how its tokens weigh; a sample is a packed document or a caption.

    `over`: `all` positions that predict one (an image position never does), those of `text`, or
    those of `answers`. `reduce` is how a step's sum becomes one number: see `token_weight`.
    """

    over: str = "all"
    reduce: str = "tokens"


def token_weight(loss_tokens: int, reduce: str) -> float:
    """Return what one token weighs in a sample of so many tokens that bear loss.

    A term is the step's weighted sum divided by the step's sum of weights: 1 (a mean over tokens),
    1 / l (over samples) or 1 / sqrt(l). Source: arXiv 2412.05271 (InternVL2.5), 3.3, where the
    last one is called square averaging.

    >>> [token_weight(16, reduce) for reduce in REDUCTIONS]
    [1.0, 0.0625, 0.25]
    """
    match cast(Reduce, reduce):
        case "tokens":
            return 1.0
        case "samples":
            return 1 / loss_tokens
        case "sqrt":
            return 1 / sqrt(loss_tokens)
        case never:
            assert_never(never)
