"""The budget, the context and the batch of a stage as written"""

from collections.abc import Mapping
from fractions import Fraction

from curriculum.errors import Related, Span, ValueProblem
from curriculum.nodes import Map, Node, Scalar, Seq
from curriculum.spec import BatchSpec, Quantity, RampSpec
from curriculum.spec_ramp import SIZE_UNITS, read_ramp
from curriculum.spec_reader import SpecReader, meant_keys
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
        way_out = f"write {{seqs: {node.text}}} for sequences, {{tokens: {node.text}}} for tokens"
        reader.problem("wrong-type", "a batch is a mapping", node.span, way_out)
        return None
    entries = reader.mapping(node, "a batch")
    if entries is None:
        return None
    texts = [key.text for key, _ in entries.entries]
    if "to" in texts and not {"seqs", "tokens"}.intersection(texts):
        what = "a ramp of the batch stands in `seqs` or `tokens`"
        way_out = "write {seqs: {from: 16, to: 2048, by: 16}, until: 469B}"
        reader.problem("wrong-value", what, entries.span, way_out)
        return None
    reader.keys(entries, BATCH, "a batch")
    meant = meant_keys(texts, BATCH)
    said = {unit: value for unit in ("seqs", "tokens") if (value := entries.get(unit)) is not None}
    if len(said) != 1:
        if not meant.intersection(("seqs", "tokens")):
            what = "a batch says `seqs` or `tokens`"
            way_out = "keep one of them" if said else "write {seqs: 1024} or {tokens: 4Mi}"
            reader.problem("wrong-value", what, entries.span, way_out)
        return None
    ((unit, size_node),) = said.items()
    size = _size(reader, size_node, unit)
    until_node = entries.get("until")
    ends = until_node is not None or "until" in meant
    if not _ends(reader, entries, size_node, ends, last) or isinstance(size, str):
        return None
    until = None
    if until_node is not None:
        units = ("tokens", "share") if isinstance(size, RampSpec) else ("tokens", "steps", "share")
        until = reader.quantity(until_node, parse_mark, units)
    return BatchSpec(unit, size, read_seq_len(reader, entries.get("seq_len")), until, entries.span)


def _ends(reader: SpecReader, entries: Map, size: Node, ends: bool, last: bool) -> bool:
    """Hold that a ramp ends at a mark, and every other piece that another follows."""
    if isinstance(size, Map):
        if not ends:
            way_out = "add `until: 469B`; after the last piece the batch stays where its ramp ended"
            what = "a ramp says `until` which mark it runs"
            reader.problem("wrong-value", what, size.span, way_out)
        return ends
    if last and ends:
        what = "nothing follows this piece of the batch, and it says `until`"
        way_out = "leave `until` out, or add a piece: [{seqs: 2048, until: 200B}, {seqs: 4096}]"
        reader.problem("wrong-value", what, entries.span, way_out)
    elif not last and not ends:
        what = "another piece of the batch follows, and this one says no `until`"
        reader.problem("wrong-value", what, entries.span, "add `until: 200B`")
    return last != ends


def _size(reader: SpecReader, node: Node, unit: str) -> Quantity | RampSpec | str | None:
    """Read a size, a ramp, or `keep` (None); a word says that it could not be read."""
    if isinstance(node, Seq):
        what = "the pieces of a batch are mappings of their own"
        way_out = "batch: [{seqs: 2048, until: 200B}, {seqs: 4096}]"
        reader.problem("wrong-type", what, node.span, way_out)
        return "refused"
    if isinstance(node, Map):
        return read_ramp(reader, node, unit) or "refused"
    if isinstance(node, Scalar) and node.text == "keep":
        return None
    return reader.quantity(node, units=SIZE_UNITS[unit]) or "refused"
