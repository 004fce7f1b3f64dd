"""A gate: what a stage's end waits for, and between which lengths; a fact, no mathematics"""

from dataclasses import dataclass

from curriculum.units import Amount


@dataclass(frozen=True, slots=True)
class Gate:
    """The check that people let a stage go on until; the plan's own budget is what runs.

    `least` and `most` bound the length of the stage, in tokens or steps, where they are said.
    """

    when: str
    least: Amount | None = None
    most: Amount | None = None

    @property
    def words(self) -> str:
        """The gate in one line.

        >>> from curriculum.units import parse_amount
        >>> Gate("needles are found", parse_amount("100B"), parse_amount("200B")).words
        'needles are found; at least 100B tokens, at most 200B tokens'
        >>> Gate("losses agree", most=parse_amount("2000 steps")).words
        'losses agree; at most 2,000 steps'
        """
        bounds = (("at least", self.least), ("at most", self.most))
        said = ", ".join(f"{what} {bound_words(b)}" for what, b in bounds if b is not None)
        return f"{self.when}; {said}" if said else self.when


def bound_words(bound: Amount) -> str:
    """Write a bound with its unit."""
    return f"{bound} tokens" if bound.unit == "tokens" else f"{int(bound.value):,} {bound.unit}"
