"""Secondary places of a proxy's errors: the `scale` that made a value what it is"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from curriculum.errors import Diagnostic, Related, Span
from curriculum.nodes import UNSCALED, Node, Scalar, walk


def with_scales(
    findings: Sequence[Diagnostic], root: Node, became: Mapping[Span, str]
) -> tuple[Diagnostic, ...]:
    """Add to what is wrong with a value from below a scale where it was scaled, and to what.

    `became` holds what amounts are through their scales, by their places.
    """
    if not findings:
        return ()
    below = {
        node.span: node
        for _, node in walk(root)
        if isinstance(node, Scalar) and node.scale != UNSCALED
    }
    return tuple(
        replace(finding, related=(*finding.related, *_scales(below[finding.span], finding, became)))
        if finding.span in below
        else finding
        for finding in findings
    )


def _scales(said: Scalar, finding: Diagnostic, became: Mapping[Span, str]) -> tuple[Related, ...]:
    """Return the places of the scales, where these have to do with what is wrong."""
    value = became.get(said.span, said.text)
    if value == said.text and finding.rule != "not-whole":
        return ()
    what = "the scale" if value == said.text else f"through this scale `{said.text}` is {value}"
    return tuple(Related(what, place) for place in said.scale.places)
