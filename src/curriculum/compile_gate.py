"""The gate of a stage: bounds of its length, through a proxy's scale, held to its budget"""

from fractions import Fraction

from curriculum.compile_state import Draft, State
from curriculum.errors import Related
from curriculum.gate import Gate, bound_words
from curriculum.spec import Quantity
from curriculum.units import Amount, count_in_words


def compile_gate(state: State, draft: Draft) -> Gate | None:
    """Return what a stage's end waits for; report a budget that its bounds leave out."""
    said = draft.spec.gate
    if said is None:
        return None
    bounds = []
    for key, quantity in (("least", said.least), ("most", said.most)):
        bound = None if quantity is None else _bound(state, draft, quantity)
        if quantity is not None and bound is not None:
            _check(state, draft, key, quantity, bound)
        bounds.append(bound)
    return Gate(said.when, *bounds)


def _bound(state: State, draft: Draft, said: Quantity) -> Amount | None:
    """Return a bound as the plan has it: what is said in steps keeps its share of the stage."""
    if said.amount.unit == "tokens":
        state.became(said, count_in_words(said.scaled_tokens))
        return Amount(Fraction(said.scaled_tokens), "tokens")
    steps = state.steps_of(draft.name, said)
    if steps is None:
        return None
    state.became(said, f"{steps} steps")
    return Amount(Fraction(steps), "steps")


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
