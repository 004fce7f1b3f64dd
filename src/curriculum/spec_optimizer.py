"""Optimizers as written: their kind, their values or the curves of these, and parts that differ"""

from curriculum.errors import Span, did_you_mean
from curriculum.fixes import same_word
from curriculum.nodes import Key, Map, Node, Scalar, Seq
from curriculum.spec import (
    CurveSpec,
    Number,
    OptimizerSpec,
    OptimizerValue,
    PieceSpec,
    Word,
)
from curriculum.spec_curve import ONE_PIECE, read_curve
from curriculum.spec_reader import TARGET, SpecReader, free_keys
from curriculum.units import decimal_words
from curriculum.words import OPTIMIZER_FIXED, OPTIMIZER_RANGES, OPTIMIZER_VALUES

_SWITCHED = ("true", "false")


def read_optimizers(reader: SpecReader, node: Node | None) -> dict[str, OptimizerSpec]:
    """Read the named optimizers of a plan."""
    return {
        word.text: spec
        for word, value in reader.named(node, "`optimizers`")
        if (spec := _optimizer(reader, word, value)) is not None
    }


def _optimizer(
    reader: SpecReader, name: Word, node: Node, above: Word | None = None
) -> OptimizerSpec | None:
    """Read an optimizer, or the rule of a module or part, whose kind is that `above` if unsaid."""
    entries = reader.mapping(node, "an optimizer", "{kind: {}}")
    if entries is None:
        return None
    kind_node = entries.get("kind")
    kind = above if kind_node is None else reader.word(kind_node, tuple(OPTIMIZER_VALUES))
    own = [(key, value) for key, value in entries.entries if key.text not in ("kind", "source")]
    rules = [(key, value) for key, value in own if isinstance(value, Map) and not _is_curve(value)]
    if kind is None and (kind_node is not None or not rules):
        if kind_node is None:
            kinds = " or ".join(OPTIMIZER_VALUES)
            reader.problem("missing-key", "an optimizer says its `kind`", entries.span, kinds)
        return None
    values: dict[str, OptimizerValue] = {}
    for key, value in own:
        if (key, value) in rules:
            continue
        if key.text in (known := _known(kind)):
            values[key.text] = (_curve if _is_curve(value) else _value)(reader, key, value)
            continue
        what = f"{kind.text if kind else 'an optimizer'} has no value `{key.text}`"
        way_out = did_you_mean(key.text, known)
        fix = same_word(key.span, key.text, free_keys(entries, key, known), way_out)
        if key.text in ("lr", "learning_rate"):
            way_out, fix = "a stage says its learning rate: `lr: SCHEDULE`", None
        reader.problem("unknown-key", what, key.span, way_out, fix=fix)
    parts: dict[str, OptimizerSpec] = {}
    for key, value in sorted(rules, key=lambda rule: "/" in rule[0].text):  # a module, its parts
        module = parts.get(key.text.partition("/")[0])
        word = Word(key.text, key.span)
        if not TARGET.fullmatch(key.text):
            reader.problem("wrong-name", f"`{key.text}` is no module or part", key.span)
        elif part := _optimizer(reader, word, value, module.kind if module else kind):
            parts[key.text] = part
    return OptimizerSpec(name, kind, values, parts)


def _known(kind: Word | None) -> tuple[str, ...]:
    """Return the values of a kind; of all kinds where every module has one of its own."""
    if kind is not None:
        return OPTIMIZER_VALUES[kind.text]
    return tuple(dict.fromkeys(name for names in OPTIMIZER_VALUES.values() for name in names))


def _is_curve(node: Node) -> bool:
    is_piece = isinstance(node, Map) and any(node.get(key) is not None for key in ONE_PIECE)
    return is_piece or isinstance(node, Seq)


def _value(reader: SpecReader, key: Key, node: Node) -> Number | bool:
    if key.text == "nesterov" and isinstance(node, Scalar) and node.text in _SWITCHED:
        return node.text == "true"
    number = reader.number(node) or Number(None, node.span)
    _check(reader, key.text, number, number.span)
    return number


def _curve(reader: SpecReader, key: Key, node: Node) -> OptimizerValue:
    """Read a curve over the steps of the state: how long that lives, nobody knows."""
    unread = Number(None, node.span)
    if key.text in OPTIMIZER_FIXED:
        reader.problem("wrong-type", f"`{key.text}` is one value, and no curve", node.span)
        return unread
    before = len(reader.problems)
    curve = read_curve(reader, node)
    if curve is None:
        return unread
    for index, piece in enumerate(curve.pieces):
        for value in (piece.start, piece.end):
            if isinstance(value, Number):
                _check(reader, key.text, value, value.span)
        _check_length(reader, curve, index, piece)
    return curve if len(reader.problems) == before else unread


def _check_length(reader: SpecReader, curve: CurveSpec, index: int, piece: PieceSpec) -> None:
    is_last = index + 1 == len(curve.pieces)
    if piece.length is None:
        if not is_last or piece.end is not None:
            reader.problem(
                "optimizer-curve",
                "only the last piece of an optimizer's curve is open, and a constant one",
                piece.span,
                "say how long it is: `for: 1000 steps`",
            )
    elif piece.length.amount.unit == "share":
        reader.problem(
            "optimizer-curve",
            "a curve over the steps of an optimizer's state has no end that a share could be of",
            piece.length.span,
            "write `for: 1000 steps`, or tokens",
        )


def _check(reader: SpecReader, name: str, number: Number, span: Span) -> None:
    wanted = OPTIMIZER_RANGES[name]
    if number.value is not None and not wanted.holds(number.value):
        what = f"`{name}` {wanted.words}, this is {decimal_words(number.value)}"
        reader.problem("wrong-value", what, span)
