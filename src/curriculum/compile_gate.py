"""The gate of a stage: bounds of its length, through a proxy's scale, held to its budget"""

from fractions import Fraction
from math import floor

from curriculum.compile_state import Draft, State
from curriculum.errors import Related
from curriculum.gate import Gate, bound_words
from curriculum.nodes import UNSCALED
from curriculum.spec import Quantity
from curriculum.units import Amount


def compile_gate(state: State, draft: Draft) -> Gate | None:
    """Return what a stage's end waits for; report a budget that its bounds leave out."""
    said = draft.spec.gate
    if said is None:
        return None
    bounds = []
    for key, quantity in (("least", said.least), ("most", said.most)):
        bound = None if quantity is None else _bound(draft, quantity)
        if quantity is not None and bound is not None:
            _check(state, draft, key, quantity, bound)
        bounds.append(bound)
    return Gate(said.when, *bounds)


def _bound(draft: Draft, said: Quantity) -> Amount:
    """Return a bound as the plan has it: what is said in steps keeps its share of the stage."""
    if said.amount.unit == "tokens":
        return Amount(Fraction(said.scaled_tokens), "tokens")
    if said.scale == UNSCALED:
        return said.amount
    return Amount(Fraction(floor(said.amount.value * draft.step_share + Fraction(1, 2))), "steps")


def _check(state: State, draft: Draft, key: str, said: Quantity, bound: Amount) -> None:
    in_steps = bound.unit == "steps"
    asked = Fraction(draft.steps if in_steps else draft.budget.tokens)
    if asked >= bound.value if key == "least" else asked <= bound.value:
        return
    assert draft.spec.budget is not None
    relation = "fewer" if key == "least" else "more"
    verb = "has" if in_steps else "asks for"
    state.report(
        "gate",
        f"stage `{draft.name}` {verb} {bound_words(Amount(asked, bound.unit))}, {relation} than "
        f"the {bound_words(bound)} that its gate says as `{key}`",
        draft.spec.budget[1].span,
        "let the budget lie between the gate's `least` and `most`, or move these",
        (Related(f"the gate's `{key}`", said.span),),
    )
