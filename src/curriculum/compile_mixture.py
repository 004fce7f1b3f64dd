"""The mixture of a stage: from ratios as written to the exact tree

A replay is the tree that the other stage ended with, its ratios fixed: shares, not samples.
"""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from curriculum.compile_points import mark_step
from curriculum.compile_siblings import check_siblings, check_sum
from curriculum.compile_state import Draft, State
from curriculum.compile_values import on_stage
from curriculum.curve import Curve, constant
from curriculum.errors import Span, did_you_mean
from curriculum.mixture import Mixture, Node
from curriculum.spec import CurveSpec, MixSpec, NodeSpec, Number, StageSpec, Word
from curriculum.spec_mixture import read_ratio
from curriculum.spec_reader import SpecReader

MAX_PARTS = 4096
"""A replay copies a tree, and replays of replays double it: this is where that ends."""


def compile_mixture(state: State, draft: Draft) -> Mixture | None:
    """Compile the mixture that a stage says or keeps; None where it was refused."""
    before = len(state.problems)
    spec = draft.spec.mixture
    if spec is not None:
        roots, span = _roots(state, draft, spec), spec.span
    else:
        assert draft.kept is not None
        roots, span = _left_roots(state, draft.kept[0].name, draft.kept[1]), _place(draft.spec)
    roots = _changed(state, draft, roots)
    if len(state.problems) > before or not roots:
        return None
    parts = sum(1 for root in roots for _ in root.paths())
    if parts > MAX_PARTS:
        state.report(
            "mixture-too-large",
            f"with what it replays this mixture has {parts:,} parts, {MAX_PARTS:,} are the most",
            span,
            "name the sources themselves",
        )
        return None
    check_siblings(state, draft, roots, span, spec)
    if len(state.problems) > before:
        return None
    return Mixture(roots, draft.batch, draft.steps, draft.budget.tokens)


def _place(spec: StageSpec) -> Span:
    """Return where a stage that keeps its mixture says so: what it changes, or its `keep`."""
    changes = [key.span for dotted, key, _ in spec.dotted if dotted[0] == "mixture"]
    changes += [spec.keep.span] if spec.keep else []
    return changes[0] if changes else spec.span


def _left_roots(state: State, stage: str, step: int) -> tuple[Node, ...]:
    compiled = state.stages[stage]
    if step >= compiled.steps:
        return compiled.mixture.end_roots()
    return compiled.mixture.roots_at(step, compiled.batch.tokens_before(step))


def _roots(state: State, draft: Draft, spec: MixSpec) -> tuple[Node, ...]:
    if spec.replay is not None:
        return _replayed(state, spec)
    if spec.by_size:
        return _by_size(state, spec)
    nodes = [_node(state, draft, node) for node in spec.nodes]
    return tuple(sorted((n for n in nodes if n is not None), key=lambda n: n.name))


def _node(state: State, draft: Draft, spec: NodeSpec) -> Node | None:
    ratio = None
    if spec.ratio is not None and (ratio := _ratio(state, draft, spec.ratio)) is None:
        return None
    if spec.of is None:
        if not _known_source(state, spec.name):
            return None
        return Node(spec.name.text, ratio, spec.name.text)
    return Node(spec.name.text, ratio, None, _roots(state, draft, spec.of))


def _ratio(state: State, draft: Draft, spec: CurveSpec) -> Curve | None:
    for piece in spec.pieces:
        if piece.shape.text not in ("constant", "linear"):
            state.report(
                "ratio-shape",
                f"a ratio runs constant or linear, not {piece.shape.text}",
                piece.shape.span,
                "put it together from linear pieces",
            )
            return None
    ratio = on_stage(state, draft, spec)
    if ratio is None and not any(p.span == spec.span for p in state.problems):
        state.report("ratio-unknown", "a mixture needs its ratios", spec.span)
    return ratio


def _known_source(state: State, word: Word) -> bool:
    if word.text in state.sources:
        return True
    if state.is_declared("sources", word.text):
        return False
    state.report(
        "unknown-source",
        f"there is no source `{word.text}`",
        word.span,
        did_you_mean(word.text, list(state.sources)),
    )
    return False


def _by_size(state: State, spec: MixSpec) -> tuple[Node, ...]:
    known = [word for word in spec.by_size if _known_source(state, word)]
    sizes = {word.text: state.sources[word.text].tokens for word in known}
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


def _replayed(state: State, spec: MixSpec) -> tuple[Node, ...]:
    point = spec.replay
    assert point is not None
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
    if step is None:
        return ()
    roots = _left_roots(state, point.stage, step)
    for depth, name in enumerate(spec.replay_path):
        node = next((n for n in roots if n.name == name), None)
        if node is None:
            state.report(
                "replay-of-nothing",
                f"that mixture has no part `{'/'.join(spec.replay_path[: depth + 1])}`",
                point.span,
                did_you_mean(name, [n.name for n in roots]),
            )
            return ()
        roots = node.children or (Node(node.name, constant(1), node.source),)
    return roots


def _changed(state: State, draft: Draft, roots: tuple[Node, ...]) -> tuple[Node, ...]:
    """Apply the dotted keys that change one ratio of a kept mixture."""
    for dotted, key, node in draft.spec.dotted:
        if dotted[0] != "mixture":
            continue
        path = dotted[1:-1] if dotted[2:] and dotted[-1] == "ratio" else dotted[1:]
        ratio = read_ratio(SpecReader(state.problems), node)
        if ratio is False:
            continue
        curve = None if ratio is None else _ratio(state, draft, ratio)
        found = _with_ratio(roots, path, curve)
        if found is None:
            names = [p.replace("/", ".") for root in roots for p, _ in root.paths()]
            state.report(
                "dotted-key",
                f"`{key.text}` names no part of the kept mixture",
                key.span,
                did_you_mean(".".join(path), names),
            )
        else:
            roots = found
    return roots


def _with_ratio(
    roots: tuple[Node, ...], path: Sequence[str], ratio: Curve | None
) -> tuple[Node, ...] | None:
    for index, node in enumerate(roots):
        if node.name != path[0]:
            continue
        if len(path) == 1:
            changed = replace(node, ratio=ratio)
        else:
            children = _with_ratio(node.children, path[1:], ratio)
            if children is None:
                return None
            changed = replace(node, children=children)
        return (*roots[:index], changed, *roots[index + 1 :])
    return None


def check_unfinished(state: State, mix: MixSpec, above: str = "") -> None:
    """Check what can be checked of a mixture whose stage could not be compiled: names, and sums of
    constant ratios."""
    for word in (*mix.by_size, *(n.name for n in mix.nodes if n.of is None)):
        _known_source(state, word)
    for node in mix.nodes:
        if node.of is not None:
            check_unfinished(state, node.of, f"{above}/{node.name.text}".lstrip("/"))
    curves = {node.name.text: node.ratio for node in mix.nodes if node.ratio is not None}
    said = {name: x for name in sorted(curves) if (x := _constant(curves[name])) is not None}
    if said and len(said) == len(curves):
        where = f"`{above}`" if above else "the mixture"
        check_sum(state, said, len(curves) < len(mix.nodes), where, "", mix.span, mix)


def _constant(curve: CurveSpec) -> Fraction | None:
    first = curve.pieces[0]
    if first.shape.text != "constant" or len(curve.pieces) > 1:
        return None
    return first.start.value if isinstance(first.start, Number) else None
