"""Rules about long contexts: that a new RoPE is read, and that documents stay apart"""

from collections.abc import Iterator

from curriculum.check.model_rules import rope_of, stages_before
from curriculum.check.places import first_place, related_place, rope_place
from curriculum.errors import Diagnostic, Severity
from curriculum.plan import Plan, Stage
from curriculum.rope import Rope
from curriculum.units import decimal_words

LONG_TOKENS = 32 * 1024
"""From this context on sequences hold many documents that have nothing to do with each other."""


def rope_changes_are_read(plan: Plan) -> Iterator[Diagnostic]:
    """A stage that raises the RoPE base of a module, or stretches it, reads longer sequences than
    the stage it comes from, or says what it prepares for (`target_seq_len`), or a stage after it
    does at that RoPE."""
    furthest = _furthest(plan)
    for stage in plan.stages:
        for module, rope in stage.rope.items():
            for parent, step in stages_before(plan, stage, module):
                before = rope_of(parent, module)
                if before is None or not _is_stretched(before, rope):
                    continue
                read = max(seq_len for _, seq_len in parent.batch.contexts(max(step, 1)))
                if furthest[stage.name, module] > read:
                    continue
                yield Diagnostic(
                    "rope-changes-are-read",
                    f"stage `{stage.name}` gives `{module}` the RoPE {_words(rope)} for "
                    f"{_words(before)}, and reads nothing longer than the {read:,} tokens of "
                    f"`{parent.name}`",
                    rope_place(plan, stage, module),
                    "grow `seq_len`, say the `target_seq_len` that it prepares for, or leave RoPE "
                    "as it was",
                    Severity.WARNING,
                    related_place(plan, "as it was", f"stages.{parent.name}.rope"),
                )
                break


def long_contexts_keep_documents_apart(plan: Plan) -> Iterator[Diagnostic]:
    """Sequences of 32Ki tokens and more do not let attention cross from one document into the
    next (`packing: concat-across`)."""
    for stage in plan.stages:
        module = stage.count
        if not _crosses(stage, stage.steps) or plan.modules[module].shape.kind != "llm":
            continue
        if any(_crosses(parent, step) for parent, step in stages_before(plan, stage, module)):
            continue
        longest = max(seq_len for _, seq_len in stage.batch.contexts(stage.steps))
        yield Diagnostic(
            "long-contexts-keep-documents-apart",
            f"stage `{stage.name}` packs documents across into sequences of {longest:,} tokens: "
            "most of what a token attends to is of other documents",
            first_place(plan, *(f"stages.{stage.name}.{key}" for key in ("packing", "seq_len"))),
            "say `packing: concat` or `best-fit`, which keep documents apart",
            Severity.WARNING,
        )


def _crosses(stage: Stage, step: int) -> bool:
    long = any(seq_len >= LONG_TOKENS for _, seq_len in stage.batch.contexts(max(step, 1)))
    return long and stage.packing == "concat-across"


def _furthest(plan: Plan) -> dict[tuple[str, str], int]:
    """Return how long sequences are, by stage and module, in it and in all after it at its RoPE."""
    found: dict[tuple[str, str], int] = {}
    for stage in reversed(plan.stages):
        longest = max(seq_len for _, seq_len in stage.batch.contexts(stage.steps))
        for module, rope in stage.rope.items():
            here = max(found.get((stage.name, module), 0), longest, stage.target_seq_len or 0)
            found[stage.name, module] = here
            for parent, _ in stages_before(plan, stage, module):
                if parent.rope.get(module) == rope:
                    found[parent.name, module] = max(found.get((parent.name, module), 0), here)
    return found


def _is_stretched(before: Rope, now: Rope) -> bool:
    """Say whether a RoPE turns slower than the one before, but for the context that it is told."""
    if before.base is None or now.base is None or before.at_context(1) == now.at_context(1):
        return False
    return now.base > before.base or (now.base == before.base and now.scaling is not None)


def _words(rope: Rope) -> str:
    assert rope.base is not None
    base, scaling = decimal_words(rope.base), rope.scaling
    stretched = f" with {scaling.kind} by {decimal_words(scaling.factor)}" if scaling else ""
    return f"base {base}{stretched}"
