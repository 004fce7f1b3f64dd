"""Siblings of a mixture sum to 1 at every step: proved on the pieces, not sampled"""

from fractions import Fraction

from curriculum.compile_state import Draft, State
from curriculum.curve import ClockUnit
from curriculum.errors import Related, Span
from curriculum.mixture import Node, exact_sum
from curriculum.spec import CurveSpec, MixSpec, Number
from curriculum.units import decimal_words

MAX_WORDS = 12
"""Ratios that a message lists."""


def check_siblings(
    state: State,
    draft: Draft,
    siblings: tuple[Node, ...],
    span: Span,
    spec: MixSpec | None,
    above: str = "",
) -> None:
    """Hold that ratios lie in 0..1 and siblings sum to 1, at every step and at the end.

    `spec` is what says the siblings, where the stage says them itself; a group has its own place.
    What was left by another stage was held there.
    """
    if all(state.trees.is_settled(node) for node in siblings):
        return
    where = f"`{above}`" if above else "the mixture"
    rests = [node.name for node in siblings if node.ratio is None]
    if sum(node.of_rest for node in siblings if node.ratio is None) > 1:
        state.report(
            "one-rest", f"{where} says `rest` twice ({', '.join(rests)})", span, "keep one"
        )
        return
    moving = any(n.ratio and not n.ratio.is_constant() for n in siblings)
    for step, tokens in corners(draft, siblings):
        said = {n.name: n.ratio.exact(step, tokens) for n in siblings if n.ratio is not None}
        at = f" at step {step:,}" if moving else ""
        if not check_sum(state, said, bool(rests), where, at, span, spec):
            return
    groups = {node.name.text: node.of for node in spec.nodes} if spec else {}
    pieces = [piece.of for piece in spec.pieces if piece.of] if spec else []
    groups |= {f"piece-{k}": of for k, of in enumerate(pieces, start=1)}
    for node in siblings:
        if node.children:
            of = groups.get(node.name)
            place, name = of.span if of else span, f"{above}/{node.name}".lstrip("/")
            check_siblings(state, draft, node.children, place, of, name)


def corners(draft: Draft, siblings: tuple[Node, ...]) -> list[tuple[int, int]]:
    """Return the steps, with their tokens, between which every ratio is linear."""
    moving = [n.ratio for n in siblings if n.ratio is not None and not n.ratio.is_constant()]
    if not moving:
        return [(0, 0)]
    breaks = {0, draft.steps - 1}.union(*(ratio.breaks() for ratio in moving))
    units: set[ClockUnit] = {
        p.unit for ratio in moving for p in ratio.pieces if p.shape != "constant"
    }
    if len(units) > 1:  # a sum of both is linear only where all steps have as many tokens
        breaks.update(draft.batch.breaks())
    steps = sorted({s for b in breaks for s in (b - 1, b, b + 1) if 0 <= s < draft.steps})
    found = [(step, draft.batch.tokens_before(step)) for step in steps]
    return [*found, (draft.steps, draft.budget.tokens)]


def check_sum(
    state: State,
    said: dict[str, Fraction],
    has_rest: bool,
    where: str,
    at: str,
    span: Span,
    spec: MixSpec | None,
) -> bool:
    """Say whether the ratios at one step are shares of one whole, and report it where not."""
    outside = next((name for name, x in said.items() if not 0 <= x <= 1), None)
    if outside is not None:
        x = said[outside]
        ratios = {node.name.text: node.ratio for node in spec.nodes} if spec else {}
        ratio = ratios.get(outside)
        meant = f"did you mean {decimal_words(x)} %?" if 1 < x <= 100 else "ratios lie in 0..1"
        state.report(
            "ratio-range",
            f"the ratio of `{outside}` is {decimal_words(x)}{at}",
            ratio.span if ratio is not None else span,
            meant,
        )
        return False
    total = exact_sum(said.values())
    if (not has_rest and total != 1) or total > 1:
        words = ", ".join(
            f"{name} {decimal_words(x)}" for name, x in list(said.items())[:MAX_WORDS]
        )
        more = f" and {len(said) - MAX_WORDS} more" if len(said) > MAX_WORDS else ""
        changed = _said_elsewhere(spec, span)
        related = (Related("the mixture", span), *(Related("and this ratio", s) for s in changed))
        state.report(
            "siblings-sum",
            f"the shares of {where} sum to {decimal_words(total)}{at} ({words}{more})",
            changed[0] if changed else span,
            "make them sum to 1, let one say `rest`, or say `normalize: true`",
            (related[0], *related[2:]) if changed else (),
        )
        return False
    return True


def _said_elsewhere(spec: MixSpec | None, span: Span) -> list[Span]:
    """Return the ratios that overlays and `--set` put into a mixture of another file."""
    ratios = [node.ratio for node in spec.nodes if node.ratio is not None] if spec else []
    return [ratio.span for ratio in ratios if ratio.span.file != span.file]


def constant_ratio(curve: CurveSpec) -> Fraction | None:
    """Return the ratio that is one written number; None for anything else."""
    first = curve.pieces[0]
    if first.shape.text != "constant" or len(curve.pieces) > 1:
        return None
    return first.start.value if isinstance(first.start, Number) else None
