"""Parts of sources as written: `{of: web, part: first 10%}`, `{of: web, min_tokens: 32Ki}`"""

import re
from fractions import Fraction

from curriculum.errors import ValueProblem
from curriculum.nodes import Map
from curriculum.spec import PartSpec, Word
from curriculum.spec_reader import SpecReader
from curriculum.units import parse_amount

FROM_THE_WHOLE = ("modality", "holdout", "image_share", "path")
"""What a part takes from its whole, and may not say itself."""

_PART = re.compile(r"(first|last)\s+(\S+)|(\S+)\s+to\s+(\S+)")


def parse_part(text: str) -> tuple[Fraction, Fraction]:
    """Read a share of a source by order, as where it begins and ends.

    >>> parse_part("first 10%")
    (Fraction(0, 1), Fraction(1, 10))
    >>> parse_part("last 5%")[0], parse_part("10% to 30%")[1]
    (Fraction(19, 20), Fraction(3, 10))
    """
    match = _PART.fullmatch(text.strip())
    if not match:
        raise ValueProblem(
            f"`{text}` is no part of a source", "`first 10%`, `last 5%` or `10% to 30%`"
        )
    shares = [parse_amount(word) for word in (match[2], match[3], match[4]) if word]
    if any(share.unit != "share" for share in shares):
        raise ValueProblem(f"`{text}` is no share of a source", "write it in percent: `first 10%`")
    values = [share.value for share in shares]
    start, end = values if len(values) == 2 else (Fraction(0), values[0])
    if match[1] == "last":
        start, end = 1 - end, Fraction(1)
    if not 0 <= start < end <= 1:
        raise ValueProblem(f"`{text}` holds nothing, or more than there is", "`first 10%`")
    return start, end


def read_part(reader: SpecReader, name: Word, source: Map) -> PartSpec | None:
    """Read of which source this is a part; None where it is whole or could not be read."""
    of_node, part_node = source.get("of"), source.get("part")
    limits = [source.get(key) for key in ("min_tokens", "max_tokens")]
    if of_node is None:
        for key in ("part", "min_tokens", "max_tokens"):
            if (said := source.key(key)) is not None:
                message = (
                    f"`{key}` chooses documents of another source, and `{name.text}` names none"
                )
                reader.problem("part-of-nothing", message, said.span, "add `of: SOURCE`")
        return None
    before = len(reader.problems)
    of = reader.word(of_node)
    for key in FROM_THE_WHOLE:
        if (said := source.key(key)) is not None:
            message = f"`{name.text}` is a part of another source, which says its `{key}`"
            reader.problem("part-says-less", message, said.span, "leave it out")
    if (part_node is None) == (limits == [None, None]):
        reader.problem(
            "part-of-nothing",
            f"`{name.text}` says which documents of the other source it is: by order or by length",
            of_node.span,
            "add one of `part: first 10%` and `min_tokens: 32Ki`, `max_tokens: 128Ki`",
        )
    elif part_node is not None and (said := source.key("tokens")) is not None:
        message = f"the tokens of `{name.text}` follow from its whole"
        reader.problem("part-says-less", message, said.span, "leave them out")
    part = None if part_node is None else reader.parsed(part_node, parse_part, "a part")
    least, most = (
        None if node is None else reader.quantity(node, units=("tokens",)) for node in limits
    )
    low, high = (None if x is None else int(x.amount.value) for x in (least, most))
    if high is not None and most is not None and high <= (low or 0):
        reader.problem(
            "wrong-value", f"no document is shorter than {high} and not below {low or 0}", most.span
        )
    if of is None or len(reader.problems) > before:
        return None
    return PartSpec(of, part, low, high)
