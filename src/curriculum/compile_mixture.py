"""The mixture of a stage: what it says or keeps, made exact, checked, and cut to size"""

from collections.abc import Sequence
from dataclasses import replace

from curriculum.compile_nodes import is_known_source, left_roots, ratio_curve, written_roots
from curriculum.compile_pieces import written_pieces
from curriculum.compile_siblings import check_siblings, check_sum, constant_ratio
from curriculum.compile_state import Draft, State
from curriculum.compile_trees import Trees
from curriculum.curve import Curve
from curriculum.errors import Span, did_you_mean
from curriculum.mixture import Mixture, Node
from curriculum.spec import MixSpec, StageSpec
from curriculum.spec_mixture import read_ratio
from curriculum.spec_reader import SpecReader

MAX_PARTS = 65_536
"""Of one mixture, with what it replays: what a plan of 1 MiB can hardly say by itself."""

MAX_BITS = 4096
"""Of the denominator of a ratio: far below what Python writes as a decimal."""


def compile_mixture(state: State, draft: Draft) -> Mixture | None:
    """Compile the mixture that a stage says or keeps; None where it was refused."""
    before = len(state.problems)
    spec = draft.spec.mixture
    if spec is None:
        assert draft.kept is not None
        roots, span = left_roots(state, draft.kept[0].name, draft.kept[1]), _place(draft.spec)
    else:
        roots, span = (
            (written_pieces if spec.pieces else written_roots)(state, draft, spec),
            spec.span,
        )
    roots = _changed(state, draft, roots)
    if len(state.problems) > before or not roots:
        return None
    check_siblings(state, draft, roots, span, spec)
    if len(state.problems) > before:
        return None
    compiled = state.trees.compiled(roots)
    if not _can_be_held(state, compiled, span):
        return None
    state.trees.whole[draft.name] = roots
    return Mixture(compiled, draft.batch, draft.steps, draft.budget.tokens)


def _place(spec: StageSpec) -> Span:
    """Return where a stage that keeps its mixture says so: what it changes, or its `keep`."""
    changes = [key.span for dotted, key, _ in spec.dotted if dotted[0] == "mixture"]
    changes += [spec.keep.span] if spec.keep else []
    return changes[0] if changes else spec.span


def _can_be_held(state: State, roots: tuple[Node, ...], span: Span) -> bool:
    parts = 0
    waiting = list(roots)
    while waiting:
        node = waiting.pop()
        parts += 1
        pieces = node.ratio.pieces if node.ratio is not None else ()
        bits = max((p.b.denominator.bit_length() for p in pieces), default=0)
        if bits > MAX_BITS:
            state.report(
                "mixture-too-fine",
                f"the share of `{node.name}` has a denominator of {bits:,} bits, {MAX_BITS:,} are "
                "the most",
                span,
                "replay fewer replays, or write its ratio",
            )
            return False
        waiting += node.children
        if parts > MAX_PARTS:
            state.report(
                "mixture-too-large",
                f"with what it replays this mixture has more than {MAX_PARTS:,} parts",
                span,
                "name the sources themselves",
            )
            return False
    return True


def _changed(state: State, draft: Draft, roots: tuple[Node, ...]) -> tuple[Node, ...]:
    """Apply the dotted keys that change one ratio of a kept mixture."""
    for dotted, key, node in draft.spec.dotted:
        if dotted[0] != "mixture":
            continue
        path = dotted[1:-1] if dotted[2:] and dotted[-1] == "ratio" else dotted[1:]
        ratio = read_ratio(SpecReader(state.problems), node)
        if ratio is False:
            continue
        curve = None if ratio is None else ratio_curve(state, draft, ratio)
        found = _with_ratio(state.trees, roots, path, curve)
        if found is None:
            held = state.trees.compiled(roots)
            names = [p.replace("/", ".") for root in held for p, _ in root.paths()]
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
    trees: Trees, roots: tuple[Node, ...], path: Sequence[str], ratio: Curve | None
) -> tuple[Node, ...] | None:
    for index, node in enumerate(roots):
        if node.name != path[0]:
            continue
        if len(path) == 1:
            changed = replace(node, ratio=ratio)
            changed = trees.replaying(changed) if trees.is_replay(node) else changed
        else:
            children = _with_ratio(trees, node.children, path[1:], ratio)
            if children is None:
                return None
            changed = replace(node, children=children)
        return (*roots[:index], changed, *roots[index + 1 :])
    return None


def check_unfinished(state: State, mix: MixSpec, above: str = "") -> None:
    """Check what can be checked of a mixture whose stage could not be compiled: names, and sums of
    constant ratios."""
    for word in (*mix.by_size, *(n.name for n in mix.nodes if n.of is None)):
        is_known_source(state, word)
    for node in mix.nodes:
        if node.of is not None:
            check_unfinished(state, node.of, f"{above}/{node.name.text}".lstrip("/"))
    for k, of in enumerate((p.of for p in mix.pieces if p.of is not None), start=1):
        check_unfinished(state, of, f"piece-{k}")
    curves = {node.name.text: node.ratio for node in mix.nodes if node.ratio is not None}
    said = {name: x for name in sorted(curves) if (x := constant_ratio(curves[name])) is not None}
    if said and len(said) == len(curves) and mix.normalize is None:
        where = f"`{above}`" if above else "the mixture"
        check_sum(state, said, len(curves) < len(mix.nodes), where, "", mix.span, mix)
