import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.batch import Batch, lay_out
from strategies import batches


@given(batches(), st.integers(0, 400))
def test_tokens_and_sequences_before_a_step_are_sums(batch: Batch, step: int) -> None:
    pieces = [batch.piece_at(s) for s in range(step)]
    assert batch.tokens_before(step) == sum(p.batch_seqs * p.seq_len for p in pieces)
    assert batch.seqs_before(step) == sum(p.batch_seqs for p in pieces)


@given(batches(), st.integers(0, 60), st.integers(0, 60))
def test_a_range_gives_the_same_as_each_step(batch: Batch, first: int, more: int) -> None:
    steps = range(first, first + more)
    assert batch.tokens_before_each(steps) == [batch.tokens_before(s) for s in steps]


@given(batches(), st.integers(-5, 20_000))
def test_a_mark_is_the_first_step_at_or_after_it(batch: Batch, mark: int) -> None:
    step = batch.step_at_tokens(mark)
    assert batch.tokens_before(step) >= mark
    assert step == 0 or batch.tokens_before(step - 1) < mark


@given(batches(), st.integers(0, 2000))
def test_a_mark_in_sequences_is_the_first_step_at_or_after_it(batch: Batch, mark: int) -> None:
    step = batch.step_at_seqs(mark)
    assert batch.seqs_before(step) >= mark
    assert step == 0 or batch.seqs_before(step - 1) < mark


@given(batches())
def test_pieces_follow_one_another(batch: Batch) -> None:
    assert batch.breaks() == tuple(p.first_step for p in batch.pieces)
    for piece in batch.pieces:
        assert piece.tokens_before == batch.tokens_before(piece.first_step)
        assert batch.piece_at(piece.first_step) is piece
        assert piece.first_step == 0 or batch.piece_at(piece.first_step - 1) is not piece


def test_an_entry_ends_at_the_first_step_at_or_after_its_mark() -> None:
    batch = lay_out([(2, 4, 17), (3, 8, None)])
    assert [(p.first_step, p.tokens_before, p.seqs_before) for p in batch.pieces] == [
        (0, 0, 0), (3, 24, 6),
    ]  # fmt: skip
    assert [batch.piece_at(s).tokens_per_step for s in (0, 2, 3, 9)] == [8, 8, 24, 24]


def test_an_entry_without_a_step_vanishes() -> None:
    assert lay_out([(1, 1, 0), (2, 4, 8), (9, 9, 8), (3, 4, None)]) == lay_out(
        [(2, 4, 8), (3, 4, None)]
    )


def test_moonlights_batch() -> None:
    batch = lay_out([(2048, 8192, 200_000_000_000), (4096, 8192, None)])
    assert batch.step_at_tokens(200_000_000_000) == 11_921
    assert batch.step_at_tokens(5_200_000_000_000) == 11_921 + 149_012
    # 0.6T at the larger batch would be 17,882 steps; 0.5T 14,902, rounded up.
    assert lay_out([(4096, 8192, None)]).step_at_tokens(500_000_000_000) == 14_902


def test_large_numbers_stay_exact() -> None:
    batch = lay_out([(12_345, 131_072, 10**17), (54_321, 131_072, None)])
    assert (
        batch.tokens_before(10**9)
        == batch.pieces[1].tokens_before + (10**9 - batch.pieces[1].first_step) * 54_321 * 131_072
    )
    with pytest.raises(AssertionError):
        Batch(())
