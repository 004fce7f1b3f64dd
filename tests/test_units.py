from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.errors import ValueProblem
from curriculum.units import (
    Amount,
    count_in_words,
    decimal_words,
    parse_amount,
    parse_mark,
    parse_number,
    parse_seq_len,
    rounded_in_words,
    whole,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0), ("7", 7), ("-3", -3), ("+3", 3), (".45", Fraction(9, 20)), ("1.", 1),
        ("4.2e-4", Fraction(42, 100_000)), ("1E3", 1000), ("50_000", 50_000),
        ("1/3", Fraction(1, 3)), ("1/8_000_000", Fraction(1, 8_000_000)),
        (" 2 / 4 ", Fraction(1, 2)), ("1.5/.5", 3), ("0.1", Fraction(1, 10)),
    ],
)  # fmt: skip
def test_a_number_is_the_decimal_that_was_written(text: str, value: Fraction) -> None:
    assert parse_number(text) == value


@pytest.mark.parametrize(
    "text",
    ["", "x", "1_", "_1", "1__0", "1,000", "0x10", "1e", "nan", ".nan", "inf", "-.inf", "1/0",
     "1/2/3", "1e999", "9" * 401, "1 2", "\u0663", "true", "10%", "5.2T"],
)  # fmt: skip
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ValueProblem):
        parse_number(text)


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("5.2T", 52 * 10**11, "tokens"), ("650_000", 650_000, "tokens"), ("8Ki", 8192, "tokens"),
        ("16Mi", 2**24, "tokens"), ("1Gi tokens", 2**30, "tokens"), ("2Ti", 2**41, "tokens"),
        (".15T", 15 * 10**10, "tokens"), ("1 token", 1, "tokens"), ("2000 steps", 2000, "steps"),
        ("1 step", 1, "steps"), ("2K steps", 2000, "steps"), ("558K seqs", 558_000, "seqs"),
        ("5%", Fraction(1, 20), "share"), ("12.5 %", Fraction(1, 8), "share"),
        ("1.5 epochs", Fraction(3, 2), "epochs"), ("0.5K", 500, "tokens"),
    ],
)  # fmt: skip
def test_an_amount_has_an_exact_value_and_a_unit(text: str, value: Fraction, unit: str) -> None:
    assert parse_amount(text) == Amount(Fraction(value), unit)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("10 apples", "is not an amount"), ("", "is not an amount"), ("5.2t", "is not an amount"),
        ("5 KiB", "is not an amount"), ("-5%", "is negative"), ("NaN", "is not an amount"),
        ("1e18", "more than a plan can count"), ("1e30", "more than a plan can count"),
        ("1000000T", "more than a plan can count"),
        ("1.5 steps", "is not a whole number of steps"), ("0.5", "is not a whole number"),
        ("0.5 seqs", "whole number of seqs"),
    ],
)  # fmt: skip
def test_what_is_no_amount_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueProblem, match=words):
        parse_amount(text)


def test_a_mark_may_name_a_step() -> None:
    assert parse_mark("step 120_000") == Amount(Fraction(120_000), "steps")
    assert parse_mark("step 2K") == parse_mark("2000 steps")
    assert parse_mark("4T") == parse_amount("4T")
    with pytest.raises(ValueProblem, match="is not a mark"):
        parse_mark("step x")


def test_a_context_is_binary_or_plain() -> None:
    assert [parse_seq_len(t) for t in ("8192", "8_192", "8Ki", "1Mi")] == [8192, 8192, 8192, 2**20]
    for text, help in (("8K", "did you mean 8Ki (8192)?"), ("1M", "did you mean 1Mi (1048576)?")):
        with pytest.raises(ValueProblem) as caught:
            parse_seq_len(text)
        assert caught.value.help == help
    for text in ("0", "12.5", "10%", "3 steps", "-8"):
        with pytest.raises(ValueProblem):
            parse_seq_len(text)


def test_whole_numbers_of_a_unit() -> None:
    assert whole(parse_amount("2K"), "tokens", "2K") == 2000
    for text in ("2 steps", "0", "0.5"):
        with pytest.raises(ValueProblem):
            whole(parse_amount(text), "tokens", text)


@given(st.integers(0, 10**17))
def test_counts_are_said_exactly(count: int) -> None:
    assert parse_amount(count_in_words(count)) == Amount(Fraction(count), "tokens")


@given(st.fractions(), st.booleans())
def test_numbers_are_said_exactly(value: Fraction, finite: bool) -> None:
    value = Fraction(value.numerator, 2**7 * 5**4) if finite else value
    words = decimal_words(value)
    assert parse_number(words) == value
    assert ("/" not in words) == (10**60 % value.denominator == 0)


@given(st.integers(0, 10**17), st.sampled_from(["steps", "seqs", "tokens", "share", "epochs"]))
def test_an_amount_says_itself(count: int, unit: str) -> None:
    amount = Amount(Fraction(count), unit)  # type: ignore[arg-type]
    assert parse_amount(str(amount)) == amount if unit != "share" or count < 10**15 else True


def test_rounded_words_keep_their_digits() -> None:
    assert [rounded_in_words(n) for n in (0, 7, 999, 1000, 33_554_432, 10**13)] == [
        "0", "7", "999", "1K", "33.6M", "10T",
    ]  # fmt: skip
    assert rounded_in_words(123_456_789_012_345) == "123T"
    assert rounded_in_words(Fraction(1, 3)) == "0.333"
