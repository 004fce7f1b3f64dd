"""Outside checkpoints: what they give, and the facts that are known of them"""

from fractions import Fraction

from curriculum.compile_merge import is_known_module
from curriculum.compile_rope_values import rope_of
from curriculum.compile_state import Outside, State
from curriculum.errors import nearest
from curriculum.plan import Checkpoint
from curriculum.spec import CheckpointSpec, Word
from curriculum.units import count_in_words, decimal_words


def outside_of(state: State, name: str, spec: CheckpointSpec) -> Outside:
    """Return an outside checkpoint; facts about modules that it does not give are reported."""
    for word in spec.gives:
        is_known_module(state, word.text, word.span)
    gives = tuple(sorted(word.text for word in spec.gives))
    lr = {
        target: number.value
        for target, number in sorted(spec.lr.items())
        if _is_given(state, name, gives, Word(target, number.span)) and number.value is not None
    }
    ropes = {
        target: rope
        for target, said in sorted((spec.rope or {}).items())
        if _is_given(state, name, gives, Word(target, said.span))
        and not (said.base is not None and said.base.value is None)
        and (rope := rope_of(state, said)) is not None
    }
    stateful = [w.text for w in spec.state if _is_given(state, name, gives, w)]
    seq_len = _seq_len(state, spec)
    if spec.tokens is not None:
        state.became(spec.tokens, count_in_words(spec.tokens.scaled_tokens))
    return Outside(
        name,
        Checkpoint(
            gives,
            spec.path,
            spec.stand_in,
            spec.tokens.scaled_tokens if spec.tokens else None,
            lr,
            ropes,
            seq_len,
            tuple(sorted(stateful)),
        ),
    )


def _is_given(state: State, name: str, gives: tuple[str, ...], word: Word) -> bool:
    if word.text.partition("/")[0] in gives:
        return True
    if not all(state.is_declared("modules", module) for module in gives):
        return False  # told of where it is given
    near = nearest(word.text, gives)
    state.report(
        "checkpoint-fact",
        f"`{name}` says something of `{word.text}`, which it does not give",
        word.span,
        f"did you mean `{near[0]}`?" if near else f"it gives {', '.join(gives) or 'nothing'}",
    )
    return False


def _seq_len(state: State, spec: CheckpointSpec) -> int | None:
    if spec.seq_len is None:
        return None
    seq_len: Fraction = spec.seq_len.amount.value * spec.seq_len.scale.seq_len
    if seq_len.denominator == 1:
        state.became(spec.seq_len, decimal_words(seq_len))
        return int(seq_len)
    state.report(
        "not-whole",
        "the context of this checkpoint, through the proxy's scale, is no whole number of tokens",
        spec.seq_len.span,
        "choose a factor that divides it",
    )
    return None
