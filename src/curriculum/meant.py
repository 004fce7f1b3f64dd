"""What was most likely meant by a text that is no amount, mark or number"""

import re
from collections.abc import Callable

_SUFFIXES = {
    "K": ("k", "kb", "thousand", "tsd"),
    "M": ("m", "mn", "mio", "mil", "million", "mb"),
    "B": ("b", "bn", "bil", "mrd", "billion", "bb", "g", "gb"),
    "T": ("t", "tn", "tr", "trillion", "tb"),
    "Ki": ("ki", "kib"),
    "Mi": ("mi", "mib"),
    "Gi": ("gi", "gib"),
    "Ti": ("ti", "tib"),
}
_UNITS = {  # without the `s` of several
    "": ("", "tok", "token"),
    " steps": ("step", "update", "iteration", "iter", "it", "batch", "batche"),
    " seqs": ("seq", "sequence", "sample", "example"),
    " epochs": ("epoch", "pas", "passe"),
    "%": ("%", "percent", "pct"),
}
_THOUSANDS = re.compile(
    r"([0-9]{1,3})((?:,[0-9]{3})+|(?:'[0-9]{3})+|(?: [0-9]{3})+|(?:\.[0-9]{3}){2,})"
)
_POWER = re.compile(r"(?:([0-9.]+) ?[*x] ?)?(2|10) ?(?:\^|\*\*) ?(-?[0-9]{1,3})")
_WORDS = re.compile(r"([0-9._]+(?:[eE][+-]?[0-9]+)?) ?([A-Za-z%]*) ?([A-Za-z]*)")


def meant(text: str, is_good: Callable[[str], object]) -> str | None:
    """Return a text that is written as plans have it; None where nothing like it `is_good`.

    >>> good = {"8B", "2_000 steps", "1.5T", "2e-4", "4Ki"}.__contains__
    >>> [meant(t, good) for t in ("8 billion", "2,000 updates", "1,5T", "2*10^-4", "4kib", "soon")]
    ['8B', '2_000 steps', '1.5T', '2e-4', '4Ki', None]
    """
    plain = " ".join(text.split()).replace("\u2212", "-").replace("\u2013", "-")
    for written in (plain, _with_words(plain), _with_words(_without_separators(plain))):
        if written != text.strip() and is_good(written):
            return written
    return None


def meant_mark(text: str, is_amount: Callable[[str], object]) -> str | None:
    """Say what to write for a text that is no mark; None where it is an amount, and a wrong one.

    >>> meant_mark("step 2,000", "2_000".__eq__), meant_mark("half", "".__eq__)
    ('did you mean step 2_000?', 'did you mean 50%?')
    """
    plain = text.strip().lower()
    if plain in ("end", "last", "final"):
        return "leave it out: without a mark it is the end"
    if plain == "half":
        return "did you mean 50%?"
    steps = re.fullmatch(r"steps?[ :=]*([0-9].*)", plain)
    found = meant(steps[1] if steps else text, is_amount)
    if steps and (found or is_amount(steps[1])):
        return f"did you mean step {found or steps[1]}?"
    if found and re.fullmatch("[0-9_]+", found):
        return f"write `step {found}`, or `{found} tokens`"
    if found:
        return f"did you mean {found}?"
    if is_amount(text.strip()):
        return None
    return "write tokens (`4T`), `step 120_000` or a share (`60%`)"


def without_commas(text: str) -> str:
    """Write a number with commas as plans have it.

    >>> without_commas("8,000,000"), without_commas("2,000 steps"), without_commas("1,5T")
    ('8_000_000', '2_000 steps', '1.5T')
    """
    return _without_separators(text)


def _without_separators(text: str) -> str:
    number = re.match(r"[0-9][0-9,.' ]*[0-9]", text)
    if number is None:
        return text
    rest = text[number.end() :]
    if _THOUSANDS.fullmatch(number[0]):
        return re.sub(r"[,.' ]", "_", number[0]) + rest
    return number[0].replace(",", ".") + rest if number[0].count(",") == 1 else text


def _with_words(text: str) -> str:
    """Write powers, suffixes and units as plans have them."""
    if (power := _POWER.fullmatch(text)) is not None:
        return _power(power[1], int(power[2]), int(power[3]))
    match = _WORDS.fullmatch(re.sub(r"^([0-9]) e(?=[+-])", r"\1e", text))
    if match is None:
        return text
    number, suffix, unit = match.groups()
    if not unit and suffix.lower() not in sum(_SUFFIXES.values(), ()):
        suffix, unit = "", suffix
    return f"{number}{_ours(suffix, _SUFFIXES)}{_ours(unit, _UNITS)}"


def _ours(word: str, table: dict[str, tuple[str, ...]]) -> str:
    alike = (word.lower(), word.lower().removesuffix("s"))
    return next((ours for ours, words in table.items() if any(w in words for w in alike)), word)


def _power(factor: str | None, base: int, exponent: int) -> str:
    if base == 10:
        return f"{factor or 1}e{exponent}"
    if factor is None and 0 <= exponent < 60:
        suffix = ("", "Ki", "Mi", "Gi", "Ti")[min(exponent // 10, 4)]
        return f"{2 ** (exponent - 10 * min(exponent // 10, 4))}{suffix}"
    return ""
