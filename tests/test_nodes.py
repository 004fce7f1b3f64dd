from fractions import Fraction

from curriculum.nodes import Map, Scalar, Scale, Seq, scaled, settled, shown, walk
from curriculum.source_map import read_text


def test_a_scale_is_carried_by_every_value_and_multiplies() -> None:
    root = read_text("a: [1, {b: 2}]\n", "x.yaml")
    once = scaled(root, Scale(tokens=Fraction(1, 2), seqs=Fraction(1, 4)))
    twice = scaled(once, Scale(tokens=Fraction(1, 3)))
    values = [node for _, node in walk(twice) if isinstance(node, Scalar)]
    assert {v.scale for v in values} == {Scale(Fraction(1, 6), Fraction(1, 4), Fraction(1))}
    assert isinstance(twice, Map)
    a = twice.get("a")
    assert isinstance(a, Seq)
    assert shown(a) == "[1, {b: 2}]"


def test_of_a_conflict_the_first_value_counts_however_deep_and_at_its_place() -> None:
    text = "a: !conflict [1, 2]\nb: [1, !conflict [2, 3]]\nc: !conflict 3\nd: !conflict []\n"
    root = settled(read_text(f"{text}e: !conflict [{{f: !conflict [[4], 5]}}, 6]\n", "x.yaml"))
    assert isinstance(root, Map)
    values = [shown(value) for _, value in root.entries]
    assert values == ["1", "[1, 2]", "3", "[]", "{f: [4]}"]
    a = root.get("a")
    assert a is not None
    assert (a.span.line, a.span.column, a.span.end_column) == (1, 15, 16)
