"""The keyed permutation: a bijection, and one in which no pattern of the index survives."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curriculum.data.permute import derive_key, permute
from curriculum.data.permute_many import permutation, permute_many


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 700), st.integers(0, 2**256 - 1))
def test_it_is_a_bijection(n: int, key: int) -> None:
    assert sorted(permute_many(key, n, np.arange(n)).tolist()) == list(range(n))


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 2**62), st.integers(0, 2**256 - 1))
def test_one_by_one_equals_many_at_once(data: st.DataObject, n: int, key: int) -> None:
    indices = data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=9))
    many = permute_many(key, n, np.array(indices, dtype=np.int64))
    assert many.tolist() == [permute(key, n, i) for i in indices]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 1100), st.integers(0, 2**256 - 1))
def test_one_by_one_equals_all_at_once(n: int, key: int) -> None:
    assert permutation(key, n) == [permute(key, n, i) for i in range(n)]


def test_the_order_of_today_is_the_order_of_tomorrow() -> None:
    """Golden: a changed permutation breaks every run that is to be resumed."""
    key = derive_key(0, "web", 0)
    assert [permute(key, 1000, i) for i in range(8)] == [934, 382, 852, 755, 578, 591, 183, 391]


def test_keys_differ_by_each_part_and_by_its_type() -> None:
    parts: list[tuple[int | str, ...]] = [
        (0, "a", 1),
        (1, "a", 1),
        (0, "b", 1),
        (0, "a", 2),
        ("0", "a", 1),
        (0, "a1"),
        (0, "a"),
    ]
    assert len({derive_key(*p) for p in parts}) == len(parts)


def test_indices_outside_are_refused() -> None:
    with pytest.raises(IndexError):
        permute(1, 5, 5)
    with pytest.raises(IndexError):
        permute_many(1, 5, np.array([0, 5]))
    with pytest.raises(ValueError, match="range"):
        permute(1, 0, 0)


SIZES = [2**16, 10**5 + 3]


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("epoch", [0, 1, 2])
def test_no_parity_of_the_index_shows_in_the_image(n: int, epoch: int) -> None:
    """Correlation of every bit with every bit, in standard deviations: 289 pairs, so below 5."""
    index = np.arange(n)
    image = permute_many(derive_key(0, "parity", epoch), n, index)
    bits = range((n - 1).bit_length())
    ins = np.stack([(index >> b & 1) * 2.0 - 1 for b in bits])
    outs = np.stack([(image >> b & 1) * 2.0 - 1 for b in bits])
    ins -= ins.mean(1, keepdims=True)
    outs -= outs.mean(1, keepdims=True)
    sd = np.outer(np.linalg.norm(ins, axis=1), np.linalg.norm(outs, axis=1)) / np.sqrt(n)
    assert np.abs(ins @ outs.T / sd).max() < 5


@pytest.mark.parametrize("n", SIZES)
def test_chunks_cover_the_range_and_the_residues_as_chance_does(n: int) -> None:
    """Chi-square over degrees of freedom is near 1: neither clumped nor suspiciously even."""
    image = permute_many(derive_key(0, "chi", 0), n, np.arange(n))
    chunks = image[: n // 1024 * 1024].reshape(-1, 1024)
    for cells in (chunks * 32 // n, chunks % 16):
        num_cells = int(cells.max()) + 1
        counts = np.stack([(cells == c).sum(1) for c in range(num_cells)])
        expected = 1024 / num_cells
        chi = ((counts - expected) ** 2 / expected).sum() / (len(chunks) * (num_cells - 1))
        assert 0.85 < chi < 1.15


@pytest.mark.parametrize("n", SIZES)
def test_neighbours_are_strangers(n: int) -> None:
    image = permute_many(derive_key(0, "lag", 0), n, np.arange(n)).astype(float)
    correlation = np.corrcoef(image[:-1], image[1:])[0, 1]
    assert abs(correlation) * np.sqrt(n) < 5
    assert len(np.unique(np.diff(image))) > 0.9 * n * (1 - np.exp(-1)) * 0.9


@pytest.mark.parametrize("n", [2, 3, 5, 12])
def test_small_ranges_see_every_image_equally_often(n: int) -> None:
    keys = [derive_key(k, "small") for k in range(1000)]
    images = np.stack([permute_many(key, n, np.arange(n)) for key in keys])
    counts = np.stack([(images == value).sum(0) for value in range(n)])
    chi = ((counts - 1000 / n) ** 2 / (1000 / n)).sum() * (n - 1) / n
    assert chi < {2: 10.8, 3: 18.5, 5: 39.3, 12: 173.6}[n]  # one time in a thousand
