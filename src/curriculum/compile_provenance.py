"""Where the values of a plan come from, and what a proxy makes of those of the plan below

assumed, derived, conflict, unknown    tagged so, or the word itself
default                                nobody said it
scaled, kept                           numbers from below a `scale`: changed, and as they were
"""

from collections.abc import Iterator
from dataclasses import replace

from curriculum.compile_state import State
from curriculum.errors import ValueProblem
from curriculum.nodes import UNSCALED, Map, Node, Scalar, Seq, shown, walk
from curriculum.plan import Provenance
from curriculum.spec import OptimizerSpec
from curriculum.units import decimal_words, parse_mark, parse_number
from curriculum.words import OPTIMIZER_DEFAULTS

_AMOUNTS = frozenset(
    (
        *("tokens", "steps", "seqs", "until", "for", "every", "at_most", "least", "most"),
        *("seq_len", "target_seq_len", "original", "timescale", "half_life"),
    )
)
"""Keys whose numbers are amounts: what becomes of one that nothing reads, nobody can say."""

_NO_VALUES = frozenset(("seed", "layout"))
"""A seed is a name; the layout of the run that a proxy stands for is not the proxy's."""


def provenance_of(state: State, written: Map) -> tuple[Provenance, ...]:
    """List every value that is assumed, derived, in conflict, unknown, a default, scaled or kept.

    `written` is the plan with every value of its conflicts.
    """
    found = []
    covered: tuple[str, ...] = ()  # how what the last tag covers begins: it comes right after it
    for path, node in walk(written):
        if path.startswith(covered):
            continue
        if node.tag is not None:
            covered = (f"{path}.", f"{path}[")
            here = _here(state, node)
            below = shown(node) if here != node else None
            found.append(Provenance(node.tag, path, shown(here), node.span, below))
        elif isinstance(node, Scalar) and node.text == "unknown":
            found.append(Provenance("unknown", path, "unknown", node.span))
    for name in sorted(state.used_optimizers):
        found += _defaults(f"optimizers.{name}", state.spec.optimizers[name])
    if state.spec.seed_is_default:
        found.append(Provenance("default", "seed", "0", None))
    return (*found, *_through_scale(state))


def _here(state: State, node: Node) -> Node:
    """Return a node with every amount as it is behind the scale."""
    match node:
        case Scalar():
            return node._replace(text=state.here.get(node.span, node.text))
        case Seq():
            return node._replace(items=tuple(_here(state, item) for item in node.items))
        case Map():
            entries = tuple((key, _here(state, value)) for key, value in node.entries)
            return node._replace(entries=entries)


def _through_scale(state: State) -> Iterator[Provenance]:
    """List the numbers that a proxy takes from the plan below: those it changes, and the others."""
    for path, node in walk(state.spec.root):
        if not isinstance(node, Scalar) or node.scale == UNSCALED:
            continue
        if (here := state.here.get(node.span)) is not None:
            if not _is_same(here, node.text):
                yield Provenance("scaled", path, here, node.span, node.text)
        elif _is_kept(path, node.text):
            yield Provenance("kept", path, node.text, node.span)
    optimizers = state.spec.root.get("optimizers")
    for name in sorted(state.used_optimizers):
        whole = optimizers.get(name) if isinstance(optimizers, Map) else None
        words = [node for _, node in walk(whole)] if whole is not None else []
        if any(isinstance(word, Scalar) and word.scale != UNSCALED for word in words):
            for entry in _defaults(f"optimizers.{name}", state.spec.optimizers[name]):
                yield replace(entry, kind="kept")


def _is_same(here: str, below: str) -> bool:
    """Say whether an amount is still the one that was written: its factor was 1."""
    try:
        return parse_mark(here) == parse_mark(below)
    except ValueProblem:
        return here == below


def _is_kept(path: str, text: str) -> bool:
    keys = path.replace("[", ".").split(".")
    if keys[-1] in _AMOUNTS or not _NO_VALUES.isdisjoint(keys) or keys[0] == "require":
        return False
    try:
        parse_number(text.removesuffix("%"))
    except ValueProblem:
        return False
    return True


def _defaults(path: str, whole: OptimizerSpec) -> Iterator[Provenance]:
    """List what nobody says of an optimizer, and of the parts what is no default of the others."""
    yield from _unsaid(path, whole, frozenset())
    for name, spec in whole.parts.items():
        module = whole.parts.get(name.partition("/")[0])
        above = [whole] if module is None or module is spec else [whole, module]
        said = {value for one in above for value in one.values}
        said |= {value for one in above if one.kind for value in OPTIMIZER_DEFAULTS[one.kind.text]}
        yield from _unsaid(f"{path}.{name}", spec, frozenset(said))


def _unsaid(path: str, spec: OptimizerSpec, said: frozenset[str]) -> Iterator[Provenance]:
    if spec.kind is None:
        return
    for name, value in OPTIMIZER_DEFAULTS[spec.kind.text].items():
        if name not in said and name not in spec.values:
            yield Provenance("default", f"{path}.{name}", value_words(value), spec.kind.span)


def value_words(value: object) -> str:
    """Write a value as the plan language would."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return decimal_words(value) if isinstance(value, int) else f"{value:g}"
