"""The advice of a plan: rules of severity info that `check` runs beside those of `rules.py`

`plan` loads none of them: what only advises may take its time.
"""

from curriculum.check import (
    batch_advice,
    context_advice,
    law_advice,
    pace_advice,
    rate_advice,
    share_advice,
    source_advice,
)
from curriculum.check.rules import RULES, Rule, rule_of
from curriculum.errors import Diagnostic, Severity
from curriculum.plan import Plan

ADVICE: tuple[Rule, ...] = (
    rule_of(Severity.INFO, rate_advice.first_steps_learn),
    rule_of(Severity.INFO, source_advice.no_source_starves),
    rule_of(Severity.INFO, source_advice.documents_are_not_dealt_anew),
    rule_of(Severity.INFO, source_advice.sizes_are_not_copied),
    rule_of(Severity.INFO, share_advice.shares_change_gradually),
    rule_of(Severity.INFO, context_advice.rope_bases_reach_their_context),
    rule_of(Severity.INFO, context_advice.longest_contexts_are_read),
    rule_of(Severity.INFO, pace_advice.fresh_modules_warm_up),
    rule_of(Severity.INFO, pace_advice.decays_end_with_their_stage),
    rule_of(Severity.INFO, pace_advice.decays_take_their_share),
    rule_of(Severity.INFO, pace_advice.new_data_is_read_warm),
    rule_of(Severity.INFO, batch_advice.rates_answer_the_batch),
    rule_of(Severity.INFO, batch_advice.large_batches_are_grown),
    rule_of(Severity.INFO, law_advice.rates_are_near_published_laws),
)


def advice(plan: Plan) -> tuple[Diagnostic, ...]:
    """Return what is advised of the plan, rule by rule."""
    return tuple(finding for rule in ADVICE for finding in rule.check(plan))


def every_rule() -> tuple[Rule, ...]:
    """Return the rules that a plan is held to, and those that advise."""
    return (*RULES, *ADVICE)
