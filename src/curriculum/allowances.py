"""What a plan allows by `# curriculum: allow RULE reason`, and what was allowed so in a lock"""

from typing import NamedTuple

from curriculum.errors import Diagnostic, Span


class Allow(NamedTuple):
    """A comment that allows what one rule finds, from a line of its file up to another, both in.

    `rule` and `reason` are "" where they are not said; a comment that stands over nothing covers no
    line: its last is before its first. `rule_place` is that of the rule's word, `whole` that of the
    comment with the blanks before it, or with its line where it stands alone. `is_below`: it stands
    in a plan that this one extends.
    """

    rule: str
    reason: str
    span: Span
    rule_place: Span
    whole: Span
    first_line: int
    last_line: int
    is_below: bool = False

    def covers(self, span: Span) -> bool:
        """Say whether a place begins on its lines."""
        return span.file == self.span.file and self.first_line <= span.line <= self.last_line


class Allowed(NamedTuple):
    """What a lock keeps of a finding that its plan allowed; `path` is where it stood."""

    rule: str
    path: str
    message: str
    reason: str


class Silenced(NamedTuple):
    """A finding that the plan allows, and why."""

    finding: Diagnostic
    reason: str
