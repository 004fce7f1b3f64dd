"""Mixtures as written become trees: ratios, amounts, sizes, lists by size, replays"""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from curriculum.compile_amounts import (
    TOP,
    Around,
    amount_of,
    part_by_size,
    ratios_of_amounts,
)
from curriculum.compile_points import mark_step
from curriculum.compile_siblings import constant_ratio, corners
from curriculum.compile_state import Draft, State
from curriculum.compile_values import on_stage
from curriculum.curve import Curve, Piece, constant
from curriculum.errors import Span, did_you_mean
from curriculum.mixture import Node, exact_sum
from curriculum.plan import Source
from curriculum.spec import CurveSpec, MeasureSpec, MixSpec, NodeSpec, Point, Word
from curriculum.units import decimal_words, rounded_in_words
from curriculum.words import SIZES

Roots = tuple[Node, ...]


def written_roots(state: State, draft: Draft, spec: MixSpec, around: Around = TOP) -> Roots:
    """Return the nodes that a mixture or the `of` of a group names; () where it was refused."""
    if spec.previous:
        return _below_path(state, around.before, spec)
    if spec.replay is not None:
        return _replayed(state, spec, spec.replay)
    if spec.by_size:
        return _by_size(state, spec)
    siblings = _siblings(state, draft, spec, around)
    if siblings is None:
        return ()
    groups = {node.name.text: node.of for node in spec.nodes}
    roots: list[Node] = []
    for node in siblings:
        of = groups[node.name]
        if of is not None:
            children = written_roots(state, draft, of, around.below(siblings, node.name))
            node = replace(node, children=children)
            if of.replay is not None or of.previous:
                node = state.trees.replaying(node)
        roots.append(node)
    return tuple(roots)


def _siblings(state: State, draft: Draft, spec: MixSpec, around: Around) -> Roots | None:
    """Return the nodes of one level, by name, still without what is below them."""
    before = len(state.problems)
    is_whole = True
    nodes: list[Node] = []
    by_size: dict[str, Fraction] = {}
    amounts: dict[str, tuple[Fraction, Span]] = {}
    for written in spec.nodes:
        name, ratio, measure = written.name.text, None, written.measure
        if written.of is None and not is_known_source(state, written.name):
            is_whole = False
            continue
        if written.ratio is not None:
            ratio = ratio_curve(state, draft, written.ratio)
        elif measure is not None:
            sources = _read(state, written, around)
            if measure.kind in SIZES:
                by_size[name] = part_by_size(state, measure, sources) or Fraction(0)
            elif (amount := amount_of(state, draft, measure, sources)) is not None:
                amounts[name] = amount, measure.span
        source = name if written.of is None else None
        nodes.append(Node(name, ratio, source, tags=written.tags))
    if not is_whole or len(state.problems) > before or not _one_way(state, spec):
        return None
    there = around.tokens(draft) if amounts else Fraction(0)
    said = ratios_of_amounts(state, amounts, there, around, spec.normalize is not None)
    if len(said) < len(amounts):
        return None
    whole = sum(by_size.values())
    for index, node in enumerate(nodes):
        if node.name in said:
            nodes[index] = replace(node, ratio=constant(said[node.name]))
        elif node.name in by_size:
            nodes[index] = replace(node, of_rest=by_size[node.name] / whole)
    siblings = tuple(sorted(nodes, key=lambda n: n.name))
    return _normalized(state, draft, spec, siblings, around, there)


def _one_way(state: State, spec: MixSpec) -> bool:
    """Hold that one thing alone says who takes what is left, and what is divided."""
    sized: dict[str, MeasureSpec] = {
        n.measure.kind: n.measure for n in spec.nodes if n.measure and n.measure.kind in SIZES
    }
    rests = [n.name for n in spec.nodes if n.ratio is None and n.measure is None]
    wrong = None
    if len(sized) > 1:
        wrong = "some of these share by `size` and some by `sqrt_size`", sized["sqrt_size"].span
    elif sized and rests:
        wrong = f"`{rests[0].text}` takes the rest, and nothing is left by size", rests[0].span
    elif spec.normalize is not None and (sized or rests):
        wrong = (
            "`normalize` divides ratios, and nodes without one take what is left",
            spec.normalize,
        )
    if wrong is None:
        return True
    state.report("two-rests", wrong[0], wrong[1], "keep one way to share; groups may differ")
    return False


def _normalized(
    state: State, draft: Draft, spec: MixSpec, siblings: Roots, around: Around, there: Fraction
) -> Roots | None:
    """Divide ratios by their sum where that is said; `there` are the tokens of amounts, if any."""
    if spec.normalize is None:
        return siblings
    where = f"`{around.path}`" if around.path else "the mixture"
    sums = {
        exact_sum(n.ratio.exact(step, tokens) for n in siblings if n.ratio is not None)
        for step, tokens in corners(draft, siblings)
    }
    total = min(sums)
    if len(sums) > 1 or total <= 0:
        what = (
            "0 or less" if total <= 0 else f"{decimal_words(total)} to {decimal_words(max(sums))}"
        )
        state.report(
            "normalize",
            f"the ratios of {where} sum to {what}: there is no one number to divide by",
            spec.normalize,
            "let them sum to the same at every step, or leave one out and say `rest`",
        )
        return None
    if total == 1:
        return siblings
    what, words = "ratios", decimal_words(total)
    if there:
        has_ratios = any(node.ratio is not None for node in spec.nodes)
        what = "amounts and ratios" if has_ratios else "amounts"
        words = f"{rounded_in_words(total * there, 6)} of {rounded_in_words(there, 6)}"
    message = f"the {what} of {where} sum to {words}, and are divided by their sum"
    state.tell("normalized", message, spec.normalize)
    return tuple(replace(n, ratio=_divided(n.ratio, total)) for n in siblings)


def _divided(curve: Curve | None, by: Fraction) -> Curve | None:
    if curve is None:
        return None
    return Curve(tuple(replace(p, a=p.a / by, b=p.b / by) for p in curve.pieces))


def _read(state: State, node: NodeSpec, around: Around) -> list[Source]:
    """Return the sources that a node reads, each once."""
    names = [node.name.text] if node.of is None else sorted(set(_names(state, node.of, around)))
    return [state.sources[name] for name in names if name in state.sources]


def _names(state: State, mix: MixSpec, around: Around) -> Iterator[str]:
    yield from (word.text for word in mix.by_size)
    yield from (node.name.text for node in mix.nodes if node.of is None)
    for group in mix.groups:
        yield from _names(state, group, around)
    roots: Roots = ()
    if mix.previous:
        roots = _below_path(state, around.before, mix)
    elif mix.replay is not None:
        roots = _replayed(state, mix, mix.replay)
    yield from state.trees.shares_of(roots)


def ratio_curve(state: State, draft: Draft, spec: CurveSpec) -> Curve | None:
    """Lay a ratio over the stage; None where it was refused."""
    if (number := constant_ratio(spec)) is not None:
        return Curve((Piece("constant", "tokens", 0, 0, None, number, number),))
    for piece in spec.pieces:
        if piece.shape.text not in ("constant", "linear"):
            state.report(
                "ratio-shape",
                f"a ratio runs constant or linear, not {piece.shape.text}",
                piece.shape.span,
                "put it together from linear pieces",
            )
            return None
    before = len(state.problems)
    ratio = on_stage(state, draft, spec)
    if ratio is None and len(state.problems) == before:
        way_out = "write a share (`!assumed 80%` if it is a guess) or `rest`, or `mixture: unknown`"
        state.report("ratio-unknown", "a mixture needs its ratios", spec.span, way_out)
    return ratio


def is_known_source(state: State, word: Word) -> bool:
    """Say whether the plan has a source, and report it where it does not."""
    if word.text in state.sources:
        return True
    if state.is_declared("sources", word.text):
        return False
    state.report(
        "unknown-source",
        f"there is no source `{word.text}`",
        word.span,
        did_you_mean(word.text, list(state.sources))
        or f"add it below `sources`: {word.text}: {{modality: text, tokens: 1T}}",
    )
    return False


def _by_size(state: State, spec: MixSpec) -> Roots:
    known = [word for word in spec.by_size if is_known_source(state, word)]
    sizes = {word.text: state.sources[word.text].tokens for word in known}
    if len(known) == len(spec.by_size) == 1 and sizes[known[0].text] is None:
        return (Node(known[0].text, constant(Fraction(1)), known[0].text),)  # whatever its size
    for word in known:
        if sizes[word.text] is None:
            state.report(
                "size-unknown",
                f"the size of `{word.text}` is unknown",
                word.span,
                "write its ratio",
            )
    total = sum(size for size in sizes.values() if size is not None)
    if len(known) < len(spec.by_size) or None in sizes.values() or not total:
        return ()
    return tuple(
        Node(name, constant(Fraction(size or 0, total)), name)
        for name, size in sorted(sizes.items())
    )


# Replays


def left_roots(state: State, stage: str, step: int) -> Roots:
    """Return the tree of a compiled stage as it was left at a step."""
    left = state.stages[stage]
    return state.trees.left(stage, step, left.batch, left.steps, left.budget.tokens)


def _replayed(state: State, spec: MixSpec, point: Point) -> Roots:
    if point.stage not in state.stages:
        without = (state.outside, state.composed)
        if point.stage not in state.spec.stages or any(point.stage in w for w in without):
            state.report(
                "replay-of-nothing",
                f"there is no stage `{point.stage}` with a mixture to replay",
                point.span,
                did_you_mean(point.stage, list(state.drafts)),
            )
        return ()
    step = mark_step(state, point)
    return () if step is None else _below_path(state, left_roots(state, point.stage, step), spec)


def _below_path(state: State, roots: Roots, spec: MixSpec) -> Roots:
    """Return what a path such as `/text/old` names below some roots."""
    span = spec.replay.span if spec.replay else spec.span
    for depth, name in enumerate(spec.replay_path):
        node = next((n for n in roots if n.name == name), None)
        if node is None:
            state.report(
                "replay-of-nothing",
                f"that mixture has no part `{'/'.join(spec.replay_path[: depth + 1])}`",
                span,
                did_you_mean(name, [n.name for n in roots]),
            )
            return ()
        # What a group says of all that it holds goes along with it.
        roots = state.trees.tagged(node.children or state.trees.alone(node), node.tags)
    return roots
