"""Where packed documents lie among the rows of queries and keys, as a kernel wants to know it"""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Packing:
    """Documents of one attention: where they begin, the longest, who sees whom.

    `cu_q` and `cu_k` [D + 1] int32 begin with 0 and end with the number of rows; `max_q` and
    `max_k` are at least the longest document's rows, and at most all rows.
    """

    cu_q: Tensor
    cu_k: Tensor
    max_q: int
    max_k: int
    causal: bool
    scale: float
