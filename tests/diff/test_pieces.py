"""First differences in closed form against a walk over every step"""

from dataclasses import replace
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from curriculum.batch import Batch, lay_out
from curriculum.curve import Curve, Piece, constant
from curriculum.data.draws import Draws, ShareSegment, compile_draws
from curriculum.diff.drawn import drawn_alike, first_read
from curriculum.diff.pieces import PROBES, Differs, batch_differs, curve_differs, shares_differ
from curriculum.mixture import Mixture, Node
from strategies import batches, curves, mixtures

ONE = lay_out([(1, 1, None)])


def line(steps: int, to: Fraction | int = 0) -> Curve:
    return Curve((Piece("linear", "steps", 0, 0, steps, Fraction(1), Fraction(to)),))


@given(batches(), batches(), st.integers(1, 200))
def test_batches_are_compared_as_a_walk_does(a: Batch, b: Batch, end: int) -> None:
    def at(batch: Batch, step: int) -> tuple[int, int]:
        piece = batch.piece_at(step)
        return piece.batch_seqs, piece.seq_len

    walked = next((step for step in range(end) if at(a, step) != at(b, step)), None)
    assert batch_differs(a, b, end) == walked
    assert batch_differs(a, a, end) is None


@settings(max_examples=200)
@given(st.data())
def test_curves_are_compared_as_a_walk_does(data: st.DataObject) -> None:
    batch, steps = data.draw(batches()), data.draw(st.integers(1, 120))
    a = data.draw(curves(batch, steps))
    b = data.draw(st.one_of(curves(batch, steps), st.just(a)))
    if len(a.pieces) > 1 and data.draw(st.booleans()):  # alike up to its last piece
        last = replace(a.pieces[-1], a=a.pieces[-1].a * 2)
        b = Curve((*a.pieces[:-1], last))
    walked = next(
        (
            s
            for s in range(steps)
            if a.at(s, batch.tokens_before(s)) != b.at(s, batch.tokens_before(s))
        ),
        None,
    )
    found = curve_differs(a, b, batch, steps)
    if found is None or found.is_certain:
        assert walked == (found and found.step)
    else:
        assert walked is None or walked >= found.step


def test_pieces_of_the_same_values_are_one() -> None:
    held = Curve((Piece("constant", "steps", 0, 0, 5, Fraction(1), Fraction(1)),))
    assert curve_differs(held, constant(1), ONE, 10**12) is None
    past = Curve((Piece("linear", "steps", 0, -9, -4, Fraction(3), Fraction(1)),))
    assert curve_differs(past, constant(1), ONE, 10**12) is None
    assert curve_differs(None, None, ONE, 9) is None
    assert curve_differs(None, held, ONE, 9) == Differs(0)


def test_lines_that_are_written_in_another_way_may_differ_later() -> None:
    flat = line(10**12, to=1)
    assert curve_differs(flat, constant(1), ONE, 10**12) == Differs(PROBES, is_certain=False)
    # Ends that lie one in 10^12 apart: the first steps are the same in all digits.
    near = curve_differs(line(10**12), line(10**12 + 1), ONE, 10**12)
    assert near == Differs(PROBES, is_certain=False)
    assert curve_differs(line(10**6), line(10**6 + 1), ONE, 10**6) == Differs(1)


@settings(max_examples=150)
@given(mixtures(), mixtures(), st.data())
def test_shares_are_compared_as_a_walk_does(a: Mixture, b: Mixture, data: st.DataObject) -> None:
    if data.draw(st.booleans()):
        b = Mixture(b.roots, a.batch, a.steps, a.end_tokens)
    end = min(a.steps, b.steps)

    def shares(mixture: Mixture, step: int) -> dict[str, Fraction]:
        segment = mixture.segment_at(step)
        j = step - segment.first_step
        return {n: x for n, s in segment.sources.items() if (x := s.exact(j))}

    walked = next((s for s in range(end) if shares(a, s) != shares(b, s)), None)
    found = shares_differ(a, b, end)
    assert (found and found[0]) == walked
    if found is not None:
        before, after = shares(a, found[0]), shares(b, found[0])
        names = before.keys() | after.keys()
        assert set(found[1]) == {n for n in names if before.get(n) != after.get(n)}


def draws_of(mixture: Mixture) -> Draws:
    names = mixture.sources
    return compile_draws(
        names,
        [
            ShareSegment(
                first, end, piece.batch_seqs, tuple(s.sources[n].coefficients() for n in names)
            )
            for s in mixture.segments
            for first, end, piece in mixture.batch.runs(s.first_step, s.end_step)
        ],
    )


PARTS = st.lists(st.integers(0, 12), min_size=4, max_size=4).filter(any)


@settings(max_examples=300)
@given(PARTS, PARTS, st.integers(1, 6), st.integers(1, 60), st.integers(0, 40))
def test_draws_are_alike_as_far_as_is_said(
    parts: list[int], later: list[int], seqs: int, at: int, more: int
) -> None:
    """Two mixtures that part at a step, or of which one just ends there."""
    batch = lay_out([(seqs, 8, None)])

    def mixture(second: list[int], steps: int) -> Mixture:
        nodes = []
        for name, x, y in zip("abcd", parts, second, strict=True):
            first, then = Fraction(x, sum(parts)), Fraction(y, sum(second))
            pieces = (
                Piece("constant", "steps", 0, 0, at, first, first),
                Piece("constant", "steps", at, at, None, then, then),
            )
            nodes.append(Node(name, Curve(pieces[: 1 if steps <= at else 2]), name))
        return Mixture(tuple(nodes), batch, steps, batch.tokens_before(steps))

    one, other = mixture(parts, at + more if more else at), mixture(later, at + more + 5)
    alike = drawn_alike(one, at)
    assert alike == drawn_alike(other, at)
    assert 0 <= alike <= at
    mine, its = draws_of(one), draws_of(other)
    assert [mine.counts(s) for s in range(alike)] == [its.counts(s) for s in range(alike)]


def test_a_source_is_first_read_where_its_share_begins() -> None:
    batch = lay_out([(4, 8, None)])
    up = Curve(
        (
            Piece("constant", "steps", 0, 0, 5, Fraction(0), Fraction(0)),
            Piece("linear", "steps", 5, 5, 25, Fraction(0), Fraction(1)),
        )
    )
    roots = (Node("new", up, "new"), Node("old", None, "old"), Node("no", constant(0), "no"))
    mixture = Mixture(roots, batch, 25, batch.tokens_before(25))
    assert [first_read(mixture, name) for name in ("old", "new", "no", "other")] == [
        0,
        6,
        None,
        None,
    ]
