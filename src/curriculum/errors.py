"""The error tree on one screen, and the diagnostic that names a place in a plan

CurriculumError            exit code 2: could not do it
  FindingsError            exit code 1: understood, and something in it is wrong
  RunError                 exit code 2: a run directory or checkpoint refuses
  StoppedError             a signal asked for a clean stop: 130 or 143
ValueProblem (ValueError)  a text that is no value, raised by leaves, placed by the compiler
  ClaimProblem             a text that is no claim, with the part of it that is wrong
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Severity(StrEnum):
    """How bad a finding is; only errors stop a plan from being executed."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Span(NamedTuple):
    """A place in a file: lines and columns from 1, in characters, the end exclusive."""

    file: str
    line: int
    column: int
    end_line: int
    end_column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    def holds(self, other: "Span") -> bool:
        """Say whether another place lies within this one, and is not all of it.

        >>> Span("x.yaml", 3, 8, 5, 2).holds(Span("x.yaml", 4, 9, 4, 12))
        True
        """
        starts = self.file == other.file and self[1:3] <= other[1:3]
        return starts and other[3:] <= self[3:] and self != other

    def part(self, text: str, start: int, end: int) -> "Span":
        """Return the place of a part of the text that stands here, bare or in quotation marks.

        The whole place where the text is written in another way: in several lines, or escaped.

        >>> str(Span("x.yaml", 3, 8, 3, 16).part("a <= 1", 5, 6))
        'x.yaml:3:14'
        """
        quotes = self.end_column - self.column - len(text)
        if self.line != self.end_line or quotes not in (0, 2):
            return self
        first = self.column + quotes // 2
        return Span(self.file, self.line, first + start, self.line, first + max(end, start + 1))


class Related(NamedTuple):
    """A second place that a finding speaks of."""

    message: str
    span: Span


class Fix(NamedTuple):
    """An edit that mends a finding and means nothing else: this text for what stands there."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding: which rule, how bad, where, what, and what to write instead."""

    rule: str
    message: str
    span: Span | None = None
    help: str | None = None
    severity: Severity = Severity.ERROR
    related: tuple[Related, ...] = ()
    fix: Fix | None = None  # only where the edit is safe

    def __str__(self) -> str:
        where = f"{self.span}: " if self.span else ""
        way_out = f"; {self.help}" if self.help else ""
        return f"{where}{self.severity}[{self.rule}]: {self.message}{way_out}"


class CurriculumError(Exception):
    """Whatever the program refuses with a sentence instead of a traceback."""

    exit_code = 2


class FindingsError(CurriculumError):
    """The input was understood, and something in it is wrong or differs."""

    exit_code = 1

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        self.diagnostics = diagnostics
        Exception.__init__(self, "\n".join(str(d) for d in diagnostics))


class RunError(CurriculumError):
    """A run cannot start, go on or be read: the sentence says why and what to do."""


class StoppedError(CurriculumError):
    """A signal asked for a clean stop; the step was finished and the checkpoint written."""

    def __init__(self, message: str, signal_number: int) -> None:
        self.exit_code = 128 + signal_number
        Exception.__init__(self, message)


class ValueProblem(ValueError):
    """A text that does not say a value of the wanted kind; `help` is what to write instead."""

    def __init__(self, message: str, help: str | None = None) -> None:
        self.help = help
        ValueError.__init__(self, message)


class ClaimProblem(ValueProblem):
    """What is wrong with a claim, from one character of its text up to another."""

    def __init__(self, message: str, start: int, end: int, help: str | None = None) -> None:
        self.start = start
        self.end = end
        ValueProblem.__init__(self, message, help)


def text_lines(text: str) -> list[str]:
    r"""Split a text into the lines that a `Span` counts: where YAML 1.1 does, not at form feeds.

    >>> text_lines("a\r\nb\x85c\fd")
    ['a', 'b', 'c\x0cd']
    """
    for mark in ("\r\n", "\r", "\x85", "\u2028", "\u2029"):
        text = text.replace(mark, "\n")
    return text.split("\n")


def nearest(word: str, known: Iterable[str], cutoff: float = 0.7) -> list[str]:
    """Return the one known word that is most like a word, if any is like it at all.

    What another trainer calls it counts before what is written alike.

    >>> nearest("cosin", ["cosine", "linear"]), nearest("x", ["linear"])
    (['cosine'], [])
    >>> nearest("wbe", ["code", "web"]), nearest("vocab_size", ["vocab"]), nearest("peak", ["to"])
    (['web'], ['vocab'], ['to'])
    """
    from difflib import get_close_matches  # 1 ms, and only mistakes need it

    from curriculum.other_words import OTHER_WORDS

    names = list(known)
    ours = [name for name in OTHER_WORDS.get(word, ()) if name in names]
    if ours:
        return ours[:1]
    is_short = len(word) <= 4
    alike = get_close_matches(word, names, n=3, cutoff=min(cutoff, 0.6) if is_short else cutoff)
    if is_short:  # two letters in the wrong order are much of a short word
        near = (name for name in alike if abs(len(name) - len(word)) <= 1)
        alike = [name for name in near if name[:1] == word[:1]]
    inside = [name for name in names if name in word.split("_") or word in re.split("[-_]", name)]
    return (alike + inside)[:1]


def named_or_listed(word: str, there: Iterable[str]) -> str:
    """Say which module of a stage may have been meant, or list those that it has.

    >>> named_or_listed("lm", ["llm", "vit"]), named_or_listed("x", ["llm", "vit"])
    ('did you mean `llm`?', 'it has llm, vit')
    """
    names = list(there)
    near = nearest(word, names)
    return f"did you mean `{near[0]}`?" if near else f"it has {', '.join(names) or 'none'}"


def did_you_mean(word: str, known: "list[str] | tuple[str, ...]") -> str | None:
    """Say what may have been meant, or list what there is.

    >>> did_you_mean("cosin", ["cosine", "linear"])
    'did you mean `cosine`?'
    >>> did_you_mean("x", ["cosine", "linear"])
    'known: cosine, linear'
    """
    close = nearest(word, known)
    if close:
        return f"did you mean `{close[0]}`?"
    if not known:
        return None
    names = sorted(known)
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return f"known: {', '.join(names[:12])}{more}"
