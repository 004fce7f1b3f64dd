"""Advice about contexts: what a RoPE base reaches, and how much is read at the longest"""

import itertools
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache

from curriculum.check.model_rules import stages_before
from curriculum.check.places import BUDGETS, first_place, related_place, rope_place
from curriculum.errors import Diagnostic, Severity
from curriculum.plan import Plan, Stage
from curriculum.rope import Rope, first_negative_distance, inv_freq_of_base
from curriculum.units import decimal_words, rounded_in_words

LEAST_SHARE = Fraction(1, 1000)
"""Of all tokens, what is little to learn a longer context from."""

LEAST_DIM = 64
"""Heads of fewer dimensions are a proxy's: no published model turns them."""

FURTHEST = 1 << 20
"""Distances are looked at up to here, in tokens."""

_BELOW = "Llama 2, Llama 3.1, DeepSeek-V3"

DIGITS = (1, 2, 5)
"""Bases to propose are these, times powers of ten."""


def rope_bases_reach_their_context(plan: Plan) -> Iterator[Diagnostic]:
    """A stage that reads longer sequences than the one before it has a RoPE at which a similar
    token gets more attention than a random one at every distance within them.

    That is so where the sum of the cosines of all pairs is above 0. Llama 2, Llama 3.1 and
    DeepSeek-V3 do not keep it, and work.
    """
    told: set[tuple[str, Rope]] = set()
    for stage in plan.stages:
        context = min(max(seq_len for _, seq_len in stage.batch.contexts(stage.steps)), FURTHEST)
        for name, rope in stage.rope.items():
            module = name.partition("/")[0]
            dim = plan.shape_of(stage, module).rope_head_dim
            if rope.base is None or dim < LEAST_DIM or (name, rope) in told:
                continue
            if context <= _read_before(plan, stage, name):
                continue
            distance = _first_negative(tuple(rope.inv_freq(dim)), context)
            if distance is None:
                continue
            told.add((name, rope))
            scaled = f" with {rope.scaling.kind} scaling" if rope.scaling is not None else ""
            yield Diagnostic(
                "rope-bases-reach-their-context",
                f"stage `{stage.name}` reads {context:,} tokens, and at a RoPE base of "
                f"{decimal_words(rope.base)}{scaled} a similar token {distance:,} tokens away gets "
                f"no more of `{name}`'s attention than a random one",
                rope_place(plan, stage, name),
                _larger(rope, dim, context),
                Severity.INFO,
            )


def _read_before(plan: Plan, stage: Stage, module: str) -> int:
    """Return the longest context of the stages that a module comes from; of none, the most."""
    read = [
        seq_len
        for parent, step in stages_before(plan, stage, module)
        for _, seq_len in parent.batch.contexts(max(step, 1))
    ]
    return max(read, default=FURTHEST)


def longest_contexts_are_read(plan: Plan) -> Iterator[Diagnostic]:
    """At least 0.1 % of all tokens are read in sequences as long as the longest."""
    read: dict[int, int] = {}
    first: dict[int, Stage] = {}
    for stage in plan.stages:
        if stage.status != "main" or plan.modules[stage.count].shape.kind != "llm":
            continue
        changes = [*stage.batch.contexts(stage.steps), (stage.steps, 0)]
        for (begin, seq_len), (end, _) in itertools.pairwise(changes):
            tokens = stage.batch.tokens_before(end) - stage.batch.tokens_before(begin)
            read[seq_len] = read.get(seq_len, 0) + tokens
            first.setdefault(seq_len, stage)
    total = sum(read.values())
    for seq_len in sorted(read):
        tokens = sum(count for length, count in read.items() if length >= seq_len)
        if tokens >= LEAST_SHARE * total:
            continue
        stage = first[seq_len]
        yield Diagnostic(
            "longest-contexts-are-read",
            f"{rounded_in_words(tokens)} of {rounded_in_words(total)} tokens are read in sequences "
            f"of {seq_len:,}, which stage `{stage.name}` brings in: less than 0.1 %",
            first_place(plan, *(f"stages.{stage.name}.{key}" for key in BUDGETS)),
            "read more of them, if the model should use that context",
            Severity.INFO,
            related_place(plan, "the context", f"stages.{stage.name}.seq_len"),
        )
        return


@lru_cache(maxsize=256)
def _first_negative(speeds: tuple[float, ...], limit: int) -> int | None:
    return first_negative_distance(speeds, limit)


@lru_cache(maxsize=256)
def _larger(rope: Rope, dim: int, context: int) -> str:
    """Propose the first of some round bases that would do; there is none where it is scaled."""
    base = rope.base
    assert base is not None
    if rope.scaling is None:
        candidates = (digit * 10**power for power in range(3, 10) for digit in DIGITS)
        for larger in candidates:
            speeds = tuple(inv_freq_of_base(float(larger), dim))
            if larger > base and _first_negative(speeds, context) is None:
                return f"{larger:_} would be large enough; models below it work too ({_BELOW})"
    return f"models of which that is true work too ({_BELOW})"
