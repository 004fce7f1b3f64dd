"""Short forms of counts that stay exact: 10M, 128Ki, 1Mi, and in full where they are not"""

from fractions import Fraction

from curriculum.units import count_in_words, decimal_words


def short_count(count: Fraction | int) -> str:
    """Write a count with its decimal suffix where that says all of it.

    >>> [short_count(n) for n in (10_000_000, 500_000, 1_234_567, Fraction(3, 2))]
    ['10M', '500K', '1,234,567', '1.5']
    """
    value = Fraction(count)
    words = count_in_words(value)
    if not words[-1].isdigit():
        return words
    return f"{int(value):,}" if value.denominator == 1 else decimal_words(value)


def short_length(length: int) -> str:
    """Write a context with its binary suffix where it is a whole number of them.

    >>> short_length(1_048_576), short_length(131_072), short_length(49_152), short_length(1000)
    ('1Mi', '128Ki', '48Ki', '1,000')
    """
    for power, suffix in ((20, "Mi"), (10, "Ki")):
        if length >= 2**power and length % 2**power == 0:
            return f"{length >> power:,}{suffix}"
    return f"{length:,}"
