"""The loss terms of a stage: their weights as curves, and what each is taken over

What is not said stands as the ancestor left it: the weight at its value, the rule as it is.
"""

from collections.abc import Iterator

from curriculum.compile_state import Draft, State
from curriculum.compile_values import left_all, on_stage
from curriculum.curve import Curve
from curriculum.errors import did_you_mean
from curriculum.nodes import Key, Node
from curriculum.objective import LossRule
from curriculum.plan import Stage
from curriculum.spec import LossSpec, Word
from curriculum.spec_curve import read_curve
from curriculum.spec_loss import read_rule_word, read_term
from curriculum.spec_reader import SpecReader

Curves = dict[str, Curve | None]
Rules = dict[str, LossRule]


def compile_loss(state: State, draft: Draft) -> tuple[Curves, Rules]:
    """Return the weight of every loss term (None where it is unknown), and the rules that are not
    the default: a mean over all tokens."""
    curves: Curves = {}
    rules: Rules = {}
    if draft.spec.loss is not None:
        for term, spec in draft.spec.loss.items():
            curves[term] = on_stage(state, draft, spec.weight)
            rules[term] = _rule(spec)
        if not draft.spec.loss:
            state.report("no-loss", "a stage has at least one loss term", draft.spec.span)
    elif draft.kept:
        kept: Stage = state.stages[draft.kept[0].name]
        curves = left_all(kept.loss, kept, draft.kept[1])
        rules = dict(kept.loss_rules)
    reader = SpecReader(state.problems)
    for term, path, key, node in _dotted(state, draft, curves):
        rule = rules.get(term, LossRule())
        match path:
            case []:
                if (said := read_term(reader, term, node)) is not None:
                    curves[term] = on_stage(state, draft, said.weight)
                    rules[term] = _rule(said, rule)
            case ["weight"]:
                if (curve := read_curve(reader, node)) is not None:
                    curves[term] = on_stage(state, draft, curve)
            case ["over"]:
                word = read_rule_word(reader, term, "over", node)
                rules[term] = LossRule(_said(word, rule.over), rule.reduce)
            case ["reduce"]:
                word = read_rule_word(reader, term, "reduce", node)
                rules[term] = LossRule(rule.over, _said(word, rule.reduce))
            case _:
                state.report(
                    "dotted-key",
                    f"`{key.text}` reaches nothing of a loss term",
                    key.span,
                    f"loss.{term}.weight, loss.{term}.over or loss.{term}.reduce",
                )
    told = {term: rule for term, rule in rules.items() if rule != LossRule()}
    return dict(sorted(curves.items())), dict(sorted(told.items()))


def _dotted(
    state: State, draft: Draft, curves: Curves
) -> Iterator[tuple[str, list[str], Key, Node]]:
    """The dotted keys below `loss`: term, what they change of it, key and value."""
    for dotted, key, node in draft.spec.dotted:
        if dotted[0] != "loss":
            continue
        term, *path = dotted[1:]
        if term in curves:
            yield term, path, key, node
        else:
            state.report(
                "dotted-key",
                f"no loss term `{term}` is kept",
                key.span,
                did_you_mean(term, list(curves)),
            )


def _rule(spec: LossSpec, before: LossRule | None = None) -> LossRule:
    """What a term says of itself; a bare weight leaves what was before."""
    rule = before or LossRule()
    return LossRule(_said(spec.over, rule.over), _said(spec.reduce, rule.reduce))


def _said(word: Word | None, before: str) -> str:
    return before if word is None else word.text
