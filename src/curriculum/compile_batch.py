"""Sequences and context of every step of a stage, as it says them or as they were left"""

from fractions import Fraction
from math import floor

from curriculum.batch import BatchPiece
from curriculum.compile_state import Kept, State
from curriculum.errors import Span
from curriculum.spec import BatchSpec, Quantity, StageSpec
from curriculum.units import count_in_words, decimal_words

Entry = tuple[int, int, Quantity | None]


def entries_of(
    state: State, spec: StageSpec, kept: Kept | None, is_scaled: bool
) -> list[Entry] | None:
    """Return the pieces of the batch, each up to its mark; None where one was refused."""
    left = _left_piece(kept, is_scaled) if kept else None
    seq_len = _seq_len(state, spec.seq_len, left, is_scaled)
    if seq_len is None:
        return None
    if spec.batch is None:
        assert left is not None
        return [(left.batch_seqs, seq_len, None)]
    entries: list[Entry] = []
    for piece in spec.batch:
        seqs = _batch_seqs(state, piece, seq_len, left, is_scaled)
        if seqs is None:
            return None
        entries.append((seqs, seq_len, piece.until))
    return entries


def _seq_len(
    state: State, said: Quantity | None, left: BatchPiece | None, is_scaled: bool
) -> int | None:
    if said is None:
        assert left is not None
        return left.seq_len
    factor = said.scale.seq_len if is_scaled else Fraction(1)
    return _whole(state, said.amount.value, factor, "tokens of context", said.span)


def _left_piece(kept: Kept, is_scaled: bool) -> BatchPiece:
    draft, step = kept
    if is_scaled:
        return draft.batch.piece_at(min(step, draft.steps - 1))
    full_step = floor(step / draft.step_share)
    return draft.full_batch.piece_at(min(full_step, draft.full_steps - 1))


def _batch_seqs(
    state: State, piece: BatchSpec, seq_len: int, left: BatchPiece | None, is_scaled: bool
) -> int | None:
    if piece.keeps is not None:
        return _kept_seqs(state, piece, seq_len, left)
    size = piece.seqs or piece.tokens
    assert size is not None
    if piece.seqs is not None:
        factor = size.scale.seqs if is_scaled else Fraction(1)
        return _whole(state, size.amount.value, factor, "sequences in a step", size.span)
    factor = size.scale.seqs * size.scale.seq_len if is_scaled else Fraction(1)
    tokens = _whole(state, size.amount.value, factor, "tokens in a step", size.span)
    if tokens is None:
        return None
    return _sequences(state, tokens, seq_len, f"`{size.amount}`", size.span)


def _kept_seqs(state: State, piece: BatchSpec, seq_len: int, left: BatchPiece | None) -> int | None:
    if left is None:
        state.report(
            "keep-nothing",
            "there is no batch to keep",
            piece.span,
            "say `keep: ANCESTOR` in the stage",
        )
        return None
    if piece.keeps == "seqs":
        return left.batch_seqs
    tokens = left.tokens_per_step
    words = f"{count_in_words(tokens)} tokens a step"
    return _sequences(state, tokens, seq_len, words, piece.span)


def _sequences(state: State, tokens: int, seq_len: int, words: str, span: Span) -> int | None:
    if tokens % seq_len == 0:
        return tokens // seq_len
    near = max(1, round(Fraction(tokens, seq_len)))
    power = 1 << (near.bit_length() - 1)
    power = min((power, 2 * power), key=lambda n: abs(n - near))
    meant = " or ".join(
        f"{_binary_words(n * seq_len)} ({n} sequences)" for n in dict.fromkeys((near, power))
    )
    state.report(
        "whole-sequences",
        f"{words} are {decimal_words(Fraction(tokens, seq_len))} sequences of {seq_len}",
        span,
        f"did you mean {meant}?",
    )
    return None


def _binary_words(count: int) -> str:
    for suffix, size in (("Gi", 2**30), ("Mi", 2**20), ("Ki", 2**10)):
        if count % size == 0:
            return f"{count // size}{suffix}"
    return str(count)


def _whole(state: State, said: Fraction, factor: Fraction, what: str, span: Span) -> int | None:
    value = said * factor
    if value.denominator == 1 and value >= 1:
        return int(value)
    state.report(
        "not-whole",
        f"{decimal_words(value)} {what} are not a whole number",
        span,
        _dividing(said, factor),
    )
    return None


def _dividing(said: Fraction, factor: Fraction) -> str:
    """Name the factor nearest to one that does not divide."""
    if factor >= 1 or said.denominator != 1 or said < 1:
        return "write a whole number, 1 or more"
    wanted = round(1 / factor)
    near = range(max(1, wanted // 2), min(2 * wanted, int(said), wanted + 4096) + 1)
    whole = [n for n in near if said % n == 0]
    if not whole:
        return f"choose a factor that divides {decimal_words(said)}"
    best = min(whole, key=lambda n: abs(n - wanted))
    return f"choose a factor that divides {decimal_words(said)}, such as 1/{best}"
