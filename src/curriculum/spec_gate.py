"""The gate of a stage as written: what its end waits for, and bounds of its length"""

from curriculum.nodes import Node
from curriculum.spec import GateSpec
from curriculum.spec_reader import SpecReader
from curriculum.words import GATE

EXAMPLE = "gate: {when: needles are found, most: 200B}"


def read_gate(reader: SpecReader, node: Node | None) -> GateSpec | None:
    """Read a gate; None where that is refused."""
    before = len(reader.problems)
    entries = reader.mapping(node, "`gate`")
    if entries is None:
        return None
    reader.keys(entries, GATE, "`gate`")
    said = entries.get("when")
    when = reader.word(said) if said is not None else None
    if said is None:
        what = "a gate says `when` its stage is over"
        reader.problem("missing-key", what, entries.span, EXAMPLE)
    bounds = {
        key: reader.quantity(value, units=("tokens", "steps"))
        for key in ("least", "most")
        if (value := entries.get(key)) is not None
    }
    if when is None or len(reader.problems) > before:
        return None
    return GateSpec(" ".join(when.text.split()), bounds.get("least"), bounds.get("most"))
