"""The two values of a claim that fails, in its own units and the digits that tell them apart"""

from fractions import Fraction

from curriculum.claims import Constant, Operation, Path, Relation, Value, unit_of, unit_of_path
from curriculum.units import count_in_words, decimal_words, rounded_in_words

PLAIN = 10**6
"""Whole tokens below this many are written exactly: contexts, and the batches of small plans."""


def sides_in_words(relation: Relation, left: Fraction, right: Fraction) -> tuple[str, str]:
    """Write what both sides of a relation come to.

    Tokens have the language's suffixes, steps and sequences are whole numbers, and shares are in
    percent where the claim says one so.

    >>> from curriculum.claims_text import parse_claim
    >>> tokens, share = parse_claim("tokens.total <= 4T and mix.web <= 40%")
    >>> sides_in_words(tokens, Fraction(4_150_000_000_000), Fraction(4_000_000_000_000))
    ('4.15T', '4T')
    >>> sides_in_words(share, Fraction(41, 100), Fraction(2, 5))
    ('41%', '40%')
    """
    unit = unit_of(relation)
    if unit == "share" and not (_says_percent(relation.left) or _says_percent(relation.right)):
        unit = None
    for digits in (6, 9, 12, 15):
        words = _in_unit(left, unit, digits), _in_unit(right, unit, digits)
        if words[0] != words[1] or left == right:
            return words
    return decimal_words(left), decimal_words(right)


def number_in_words(value: Fraction | None, path: Path) -> str:
    """Write what a path of a claim is worth.

    >>> from curriculum.claims_text import parse_claim
    >>> (relation,) = parse_claim("epochs.web <= 4")
    >>> number_in_words(Fraction(33, 8), relation.left)
    '4.125'
    """
    return "unknown" if value is None else _in_unit(value, unit_of_path(path), 6)


def _in_unit(value: Fraction, unit: str | None, digits: int) -> str:
    if value < 0:
        return f"-{_in_unit(-value, unit, digits)}"
    is_whole = value.denominator == 1
    match unit:
        case "share":
            return f"{float(value * 100):.{digits}g}%"
        case "tokens" if value >= PLAIN:
            return rounded_in_words(value, digits)
        case "tokens" if is_whole:
            return count_in_words(value)
        case "steps" | "seqs" if is_whole:
            return f"{value.numerator:,}"
        case _:
            return f"{float(value):.{digits}g}"


def _says_percent(value: Value) -> bool:
    match value:
        case Constant(unit=unit):
            return unit == "share"
        case Operation(left=left, right=right):
            return _says_percent(left) or _says_percent(right)
        case _:
            return False
