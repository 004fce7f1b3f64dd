"""A shuffle without a list: a keyed permutation of range(n), asked for at any index

Six Feistel rounds of murmur-like mixing on the smallest even number of bits that holds n, at least
six; an index that lands beyond n walks on along its cycle until it lands inside. The whole of the
other half enters every round and is mixed downwards as well as upwards: rounds without that leave
the low bits of the output an affine function of the low bits of the index.
"""

from hashlib import sha256

ROUNDS = 6
MULTIPLIERS = 0x85EBCA6B, 0xC2B2AE35  # murmur3's finalizer, Appleby 2011
SHIFTS = 16, 13, 16
MIN_HALF_BITS = 3  # smaller Feistel networks reach too few permutations


def derive_key(*parts: str | int) -> int:
    """A 256-bit key from what names a shuffle: the seed, the source, the epoch.

    >>> derive_key(0, "web", 1) == derive_key(0, "web", 1) != derive_key(0, "web", 2)
    True
    """
    text = "\0".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(sha256(text.encode()).digest(), "big")


def round_keys(key: int) -> tuple[int, ...]:
    """One 32-bit key for each round."""
    return tuple(key >> 32 * r & 0xFFFFFFFF for r in range(ROUNDS))


def half_bits(n: int) -> int:
    """Bits of each half of the network that permutes range(n)."""
    if not 1 <= n <= 1 << 63:
        raise ValueError(f"cannot permute range({n})")
    return max(MIN_HALF_BITS, ((n - 1).bit_length() + 1) // 2)


def permute(key: int, n: int, i: int) -> int:
    """Where index i goes in the permutation of range(n) that the key names.

    >>> sorted(permute(7, 5, i) for i in range(5))
    [0, 1, 2, 3, 4]
    """
    keys, half = round_keys(key), half_bits(n)
    if not 0 <= i < n:
        raise IndexError(f"{i} is outside range({n})")
    mask = (1 << half) - 1
    while True:
        left, right = i >> half, i & mask
        for round_key in keys:
            left, right = right, left ^ _mix(right ^ round_key) & mask
        i = left << half | right
        if i < n:
            return i


def _mix(x: int) -> int:
    x = (x ^ x >> SHIFTS[0]) * MULTIPLIERS[0] & 0xFFFFFFFF
    x = (x ^ x >> SHIFTS[1]) * MULTIPLIERS[1] & 0xFFFFFFFF
    return x ^ x >> SHIFTS[2]
