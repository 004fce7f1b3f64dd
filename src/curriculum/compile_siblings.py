"""Siblings of a mixture sum to 1 at every step: proved on the pieces, not sampled"""

from fractions import Fraction

from curriculum.compile_state import Draft, State
from curriculum.curve import ClockUnit
from curriculum.errors import Span
from curriculum.mixture import Node
from curriculum.spec import MixSpec
from curriculum.units import decimal_words


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
    """
    where = f"`{above}`" if above else "the mixture"
    rests = [node.name for node in siblings if node.ratio is None]
    if len(rests) > 1:
        state.report(
            "one-rest", f"{where} says `rest` twice ({', '.join(rests)})", span, "keep one"
        )
        return
    moving = any(n.ratio and not n.ratio.is_constant() for n in siblings)
    for step, tokens in _corners(draft, siblings):
        said = {n.name: n.ratio.exact(step, tokens) for n in siblings if n.ratio is not None}
        at = f" at step {step:,}" if moving else ""
        if not check_sum(state, said, bool(rests), where, at, span, spec):
            return
    groups = {node.name.text: node.of for node in spec.nodes} if spec else {}
    for node in siblings:
        if node.children:
            of = groups.get(node.name)
            place, name = of.span if of else span, f"{above}/{node.name}".lstrip("/")
            check_siblings(state, draft, node.children, place, of, name)


def _corners(draft: Draft, siblings: tuple[Node, ...]) -> list[tuple[int, int]]:
    """Return the steps, with their tokens, between which every ratio is linear."""
    breaks = {0, draft.steps - 1}
    units: set[ClockUnit] = set()
    for node in siblings:
        if node.ratio is not None:
            breaks.update(node.ratio.breaks())
            units.update(p.unit for p in node.ratio.pieces if p.shape != "constant")
    if len(units) > 1:  # a sum of both is linear only where all steps have as many tokens
        breaks.update(draft.batch.breaks())
    steps = sorted({s for b in breaks for s in (b - 1, b, b + 1) if 0 <= s < draft.steps})
    corners = [(step, draft.batch.tokens_before(step)) for step in steps]
    return [*corners, (draft.steps, draft.budget.tokens)]


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
    outside = {name: x for name, x in said.items() if not 0 <= x <= 1}
    total = sum(said.values(), Fraction(0))
    words = ", ".join(f"{name} {decimal_words(x)}" for name, x in said.items())
    if outside:
        name, x = next(iter(outside.items()))
        ratios = {node.name.text: node.ratio for node in spec.nodes if node.ratio} if spec else {}
        meant = f"did you mean {decimal_words(x)} %?" if 1 < x <= 100 else "ratios lie in 0..1"
        state.report(
            "ratio-range",
            f"the ratio of `{name}` is {decimal_words(x)}{at}",
            ratios[name].span if name in ratios else span,
            meant,
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
