"""A mixture in pieces: sum_k w_k(t) Mix_k, each Mix_k a node at the top whose ratio is its w_k

    {of: A, until: 80%}, {shape: linear, for: 2000 steps}, {of: B}

    piece-1  1 ------.                where the pieces lie is laid out once, as a curve that is k
                      `.              in piece k and goes from k to k + 1 between two of them; the
    piece-2  0 --------`----- 1       weights are read off it, so they sum to 1 at every step

What is before the first piece is the mixture that the stage keeps: as piece 0, where the first goes
over from it.
"""

from dataclasses import replace
from fractions import Fraction

from curriculum.compile_amounts import Around
from curriculum.compile_nodes import left_roots, written_roots
from curriculum.compile_state import Draft, State
from curriculum.compile_values import on_stage
from curriculum.curve import Curve, Piece
from curriculum.mixture import Node
from curriculum.spec import CurveSpec, MixSpec, Number, PieceSpec, Word


def written_pieces(state: State, draft: Draft, spec: MixSpec) -> tuple[Node, ...]:
    """Return the pieces of a mixture as nodes; () where one was refused."""
    places = on_stage(state, draft, _places(spec))
    if places is None or not _has_previous(state, draft, spec):
        return ()
    mixtures = [piece.of for piece in spec.pieces if piece.of is not None]
    before = () if draft.kept is None else left_roots(state, draft.kept[0].name, draft.kept[1])
    from_kept = spec.pieces[0].of is None
    pieces = tuple(
        Node(f"piece-{k}", _weight(places, k), is_piece=True)
        for k in range(0 if from_kept else 1, len(mixtures) + 1)
    )
    roots = [replace(pieces[0], children=before)] if from_kept else []
    for k, (node, mix) in enumerate(zip(pieces[len(roots) :], mixtures, strict=True), start=1):
        below = written_roots(state, draft, mix, Around(((pieces, node.name),), before))
        if not below:
            return ()
        roots.append(replace(node, children=below))
        if k < len(mixtures):
            before = state.trees.at(below, *_end_of(places, draft, k))
    return tuple(roots)


def _has_previous(state: State, draft: Draft, spec: MixSpec) -> bool:
    """Hold that something is before the first piece where it speaks of that."""
    first = spec.pieces[0]
    if draft.kept is not None or (first.of is not None and not first.of.takes_previous()):
        return True
    state.report(
        "no-previous",
        "nothing is before the first piece: the stage keeps no mixture",
        first.span,
        "begin with `{of: {replay: STAGE}, until: MARK}`, or add `keep: ANCESTOR`",
    )
    return False


def _places(spec: MixSpec) -> CurveSpec:
    """Write the pieces as a curve: k in piece k, and from k to k + 1 between two of them."""
    k, pieces = 0, []
    for piece in spec.pieces:
        k += piece.of is not None
        start = Number(Fraction(k), piece.span)
        shape, end = "constant", None
        if piece.of is None:
            shape, end = "linear", Number(Fraction(k + 1), piece.span)
        word = Word(shape, piece.span)
        pieces.append(PieceSpec(word, start, end, piece.length, piece.is_until, None, piece.span))
    return CurveSpec(tuple(pieces), spec.span)


def _weight(places: Curve, k: int) -> Curve:
    """Return the weight of piece k: 1 where the place is k, falling to 0 where it is 1 away."""
    found: list[Piece] = []
    for piece in places.pieces:
        a, b = (max(Fraction(0), 1 - abs(x - k)) for x in (piece.a, piece.b))
        if a != b:
            found.append(replace(piece, a=a, b=b))
        elif not found or found[-1].shape != "constant" or found[-1].a != a:
            first = piece.first_step
            found.append(Piece("constant", "steps", first, first, None, a, a))
    return Curve(tuple(found))


def _end_of(places: Curve, draft: Draft, k: int) -> tuple[int, int]:
    """Return the step, and its tokens, at which piece k begins to give way."""
    step = next((p.first_step for p in places.pieces if p.a > k or p.b > k), draft.steps)
    if step >= draft.steps:
        return draft.steps, draft.budget.tokens
    return step, draft.batch.tokens_before(step)
