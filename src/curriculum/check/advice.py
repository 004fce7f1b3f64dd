"""The advice of a plan: rules of severity info that `check` runs beside those of `rules.py`

`plan` loads none of them: what only advises may take its time.
"""

from curriculum.check import rate_advice
from curriculum.check.rules import RULES, Rule, rule_of
from curriculum.errors import Diagnostic, Severity
from curriculum.plan import Plan

ADVICE: tuple[Rule, ...] = (
    rule_of(Severity.INFO, rate_advice.first_steps_learn),
)  # fmt: skip


def advice(plan: Plan) -> tuple[Diagnostic, ...]:
    """Return what is advised of the plan, rule by rule."""
    return tuple(finding for rule in ADVICE for finding in rule.check(plan))


def every_rule() -> tuple[Rule, ...]:
    """Return the rules that a plan is held to, and those that advise."""
    return (*RULES, *ADVICE)
