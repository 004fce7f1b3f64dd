"""Sizes of the batch and of the context in whole sequences and tokens, through a proxy's scale"""

from fractions import Fraction

from curriculum.batch import BatchPiece
from curriculum.compile_state import State
from curriculum.errors import Span
from curriculum.fixes import same_number
from curriculum.spec import Quantity
from curriculum.units import LARGEST, count_in_words, decimal_words, rounded_in_words


def context_of(state: State, said: Quantity) -> int | None:
    """Return a context in tokens; None where it is not whole."""
    return _whole(state, said, said.scale.seq_len, "tokens of context")


def seqs_of(state: State, unit: str, size: Quantity, seq_len: int) -> int | None:
    """Return a size as whole sequences; None where it is refused."""
    if unit == "seqs":
        return _whole(state, size, size.scale.seqs, "sequences in a step")
    tokens = _whole(state, size, size.scale.seqs * size.scale.seq_len, "tokens in a step")
    if tokens is None:
        return None
    return _sequences(state, tokens, seq_len, f"`{size.amount}`", size.span)


def kept_seqs(
    state: State, unit: str, span: Span, seq_len: int, left: BatchPiece | None
) -> int | None:
    """Return what an ancestor left, in sequences of this context; None where it is refused."""
    if left is None:
        state.report(
            "keep-nothing",
            "there is no batch to keep",
            span,
            "say `keep: ANCESTOR` in the stage",
        )
        return None
    if unit == "seqs":
        return left.batch_seqs
    tokens = left.tokens_per_step
    words = f"{count_in_words(tokens)} tokens a step"
    return _sequences(state, tokens, seq_len, words, span)


def _sequences(state: State, tokens: int, seq_len: int, words: str, span: Span) -> int | None:
    if tokens % seq_len == 0:
        return tokens // seq_len
    near = max(1, round(Fraction(tokens, seq_len)))
    power = 1 << (near.bit_length() - 1)
    power = min((power, 2 * power), key=lambda n: abs(n - near))
    meant = " or ".join(
        f"{binary_words(n * seq_len)} ({n} sequences)" for n in dict.fromkeys((near, power))
    )
    way_out = f"did you mean {meant}?"
    state.report(
        "whole-sequences",
        f"{words} are {decimal_words(Fraction(tokens, seq_len))} sequences of {seq_len}",
        span,
        way_out,
        fix=same_number(span, words.strip("`"), way_out),
    )
    return None


def binary_words(count: int) -> str:
    """Write a count with its largest binary suffix."""
    for suffix, size in (("Gi", 2**30), ("Mi", 2**20), ("Ki", 2**10)):
        if count % size == 0:
            return f"{count // size}{suffix}"
    return str(count)


def _whole(state: State, said: Quantity, factor: Fraction, what: str) -> int | None:
    value = said.amount.value * factor
    if value >= LARGEST:
        state.became(said, rounded_in_words(int(value)))
        state.report(
            "wrong-value",
            f"{rounded_in_words(int(value))} {what} are more than a plan can count (below 1e18)",
            said.span,
            "scale by less",
        )
        return None
    if value.denominator == 1 and value >= 1:
        state.became(said, decimal_words(value))
        return int(value)
    state.report(
        "not-whole",
        f"{decimal_words(value)} {what} are not a whole number",
        said.span,
        _dividing(said.amount.value, factor, said.scale.depth),
    )
    return None


def _dividing(said: Fraction, factor: Fraction, scales: int) -> str:
    """Name the factor nearest to one that does not divide, or that several scales make."""
    if factor >= 1 or said.denominator != 1 or said < 1:
        return "write a whole number, 1 or more"
    wanted = round(1 / factor)
    near = range(max(1, wanted // 2), min(2 * wanted, int(said), wanted + 4096) + 1)
    whole = [n for n in near if said % n == 0]
    if not whole:
        return f"choose a factor that divides {decimal_words(said)}"
    best = min(whole, key=lambda n: abs(n - wanted))
    together = " of all scales together" if scales > 1 else ""
    return f"choose a factor that divides {decimal_words(said)}, such as 1/{best}{together}"
