from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curriculum.batch import Ramp, lay_out
from curriculum.curve import Curve, Piece, constant
from curriculum.data.draws import Draws, ShareSegment, compile_draws
from curriculum.mixture import Mixture, Node, rest_of
from curriculum.polynomial import Polynomial
from strategies import mixtures


def shares_by_hand(mixture: Mixture, step: int) -> dict[str, Fraction]:
    """Walk the tree down at one step, with fractions."""
    tokens = mixture.batch.tokens_before(step)
    found: dict[str, Fraction] = {}

    def walk(siblings: tuple[Node, ...], above: str, share: Fraction) -> None:
        said = [n.ratio.exact(step, tokens) for n in siblings if n.ratio is not None]
        for node in siblings:
            own = 1 - sum(said) if node.ratio is None else node.ratio.exact(step, tokens)
            found[f"{above}{node.name}"] = share * own
            walk(node.children, f"{above}{node.name}/", share * own)

    walk(mixture.roots, "", Fraction(1))
    return found


def leaves_of(mixture: Mixture) -> list[tuple[str, str]]:
    found = []
    for root in mixture.roots:
        found += [(path, node.source) for path, node in root.paths() if node.source is not None]
    return found


@settings(max_examples=60)
@given(mixtures())
def test_shares_are_those_of_the_tree_at_every_step(mixture: Mixture) -> None:
    for step in range(mixture.steps):
        exact = shares_by_hand(mixture, step)
        assert mixture.shares(step) == {path: float(x) for path, x in exact.items()}
        ratios = dict.fromkeys(mixture.sources, Fraction(0))
        for path, source in leaves_of(mixture):
            ratios[source] += exact[path]
        assert mixture.ratios(step) == {name: float(x) for name, x in ratios.items()}
        assert sum(ratios.values()) == 1
        assert sum(exact[root.name] for root in mixture.roots) == 1


@settings(max_examples=40)
@given(mixtures(), st.data())
def test_ideals_are_the_sums_of_the_shares(mixture: Mixture, data: st.DataObject) -> None:
    step = data.draw(st.integers(0, mixture.steps))
    seqs = dict.fromkeys(mixture.sources, Fraction(0))
    tokens = dict.fromkeys(mixture.sources, Fraction(0))
    for s in range(step):
        piece = mixture.batch.piece_at(s)
        exact = shares_by_hand(mixture, s)
        for path, source in leaves_of(mixture):
            seqs[source] += piece.batch_seqs * exact[path]
            tokens[source] += piece.tokens_per_step * exact[path]
    assert mixture.ideal_seqs(step) == seqs
    assert mixture.ideal_tokens(step) == tokens
    assert sum(seqs.values()) == mixture.batch.seqs_before(step)
    assert sum(tokens.values()) == mixture.batch.tokens_before(step)


@settings(max_examples=40)
@given(mixtures())
def test_segments_cover_all_steps_once(mixture: Mixture) -> None:
    ends = [0, *(s.end_step for s in mixture.segments)]
    assert [s.first_step for s in mixture.segments] == ends[:-1]
    assert ends[-1] == mixture.steps
    for segment in mixture.segments:
        assert mixture.segment_at(segment.first_step) is segment
        assert mixture.segment_at(segment.end_step - 1) is segment


@settings(max_examples=40)
@given(mixtures(), st.data())
def test_a_fixed_tree_has_the_shares_of_its_step_for_ever(
    mixture: Mixture, data: st.DataObject
) -> None:
    step = data.draw(st.integers(0, mixture.steps - 1))
    fixed = mixture.roots_at(step, mixture.batch.tokens_before(step))
    later = Mixture(fixed, lay_out([(3, 8, None)]), 9, 9 * 24)
    assert later.shares(0) == later.shares(8) == mixture.shares(step)
    end = Mixture(mixture.end_roots(), lay_out([(3, 8, None)]), 9, 9 * 24)
    assert end.shares(4) == mixture.shares(mixture.steps)
    assert end.end_ratios() == mixture.end_ratios()


def ramp(unit: str, end: int) -> Curve:
    assert unit in ("tokens", "steps")
    begin = Fraction(0), Fraction(0)
    hold = Piece("constant", "steps", 0, 0, None, *begin)
    at = end // 4
    first = at // 40 if unit == "tokens" else at
    rise = Piece(
        "linear",
        "tokens" if unit == "tokens" else "steps",
        first,
        at,
        end,
        begin[0],
        Fraction(2, 5),
    )
    return Curve((hold, rise))


@pytest.mark.parametrize(("unit", "end"), [("tokens", 4000), ("steps", 100)])
def test_a_ramp_rises_from_0_to_40_percent(unit: str, end: int) -> None:
    text = Node(
        "text", None, None, (Node("a", constant(Fraction(3, 4)), "a"), Node("b", None, "b"))
    )
    roots = (Node("mm", ramp(unit, end), "c"), text)
    mixture = Mixture(roots, lay_out([(10, 4, None)]), 100, 4000)
    assert mixture.shares(25)["mm"] == 0.0
    assert mixture.shares(50) == {"mm": 2 / 15, "text": 13 / 15, "text/a": 0.65, "text/b": 13 / 60}
    assert mixture.ratios(100) == {"a": 0.45, "b": 0.15, "c": 0.4}
    assert mixture.ideal_seqs(100)["c"] == 1000 * Fraction(3, 4) * Fraction(1, 5) * Fraction(74, 75)
    assert mixture.sources == ("a", "b", "c")


def test_nested_ramps_are_quadratic_and_exact() -> None:
    line = Curve((Piece("linear", "steps", 0, 0, 10, Fraction(0), Fraction(1)),))
    inner = (Node("a", line, "a"), Node("b", None, "b"))
    mixture = Mixture(
        (Node("g", line, None, inner), Node("c", None, "c")), lay_out([(7, 3, None)]), 10, 210
    )
    (segment,) = mixture.segments
    assert segment.sources["a"] == Polynomial((0, 1, 2), 100)  # j^2 / 100
    assert [mixture.ratios(j)["a"] for j in (0, 3, 9)] == [0.0, 0.09, 0.81]
    assert mixture.ideal_seqs(10)["a"] == Fraction(7 * 285, 100)


def test_a_source_that_stands_twice_is_summed() -> None:
    roots = (
        Node("new", constant(Fraction(1, 4)), None, (Node("a", constant(1), "a"),)),
        Node("old", None, None, (Node("a", constant(Fraction(1, 2)), "a"), Node("b", None, "b"))),
    )
    mixture = Mixture(roots, lay_out([(1, 1, None)]), 5, 5)
    assert mixture.ratios(0) == {"a": 0.625, "b": 0.375}
    assert set(mixture.shares(0)) == {"new", "new/a", "old", "old/a", "old/b"}
    assert rest_of(roots, 0, 0) == Fraction(3, 4)


@given(st.lists(st.integers(-9, 9), min_size=1, max_size=4), st.integers(1, 9), st.integers(0, 30))
def test_polynomials_are_newtons(numerators: list[int], denominator: int, j: int) -> None:
    share = Polynomial(tuple(numerators), denominator)

    def value(u: int) -> Fraction:
        terms, binomial = Fraction(0), Fraction(1)
        for k, c in enumerate(numerators):
            terms += c * binomial
            binomial = binomial * (u - k) / (k + 1)
        return terms / denominator

    assert share.value(j) == float(value(j))
    assert share.sum_before(j) == sum((value(u) for u in range(j)), Fraction(0))
    assert share.coefficients()[0] == value(0)


def drawn(mixture: Mixture) -> Draws:
    names = mixture.sources
    return compile_draws(
        names,
        [
            ShareSegment(
                first,
                end,
                piece.batch_seqs,
                tuple(s.sources[name].coefficients() for name in names),
            )
            for s in mixture.segments
            for first, end, piece in mixture.batch.runs(s.first_step, s.end_step)
        ],
    )


def switching(step: int, later: Fraction) -> Mixture:
    """Three sources at a third each in steps of one sequence; from `step` on, a goes to `later`."""
    rest = (1 - later) / 2

    def from_third(value: Fraction) -> Curve:
        third = Fraction(1, 3)
        return Curve(
            (
                Piece("constant", "steps", 0, 0, step, third, third),
                Piece("constant", "steps", step, step, None, value, value),
            )
        )

    nodes = zip("abc", (later, rest, rest), strict=True)
    roots = tuple(Node(name, from_third(value), name) for name, value in nodes)
    return Mixture(roots, lay_out([(1, 1, None)]), 30, 30)


def history(mixture: Mixture, mark: int) -> tuple[tuple[int, ...], ...]:
    draws = drawn(mixture)
    return tuple(tuple(draws.before(step).values()) for step in range(mark + 1))


def test_draws_look_ahead_as_far_as_the_mixture_says() -> None:
    looked_ahead = False
    for mark in range(1, 12):
        for switch in range(mark, 20):
            shares = [Fraction(n, 9) for n in (0, 3, 9)]
            histories = {history(switching(switch, share), mark) for share in shares}
            reach = switching(switch, Fraction(1, 3)).decided_by(mark)
            assert reach is not None
            if switch >= reach:
                assert len(histories) == 1, (mark, switch)
            looked_ahead = looked_ahead or len(histories) > 1
    assert looked_ahead


@settings(max_examples=30)
@given(mixtures(), st.data())
def test_a_mixture_decides_its_draws_no_later_than_it_is_left(
    mixture: Mixture, data: st.DataObject
) -> None:
    step = data.draw(st.integers(0, mixture.steps))
    reach = mixture.decided_by(step)
    assert reach is None or step <= reach <= mixture.steps
    if reach is not None:
        ideal = mixture.ideal_seqs(step)
        after = mixture.ideal_seqs(reach)
        assert all(x.denominator == 1 or after[n] >= -(-x // 1) for n, x in ideal.items())


@given(
    st.lists(st.integers(-9, 9), min_size=1, max_size=4),
    st.integers(0, 50),
    st.integers(1, 9),
    st.integers(1, 9),
)
def test_a_polynomial_read_on_in_other_steps_is_the_same(
    numerators: list[int], start: int, stride: int, unit: int
) -> None:
    def at(x: Fraction) -> Fraction:
        total, product = Fraction(0), Fraction(1)
        for k, c in enumerate(numerators):
            total += c * product
            product *= (x - k) / (k + 1)
        return total / 7

    moved = Polynomial(tuple(numerators), 7).moved(start, stride, unit)
    for i in range(6):
        exact = at(Fraction(start + i * stride, unit))
        assert moved.part(i + 1, i + 1) - moved.part(i, i) == exact


def test_a_share_that_moves_over_a_ramp_is_summed_level_by_level() -> None:
    batch = lay_out([Ramp("increments", 1, 40, 1, 8, 0, 9000), (40, 8, None)])
    steps, tokens = 60, batch.tokens_before(60)
    rising = Curve((Piece("linear", "tokens", 0, 0, tokens, Fraction(0), Fraction(1, 2)),))
    tree = (Node("a", rising, "a"), Node("b", None, "b"))
    mixture = Mixture(tree, batch, steps, tokens)
    assert len(mixture.segments) == len([s for s in batch.breaks() if s < steps])
    read = Fraction(0)
    for step in range(steps):
        assert mixture.ideal_seqs(step)["a"] == read
        share = Fraction(batch.tokens_before(step), 2 * tokens)
        assert mixture.ratios(step)["a"] == float(share)
        read += batch.piece_at(step).batch_seqs * share
    assert mixture.ideal_seqs(steps)["a"] == read
    assert mixture.ideal_tokens(steps)["a"] == 8 * read


def test_constant_shares_over_a_ramp_are_one_segment() -> None:
    batch = lay_out([Ramp("increments", 1, 40, 1, 8, 0, 9000), (40, 16, None)])
    tree = (Node("a", constant(Fraction(1, 3)), "a"), Node("b", None, "b"))
    mixture = Mixture(tree, batch, 60, batch.tokens_before(60))
    assert len(mixture.segments) == 1
    assert mixture.ideal_tokens(55)["a"] == Fraction(batch.tokens_before(55), 3)
    assert mixture.ideal_seqs(55)["b"] == Fraction(2 * batch.seqs_before(55), 3)
