"""The run as lines of text: one per stage, at most 100 columns, nothing cut

Standard library only; batch, context, LR and shares are those of the first and the last step.
"""

from collections.abc import Mapping

from curriculum.composed import ComposedStage
from curriculum.cost import known_flops, stage_flops
from curriculum.cost_words import convention_lines, missing_lines
from curriculum.paths import in_order
from curriculum.plan import Plan, Stage
from curriculum.screen_lines import composed_lines
from curriculum.short_forms import short_length
from curriculum.simulate.summary import lr_range, multimodal_range
from curriculum.text_table import WIDTH, Row, laid_out, wrapped
from curriculum.units import rate_in_words, rounded_in_words

HEADS = ("stage", "steps", "tokens", "batch", "context", "  LR first > peak > last")
LEFT = ("  LR first > peak > last",)
NOT_TEXT = "not text"
FLOPS = "FLOPs: "
LEAST_WIDTH = 60


def table_of_stages(plan: Plan, width: int = WIDTH) -> str:
    """Return a line per stage, at most `width` columns wide: long names stand alone."""
    width = min(max(width, LEAST_WIDTH), WIDTH)
    shares = {stage.name: multimodal_range(plan, stage) for stage in plan.stages}
    flops = {stage.name: known_flops(stage_flops(plan, stage)) for stage in plan.stages}
    with_images = any(share for pair in shares.values() for share in pair)
    rows: list[Row] = []
    for stage in in_order(plan):
        if isinstance(stage, ComposedStage):
            words, *more = composed_lines(plan, stage)
            rows.append(Row(stage.name, words=words, below=tuple(more)))
            continue
        first, last = (f"{share:.0%}" for share in shares[stage.name])
        not_text = (_change(first, last),) if with_images else ()
        rows.append(_row(stage, not_text, _flops([flops[stage.name]])))
    if len(plan.stages) > 1:
        steps = sum(stage.steps for stage in plan.stages)
        tokens = rounded_in_words(sum(stage.tokens for stage in plan.stages))
        blank = ("",) * (4 if with_images else 3)
        rows.append(Row("in all", (f"{steps:,}", tokens, *blank, _flops(list(flops.values())))))
    heads = (*HEADS, *((NOT_TEXT,) if with_images else ()), "FLOPs")
    lines = laid_out(heads, rows, LEFT, width)
    for unknown in plan.unknown:
        missing = ", ".join(unknown.missing)
        lines += wrapped(f"{unknown.name}: not simulated, unknown: {missing}", width=width)
    for i, words in enumerate((*convention_lines(plan), *missing_lines(plan))):
        lines += wrapped(words, len(FLOPS), "" if i else FLOPS, width)
    if with_images:
        lines += wrapped(
            f"{NOT_TEXT}: share of tokens from sources of images or video", width=width
        )
    return "\n".join(lines) + "\n"


def _flops(counts: list[tuple[int, tuple[str, ...]]]) -> str:
    known = sum(count for count, _ in counts)
    more = "+" if any(missing for _, missing in counts) else ""
    return f"{known:.2e}{more}".replace("e+", "e") if known else "unknown"


def _row(stage: Stage, not_text: tuple[str, ...], flops: str) -> Row:
    first, last = stage.at(0), stage.at(stage.steps - 1)
    by_words: dict[str, list[str]] = {}
    for target, values in lr_range(stage).items():
        by_words.setdefault(_lr(values), []).append(target)
    (words, _), *others = by_words.items()
    cells = (
        f"{stage.steps:,}",
        rounded_in_words(stage.tokens),
        _change(f"{first.batch_seqs:,}", f"{last.batch_seqs:,}"),
        _change(short_length(first.seq_len), short_length(last.seq_len)),
        f"  {words}",
        *not_text,
        flops,
    )
    return Row(stage.name, cells, below=tuple(f"LR of {', '.join(t)}: {w}" for w, t in others))


def _lr(values: Mapping[str, float] | None) -> str:
    if values is None:
        return "unknown"
    words = [rate_in_words(value) for value in values.values()]
    return words[0] if len(set(words)) == 1 else " > ".join(words)


def _change(first: str, last: str) -> str:
    return first if first == last else f"{first} > {last}"
