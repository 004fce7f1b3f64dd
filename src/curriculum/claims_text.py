"""The text of a claim, read from left to right into its tree

claim    = [ point ":" ] both
both     = relation { "and" relation }
relation = sum { ( "<=" | "<" | ">=" | ">" | "==" | "!=" ) sum }
sum      = product { ( "+" | "-" ) product }
product  = factor { ( "*" | "/" ) factor }
factor   = [ "-" ] ( number | [ point ":" ] path | "(" both ")" )
point    = stage [ "@" mark ]
path     = word { "." word }
"""

import re
from fractions import Fraction
from typing import NoReturn, cast

from curriculum.claims import (
    Constant,
    Operation,
    Order,
    Path,
    Point,
    Relation,
    Sign,
    Value,
    check_form,
    check_units,
    scoped,
)
from curriculum.errors import ClaimProblem, ValueProblem
from curriculum.units import parse_amount, parse_mark, parse_number

MAX_TEXT = 2000
"""Characters in one claim; more is several claims."""
MAX_VALUES = 100
"""Numbers, paths, signs and parentheses in one claim."""


_BLANK = re.compile(r"\s*")
_NUMBER = re.compile(
    r"(?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)(?:[eE][+-]?\d+)?"
    r"(?P<unit>\s*(?:Ki|Mi|Gi|Ti|K|M|B|T)?\s*(?:%|(?:tokens?|steps?|seqs?|epochs?)(?![\w.]))?)"
    r"(?![\w.@])"
)
_POINT = re.compile(r"(?P<stage>[A-Za-z0-9][\w-]*)\s*(?:@\s*(?P<mark>[^:<>=!()+*]+?)\s*)?:")
_PATH = re.compile(r"[A-Za-z][\w/-]*(?:\.[\w/-]+)*")
_ORDER = re.compile(r"<=|>=|==|!=|<|>")
_MISTAKES = {
    "=": "write `==`", "\u2264": "write `<=`", "\u2265": "write `>=`", "\u2260": "write `!=`",
    "&": "write `and`", "or": "claims know `and` only: write two claims, or turn it round",
    "|": "claims know `and` only", "not": "turn the comparison round", "^": "write a * a",
    "AND": "write `and`", "@": "write `STAGE@MARK: ...`", "[": "names have no brackets",
}  # fmt: skip


def parse_claim(text: str) -> tuple[Relation, ...]:
    """Read a claim: the relations that all hold. Raises `ClaimProblem` with the place in the text.

    >>> (relation,) = parse_claim("mix.web <= 40%")
    >>> relation.order, relation.left.text, relation.right.value
    ('<=', 'mix.web', Fraction(2, 5))
    """
    if len(text) > MAX_TEXT:
        raise ClaimProblem(f"a claim has at most {MAX_TEXT:,} characters", 0, len(text))
    reader = _Reader(text)
    scope = reader.point()
    found = reader.both()
    reader.end()
    if isinstance(found, Value):
        raise ClaimProblem("this compares nothing", *found.place, "write a comparison: ... <= 40%")
    for relation in found:
        check_units(relation)
    return tuple(scoped(relation, scope) for relation in found)


class _Reader:
    """Reads a text from left to right; every method leaves `at` behind what it read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.values = 0

    def blank(self) -> int:
        match = _BLANK.match(self.text, self.at)
        assert match is not None
        self.at = match.end()
        return self.at

    def take(self, *words: str) -> str | None:
        """Take the first of the words that stands here."""
        self.blank()
        for word in words:
            if self.text.startswith(word, self.at):
                self.at += len(word)
                return word
        return None

    def word(self) -> str:
        """Return the word that stands here, without taking it."""
        self.blank()
        match = re.compile(r"\w+|\S").match(self.text, self.at)
        return match[0] if match else ""

    def both(self) -> Value | tuple[Relation, ...]:
        found = self.relation()
        while self.word() == "and":
            at = self.at
            self.at += len("and")
            more = self.relation()
            if isinstance(found, Value) or isinstance(more, Value):
                raise ClaimProblem(
                    "`and` stands between comparisons", at, at + 3, "a <= 1 and b <= 2"
                )
            found = (*found, *more)
        return found

    def relation(self) -> Value | tuple[Relation, ...]:
        left = self.sum()
        found: list[Relation] = []
        while (match := _ORDER.match(self.text, self.blank())) is not None:
            self.at = match.end()
            right = self.sum()
            pair = _number(left), _number(right)
            place = pair[0].place[0], pair[1].place[1]
            found.append(Relation(cast(Order, match[0]), *pair, place))
            left = right
        return tuple(found) or left

    def sum(self) -> Value | tuple[Relation, ...]:
        value = self.product()
        while (sign := self.take("+", "-")) is not None:
            value = _joined(cast(Sign, sign), value, self.product())
        return value

    def product(self) -> Value | tuple[Relation, ...]:
        value = self.factor()
        while (sign := self.take("*", "/")) is not None:
            value = _joined(cast(Sign, sign), value, self.factor())
        return value

    def factor(self) -> Value | tuple[Relation, ...]:
        start = self.blank()
        self.values += 1
        if self.values > MAX_VALUES:
            what = f"a claim has at most {MAX_VALUES} values"
            raise ClaimProblem(what, start, start + 1, "write several claims")
        if self.take("-"):
            value = _number(self.factor())
            return _joined("-", Constant(Fraction(0), None, (start, start + 1)), value)._replace(
                place=(start, self.at),
            )
        if self.take("("):
            inner = self.both()
            if not self.take(")"):
                raise ClaimProblem("this parenthesis does not close", start, start + 1)
            return inner
        if (point := self.point()) is not None:
            return self.path()._replace(point=point)
        if (match := _NUMBER.match(self.text, self.at)) is not None:
            self.at = match.end()
            return _literal(match)
        return self.path()

    def point(self) -> Point | None:
        match = _POINT.match(self.text, self.blank())
        if match is None:
            return None
        self.at = match.end()
        place = match.start(), match.end() - 1
        mark = match["mark"]
        if mark is None or mark == "end":
            return Point(match["stage"], None, mark == "end", place)
        try:
            amount = parse_mark(mark)
        except ValueProblem as problem:
            raise ClaimProblem(str(problem), *match.span("mark"), problem.help) from None
        return Point(match["stage"], amount, False, place)

    def path(self) -> Path:
        start = self.blank()
        match = _PATH.match(self.text, start)
        if match is None or match[0] in _MISTAKES or match[0] == "and":
            self.refuse("a number or a path is wanted here")
        self.at = match.end()
        path = Path(tuple(match[0].split(".")), None, match.span())
        check_form(path)
        return path

    def end(self) -> None:
        if self.blank() < len(self.text):
            self.refuse("the claim should end here")

    def refuse(self, what: str) -> NoReturn:
        word = self.word()
        if word[:1].isdigit():
            self._refuse_number(word)
        help = _MISTAKES.get(word) or _MISTAKES.get(word[:1])
        if not word:
            help = help or "a claim compares: mix.web <= 40%"
        raise ClaimProblem(what, self.at, self.at + max(1, len(word)), help)

    def _refuse_number(self, word: str) -> None:
        try:
            parse_amount(word)
        except ValueProblem as problem:
            end = self.at + len(word)
            raise ClaimProblem(str(problem), self.at, end, problem.help) from None


def _literal(match: re.Match[str]) -> Constant:
    text, unit = match[0].strip(), match["unit"].strip()
    place = match.start(), match.start() + len(text)
    try:
        if not unit:
            return Constant(parse_number(text), None, place)
        amount = parse_amount(text)
    except ValueProblem as problem:
        raise ClaimProblem(str(problem), *place, problem.help) from None
    # `5.2T` may count anything; `5.2T tokens` counts tokens.
    is_bare = amount.unit == "tokens" and "token" not in unit
    return Constant(amount.value, None if is_bare else amount.unit, place)


def _number(value: Value | tuple[Relation, ...]) -> Value:
    if isinstance(value, Value):
        return value
    place = value[0].place[0], value[-1].place[1]
    raise ClaimProblem("a comparison is no number", *place, "join comparisons with `and`")


def _joined(
    sign: Sign, left: Value | tuple[Relation, ...], right: Value | tuple[Relation, ...]
) -> Operation:
    one, other = _number(left), _number(right)
    return Operation(sign, one, other, (one.place[0], other.place[1]))
