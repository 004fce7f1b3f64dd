"""The mixture of a stage: from ratios as written to the exact tree

Siblings sum to 1 at every step: that is proved on the pieces, not sampled. A replay is the tree
that the other stage ended with, its ratios fixed: shares, not samples.
"""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from curriculum.compile_state import Draft, State
from curriculum.curve import Curve, constant
from curriculum.errors import Span
from curriculum.mixture import Mixture, Node
from curriculum.source_map import did_you_mean
from curriculum.spec import MixSpec, NodeSpec, Number, SpecReader, Word
from curriculum.units import decimal_words

MAX_PARTS = 4096
"""A replay copies a tree, and replays of replays double it: this is where that ends."""


def compile_mixture(state: State, draft: Draft) -> Mixture | None:
    """Compile the mixture that a stage says or keeps; None where it was refused."""
    before = len(state.problems)
    spec = draft.spec.mixture
    if spec is not None:
        roots = _roots(state, draft, spec)
        span = spec.span
    else:
        assert draft.kept is not None
        kept = state.stages[draft.kept[0].name]
        roots = _left_roots(state, draft.kept[0].name, draft.kept[1])
        changes = [key.span for dotted, key, _ in draft.spec.dotted if dotted[0] == "mixture"]
        changes += [draft.spec.keep.span] if draft.spec.keep else []
        span = changes[0] if changes else draft.spec.span
        assert kept.mixture.roots
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
    _check_siblings(state, draft, roots, "", span)
    if len(state.problems) > before:
        return None
    return Mixture(roots, draft.batch, draft.steps, draft.budget.tokens)


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
    from curriculum.compile_stage import on_stage

    ratio: Curve | None = None
    if spec.ratio is not None:
        for piece in spec.ratio.pieces:
            if piece.shape.text not in ("constant", "linear"):
                state.report(
                    "ratio-shape",
                    f"a ratio runs constant or linear, not {piece.shape.text}",
                    piece.shape.span,
                    "put it together from linear pieces",
                )
                return None
        ratio = on_stage(state, draft, spec.ratio)
        if ratio is None:
            if not any(p.span == spec.ratio.span for p in state.problems):
                state.report("ratio-unknown", "a mixture needs its ratios", spec.ratio.span)
            return None
    if spec.of is None:
        if not _known_source(state, spec.name):
            return None
        return Node(spec.name.text, ratio, spec.name.text)
    return Node(spec.name.text, ratio, None, _roots(state, draft, spec.of))


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
    from curriculum.compile_draft import mark_step

    point = spec.replay
    assert point is not None
    if point.stage not in state.stages:
        if point.stage not in state.spec.stages or point.stage in state.outside:
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
        path = dotted[1:-1] if dotted[-1] == "ratio" else dotted[1:]
        reader = SpecReader(state.problems)
        ratio = reader.ratio(node)
        if ratio is False:
            continue
        nothing = MixSpec((), None, (), (), key.span)
        new = _node(state, draft, NodeSpec(Word(path[-1], key.span), ratio, nothing))
        found = _with_ratio(roots, path, new.ratio if new else None)
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


def _check_siblings(
    state: State, draft: Draft, siblings: tuple[Node, ...], above: str, span: Span
) -> None:
    """Hold that ratios lie in 0..1 and siblings sum to 1, at every step and at the end."""
    where = f"`{above}`" if above else "the mixture"
    rests = [node.name for node in siblings if node.ratio is None]
    if len(rests) > 1:
        state.report(
            "one-rest", f"{where} says `rest` twice ({', '.join(rests)})", span, "keep one"
        )
        return
    for step, tokens in _corners(draft, siblings):
        said = {n.name: n.ratio.exact(step, tokens) for n in siblings if n.ratio is not None}
        moving = any(n.ratio and not n.ratio.is_constant() for n in siblings)
        at = f" at step {step:,}" if moving else ""
        if not _sums(state, said, bool(rests), where, at, span):
            return
    for node in siblings:
        if node.children:
            _check_siblings(state, draft, node.children, f"{above}/{node.name}".lstrip("/"), span)


def _sums(
    state: State, said: dict[str, Fraction], has_rest: bool, where: str, at: str, span: Span
) -> bool:
    outside = {name: x for name, x in said.items() if not 0 <= x <= 1}
    total = sum(said.values(), Fraction(0))
    words = ", ".join(f"{name} {decimal_words(x)}" for name, x in said.items())
    if outside:
        name, x = next(iter(outside.items()))
        state.report(
            "ratio-range",
            f"the ratio of `{name}` is {decimal_words(x)}{at}",
            span,
            "ratios lie in 0..1",
        )
        return False
    if (not has_rest and total != 1) or total > 1:
        state.report(
            "siblings-sum",
            f"the shares of {where} sum to {decimal_words(total)}{at} ({words})",
            span,
            "make them sum to 1, or let one say `rest`",
        )
        return False
    return True


def check_unfinished(state: State, mix: MixSpec, above: str = "") -> None:
    """Check what can be checked of a mixture whose stage could not be compiled: names, and sums of
    constant ratios."""
    for word in (*mix.by_size, *(n.name for n in mix.nodes if n.of is None)):
        _known_source(state, word)
    said: dict[str, Fraction] = {}
    for node in mix.nodes:
        if node.of is not None:
            check_unfinished(state, node.of, f"{above}/{node.name.text}".lstrip("/"))
        if node.ratio is not None:
            first = node.ratio.pieces[0]
            value = first.start.value if isinstance(first.start, Number) else None
            if first.shape.text != "constant" or len(node.ratio.pieces) > 1 or value is None:
                return
            said[node.name.text] = value
    if said:
        has_rest = any(node.ratio is None for node in mix.nodes)
        where = f"`{above}`" if above else "the mixture"
        _sums(state, dict(sorted(said.items())), has_rest, where, "", mix.span)


def _corners(draft: Draft, siblings: tuple[Node, ...]) -> list[tuple[int, int]]:
    """Return the steps, with their tokens, between which every ratio is linear."""
    breaks = {0, draft.steps - 1}.union(draft.batch.breaks())
    for node in siblings:
        if node.ratio is not None:
            breaks.update(node.ratio.breaks())
    steps = sorted({s for b in breaks for s in (b - 1, b, b + 1) if 0 <= s < draft.steps})
    corners = [(step, draft.batch.tokens_before(step)) for step in steps]
    return [*corners, (draft.steps, draft.budget.tokens)]
