"""The run as lines of text: one per stage, at most 100 columns, nothing cut

Standard library only; LR and shares are those of the first and the last step.
"""

from collections.abc import Mapping

from curriculum.composed import ComposedStage
from curriculum.cost import known_flops, stage_flops
from curriculum.cost_words import convention_lines
from curriculum.paths import in_order
from curriculum.plan import Plan, Stage
from curriculum.screen_lines import composed_lines
from curriculum.short_forms import short_length
from curriculum.simulate.summary import lr_range, multimodal_range
from curriculum.text_table import Row, laid_out, wrapped
from curriculum.units import rate_in_words, rounded_in_words

HEADS = (
    "stage",
    "steps",
    "tokens",
    " batch x context",
    " LR first > peak > last",
    "not text",
    "FLOPs",
)
LEFT = (" LR first > peak > last",)


def table_of_stages(plan: Plan) -> str:
    """Return a line per stage, at most 100 columns wide: long names stand alone."""
    rows: list[Row] = []
    partly = False
    for stage in in_order(plan):
        if isinstance(stage, ComposedStage):
            words, *more = composed_lines(plan, stage)
            rows.append(Row(stage.name, words=words, below=tuple(more)))
            continue
        flops, missing = known_flops(stage_flops(plan, stage))
        partly = partly or bool(missing)
        rows.append(
            _row(plan, stage, f"{'> ' if missing else ''}{flops:.2e}" if flops else "unknown")
        )
    lines = laid_out(HEADS, rows, LEFT)
    for unknown in plan.unknown:
        lines += wrapped(f"{unknown.name}: not simulated, unknown: {', '.join(unknown.missing)}")
    first, *more = convention_lines(plan)
    lines.append(f"FLOPs: {first}")
    for words in more:
        lines += wrapped(words, len("FLOPs: "))
    if partly:
        lines.append("       (> : the plan does not say how much of some modules' input there is)")
    return "\n".join(lines) + "\n"


def _row(plan: Plan, stage: Stage, flops: str) -> Row:
    first, last = stage.at(0), stage.at(stage.steps - 1)
    shares = multimodal_range(plan, stage)
    by_words: dict[str, list[str]] = {}
    for target, values in lr_range(stage).items():
        by_words.setdefault(_lr(values), []).append(target)
    (words, _), *others = by_words.items()
    cells = (
        f"{stage.steps:,}",
        rounded_in_words(stage.tokens),
        f" {_change(first.batch_seqs, last.batch_seqs)} x "
        f"{_change(short_length(first.seq_len), short_length(last.seq_len))}",
        f" {words}",
        _change(f"{shares[0]:.0%}", f"{shares[1]:.0%}"),
        flops,
    )
    return Row(stage.name, cells, below=tuple(f"LR of {', '.join(t)}: {w}" for w, t in others))


def _lr(values: Mapping[str, float] | None) -> str:
    if values is None:
        return "unknown"
    words = [rate_in_words(value) for value in values.values()]
    return words[0] if len(set(words)) == 1 else " > ".join(words)


def _change(first: object, last: object) -> str:
    return str(first) if first == last else f"{first}-{last}"
