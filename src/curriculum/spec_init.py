"""Where the modules of a stage come from, as a person wrote it: points and merges

text                                 its end             text@4T       a mark
{average: [a, b@60%]}                in equal parts      {average: {a: .9, b: .1}}
{average: a, last: 5, every: 1000 steps}                 {select: a, of: [a, b, c]}
"""

from fractions import Fraction

from curriculum.errors import nearest
from curriculum.nodes import Key, Map, Node, Scalar, Seq
from curriculum.spec import AverageSpec, LastSpec, Merge, Origin, Point, SelectSpec, Word
from curriculum.spec_reader import TARGET, SpecReader
from curriculum.units import decimal_words
from curriculum.words import MERGE

Said = tuple[dict[str, Origin | None] | None, Origin | None, tuple[Word, ...]]
"""The origin of each module (None: `new`), or one for all of them; and the parts that are new."""


def read_init(reader: SpecReader, node: Node | None) -> Said:
    """Read where the modules of a stage come from; None where that was refused."""
    if node is None:
        return None, None, ()
    if isinstance(node, Scalar):
        if node.text == "new":
            what = "`init` says module by module what is new"
            reader.problem("wrong-value", what, node.span, "write {llm: new}")
            return None, None, ()
        return None, reader.point(node), ()
    entries = reader.mapping(node, "`init`")
    if entries is None:
        return None, None, ()
    if not entries.entries:
        reader.problem("wrong-value", "`init` names at least one module", entries.span)
        return None, None, ()
    if _is_merge(entries):
        return None, _merge(reader, entries), ()
    before = len(reader.problems)
    modules: dict[str, Origin | None] = {}
    parts = [(key, value) for key, value in entries.entries if _is_part(key)]
    fresh = [Word(k.text, k.span) for k, value in parts if reader.word(value, ("new",))]
    whole = Map(tuple(entry for entry in entries.entries if entry not in parts), entries.span)
    for word, value in reader.named(whole, "`init`"):
        origin: Origin | None = None
        if isinstance(value, Scalar) and value.text == "new":
            modules[word.text] = None
        elif isinstance(value, Map):
            origin = _merge(reader, value)
        else:
            origin = reader.point(value)
        if origin is not None:
            modules[word.text] = origin
    return (modules, None, tuple(fresh)) if len(reader.problems) == before else (None, None, ())


def _is_part(key: Key) -> bool:
    return "/" in key.text and TARGET.fullmatch(key.text) is not None


def _is_merge(entries: Map) -> bool:
    return any(key.text in ("average", "select") for key, _ in entries.entries)


def _merge(reader: SpecReader, entries: Map) -> Merge | None:
    """Read a merge; None where it is refused."""
    reader.keys(entries, MERGE, "a merge")
    if any(key.text not in MERGE for key, _ in entries.entries):
        return None
    average, select = entries.get("average"), entries.get("select")
    if (average is None) == (select is None):
        reader.problem(
            "wrong-value",
            "a merge says `average` or `select`",
            entries.span,
            "{average: [a, b]} or {select: a, of: [a, b]}",
        )
        return None
    taken = ("average", "last", "every") if average is not None else ("select", "of")
    for key, _ in entries.entries:
        if key.text in MERGE and key.text not in taken:
            reader.problem("wrong-value", f"`{taken[0]}` reads no `{key.text}`", key.span)
            return None
    if select is not None:
        return _select(reader, entries, select)
    assert average is not None
    if isinstance(average, Scalar):
        return _last(reader, entries, average)
    for key, _ in entries.entries:
        if key.text in ("last", "every"):
            what = f"`{key.text}` belongs to an average of one stage"
            reader.problem("wrong-value", what, key.span, "{average: STAGE, last: 5, every: 1B}")
            return None
    return _average(reader, average)


def _average(reader: SpecReader, node: Node) -> AverageSpec | None:
    before = len(reader.problems)
    if isinstance(node, Map):
        pairs = [
            (reader.point_of(Word(key.text, key.span), value), _weight(reader, value))
            for key, value in node.entries
        ]
        points = tuple(point for point, _ in pairs if point is not None)
        weights = tuple(weight for _, weight in pairs if weight is not None)
        if len(reader.problems) == before and sum(weights) != 1:
            total = decimal_words(sum(weights, Fraction(0)))
            reader.problem(
                "average-sum",
                f"the weights of this average sum to {total}, not 1",
                node.span,
                "{a: .9, b: .1}, or [a, b] for equal parts",
            )
    else:
        points, weights = _points(reader, node), ()
    if len(reader.problems) == before and len(points) < 2:
        reader.problem(
            "wrong-value",
            "an average has at least two parents",
            node.span,
            "name the one itself, or {average: STAGE, last: 5, every: 1000 steps}",
        )
    return AverageSpec(points, weights, node.span) if len(reader.problems) == before else None


def _weight(reader: SpecReader, node: Node) -> Fraction | None:
    number = reader.number(node)
    if number is None:
        return None
    if number.value is None or number.value <= 0:
        reader.problem("wrong-value", "a weight of an average is greater than 0", node.span)
        return None
    return number.value


def _last(reader: SpecReader, entries: Map, node: Scalar) -> LastSpec | None:
    last, every = entries.get("last"), entries.get("every")
    if last is None or every is None:
        reader.problem(
            "missing-key",
            f"an average of one stage says how many of its checkpoints, and how far apart: "
            f"{'`last`' if last is None else '`every`'} is missing",
            node.span,
            f"{{average: {node.text}, last: 5, every: 1000 steps}}",
        )
        return None
    point = reader.point(node)
    count = reader.integer(last)
    distance = reader.quantity(every, units=("steps", "tokens"))
    if count is not None and not 2 <= count <= MOST_CHECKPOINTS:
        what = f"`last` takes 2 to {MOST_CHECKPOINTS} checkpoints, not {count}"
        reader.problem("wrong-value", what, last.span)
        return None
    if distance is not None and distance.amount.value <= 0:
        reader.problem("wrong-value", "`every` is more than nothing", distance.span)
        return None
    if point is None or count is None or distance is None:
        return None
    return LastSpec(point, count, distance, entries.span)


MOST_CHECKPOINTS = 1000
"""Of one stage in an average: each is a checkpoint that the trainer writes and keeps."""


def _select(reader: SpecReader, entries: Map, node: Node) -> SelectSpec | None:
    of, point = entries.get("of"), reader.point(node)
    if of is None:
        reader.problem(
            "missing-key",
            "`select` does not say `of` which candidates",
            node.span,
            "{select: a, of: [a, b, c]}",
        )
        return None
    candidates = _points(reader, of)
    if point is None or not candidates:
        return None
    if not any(_is_same(point, other) for other in candidates):
        words = ", ".join(f"`{_written(other)}`" for other in candidates)
        what = f"`{_written(point)}` is none of the candidates {words}, as they are written"
        near = nearest(point.stage, [other.stage for other in candidates])
        way_out = "name it in `of` too, as it stands here"
        if near and near[0] != point.stage:
            way_out = f"did you mean `{near[0]}`?"
        reader.problem("select-of-others", what, point.span, way_out)
        return None
    return SelectSpec(point, candidates, entries.span)


def _written(point: Point) -> str:
    return f"{point.stage}@{point.mark.amount}" if point.mark else point.stage


def _is_same(one: Point, other: Point) -> bool:
    marks = [point.mark.amount if point.mark else None for point in (one, other)]
    return one.stage == other.stage and marks[0] == marks[1]


def _points(reader: SpecReader, node: Node) -> tuple[Point, ...]:
    items = node.items if isinstance(node, Seq) else (node,)
    return tuple(point for item in items if (point := reader.point(item)) is not None)
