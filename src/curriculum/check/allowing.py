"""Findings that a plan allows, by comments in its text or by the list in its lock

findings of rules --allows--> those that stay, unused and wrong comments among them
                          '-> those that are silenced, counted and kept in the lock
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from curriculum.allowances import Allow, Allowed, Silenced
from curriculum.check.rules import RULES, Rule
from curriculum.errors import Diagnostic, Fix, Severity, Span, nearest
from curriculum.fixes import same_word
from curriculum.plan import Plan

NEVER = ("claims-hold",)
"""Rules whose findings nobody allows: who wrote a claim may change it."""


class Outcome(NamedTuple):
    """What the rules found, without and with what is allowed, and the plan that knows of it."""

    plan: Plan
    findings: tuple[Diagnostic, ...]
    silenced: tuple[Silenced, ...] = ()


def outcome_of(plan: Plan, advises: bool = False) -> Outcome:
    """Run the rules over a plan, with those that advise if asked; leave out what it allows."""
    known = {rule.code for rule in RULES}
    named = {allow.rule for allow in plan.allows} | {allowed.rule for allowed in plan.allowed}
    rules = RULES
    if advises or named - known:
        # What only advises is loaded by `plan` where its lock is to say that it was allowed.
        from curriculum.check.advice import every_rule

        rules = every_rule()
    found = {rule.code: tuple(rule.check(plan)) for rule in rules}
    outcome = _of_lock(plan, found) if plan.allowed else _of_text(plan, rules, found)
    if advises:
        return outcome
    advice = found.keys() - known
    kept = tuple(f for f in outcome.findings if f.rule not in advice)
    silenced = tuple(one for one in outcome.silenced if one.finding.rule not in advice)
    return Outcome(outcome.plan, kept, silenced)


Found = Mapping[str, tuple[Diagnostic, ...]]
"""The findings of every rule that ran, by its code."""


def _of_text(plan: Plan, rules: Sequence[Rule], found: Found) -> Outcome:
    """Leave out what comments allow, say what is wrong with them, and note it for the lock."""
    if not plan.allows:
        return Outcome(plan, tuple(f for findings in found.values() for f in findings))
    kept: list[Diagnostic] = []
    silenced: dict[str, list[Silenced]] = {}
    used: set[Allow] = set()
    for finding in (f for findings in found.values() for f in findings):
        allow = _allow_of(plan, finding)
        if allow is None:
            kept.append(finding)
            continue
        used.add(allow)
        silenced.setdefault(finding.rule, []).append(Silenced(finding, allow.reason))
    kept += [told for allow in plan.allows for told in _wrong(allow, allow in used, found)]
    allowed = [
        entry
        for rule in rules
        if rule.code in silenced
        for entry in _entries(plan, rule, silenced[rule.code], kept)
    ]
    all_silenced = tuple(one for found_by in silenced.values() for one in found_by)
    return Outcome(replace(plan, allowed=tuple(dict.fromkeys(allowed))), tuple(kept), all_silenced)


def _allow_of(plan: Plan, finding: Diagnostic) -> Allow | None:
    """Return the comment that allows a finding: of several the one with the fewest lines."""
    if finding.span is None or finding.rule in NEVER:
        return None
    span = finding.span
    fits = [a for a in plan.allows if a.rule == finding.rule and a.reason and a.covers(span)]
    return min(fits, key=lambda a: (a.last_line - a.first_line, a.span), default=None)


def _wrong(allow: Allow, is_used: bool, found: Found) -> Iterator[Diagnostic]:
    """Say what is wrong with a comment: no rule, no reason, or nothing to allow."""
    if not allow.rule:
        known = "write `# curriculum: allow RULE reason`"
        yield Diagnostic("unknown-allow", "this comment allows no rule", allow.span, known)
    elif allow.rule in NEVER or allow.rule not in found:
        yield _unknown(allow)
    elif not allow.reason:
        what = f"this comment does not say why `{allow.rule}` is allowed here"
        way_out = f"write `# curriculum: allow {allow.rule} reason`"
        yield Diagnostic("allow-reason", what, allow.span, way_out)
    elif not is_used and not allow.is_below:  # the plan below may need it
        what = f"`{allow.rule}` finds nothing here that this comment could allow"
        fix = Fix(allow.whole, "")
        yield Diagnostic(
            "unused-allow", what, allow.span, "leave it out", Severity.WARNING, fix=fix
        )


def _unknown(allow: Allow) -> Diagnostic:
    from curriculum.check.advice import every_rule
    from curriculum.check.explained import explanations

    known = [rule.code for rule in every_rule() if rule.code not in NEVER]
    close = nearest(allow.rule, known)
    what = f"there is no rule `{allow.rule}`"
    way_out = f"did you mean `{close[0]}`?" if close else "`curriculum explain` lists all rules"
    if allow.rule in NEVER:
        what, way_out = "a claim that fails cannot be allowed", "change it, or leave it out"
    elif allow.rule in explanations():
        what = f"`{allow.rule}` is no rule: what it refuses cannot be allowed"
        way_out = "mend it; only findings of rules are allowed"
    elif not allow.reason:  # both at once
        name, comma = (close[0], "") if close else ("RULE", ",")
        way_out += f"{comma} and say why: `# curriculum: allow {name} reason`"
    fix = same_word(allow.rule_place, allow.rule, known, way_out)
    return Diagnostic("unknown-allow", what, allow.span, way_out, fix=fix)


# Locks


def _entries(
    plan: Plan, rule: Rule, silenced: Sequence[Silenced], kept: Sequence[Diagnostic]
) -> Iterator[Allowed]:
    """Return what the lock keeps of one rule's allowed findings.

    A text tells once what several stages have of it; a lock has no places, and tells it of each.
    """
    paths: dict[Span, str] = {}
    for path, span in plan.places.items():
        paths.setdefault(span, path)
    for finding, reason in silenced:
        assert finding.span is not None
        yield Allowed(rule.code, paths.get(finding.span, ""), finding.message, reason)
    if any(finding.rule == rule.code for finding in kept):
        return
    first = silenced[0]
    assert first.finding.span is not None
    told = {finding.message for finding, _ in silenced}
    for finding in rule.check(replace(plan, places={})):
        if finding.message not in told:
            path = paths.get(first.finding.span, "")
            yield Allowed(rule.code, path, finding.message, first.reason)


def _of_lock(plan: Plan, found: Found) -> Outcome:
    """Leave out what the plan of a lock allowed, by rule and message."""
    reasons = {(allowed.rule, allowed.message): allowed.reason for allowed in plan.allowed}
    kept: list[Diagnostic] = []
    silenced: list[Silenced] = []
    for finding in (f for findings in found.values() for f in findings):
        reason = reasons.get((finding.rule, finding.message))
        if reason is None:
            kept.append(finding)
        else:
            silenced.append(Silenced(finding, reason))
    return Outcome(plan, tuple(kept), tuple(silenced))
