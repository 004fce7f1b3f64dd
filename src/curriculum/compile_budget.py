"""What whole steps make of the budget of a stage, and of the marks at which its batch changes

Steps and sequences that are said below a proxy's scale are the tokens that they are there, through
the scale.
"""

from collections.abc import Callable, Mapping
from math import ceil
from typing import NamedTuple

from curriculum.batch import Batch, Ramp, RampShape, lay_out
from curriculum.batch import Entry as Marked
from curriculum.compile_asked import asked_of
from curriculum.compile_batch import Entry, entries_of
from curriculum.compile_state import Kept, State
from curriculum.extent import unknown_share
from curriculum.nodes import UNSCALED
from curriculum.plan import Budget, Start
from curriculum.short_forms import short_length
from curriculum.spec import Quantity, StageSpec
from curriculum.units import LARGEST, count_in_words, decimal_words, rounded_in_words


class Laid(NamedTuple):
    """The batch and the steps of a stage."""

    budget: Budget
    batch: Batch
    steps: int
    entries: list[Entry]


class _Unknown(Exception):
    """A length in steps is a share of a stage that nobody knows; it was reported."""


def laid_of(
    state: State, spec: StageSpec, kept: Kept | None, init: Mapping[str, Start], count: str | None
) -> Laid | None:
    """Lay out the batch, and count the steps."""
    assert spec.budget is not None
    if kept and spec.seq_len and spec.batch is None:
        return None  # told of by whoever looks at stages that were refused
    if (entries := entries_of(state, spec, kept)) is None:
        return None
    unit, quantity = spec.budget
    found: int | Quantity | None = quantity
    if unit in ("epochs", "until"):
        found = asked_of(state, spec, init, count)
        unit = "steps" if isinstance(found, Quantity) else "tokens"
    if found is None:
        return None

    def below(said: Quantity, unit: str) -> int:
        return _tokens_below(state, spec, said, unit)

    try:
        asked = found if isinstance(found, int) else _asked(unit, found, entries, below)
        if not _can_be_counted(state, spec, quantity, asked):
            return None
        marked = _marked(entries, asked, below)
    except _Unknown:
        return None
    if not _marks_rise(state, spec, marked, asked):
        return None
    batch = lay_out(marked)
    words = _budget_words(spec.budget, asked, batch)
    state.became(quantity, words.removesuffix(" tokens"))
    for piece, entry in zip(spec.batch or (), marked, strict=False):
        if piece.until is not None and piece.until.amount.unit != "share":
            state.became(piece.until, count_in_words(_end_of(entry) or 0))
    return Laid(
        Budget(words, asked, spec.round_down),
        batch,
        _steps(batch, asked, spec.round_down),
        entries,
    )


def _tokens_below(state: State, spec: StageSpec, said: Quantity, unit: str) -> int:
    """Return what steps or sequences of a stage are in tokens below a scale, through it."""
    draft = state.draft_below(spec.name.text, said.scale)
    if draft is None:
        state.report(*unknown_share(spec.name.text, said))
        raise _Unknown
    return ceil(_tokens_at(draft.batch, unit, int(said.amount.value)) * said.scale.tokens)


def _can_be_counted(state: State, spec: StageSpec, budget: Quantity, asked: int) -> bool:
    if asked < LARGEST:
        return True
    state.report(
        "wrong-value",
        f"stage `{spec.name.text}` asks for {rounded_in_words(asked)} tokens, "
        "more than a plan can count (below 1e18)",
        budget.span,
    )
    return False


Below = Callable[[Quantity, str], int]
"""What steps or `seqs` that are said below a scale are in tokens here."""


def _asked(unit: str, quantity: Quantity, entries: list[Entry], below: Below) -> int:
    """Return the budget in tokens."""
    if unit == "tokens":
        return quantity.scaled_tokens
    if quantity.scale != UNSCALED:
        return below(quantity, unit)
    return _tokens_at(lay_out(_marked(entries, None, below)), unit, int(quantity.amount.value))


def _tokens_at(batch: Batch, unit: str, value: int) -> int:
    return batch.tokens_at_seqs(value) if unit == "seqs" else batch.tokens_before(value)


Marks = list[Marked | Ramp]
"""The pieces of the batch, their marks in tokens of the stage."""


def _marked(entries: list[Entry], asked: int | None, below: Below) -> Marks:
    """Turn the marks of the entries into tokens of the stage."""
    marked: Marks = []
    for entry in entries:
        mark = None
        if entry.until is not None:
            mark = _mark_tokens(entry, entry.until, marked, asked, below)
        if entry.climb is None:
            marked.append((entry.batch_seqs, entry.seq_len, mark))
            continue
        assert mark is not None
        start = (_end_of(marked[-1]) or 0) if marked else 0
        shape: RampShape = "linear" if entry.climb.is_linear else "increments"
        first, last, by = entry.batch_seqs, entry.climb.last_seqs, entry.climb.by_seqs
        marked.append(Ramp(shape, first, last, by, entry.seq_len, start, max(start, mark)))
    return marked


def _end_of(entry: Marked | Ramp) -> int | None:
    return entry.until_tokens if isinstance(entry, Ramp) else entry[2]


def _mark_tokens(
    entry: Entry, until: Quantity, before: Marks, asked: int | None, below: Below
) -> int:
    amount = until.amount
    if amount.unit == "share":
        return ceil(amount.value * (asked or 0))
    if amount.unit == "tokens":
        return until.scaled_tokens
    if until.scale != UNSCALED:
        return below(until, "steps")
    so_far = lay_out([*before, (1, 1, None)]).pieces[-1]
    steps = int(amount.value) - so_far.first_step
    return so_far.tokens_before + steps * entry.batch_seqs * entry.seq_len


def _marks_rise(state: State, spec: StageSpec, marked: Marks, asked: int) -> bool:
    """Hold that every piece of the batch has a step: nothing that was said goes unread."""
    assert spec.budget is not None
    tokens = 0
    for index, piece in enumerate(spec.batch or ()):
        entry, until = marked[index], piece.until
        mark = _end_of(entry)
        if until is None or mark is None:
            return True
        what = "ramp" if isinstance(entry, Ramp) else "piece"
        end = _end_step_tokens(marked[: index + 1], tokens)
        wrong = None
        seqs, seq_len = (entry.first_seqs, entry.seq_len) if isinstance(entry, Ramp) else entry[:2]
        step_tokens, number = seqs * seq_len, int(until.amount.value)
        if until.amount.unit == "tokens" and until.scaled_tokens < step_tokens:
            in_steps = what == "piece" and until.scale == UNSCALED
            wrong = (
                f"{until.scaled_tokens:,} tokens are less than a step of "
                f"{short_length(step_tokens)} tokens",
                f"did you mean `step {number}`?" if in_steps else "let it run for more",
            )
        elif until.amount.unit == "share" and (unit := _counted_by_batch(spec.budget)):
            wrong = (
                f"a share of a budget in {unit} is no mark of the batch",
                "write `until: step N` or tokens",
            )
        elif mark <= tokens:
            wrong = (
                f"this {what} of the batch ends at {rounded_in_words(max(mark, 0))} tokens, "
                f"before its first step at {rounded_in_words(tokens)}",
                "let the marks rise by a step at least, or leave the piece out",
            )
        elif end >= asked:
            after = (
                "the last level of its ramp" if what == "ramp" else "the next piece of its batch"
            )
            wrong = (
                f"stage `{spec.name.text}` ends at {rounded_in_words(asked)} tokens, "
                f"before {after}",
                "move the mark, or leave the next piece out",
            )
        if wrong is not None:
            message, way_out = wrong
            state.report("batch-mark", message, until.span, way_out)
            return False
        tokens = end
    return True


def _end_step_tokens(marked: Marks, tokens: int) -> int:
    """Return the tokens at the first step at or after the last mark; `tokens` at its start."""
    last = marked[-1]
    if isinstance(last, Ramp):
        return lay_out([*marked, (1, 1, None)]).pieces[-1].tokens_before
    seqs, seq_len, mark = last
    assert mark is not None
    return tokens - (tokens - mark) // (seqs * seq_len) * seqs * seq_len


def _counted_by_batch(budget: tuple[str, Quantity]) -> str | None:
    """Return the unit of a budget of which the batch says how many tokens it has."""
    unit = budget[1].amount.unit if budget[0] == "until" else budget[0]
    return unit if unit in ("steps", "seqs") else None


def _steps(batch: Batch, asked: int, round_down: bool) -> int:
    steps = batch.step_at_tokens(asked)
    return steps - 1 if round_down and batch.tokens_before(steps) > asked else steps


def _budget_words(budget: tuple[str, Quantity], asked: int, batch: Batch) -> str:
    unit, quantity = budget
    if unit == "until":  # what is left of it, in the unit of the mark
        unit = quantity.amount.unit
        steps = batch.step_at_tokens(asked)
        return f"{steps} steps" if unit == "steps" else f"{count_in_words(asked)} tokens"
    steps, seq_len = batch.step_at_tokens(asked), batch.pieces[0].seq_len
    if quantity.scale != UNSCALED and unit == "steps" and batch.tokens_before(steps) == asked:
        return f"{steps} steps"
    if quantity.scale != UNSCALED and unit == "seqs" and asked % seq_len == 0:
        return f"{asked // seq_len} seqs"
    if unit == "epochs":
        return f"{quantity.amount}"
    if quantity.scale != UNSCALED or unit == "tokens":
        return f"{count_in_words(asked)} tokens"
    return f"{decimal_words(quantity.amount.value)} {unit}"
