"""Claims of `require` as written: texts, each with its reason"""

from curriculum.nodes import UNSCALED, Map, Node, Scalar, Seq
from curriculum.spec import ClaimSpec
from curriculum.spec_reader import SpecReader
from curriculum.words import CLAIM


def read_claims(reader: SpecReader, node: Node | None) -> tuple[ClaimSpec, ...]:
    """Read one claim or a list of claims: texts, or `{claim: ..., because: ...}`."""
    if node is None or reader.is_nothing(node):
        return ()
    items = node.items if isinstance(node, Seq) else (node,)
    return tuple(claim for item in items if (claim := _claim(reader, item)) is not None)


def _claim(reader: SpecReader, node: Node) -> ClaimSpec | None:
    because = None
    if isinstance(node, Map):
        text, why = node.get("claim"), node.get("because")
        if text is None:
            key, value = node.entries[0] if node.entries else (None, None)
            said = f"{key.text}: {value.text}" if key and isinstance(value, Scalar) else "..."
            reader.problem(
                "missing-key",
                "this is a mapping and has no `claim`",
                node.span,
                f'put the claim into quotation marks: "{said}"',
            )
            return None
        reader.keys(node, CLAIM, "a claim")
        because = reader.word(why) if why is not None else None
        node = text
    if reader.is_nothing(node):
        return None
    if not isinstance(node, Scalar):
        reader.problem("wrong-type", "a claim is a text", node.span, '"mix.web <= 40%"')
        return None
    reason = because.text if because else None
    return ClaimSpec(node.text, reason, node.scale != UNSCALED, node.span)
