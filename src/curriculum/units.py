"""Amounts with units: "5.2T", "2000 steps", "5%" as exact values, and back to words

Numbers are the decimals that were written: `.45` is 45/100, never a binary float.
K M B T are decimal, Ki Mi Gi Ti binary.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from curriculum.errors import ValueProblem

Unit = Literal["tokens", "steps", "seqs", "epochs", "share"]

LARGEST = 10**18
"""No amount may reach this: a plan counts in 64-bit integers."""

_SUFFIXES = {
    "": 1,
    "K": 10**3,
    "M": 10**6,
    "B": 10**9,
    "T": 10**12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}
_DIGITS = r"[0-9](?:_?[0-9])*"
_DECIMAL = rf"[+-]?(?:{_DIGITS}(?:\.(?:{_DIGITS})?)?|\.{_DIGITS})(?:[eE][+-]?[0-9]{{1,9}})?"
_NUMBER = re.compile(rf"({_DECIMAL})(?:\s*/\s*({_DECIMAL}))?")
_AMOUNT = re.compile(
    rf"({_DECIMAL})\s*(Ki|Mi|Gi|Ti|K|M|B|T|)\s*(%|tokens?|steps?|seqs?|epochs?|)", re.ASCII
)
_STEP_MARK = re.compile(rf"step\s+({_DECIMAL})\s*(K|M|B|T|)", re.ASCII)
_UNITS: dict[str, Unit] = {
    "": "tokens",
    "%": "share",
    "token": "tokens",
    "step": "steps",
    "seq": "seqs",
    "epoch": "epochs",
}


@dataclass(frozen=True, slots=True)
class Amount:
    """An exact amount of something: `value` in `unit`; a share is a fraction of 1."""

    value: Fraction
    unit: Unit

    def __str__(self) -> str:
        match self.unit:
            case "tokens":
                return count_in_words(self.value)
            case "share":
                return f"{decimal_words(self.value * 100)}%"
            case unit:
                return f"{decimal_words(self.value)} {unit}"


def parse_number(text: str) -> Fraction:
    """Read a number exactly, `_` between digits allowed, `1/3` too.

    >>> parse_number(".45"), parse_number("4.2e-4"), parse_number("50_000"), parse_number("1/3")
    (Fraction(9, 20), Fraction(21, 50000), Fraction(50000, 1), Fraction(1, 3))
    """
    match = _NUMBER.fullmatch(text.strip())
    if not match:
        raise ValueProblem(f"`{_shown(text)}` is not a number", _number_help(text))
    number = _decimal(match[1])
    if match[2] is None:
        return number
    divisor = _decimal(match[2])
    if divisor == 0:
        raise ValueProblem(f"`{_shown(text)}` divides by zero")
    return number / divisor


def parse_exact(text: str) -> Fraction:
    """Read what `decimal_words` wrote, however long.

    >>> parse_exact("0.45"), parse_exact("1/3")
    (Fraction(9, 20), Fraction(1, 3))
    """
    return parse_number(text) if len(text) < 100 else Fraction(text)


def parse_amount(text: str) -> Amount:
    """Read an amount: tokens when no unit is named.

    >>> str(parse_amount("5.2T")), str(parse_amount("2_000 steps")), str(parse_amount("5%"))
    ('5.2T', '2000 steps', '5%')
    >>> parse_amount("558K seqs").value, parse_amount("8Ki").value
    (Fraction(558000, 1), Fraction(8192, 1))
    """
    match = _AMOUNT.fullmatch(text.strip())
    if not match:
        raise ValueProblem(
            f"`{_shown(text)}` is not an amount",
            _amount_help(text)
            or "write tokens (`5.2T`, `650_000`), `2000 steps`, `558K seqs` or a share (`10%`)",
        )
    unit = _UNITS[match[3].removesuffix("s")]
    value = _decimal(match[1]) * _SUFFIXES[match[2]]
    if unit == "share":
        value = value / 100
    if value < 0:
        raise ValueProblem(f"`{_shown(text)}` is negative")
    if value >= LARGEST:
        raise ValueProblem(
            f"`{_shown(text)}` is more than a plan can count (below 1e18)",
            "check the suffix: K M B T are 1e3 1e6 1e9 1e12",
        )
    if unit in ("tokens", "steps", "seqs") and value.denominator != 1:
        what = f" of {unit}" if match[3] else ""
        is_share = unit == "tokens" and value < 1 and not match[3]
        share = f"did you mean {decimal_words(value * 100)}%?" if is_share else None
        raise ValueProblem(f"`{_shown(text)}` is not a whole number{what}", share)
    return Amount(value, unit)


def parse_mark(text: str) -> Amount:
    """Read a mark: an amount, or `step 120_000`.

    >>> parse_mark("step 120_000")
    Amount(value=Fraction(120000, 1), unit='steps')
    """
    match = _STEP_MARK.fullmatch(text.strip())
    if match:
        return parse_amount(f"{match[1]}{match[2]} steps")
    try:
        return parse_amount(text)
    except ValueProblem as problem:
        from curriculum.meant import meant_mark  # only mistakes need it

        message = str(problem).replace("is not an amount", "is not a mark")
        way_out = meant_mark(text, _AMOUNT.fullmatch) or problem.help
        raise ValueProblem(message, way_out) from None


def parse_seq_len(text: str) -> int:
    """Read a context length: a whole number of tokens, or Ki and Mi.

    >>> parse_seq_len("8Ki"), parse_seq_len("32_768")
    (8192, 32768)
    """
    try:
        amount = parse_amount(text)
    except ValueProblem as problem:
        found = re.fullmatch(r"did you mean ([0-9.]+[KM])\?", problem.help or "")
        way_out = f"did you mean {found[1]}i?" if found else problem.help
        raise ValueProblem(str(problem), way_out) from None
    decimal = re.search(r"([KM])(?:\s*tokens?)?$", text.strip())
    if decimal and amount.unit == "tokens":
        binary = parse_amount(f"{text.strip().removesuffix('tokens').strip()}i").value
        raise ValueProblem(
            f"`{_shown(text)}` is {decimal_words(amount.value)}",
            f"did you mean {text.strip()}i ({decimal_words(binary)})?",
        )
    return whole(amount, "tokens", text)


def whole(amount: Amount, unit: Unit, text: str) -> int:
    """Return a whole positive number of `unit`, or say why it is none."""
    if amount.unit != unit:
        what = "a share" if amount.unit == "share" else f"in {amount.unit}"
        raise ValueProblem(f"`{_shown(text)}` is {what}, wanted {unit}")
    if amount.value.denominator != 1:
        raise ValueProblem(f"`{_shown(text)}` is not a whole number of {unit}")
    if amount.value < 1:
        raise ValueProblem(f"`{_shown(text)}` is not positive")
    return int(amount.value)


def count_in_words(count: Fraction | int) -> str:
    """Say a count shortly and exactly: the largest suffix with at most 2 digits after the point.

    >>> count_in_words(5_200_000_000_000), count_in_words(16_777_216), count_in_words(650_000)
    ('5.2T', '16777216', '650K')
    """
    for suffix in ("T", "B", "M", "K"):
        scaled = Fraction(count) / _SUFFIXES[suffix]
        if scaled >= 1 and (scaled * 10**2).denominator == 1:
            return f"{decimal_words(scaled)}{suffix}"
    return decimal_words(Fraction(count))


def rounded_in_words(count: Fraction | int, digits: int = 3) -> str:
    """Say a count to some significant digits, for tables.

    >>> rounded_in_words(16_777_216), rounded_in_words(5_200_000_000_000), rounded_in_words(0)
    ('16.8M', '5.2T', '0')
    >>> rounded_in_words(512 * 10**300)
    '5.12e302'
    """
    if count >= LARGEST:
        from decimal import Decimal  # fractions cannot be written so before Python 3.12

        return f"{Decimal(int(count)):.{digits - 1}e}".replace("e+", "e")
    for suffix in ("T", "B", "M", "K"):
        scaled = float(Fraction(count) / _SUFFIXES[suffix])
        if scaled >= 1:
            return f"{scaled:.{max(digits, len(str(int(scaled))))}g}{suffix}"
    return f"{float(count):.{digits}g}"


def rate_in_words(value: float | None) -> str:
    """Write a learning rate to three digits.

    >>> rate_in_words(4.2e-4), rate_in_words(3.3458074e-5), rate_in_words(0.0), rate_in_words(None)
    ('4.2e-4', '3.35e-5', '0', '?')
    """
    if value is None:
        return "?"
    if value == 0:
        return "0"
    digits, _, power = f"{value:.2e}".partition("e")
    return f"{digits.rstrip('0').rstrip('.')}e{int(power)}"


def decimal_words(value: Fraction | int) -> str:
    """Write an exact number: as a finite decimal if it is one, else as a fraction.

    >>> decimal_words(Fraction(9, 20)), decimal_words(Fraction(1, 3)), decimal_words(50_000)
    ('0.45', '1/3', '50000')
    """
    twos = fives = 0
    rest = value.denominator
    if rest == 1:
        return str(value.numerator)
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest != 1:
        return f"{value.numerator}/{value.denominator}"
    places = max(twos, fives)
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    sign = "-" if value < 0 else ""
    return f"{sign}{digits[:-places]}.{digits[-places:]}"


def _decimal(text: str) -> Fraction:
    if len(text) <= 20 and text.isdecimal():  # most are; int reads faster
        return Fraction(int(text))
    exponent = re.search(r"[eE]([+-]?[0-9]+)$", text)
    if (exponent and abs(int(exponent[1])) > 300) or len(text) > 400:
        raise ValueProblem(f"`{_shown(text)}` has more digits than a plan can hold")
    return Fraction(text.replace("_", ""))


def _shown(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 40 else text[:37] + "..."


def _amount_help(text: str) -> str | None:
    """Say what was meant by `8t`, `8TB`, `8 billion` or `8,000,000`."""
    from curriculum.meant import meant  # only mistakes need it

    found = meant(text, _AMOUNT.fullmatch)
    return f"did you mean {found}?" if found else None


def _number_help(text: str) -> str | None:
    from curriculum.meant import meant

    amount = _AMOUNT.fullmatch(text.strip())
    if amount and amount[2] and not amount[3]:
        count = _decimal(amount[1]) * _SUFFIXES[amount[2]]
        return f"write {int(count):_}" if count.denominator == 1 else None
    if text.strip().lower().lstrip("+-.") in ("nan", "inf", "infinity"):
        return "write a finite number, or the word `unknown`"
    if text.strip().endswith("%"):
        return "write it as a decimal"
    if found := meant(text, _NUMBER.fullmatch):
        return f"write {found}"
    return _number_help(found) if (found := meant(text, _AMOUNT.fullmatch)) else None
