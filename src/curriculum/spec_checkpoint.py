"""An outside checkpoint as a person wrote it: what it gives, and what is known of it"""

from curriculum.nodes import Map, Node, Scalar
from curriculum.spec import CheckpointSpec, Number, Quantity
from curriculum.spec_batch import read_seq_len
from curriculum.spec_reader import TARGET, SpecReader
from curriculum.spec_rope import read_rope
from curriculum.words import CHECKPOINT


def read_checkpoint(reader: SpecReader, node: Node | None) -> CheckpointSpec | None:
    """Read what makes a stage an outside checkpoint."""
    entries = reader.mapping(node, "`checkpoint`", "{gives: [llm], path: {}}")
    if entries is None:
        return None
    reader.keys(entries, CHECKPOINT, "a checkpoint")
    gives = entries.get("gives")
    if gives is None:
        reader.problem(
            "missing-key",
            "a checkpoint says which modules it `gives`",
            entries.span,
            "gives: [vit]",
        )
    path_node, weights_node = entries.get("path"), entries.get("weights")
    path = reader.word(path_node) if path_node is not None else None
    weights = reader.word(weights_node, ("new",)) if weights_node is not None else None
    state = entries.get("state")
    return CheckpointSpec(
        reader.words(gives) if gives is not None else (),
        path.text if path else None,
        weights is not None,
        _tokens(reader, entries),
        _rates(reader, entries.get("lr")),
        read_rope(reader, entries.get("rope")),
        read_seq_len(reader, _known(entries, "seq_len")),
        reader.words(state) if state is not None else (),
    )


def _known(entries: Map, key: str) -> Node | None:
    """Return a value; None where nobody says it, or the plan says that nobody knows."""
    node = entries.get(key)
    return None if isinstance(node, Scalar) and node.text == "unknown" else node


def _tokens(reader: SpecReader, entries: Map) -> Quantity | None:
    node = _known(entries, "tokens")
    return None if node is None else reader.quantity(node, units=("tokens",))


def _rates(reader: SpecReader, node: Node | None) -> dict[str, Number]:
    entries = reader.mapping(node, "the `lr` of a checkpoint")
    rates: dict[str, Number] = {}
    for key, value in entries.entries if entries else ():
        number = reader.number(value)
        if not TARGET.fullmatch(key.text):
            reader.problem("wrong-name", f"`{key.text}` is no module or part", key.span)
        elif number is not None and number.value is not None and number.value < 0:
            reader.problem("wrong-value", "a learning rate is not negative", number.span)
        elif number is not None:
            rates[key.text] = number
    return rates
