"""The reader of what a person wrote: words, numbers and amounts, with every problem noted"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeVar

from curriculum.errors import Diagnostic, Fix, Related, Span, ValueProblem, did_you_mean, nearest
from curriculum.fixes import same_number, same_word
from curriculum.in_samples import refusing, way_in
from curriculum.nodes import UNSCALED, Key, Map, Node, Scalar, Seq
from curriculum.spec import Number, Point, Quantity, Word
from curriculum.units import Amount, parse_amount, parse_mark, parse_number
from curriculum.words import NAME_PATTERN, PLAN, TARGET_PATTERN, Table

T = TypeVar("T")

NAME = re.compile(NAME_PATTERN)
TARGET = re.compile(TARGET_PATTERN)
_SUFFIXED = re.compile(r"[0-9][0-9._]*\s*(Ki|Mi|Gi|Ti|K|M|B|T)")


def meant_keys(said: Iterable[str], table: Table) -> frozenset[str]:
    """Return the keys that others were likely meant for, which the language does not have."""
    others = (key for key in said if key not in table)
    return frozenset(name for key in others for name in nearest(key, table))


def is_misspelt(root: Map, section: str) -> bool:
    """Say whether a key that the language does not have was meant for a section of the plan."""
    others = [key.text for key, _ in root.entries if key.text not in PLAN]
    return bool(nearest(section, others, cutoff=0.75))


def free_keys(node: Map, key: Key, known: Iterable[str]) -> list[str]:
    """Return the keys that a mapping does not have yet in the file in which a key stands."""
    there = {other.text for other, _ in node.entries if other.span.file == key.span.file}
    return [name for name in known if name not in there]


@dataclass(slots=True)
class SpecReader:
    """Reads nodes into the spec; every problem goes to `problems` with its place."""

    problems: list[Diagnostic] = field(default_factory=list)
    renamed: frozenset[str] = frozenset()  # names with capitals, told of where they are declared

    def problem(
        self,
        rule: str,
        message: str,
        span: Span,
        help: str | None = None,
        related: tuple[Related, ...] = (),
        fix: Fix | None = None,
    ) -> None:
        self.problems.append(Diagnostic(rule, message, span, help, related=related, fix=fix))

    def is_nothing(self, node: Node) -> bool:
        """Note a value that holds nothing; the compiler says so once, at its key."""
        if isinstance(node, Scalar) and not node.text:
            self.problem("empty-value", "this holds nothing", node.span)
            return True
        return False

    def parsed(self, node: Node, parse: Callable[[str], T], wanted: str) -> T | None:
        """Parse a scalar, or note why it does not."""
        if self.is_nothing(node):
            return None
        if not isinstance(node, Scalar):
            self.problem("wrong-type", f"{wanted} is wanted here", node.span)
            return None
        try:
            return parse(node.text)
        except ValueProblem as problem:
            fix = same_number(node.span, node.text, problem.help)
            self.problem("wrong-value", str(problem), node.span, problem.help, fix=fix)
            return None

    def word(
        self,
        node: Node,
        known: "list[str] | tuple[str, ...] | None" = None,
        meanings: Callable[[], Mapping[str, str]] | None = None,
    ) -> Word | None:
        """Read one word, of those that are known; `meanings` tell them apart who knows none."""
        if self.is_nothing(node):
            return None
        if not isinstance(node, Scalar):
            self.problem("wrong-type", "one word is wanted here", node.span)
            return None
        if known is not None and node.text not in known:
            way_out = did_you_mean(node.text, known)
            if meanings is not None and not nearest(node.text, known):
                told = ", ".join(f"{word} ({what})" for word, what in meanings().items())
                way_out = f"one of {told}"
            self.problem(
                "wrong-value",
                f"`{node.text}` is not one of the words for this",
                node.span,
                way_out,
                fix=same_word(node.span, node.text, known, way_out),
            )
            return None
        return Word(self.small(node.text), node.span)

    def small(self, text: str) -> str:
        """Return a name in small letters where its capitals were told of."""
        return text.lower() if text in self.renamed else text

    def words(self, node: Node) -> tuple[Word, ...]:
        items = node.items if isinstance(node, Seq) else (node,)
        words = tuple(w for item in items if (w := self.word(item)) is not None)
        for index, word in enumerate(words):
            if any(before.text == word.text for before in words[:index]):
                self.problem("said-twice", f"`{word.text}` stands twice here", word.span)
        return words

    def names(self, node: Node) -> tuple[Word, ...] | None:
        """Read one or several words; None where one of them is none."""
        before = len(self.problems)
        words = self.words(node)
        return None if len(self.problems) > before else words

    def tags(self, node: Node | None) -> tuple[str, ...]:
        """Read the tags of a source or a group, sorted: their order means nothing."""
        words = self.words(node) if node is not None else ()
        for word in words:
            if not NAME.fullmatch(word.text):
                what = f"`{word.text}` is not a tag"
                way_out = "tags are names: small letters, digits, `-` and `_`"
                self.problem("wrong-name", what, word.span, way_out)
        return tuple(sorted(word.text for word in words))

    def number(self, node: Node) -> Number | None:
        if isinstance(node, Scalar) and node.text == "unknown":
            return Number(None, node.span)
        if isinstance(node, Scalar) and node.text.strip().endswith("%"):
            amount = self.parsed(node, parse_amount, "a number")
            return None if amount is None else Number(amount.value, node.span, percent=True)
        value = self.parsed(node, parse_number, "a number")
        return None if value is None else Number(value, node.span)

    def share(self, node: Node, at_most_one: bool = True) -> Fraction | None:
        number = self.number(node)
        if number is None or number.value is None:
            return None
        if number.value < 0 or (at_most_one and number.value > 1):
            range_words = "between 0 and 1" if at_most_one else "at 0 or above"
            self.problem("wrong-value", f"this number lies {range_words}", node.span)
            return None
        return number.value

    def quantity(
        self, node: Node, parse: Callable[[str], Amount] = parse_amount, units: tuple[str, ...] = ()
    ) -> Quantity | None:
        amount = self.parsed(node, refusing(parse, units) if units else parse, "an amount")
        if amount is None:
            return None
        if units and amount.unit not in units:
            self.problem(
                "wrong-unit",
                f"{'a share' if amount.unit == 'share' else f'an amount in {amount.unit}'} "
                "cannot stand here",
                node.span,
                way_in(units, amount),
            )
            return None
        return Quantity(amount, node.span, node.scale if isinstance(node, Scalar) else UNSCALED)

    def integer(self, node: Node) -> int | None:
        value = self.parsed(node, parse_number, "a whole number")
        if value is None:
            return None
        if value.denominator != 1 or not 0 <= value < 2**63:
            self.problem("wrong-value", "a whole number from 0 to 2^63 is wanted", node.span)
            return None
        return int(value)

    def field(self, node: Node) -> int | float | bool | None:
        """Read one field of a shape; None where it is `none`, or no number."""
        if isinstance(node, Scalar) and node.text in ("true", "false"):
            return node.text == "true"
        if isinstance(node, Scalar) and node.text == "none":
            return None
        number: Number | None
        if isinstance(node, Scalar) and _SUFFIXED.fullmatch(node.text.strip()):
            amount = self.parsed(node, parse_amount, "a number")
            number = None if amount is None else Number(amount.value, node.span)
        else:
            number = self.number(node)
        if number is None or number.value is None:
            return None
        return int(number.value) if number.value.denominator == 1 else float(number.value)

    def boolean(self, node: Node) -> bool:
        word = self.word(node, ("true", "false"))
        return word is not None and word.text == "true"

    def mapping(self, node: Node | None, wanted: str, example: str = "") -> Map | None:
        """Return a mapping, or note that it is none; `example` shows one, with `{}` for a word."""
        if node is None or self.is_nothing(node):
            return None
        if not isinstance(node, Map):
            word = node.text if isinstance(node, Scalar) else "..."
            way_out = f"write {example.replace('{}', word)}" if example else None
            self.problem("wrong-type", f"{wanted} is a mapping", node.span, way_out)
            return None
        return node

    def keys(
        self,
        node: Map,
        table: Table,
        what: str,
        dotted: bool = False,
        instead: Callable[[str, Node], str | None] = lambda _key, _value: None,
    ) -> None:
        """Note every key that the language does not have; `instead` may know what is meant."""
        for key, value in node.entries:
            head = key.text.split(".")[0] if dotted else key.text
            if head not in table:
                way_out = instead(head, value) or did_you_mean(head, tuple(table))
                free = free_keys(node, key, table)
                self.problem(
                    "unknown-key",
                    f"{what} has no key `{key.text}`",
                    key.span,
                    way_out,
                    fix=same_word(key.span.part(key.text, 0, len(head)), head, free, way_out),
                )

    def named(self, node: Node | None, what: str) -> list[tuple[Word, Node]]:
        """Return the entries of a mapping of names, refusing what is no name."""
        found = []
        for key, value in m.entries if (m := self.mapping(node, what)) else ():
            if NAME.fullmatch(name := self.small(key.text)):
                found.append((Word(name, key.span), value))
            else:
                self.problem(
                    "wrong-name",
                    f"`{key.text}` is not a name",
                    key.span,
                    "names are small letters, digits, `-` and `_`",
                )
        return found

    def point(self, node: Node) -> Point | None:
        """Read `stage` or `stage@mark`."""
        word = self.word(node)
        return None if word is None else self.point_of(word, node)

    def point_of(self, word: Word, node: Node) -> Point | None:
        stage, at, mark = word.text.partition("@")
        stage = self.small(stage.strip())
        if not NAME.fullmatch(stage):
            self.problem("wrong-name", f"`{stage}` is not the name of a stage", word.span)
            return None
        if not at or mark.strip() == "end":
            return Point(stage, None, word.span)
        amount = self.parsed(Scalar(mark.strip(), word.span), parse_mark, "a mark")
        if amount is None:
            return None
        scale = node.scale if isinstance(node, Scalar) else UNSCALED
        return Point(stage, Quantity(amount, word.span, scale), word.span)
