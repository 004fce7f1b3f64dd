"""Claims of `require` as written: texts, each with its reason"""

from curriculum.nodes import UNSCALED, Key, Map, Node, Scalar, Seq
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
        if _is_cut(reader, node):
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


def _is_cut(reader: SpecReader, node: Map) -> bool:
    """Note a text that commas cut into pieces: all but the first are keys that hold nothing."""
    pieces: list[Key] = []
    whole, end, name = "", 0, ""
    for key, value in node.entries:
        if key.text in CLAIM and isinstance(value, Scalar):
            if pieces:
                break
            whole, end, name = value.text, value.span.end_column, key.text
        elif name and isinstance(value, Scalar) and not value.text:
            whole += f",{' ' * (key.span.column > end + 1)}{key.text}"
            end = key.span.end_column
            pieces.append(key)
    for piece in pieces:
        reader.problem(
            "unknown-key",
            f"a claim has no key `{piece.text}`: the comma before it ends `{name}`",
            piece.span,
            f'put it into quotation marks: {name}: "{whole}"',
        )
    return bool(pieces)
