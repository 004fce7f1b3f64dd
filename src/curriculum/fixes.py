"""Edits that a program may make for a person: which of them are safe, and how a text takes them

Safe is what says the same in the language's words: `50,000,000` as 50_000_000, `8K` of a context as
8Ki, `optimiser` as the one key that is written nearly so. A name that somebody chose is never
guessed.
"""

import re
from collections.abc import Iterable, Sequence

from curriculum.errors import Fix, Span

NEARLY = 0.8
"""From this likeness on (`difflib`, 0 to 1) a word of the language was mistyped."""

_NUMBER = r"(?:mean|write|or) ([0-9][0-9A-Za-z_.]*)(?= \(|\?|$| or )"
_BREAKS = "\r\n?|[\n\x85\u2028\u2029]"


def same_word(span: Span, word: str, known: Iterable[str], way_out: str | None) -> Fix | None:
    """Return the edit to the one known word that is meant, if it is also what a person is told.

    >>> place = Span("x.yaml", 3, 5, 3, 14)
    >>> same_word(place, "optimiser", ["optimizer", "lr"], "did you mean `optimizer`?").text
    'optimizer'
    >>> same_word(place, "beta3", ["beta1", "beta2"], "did you mean `beta1`?") is None
    True
    """
    if way_out is None or "did you mean" not in way_out or span.line != span.end_line:
        return None
    from difflib import get_close_matches  # 1 ms, and only mistakes need it

    near = get_close_matches(word, list(known), n=2, cutoff=NEARLY)
    if len(near) != 1 or f"`{near[0]}`" not in way_out:
        return None
    digits = [re.sub("[^0-9]", "", text) for text in (word, near[0])]
    return Fix(span, near[0]) if digits[0] == digits[1] else None


def same_number(span: Span, text: str, way_out: str | None) -> Fix | None:
    """Return the edit to the number that a way out names, if it has the same digits and suffix.

    >>> place = Span("x.yaml", 3, 5, 3, 8)
    >>> same_number(place, "16M", "did you mean 15624Ki (3906 seqs) or 16Mi (4096 seqs)?").text
    '16Mi'
    >>> same_number(place, "5tb", "did you mean 5T?") is None
    True
    """
    if span.line != span.end_line:
        return None
    found = [said for said in re.findall(_NUMBER, way_out or "") if _bare(said) == _bare(text)]
    return Fix(span, found[0]) if len(found) == 1 and found[0] != text else None


def _bare(number: str) -> str:
    """Return a number without what only helps the eye: `8Ki` and `8 K` are both "8k"."""
    return re.sub("[,_ ]", "", number).lower().removesuffix("i")


def with_fixes(text: str, fixes: Sequence[Fix]) -> tuple[str, tuple[Fix, ...]]:
    """Return a text with the edits made, and those that were; of two that overlap the first.

    >>> with_fixes("a: 1\\nb: 2\\n", [Fix(Span("x", 2, 4, 2, 5), "30")])[0]
    'a: 1\\nb: 30\\n'
    """
    starts = [0, *(found.end() for found in re.finditer(_BREAKS, text))]

    def offset(line: int, column: int) -> int:
        return min(starts[line - 1] + column - 1, len(text)) if line <= len(starts) else len(text)

    places = {
        fix: (
            offset(fix.span.line, fix.span.column),
            offset(fix.span.end_line, fix.span.end_column),
        )
        for fix in fixes
    }
    done: list[Fix] = []
    parts: list[str] = []
    at = 0
    for fix, (start, end) in sorted(places.items(), key=lambda item: item[1]):
        if start < at or (done and places[done[-1]] == (start, end)):
            continue
        parts += [text[at:start], fix.text]
        done.append(fix)
        at = end
    return "".join([*parts, text[at:]]), tuple(done)
