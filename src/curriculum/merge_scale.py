"""The factors of `scale`: the only thing of a text that is read while it is put together"""

from fractions import Fraction

from curriculum.errors import Diagnostic, FindingsError, ValueProblem, did_you_mean
from curriculum.nodes import Map, Node, Scalar, Scale
from curriculum.units import parse_number
from curriculum.words import SCALE

FACTORS = "{tokens: 1/8_000_000, seqs: 1/128, seq_len: 1/64}"
"""What a scale looks like."""


def scale_of(node: Node) -> Scale:
    """Read the factors; raises `FindingsError` where one is none: nothing below has a size then."""
    if not isinstance(node, Map) or not node.entries:
        what, way_out = "`scale` takes factors", f"write {FACTORS}"
        raise FindingsError((Diagnostic("scale", what, node.span, way_out),))
    problems: list[Diagnostic] = []
    factors: dict[str, Fraction] = {}
    for key, value in node.entries:
        try:
            factors[key.text] = _factor(key.text, value)
        except ValueProblem as problem:
            problems.append(Diagnostic("scale", str(problem), value.span, problem.help))
    if problems:
        raise FindingsError(tuple(problems))
    one = Fraction(1)
    tokens, seqs, seq_len = (factors.get(name, one) for name in SCALE)
    return Scale(tokens, seqs, seq_len, places=(node.span,))


def _factor(name: str, node: Node) -> Fraction:
    if name not in SCALE:
        raise ValueProblem(f"`scale` has no factor `{name}`", did_you_mean(name, tuple(SCALE)))
    if not isinstance(node, Scalar):
        raise ValueProblem("a factor is a number", "write 1/1000")
    factor = parse_number(node.text)
    if factor <= 0:
        raise ValueProblem("a factor is positive", "write 1/1000")
    return factor
