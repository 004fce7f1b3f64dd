"""The same keyed permutation for many indices at once, in numpy"""

import numpy as np
from numpy.typing import NDArray

from curriculum.data.permute import MULTIPLIERS, SHIFTS, half_bits, round_keys


def permute_many(key: int, n: int, indices: NDArray[np.int64]) -> NDArray[np.int64]:
    """`permute(key, n, i)` for each i of an array; a test holds the two equal.

    >>> sorted(permute_many(7, 5, np.arange(5)).tolist())
    [0, 1, 2, 3, 4]
    """
    if indices.size and not 0 <= indices.min() <= indices.max() < n:
        raise IndexError(f"an index is outside range({n})")
    half = half_bits(n)
    keys = [np.uint32(round_key) for round_key in round_keys(key)]
    result = indices.astype(np.int64)
    walking = np.arange(result.size)
    while walking.size:
        moved = _network(result[walking], half, keys)
        result[walking] = moved
        walking = walking[moved >= n]
    return result


def permutation(key: int, n: int) -> list[int]:
    """`permute(key, n, i)` for each i of range(n); the quicker one below some thousands.

    The network goes over all that its bits hold, once; walking on is then looking up.

    >>> permutation(7, 5) == permute_many(7, 5, np.arange(5)).tolist()
    True
    """
    half = half_bits(n)
    keys = [np.uint32(round_key) for round_key in round_keys(key)]
    moves = _network(np.arange(1 << 2 * half), half, keys).tolist()
    result = []
    for i in moves[:n]:
        while i >= n:
            i = moves[i]
        result.append(i)
    return result


def _network(i: NDArray[np.int64], half: int, keys: list[np.uint32]) -> NDArray[np.int64]:
    mask = np.uint32((1 << half) - 1)
    left = (i >> half).astype(np.uint32)
    right = i.astype(np.uint32) & mask
    for round_key in keys:
        left, right = right, left ^ (_mix(right ^ round_key) & mask)
    return left.astype(np.int64) << half | right.astype(np.int64)


def _mix(x: NDArray[np.uint32]) -> NDArray[np.uint32]:
    x = (x ^ (x >> np.uint32(SHIFTS[0]))) * np.uint32(MULTIPLIERS[0])
    x = (x ^ (x >> np.uint32(SHIFTS[1]))) * np.uint32(MULTIPLIERS[1])
    return x ^ (x >> np.uint32(SHIFTS[2]))
