"""The loss terms of a stage as written: a weight, or a weight with what the term is taken over"""

from curriculum.nodes import Key, Map, Node, Scalar, shown
from curriculum.objective import MASKS, REDUCTIONS
from curriculum.spec import LossSpec, Word
from curriculum.spec_curve import read_curve
from curriculum.spec_reader import SpecReader
from curriculum.words import LOSS, LOSSES, TOKEN_LOSSES

_WORDS = {"over": MASKS, "reduce": REDUCTIONS}


def read_loss(reader: SpecReader, node: Node | None) -> dict[str, LossSpec] | None:
    """Read all loss terms of a stage; None where one of them could not be read."""
    entries = reader.mapping(node, "`loss`", "{{}: 1}")
    if entries is None:
        return None
    before = len(reader.problems)
    terms: dict[str, LossSpec] = {}
    if any(key.text in LOSS for key, _ in entries.entries):
        _misplaced(reader, entries)
        return None
    for key, value in entries.entries:
        if reader.word(Scalar(key.text, key.span), tuple(LOSSES)) is None:
            continue
        if (term := read_term(reader, key.text, value)) is not None:
            terms[key.text] = term
    return None if len(reader.problems) > before else terms


def _misplaced(reader: SpecReader, loss: Map) -> None:
    """Note what is said beside the terms and belongs to one: say that one whole."""
    key = next(key for key, _ in loss.entries if key.text in LOSS)
    term = next((name for name in TOKEN_LOSSES if loss.get(name) is not None), "next_token")
    weight = loss.get(term) or Scalar("1", loss.span)
    said = dict(weight.entries) if isinstance(weight, Map) else {Key("weight", key.span): weight}
    whole = {name.text: shown(value) for name, value in said.items()}
    whole |= {name.text: shown(value) for name, value in loss.entries if name.text in LOSS}
    words = ", ".join(f"{name}: {value}" for name, value in whole.items())
    what = f"`{key.text}` is no term of a loss: each term says its own"
    reader.problem("wrong-value", what, key.span, f"write `{term}: {{{words}}}`")


def read_term(reader: SpecReader, term: str, node: Node) -> LossSpec | None:
    """Read one term: a curve, or `{weight: CURVE, over: ..., reduce: ...}`."""
    if not isinstance(node, Map) or not any(key.text in LOSS for key, _ in node.entries):
        curve = read_curve(reader, node)
        return None if curve is None else LossSpec(curve, None, None)
    before = len(reader.problems)
    reader.keys(node, LOSS, f"the loss `{term}`")
    weight = node.get("weight")
    if weight is None:
        reader.problem(
            "missing-key", f"the loss `{term}` says no `weight`", node.span, "{weight: 1, ...}"
        )
    curve = read_curve(reader, weight) if weight is not None else None
    on, reduce = (
        read_rule_word(reader, term, word, value) if (value := node.get(word)) is not None else None
        for word in _WORDS
    )
    if curve is None or len(reader.problems) > before:
        return None
    return LossSpec(curve, on, reduce)


def read_rule_word(reader: SpecReader, term: str, key: str, node: Node) -> Word | None:
    """Read the `over` or the `reduce` of a term; those that are no sum over tokens have neither."""
    word = reader.word(node, _WORDS[key])
    if word is not None and term not in TOKEN_LOSSES:
        reader.problem(
            "loss-rule",
            f"the loss `{term}` is no sum over tokens: it has no `{key}`",
            node.span,
            f"leave it out; {', '.join(TOKEN_LOSSES)} have one",
        )
        return None
    return word
