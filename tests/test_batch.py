from fractions import Fraction
from itertools import pairwise
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.batch import Batch, Entry, Ramp, lay_out
from strategies import RAMP_SHAPES, batches


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


# Ramps


@st.composite
def ramps(draw: st.DrawFn) -> Ramp:
    """Draw a ramp up or down whose levels may hold many steps, one, or none."""
    by, levels = draw(st.integers(1, 4)), draw(st.integers(1, 12))
    low = by * draw(st.integers(1, 6))
    ends = [low, low + by * levels]
    first, last = ends if draw(st.booleans()) else reversed(ends)
    shape = draw(st.sampled_from(RAMP_SHAPES))
    start = draw(st.integers(0, 300))
    return Ramp(shape, first, last, by, 8, start, start + draw(st.integers(1, 9000)))


def planned_size(ramp: Ramp, tokens: int) -> int:
    """The size at a mark, from the definition: a line rounded down, or equal shares."""
    if tokens >= ramp.until_tokens:
        return ramp.last_seqs
    p = Fraction(tokens - ramp.from_tokens, ramp.until_tokens - ramp.from_tokens)
    if ramp.shape == "linear":
        return floor((ramp.first_seqs + (ramp.last_seqs - ramp.first_seqs) * p) / ramp.by_seqs) * (
            ramp.by_seqs
        )
    sign = 1 if ramp.last_seqs > ramp.first_seqs else -1
    return ramp.first_seqs + sign * floor(p * (ramp.num_levels - 1)) * ramp.by_seqs


@given(ramps())
def test_every_step_of_a_ramp_has_the_size_of_its_mark(ramp: Ramp) -> None:
    before: list[Entry | Ramp] = [(3, 8, ramp.from_tokens)] if ramp.from_tokens else []
    batch = lay_out([*before, ramp, (ramp.last_seqs, 8, None)])
    (laid,) = batch.ramps
    assert laid.first_step == batch.step_at_tokens(ramp.from_tokens)
    for step in range(laid.first_step, laid.end_step + 1):
        assert batch.piece_at(step).batch_seqs == planned_size(ramp, batch.tokens_before(step))
    assert batch.tokens_before(laid.end_step) >= ramp.until_tokens
    assert laid.end_step == laid.first_step or (
        batch.tokens_before(laid.end_step - 1) < ramp.until_tokens
    )


def test_megatrons_increments_by_tokens() -> None:
    """BLOOM: `--rampup-batch-size 16 16 9_765_625` up to 2048 sequences of 2048 tokens (20B)."""
    samples = 9_765_625
    batch = lay_out([Ramp("increments", 16, 2048, 16, 2048, 0, samples * 2048), (2048, 2048, None)])
    consumed = step = 0
    per_increment = Fraction(samples, (2048 - 16) // 16)  # num_microbatches_calculator.py, exactly
    while consumed <= samples:
        assert batch.piece_at(step).batch_seqs == 16 + floor(consumed / per_increment) * 16
        consumed += batch.piece_at(step).batch_seqs
        step += 1
    assert batch.piece_at(step).batch_seqs == 2048
    assert (len(batch.pieces), batch.ramps[0].ramp.num_levels) == (128, 128)


def test_llama_3_1s_batch() -> None:
    """4M at 4096, 8M at 8192 after 252M, 16M after 2.87T: 1,154,407 steps of decimal sizes.

    No context divides these, so a plan says 4Mi, 8Mi and 16Mi: a twentieth fewer steps.
    """

    def steps(size: int) -> list[int]:
        batch = lay_out(
            [
                (4 * size // 4096, 4096, 252_000_000),
                (8 * size // 8192, 8192, 2_870_000_000_000),
                (16 * size // 8192, 8192, None),
            ]
        )
        ends = [*batch.breaks()[1:], batch.step_at_tokens(15_600_000_000_000)]
        return [b - a for a, b in pairwise([0, *ends])]

    assert steps(2**20) == [61, 342_101, 758_767]
    batch = lay_out(
        [(1, 4_000_000, 252_000_000), (2, 4_000_000, 287 * 10**10), (4, 4_000_000, None)]
    )
    ends = [*batch.breaks()[1:], batch.step_at_tokens(15_600_000_000_000)]
    assert [b - a for a, b in pairwise([0, *ends])] == [63, 358_719, 795_625]


def test_the_context_changes_where_a_piece_says_so() -> None:
    batch = lay_out([(4, 8, 64), (2, 16, 128), (3, 16, None)])
    assert batch.contexts(100) == ((0, 8), (2, 16))
    assert batch.contexts(2) == ((0, 8),)
    assert batch.tokens_at_seqs(9) == 8 * 8 + 16
    assert [batch.seqs_before(step) for step in (2, 3, 4, 5)] == [8, 10, 12, 15]


def test_batches_that_are_alike_are_equal_whatever_they_came_of() -> None:
    ramp = lay_out([Ramp("increments", 1, 3, 1, 8, 0, 32), (3, 8, None)])
    levels = lay_out([(1, 8, 16), (2, 8, 32), (3, 8, None)])
    assert ramp == levels
    assert hash(ramp) == hash(levels)
