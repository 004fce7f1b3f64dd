"""The rules of a plan, each a sentence that a compiled plan keeps or breaks

What cannot be compiled at all (shares of 1.02, a missing parent, a stage that outlives its
schedule) is refused by the compiler. The rules here read the compiled plan: `RULES` is what the
commands, the tests and `explain` read, the docstring of a rule is its sentence. What only advises
stands in `advice.py`; why there is a rule, and an example of it, in `handbook/`.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from curriculum.check import (
    claim_rules,
    clock_rules,
    data_rules,
    graph_rules,
    mixture_rules,
    model_rules,
    rate_rules,
    rope_rules,
    timing_rules,
    width_rules,
)
from curriculum.errors import Diagnostic, Severity
from curriculum.plan import Plan


class Rule(NamedTuple):
    """One rule: its code, its sentence, how bad its worst finding is, and the function."""

    code: str
    sentence: str
    severity: Severity
    check: Callable[[Plan], Iterator[Diagnostic]]


def rule_of(severity: Severity, check: Callable[[Plan], Iterator[Diagnostic]]) -> Rule:
    """Make a rule of a function: its name is the code, its docstring's beginning the sentence."""
    assert check.__doc__
    sentence = " ".join(check.__doc__.split("\n\n")[0].split())
    return Rule(check.__name__.replace("_", "-"), sentence, severity, check)


RULES: tuple[Rule, ...] = (
    rule_of(Severity.ERROR, clock_rules.budgets_become_whole_steps),
    rule_of(Severity.ERROR, clock_rules.carried_modules_go_on_at_their_rate),
    rule_of(Severity.ERROR, clock_rules.rates_are_not_negative),
    rule_of(Severity.ERROR, clock_rules.rates_are_below_one),
    rule_of(Severity.WARNING, clock_rules.warm_ups_end_in_their_stage),
    rule_of(Severity.WARNING, clock_rules.every_trained_module_moves),
    rule_of(Severity.WARNING, clock_rules.stages_have_three_steps),
    rule_of(Severity.WARNING, rate_rules.fresh_modules_go_on_at_their_rate),
    rule_of(Severity.WARNING, rate_rules.no_stage_outlasts_its_learning_rate),
    rule_of(Severity.WARNING, rate_rules.schedules_are_seen_to_their_end),
    rule_of(Severity.WARNING, rate_rules.rewarming_replays),
    rule_of(Severity.WARNING, timing_rules.batches_hold_through_warm_ups),
    rule_of(Severity.WARNING, timing_rules.decays_and_switches_meet),
    rule_of(Severity.WARNING, timing_rules.decays_end_where_their_own_stage_does),
    rule_of(Severity.ERROR, model_rules.rope_never_shrinks_unsaid),
    rule_of(Severity.WARNING, model_rules.rope_grows_with_context),
    rule_of(Severity.WARNING, rope_rules.rope_changes_are_read),
    rule_of(Severity.WARNING, rope_rules.long_contexts_keep_documents_apart),
    rule_of(Severity.ERROR, model_rules.context_never_shrinks_unsaid),
    rule_of(Severity.ERROR, model_rules.every_loss_term_has_its_modules),
    rule_of(Severity.ERROR, model_rules.every_trained_module_has_a_loss),
    rule_of(Severity.WARNING, width_rules.projectors_fit_their_neighbours),
    rule_of(Severity.WARNING, model_rules.everything_declared_is_used),
    rule_of(Severity.ERROR, data_rules.every_source_can_be_read),
    rule_of(Severity.ERROR, data_rules.every_source_is_drawn),
    rule_of(Severity.ERROR, data_rules.no_source_passes_its_cap),
    rule_of(Severity.ERROR, data_rules.separate_stages_deal_their_own_samples),
    rule_of(Severity.WARNING, data_rules.repeated_sources_are_capped),
    rule_of(Severity.WARNING, mixture_rules.shares_are_not_swapped),
    rule_of(Severity.WARNING, graph_rules.parents_are_the_newest),
    rule_of(Severity.WARNING, graph_rules.steps_are_not_sequences),
    rule_of(Severity.ERROR, claim_rules.claims_hold),
)


def broken_rules(plan: Plan) -> tuple[Diagnostic, ...]:
    """Return what the plan breaks, rule by rule."""
    return tuple(finding for rule in RULES for finding in rule.check(plan))
