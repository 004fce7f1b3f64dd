"""What whole steps make of the budget of a stage, and of the marks at which its batch changes

All is laid out twice, through the proxy's scale and without: what is measured in steps keeps its
share of its stage.
"""

from dataclasses import dataclass
from math import ceil

from curriculum.batch import Batch, lay_out
from curriculum.compile_batch import Entry, entries_of
from curriculum.compile_state import Kept, State
from curriculum.nodes import UNSCALED
from curriculum.plan import Budget
from curriculum.spec import Quantity, StageSpec
from curriculum.units import LARGEST, count_in_words, decimal_words, rounded_in_words


@dataclass(frozen=True, slots=True)
class Layout:
    """The batch and the steps of a stage, through the proxy's scale and without."""

    budget: Budget
    batch: Batch
    steps: int
    full_batch: Batch
    full_steps: int


def layout_of(state: State, spec: StageSpec, kept: Kept | None) -> Layout | None:
    """Lay out the batch twice, through the proxy's scale and without, and count the steps."""
    assert spec.budget is not None
    if kept and spec.seq_len and spec.batch is None:
        return None  # told of by whoever looks at stages that were refused
    if (entries := entries_of(state, spec, kept, is_scaled=True)) is None:
        return None
    if (full_entries := entries_of(state, spec, kept, is_scaled=False)) is None:
        return None
    asked, full_asked = _asked(spec.budget, entries, full_entries)
    if not _can_be_counted(state, spec, spec.budget[1], asked):
        return None
    full = _marked(full_entries, full_asked, None)
    marked = _marked(entries, asked, full)
    if not _marks_rise(state, spec, marked, asked):
        return None
    batch, full_batch = lay_out(marked), lay_out(full)
    return Layout(
        Budget(_budget_words(spec.budget, asked, batch), asked, spec.round_down),
        batch,
        _steps(batch, asked, spec.round_down),
        full_batch,
        max(1, _steps(full_batch, full_asked, spec.round_down)),
    )


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


def holds_a_step(state: State, spec: StageSpec, layout: Layout) -> bool:
    """Say whether a budget fills a step, and report it where it does not."""
    if layout.steps >= 1:
        return True
    state.report(
        "shorter-than-a-step",
        f"stage `{spec.name.text}` asks for {layout.budget.words}, less than one step "
        f"of {rounded_in_words(layout.batch.pieces[0].tokens_per_step)} tokens",
        spec.budget[1].span if spec.budget else spec.span,
        "ask for more, or make the batch smaller",
    )
    return False


def _asked(
    budget: tuple[str, Quantity], entries: list[Entry], full: list[Entry]
) -> tuple[int, int]:
    """Return the budget in tokens, through the scale and without."""
    unit, quantity = budget
    if unit == "tokens" and quantity.amount.unit == "tokens":
        return quantity.scaled_tokens, ceil(quantity.amount.value)
    value = int(quantity.amount.value)
    if unit == "seqs":
        full_asked = value * full[0][1]
    else:
        full_asked = lay_out(_marked(full, None, None)).tokens_before(value)
    if quantity.scale == UNSCALED:
        laid = lay_out(_marked(entries, None, _marked(full, None, None)))
        return (value * entries[0][1] if unit == "seqs" else laid.tokens_before(value)), full_asked
    return ceil(full_asked * quantity.scale.tokens), full_asked


Marked = list[tuple[int, int, int | None]]


def _marked(entries: list[Entry], asked: int | None, full: Marked | None) -> Marked:
    """Turn the marks of the entries into tokens of the stage.

    `full` are the entries without the proxy's scale; None if `entries` themselves are.
    """
    marked: Marked = []
    for index, (seqs, seq_len, until) in enumerate(entries):
        mark = None
        if until is not None:
            whole = None if full is None else full[index][2]
            mark = _mark_tokens(until, marked, seqs * seq_len, asked, whole)
        marked.append((seqs, seq_len, mark))
    return marked


def _mark_tokens(
    until: Quantity, before: Marked, per_step: int, asked: int | None, full: int | None
) -> int:
    amount = until.amount
    if amount.unit == "share":
        return ceil(amount.value * (asked or 0))
    if amount.unit == "tokens":
        return ceil(amount.value) if full is None else until.scaled_tokens
    if full is not None and until.scale != UNSCALED:
        return ceil(full * until.scale.tokens)  # a mark in steps keeps its place in the stage
    so_far = lay_out([*before, (1, per_step, None)]).pieces[-1]
    return so_far.tokens_before + (int(amount.value) - so_far.first_step) * per_step


def _marks_rise(state: State, spec: StageSpec, marked: Marked, asked: int) -> bool:
    """Hold that every piece of the batch has a step: nothing that was said goes unread."""
    assert spec.budget is not None
    tokens = 0
    for (seqs, seq_len, mark), piece in zip(marked, spec.batch or (), strict=False):
        until = piece.until
        if until is None or mark is None:
            return True
        per_step = seqs * seq_len
        end = tokens - (tokens - mark) // per_step * per_step
        wrong = None
        if until.amount.unit == "share" and spec.budget[0] != "tokens":
            wrong = (
                f"a share of a budget in {spec.budget[0]} is no mark of the batch",
                "write `until: step N` or tokens",
            )
        elif mark <= tokens:
            wrong = (
                f"this piece of the batch ends at {rounded_in_words(max(mark, 0))} tokens, "
                f"before its first step at {rounded_in_words(tokens)}",
                "let the marks rise by a step at least, or leave the piece out",
            )
        elif end >= asked:
            wrong = (
                f"stage `{spec.name.text}` ends at {rounded_in_words(asked)} tokens, "
                "before the next piece of its batch",
                "move the mark, or leave the next piece out",
            )
        if wrong is not None:
            message, way_out = wrong
            state.report("batch-mark", message, until.span, way_out)
            return False
        tokens = end
    return True


def _steps(batch: Batch, asked: int, round_down: bool) -> int:
    steps = batch.step_at_tokens(asked)
    return steps - 1 if round_down and batch.tokens_before(steps) > asked else steps


def _budget_words(budget: tuple[str, Quantity], asked: int, batch: Batch) -> str:
    unit, quantity = budget
    steps, seq_len = batch.step_at_tokens(asked), batch.pieces[0].seq_len
    if quantity.scale != UNSCALED and unit == "steps" and batch.tokens_before(steps) == asked:
        return f"{steps} steps"
    if quantity.scale != UNSCALED and unit == "seqs" and asked % seq_len == 0:
        return f"{asked // seq_len} seqs"
    if quantity.scale != UNSCALED or unit == "tokens":
        return f"{count_in_words(asked)} tokens"
    return f"{decimal_words(quantity.amount.value)} {unit}"
