"""What one step of a stage may hold: no more than the stage asks for, and a batch that was meant"""

from fractions import Fraction

from curriculum.compile_budget import Laid
from curriculum.compile_size import binary_words
from curriculum.compile_state import State
from curriculum.errors import Related
from curriculum.nodes import UNSCALED
from curriculum.spec import BatchSpec, Quantity, RampSpec, StageSpec
from curriculum.units import rounded_in_words

LARGEST_STEP = 2**30
"""Tokens of a step; the largest that was published takes an eighth of it (MiniMax-Text-01)."""


def holds_a_step(state: State, spec: StageSpec, laid: Laid) -> bool:
    """Say whether a budget fills a step that somebody meant, and report it where it does not."""
    assert spec.budget is not None
    unit, quantity = spec.budget
    asked = laid.budget.tokens if unit in ("tokens", "seqs") else None
    for piece, entry in zip(spec.batch or (), laid.entries, strict=False):
        if (size := _meant_in_tokens(piece, entry.seq_len, asked)) is not None:
            seqs = int(size.amount.value * size.scale.seqs)
            held = rounded_in_words(seqs * entry.seq_len)
            state.report(
                "step-too-large",
                f"{seqs:,} sequences of {entry.seq_len:,} are {held} tokens a step",
                size.span,
                f"did you mean `tokens: {_near_words(seqs, entry.seq_len)}`?"
                if seqs >= entry.seq_len
                else "make the batch smaller",
            )
            return False
    first = laid.batch.pieces[0]
    is_mark = unit == "until" and quantity.amount.unit == "tokens"
    said = quantity.scaled_tokens if is_mark else asked
    if laid.steps >= 1 and (said is None or said >= first.tokens_per_step):
        return True
    number, way_out = int(quantity.amount.value), "ask for more, or make the batch smaller"
    if quantity.scale != UNSCALED:
        way_out = "ask for more in the overlay, or make the batch smaller"
    elif (unit == "tokens" or is_mark) and not spec.round_down and number > 1:
        way_out = f"did you mean `{f'until: step {number}' if is_mark else f'steps: {number}'}`?"
    step = f"{rounded_in_words(first.tokens_per_step)} tokens"
    state.report(
        "shorter-than-a-step",
        f"stage `{spec.name.text}` asks for {laid.budget.words}, less than one step of "
        f"{f'{first.batch_seqs:,} sequences' if unit == 'seqs' else step}",
        quantity.span,
        way_out,
        (Related("the batch", spec.batch[0].span),) if spec.batch else (),
    )
    return False


def _meant_in_tokens(piece: BatchSpec, seq_len: int, asked: int | None) -> Quantity | None:
    """Return a size in sequences that was most likely meant in tokens."""
    size = piece.size.end if isinstance(piece.size, RampSpec) else piece.size
    if piece.unit != "seqs" or size is None:
        return None
    seqs = size.amount.value * size.scale.seqs
    is_less = asked is not None and seq_len <= seqs <= asked < seqs * seq_len
    return size if is_less or seqs * seq_len > LARGEST_STEP else None


def _near_words(tokens: int, seq_len: int) -> str:
    """Write the whole sequences next to a number of tokens: a power of two where that is near."""
    near = max(1, round(Fraction(tokens, seq_len)))
    power = 1 << (near.bit_length() - 1)
    power = min((power, 2 * power), key=lambda n: abs(n - near))
    is_near = abs(power * seq_len - tokens) * 10 < tokens
    return binary_words((power if is_near else near) * seq_len)
