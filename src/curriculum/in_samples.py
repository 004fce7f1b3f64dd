"""What to write where samples or sequences were counted and the language counts tokens

A sample is a sequence of `seq_len` positions, so N of them are N x `seq_len` tokens.
"""

import re
from collections.abc import Callable
from fractions import Fraction

from curriculum.errors import ValueProblem
from curriculum.units import Amount, count_in_words, parse_amount

SAMPLES = ("seqs", "samples", "sequences", "examples", "num_samples")
"""What a number of samples is called, here and elsewhere."""

EXAMPLE = 1024
"""A `seq_len` that shows the formula where the real one is not known."""


def way_in(units: tuple[str, ...], amount: Amount) -> str:
    """Say in which units an amount may be written that is in another.

    >>> way_in(("tokens", "steps"), Amount(Fraction(558_000), "seqs"))
    'write it in tokens (seqs x `seq_len`: 558K of 1,024 are 571_392_000) or steps'
    >>> way_in(("tokens",), Amount(Fraction(50), "steps"))
    'write it in tokens'
    """
    known = [
        f"tokens ({_counted(amount.value)})" if unit == "tokens" and amount.unit == "seqs" else unit
        for unit in dict.fromkeys(units)
    ]
    return f"write it in {' or '.join(known)}"


def size_of_source(text: str) -> str:
    """Say how a source's size is written that was said as a number of samples.

    >>> size_of_source("558K")
    'a size is `tokens` (seqs x `seq_len`: 558K of 1,024 are 571_392_000)'
    >>> size_of_source("many")
    'a size is `tokens` (seqs x `seq_len`)'
    """
    try:
        value = parse_amount(text).value
    except ValueProblem:
        return "a size is `tokens` (seqs x `seq_len`)"
    return f"a size is `tokens` ({_counted(value)})"


def refusing(parse: Callable[[str], Amount], units: tuple[str, ...]) -> Callable[[str], Amount]:
    """Return a reader that does not offer an amount in a unit which cannot stand there.

    >>> try:
    ...     refusing(parse_amount, ("tokens",))("4M samples")
    ... except ValueProblem as problem:
    ...     print(problem.help)
    write it in tokens (seqs x `seq_len`: 4M of 1,024 are 4_096_000_000)
    """

    def read(text: str) -> Amount:
        try:
            return parse(text)
        except ValueProblem as problem:
            found = re.fullmatch(r"did you mean (.*)\?", problem.help or "")
            amount = _amount(found[1]) if found else None
            if amount is None or amount.unit in units:
                raise
            raise ValueProblem(str(problem), way_in(units, amount)) from None

    return read


def _amount(text: str) -> Amount | None:
    try:
        return parse_amount(text)
    except ValueProblem:
        return None


def _counted(samples: Fraction) -> str:
    tokens = samples * EXAMPLE
    if tokens.denominator != 1 or tokens == 0:
        return "seqs x `seq_len`"
    words = count_in_words(samples)
    return f"seqs x `seq_len`: {words} of {EXAMPLE:,} are {int(tokens):_}"
