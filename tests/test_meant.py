"""What is no amount, mark or number names the one that was likely meant"""

import pytest

from curriculum.errors import ValueProblem
from curriculum.units import parse_amount, parse_mark, parse_number, parse_seq_len


@pytest.mark.parametrize(
    ("text", "help"),
    [
        ("10b", "10B"), ("10bn", "10B"), ("10 billion", "10B"), ("10 Bn", "10B"), ("4k", "4K"),
        ("10 Mio", "10M"), ("1 000 000", "1_000_000"), ("1,000,000", "1_000_000"),
        ("1.000.000", "1_000_000"), ("1'000'000", "1_000_000"), ("1,5T", "1.5T"), ("1TB", "1T"),
        ("5 TiB", "5Ti"), ("1 trillion", "1T"), ("10^6", "1e6"), ("2^20", "1Mi"),
        ("2**13", "8Ki"), ("1ki", "1Ki"), ("1M sequences", "1M seqs"), ("2k steps", "2K steps"),
        ("2,000 steps", "2_000 steps"), ("2000 updates", "2000 steps"), ("100 it", "100 steps"),
        ("5 percent", "5%"), ("10 STEPS", "10 steps"), ("1M tok", "1M"), ("64 samples", "64 seqs"),
    ],
)  # fmt: skip
def test_an_amount_as_others_write_it_is_named_as_plans_do(text: str, help: str) -> None:
    with pytest.raises(ValueProblem) as caught:
        parse_amount(text)
    assert caught.value.help == f"did you mean {help}?"
    parse_amount(help)


@pytest.mark.parametrize("text", ["soon", "", "1 parsec", "two", "1,2,3", "2^99", "all", "1 KK"])
def test_nothing_is_guessed_where_nothing_is_alike(text: str) -> None:
    with pytest.raises(ValueProblem) as caught:
        parse_amount(text)
    assert caught.value.help is not None
    assert caught.value.help.startswith("write tokens (`5.2T`")


@pytest.mark.parametrize(
    ("text", "help"),
    [
        ("0.5", "did you mean 50%?"), ("half", "did you mean 50%?"),
        ("soon", "write tokens (`4T`), `step 120_000` or a share (`60%`)"),
        ("last", "leave it out: without a mark it is the end"),
        ("2,000", "write `step 2_000`, or `2_000 tokens`"), ("steps 20", "did you mean step 20?"),
        ("step 2,000", "did you mean step 2_000?"), ("step20", "did you mean step 20?"),
        ("4t", "did you mean 4T?"),
    ],
)  # fmt: skip
def test_a_mark_as_others_write_it_is_named_as_plans_do(text: str, help: str) -> None:
    with pytest.raises(ValueProblem) as caught:
        parse_mark(text)
    assert caught.value.help == help


@pytest.mark.parametrize(
    ("text", "help"),
    [
        ("8,000,000", "8_000_000"), ("8 000 000", "8_000_000"), ("8M", "8_000_000"),
        ("0,0003", "0.0003"), ("3 e-4", "3e-4"), ("3*10^-4", "3e-4"), ("10^-4", "1e-4"),
        ("3e\u20134", "3e-4"), ("1 million", "1_000_000"),
    ],
)  # fmt: skip
def test_a_number_as_others_write_it_is_named_as_plans_do(text: str, help: str) -> None:
    with pytest.raises(ValueProblem) as caught:
        parse_number(text)
    assert caught.value.help == f"write {help}"
    parse_number(help)


@pytest.mark.parametrize(
    ("text", "help"),
    [
        ("4k", "4Ki"), ("4KiB", "4Ki"), ("4Kb", "4Ki"), ("128k tokens", "128Ki"), ("2^12", "4Ki"),
        ("4,096", "4_096"),
    ],
)  # fmt: skip
def test_a_context_as_others_write_it_is_named_as_plans_do(text: str, help: str) -> None:
    with pytest.raises(ValueProblem) as caught:
        parse_seq_len(text)
    assert caught.value.help == f"did you mean {help}?"
    parse_seq_len(help)
