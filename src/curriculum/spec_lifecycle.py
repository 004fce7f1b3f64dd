"""What a stage says of its modules' sizes, adapters and average, as written"""

from curriculum.lifecycle import LEFT, ROWS
from curriculum.models.adapters import KINDS
from curriculum.nodes import Map, Node, Scalar
from curriculum.spec import AdapterSpec, EmaSpec, ReshapeSpec, Word
from curriculum.spec_reader import SpecReader
from curriculum.words import ADAPTER, EMA


def read_reshape(reader: SpecReader, node: Node | None) -> dict[str, ReshapeSpec] | None:
    """Read the fields of modules that change: `{llm: {vocab: 49_280, rows: mean}}`."""
    if node is None:
        return None
    before = len(reader.problems)
    found: dict[str, ReshapeSpec] = {}
    for word, value in reader.named(node, "`reshape`"):
        entries = reader.mapping(value, "what changes of a module")
        if entries is None:
            continue
        rows_node = entries.get("rows")
        rows = reader.word(rows_node, ROWS) if rows_node is not None else None
        sizes = {key.text: reader.field(v) for key, v in entries.entries if key.text != "rows"}
        if not sizes:
            reader.problem(
                "wrong-value",
                f"`reshape` says nothing of {word.text}",
                entries.span,
                "{vocab: 49_280}",
            )
        found[word.text] = ReshapeSpec(word, sizes, rows, entries.span)
    return None if len(reader.problems) > before else found


def read_adapters(reader: SpecReader, node: Node | None) -> dict[str, AdapterSpec | Word] | None:
    """Read adapters by module: new ones, or a word for those that its parent left.

    A single word stands for every module, under the empty name.
    """
    if node is None:
        return None
    before = len(reader.problems)
    found: dict[str, AdapterSpec | Word] = {}
    if not isinstance(node, Map):
        word = reader.word(node, LEFT)
        return None if word is None else {"": word}
    for name, value in reader.named(node, "`adapters`"):
        if isinstance(value, Scalar):
            if (word := reader.word(value, LEFT)) is not None:
                found[name.text] = word
        elif (adapter := _adapter(reader, name, value)) is not None:
            found[name.text] = adapter
    return None if len(reader.problems) > before else found


def _adapter(reader: SpecReader, name: Word, node: Node) -> AdapterSpec | None:
    entries = reader.mapping(node, "an adapter")
    if entries is None:
        return None
    reader.keys(entries, ADAPTER, "an adapter")
    kind_node, rank_node, on_node = (entries.get(key) for key in ("kind", "rank", "parts"))
    missing = [key for key in ("kind", "rank", "parts") if entries.get(key) is None]
    if missing or kind_node is None or rank_node is None or on_node is None:
        reader.problem(
            "missing-key",
            f"the adapters of {name.text} say no {' and no '.join(f'`{key}`' for key in missing)}",
            entries.span,
            "{kind: lora, rank: 64, parts: [attention, ffn]}",
        )
        return None
    kind, rank, on = reader.word(kind_node, KINDS), reader.integer(rank_node), reader.names(on_node)
    if rank == 0:
        reader.problem("wrong-value", "a rank is 1 or more", rank_node.span)
        return None
    if kind is None or rank is None or not on:
        return None
    return AdapterSpec(name, kind.text, rank, on)


def read_ema(reader: SpecReader, node: Node | None) -> EmaSpec | None:
    """Read the decay of an average of the weights, or `none`."""
    if node is None:
        return None
    if isinstance(node, Scalar) and node.text == "none":
        return EmaSpec(None)
    entries = reader.mapping(node, "`ema`")
    if entries is None:
        return None
    reader.keys(entries, EMA, "`ema`")
    decay_node = entries.get("decay")
    if decay_node is None:
        reader.problem("missing-key", "`ema` says its `decay`", entries.span, "{decay: .995}")
        return None
    decay = reader.number(decay_node)
    if decay is None:
        return None
    if decay.value is not None and not 0 < decay.value < 1:
        reader.problem("wrong-value", "a decay lies between 0 and 1", decay.span)
        return None
    return EmaSpec(decay)
