"""The budget, the context and the batch of a stage as written"""

from collections.abc import Mapping
from fractions import Fraction

from curriculum.errors import Related, Span, ValueProblem
from curriculum.nodes import Map, Node, Scalar, Seq
from curriculum.spec import BatchSpec, Quantity, RampSpec
from curriculum.spec_ramp import SIZE_UNITS, read_ramp
from curriculum.spec_reader import SpecReader
from curriculum.units import Amount, parse_amount, parse_mark, parse_number, parse_seq_len
from curriculum.words import BATCH

BUDGETS = ("tokens", "steps", "seqs", "epochs", "until")
"""What a stage's budget is said in."""


def read_budget(
    reader: SpecReader, stage: Map, at: Mapping[str, Node]
) -> tuple[str, Quantity] | None:
    """Read the budget of a stage, and the unit that it is said in."""
    said = [key for key in BUDGETS if key in at]
    if len(said) > 1:
        keys = sorted((k for k, _ in stage.entries if k.text in said), key=lambda k: _order(k.span))
        reader.problem(
            "one-budget",
            f"a stage has one budget, this has {' and '.join(said)}",
            keys[1].span,
            "keep one of them",
            (Related(f"the budget in {keys[0].text}", keys[0].span),),
        )
        return None
    if not said:
        return None
    unit = said[0]
    if unit == "until":
        quantity = reader.quantity(at[unit], parse_mark, units=("tokens", "steps"))
    elif unit == "epochs":
        quantity = reader.quantity(at[unit], _parse_epochs, units=("epochs",))
    else:
        quantity = reader.quantity(at[unit], units=("tokens", unit))
    if quantity is None:
        return None
    if quantity.amount.value <= 0:
        reader.problem("wrong-value", "a budget is more than nothing", quantity.span)
        return None
    return unit, quantity


def _parse_epochs(text: str) -> Amount:
    """Read `4`, `1.5` or `4 epochs`."""
    try:
        value = parse_number(text)
    except ValueProblem:
        return parse_amount(text)
    return Amount(value, "epochs")


def _order(span: Span) -> tuple[int, int]:
    return span.line, span.column


def read_seq_len(reader: SpecReader, node: Node | None) -> Quantity | None:
    """Read a context length in tokens."""
    if node is None:
        return None
    seq_len = reader.parsed(node, parse_seq_len, "a context length")
    if seq_len is None or not isinstance(node, Scalar):
        return None
    return Quantity(Amount(Fraction(seq_len), "tokens"), node.span, node.scale)


def read_batch(reader: SpecReader, node: Node) -> tuple[BatchSpec, ...] | None:
    """Read a batch, or the pieces of one."""
    before = len(reader.problems)
    items = node.items if isinstance(node, Seq) else (node,)
    specs = [_batch_piece(reader, item, last=item is items[-1]) for item in items]
    if not specs:
        reader.problem("wrong-value", "a batch has at least one piece", node.span)
    if len(reader.problems) > before:
        return None
    return tuple(spec for spec in specs if spec is not None)


def _batch_piece(reader: SpecReader, node: Node, last: bool) -> BatchSpec | None:
    if isinstance(node, Scalar) and node.text:
        way_out = f"write {{tokens: {node.text}}} or {{seqs: ...}}"
        reader.problem("wrong-type", "a batch is a mapping", node.span, way_out)
        return None
    entries = reader.mapping(node, "a batch")
    if entries is None:
        return None
    reader.keys(entries, BATCH, "a batch")
    said = {unit: value for unit in ("seqs", "tokens") if (value := entries.get(unit)) is not None}
    if len(said) != 1:
        reader.problem("wrong-value", "a batch says `seqs` or `tokens`", entries.span)
        return None
    ((unit, size_node),) = said.items()
    size = _size(reader, size_node, unit)
    until_node = entries.get("until")
    if not _ends(reader, entries, size, until_node is not None, last) or isinstance(size, str):
        return None
    until = None
    if until_node is not None:
        units = ("tokens", "share") if isinstance(size, RampSpec) else ("tokens", "steps", "share")
        until = reader.quantity(until_node, parse_mark, units)
    return BatchSpec(unit, size, read_seq_len(reader, entries.get("seq_len")), until, entries.span)


def _ends(
    reader: SpecReader, entries: Map, size: Quantity | RampSpec | str | None, ends: bool, last: bool
) -> bool:
    """Hold that a ramp ends at a mark, and every other piece that another follows."""
    if isinstance(size, RampSpec):
        if ends:
            return True
        way_out = "add `until: 469B`; after the last piece the batch stays where its ramp ended"
        reader.problem("wrong-value", "a ramp says `until` which mark it runs", size.span, way_out)
        return False
    if last == ends:
        reader.problem(
            "wrong-value",
            "the last piece of a batch has no `until`, every other has one",
            entries.span,
        )
        return False
    return True


def _size(reader: SpecReader, node: Node, unit: str) -> Quantity | RampSpec | str | None:
    """Read a size, a ramp, or `keep` (None); a word says that it could not be read."""
    if isinstance(node, Map):
        return read_ramp(reader, node, unit) or "refused"
    if isinstance(node, Scalar) and node.text == "keep":
        return None
    return reader.quantity(node, units=SIZE_UNITS[unit]) or "refused"
