"""Marks within a compiled stage: the first step at or after one"""

from math import ceil

from curriculum.plan import Stage
from curriculum.units import Amount


def step_at_mark(stage: Stage, mark: Amount) -> int | None:
    """Return the step at a mark in tokens, steps, sequences or a share; None of another unit.

    It may lie past the stage's end.
    """
    match mark.unit:
        case "steps":
            return int(mark.value)
        case "share":
            return stage.batch.step_at_tokens(ceil(mark.value * stage.budget.tokens))
        case "tokens":
            return stage.batch.step_at_tokens(ceil(mark.value))
        case "seqs":
            return stage.batch.step_at_seqs(int(mark.value))
        case _:
            return None
