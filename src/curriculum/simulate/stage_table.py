"""The run as lines of text: one per stage, at most 100 columns

Standard library only; LR and shares are those of the first and the last step.
"""

from collections.abc import Mapping

from curriculum.cost import CONVENTION, known_flops, stage_flops, without_attention
from curriculum.plan import Plan
from curriculum.simulate.summary import lr_range, multimodal_range
from curriculum.units import rate_in_words, rounded_in_words

WIDTH = 100


def table_of_stages(plan: Plan) -> str:
    """Return a line per stage, at most 100 columns wide: long names give way."""
    heads = ("stage", "steps", "tokens", "batch x context", "LR first > peak > last")
    rows = [(*heads, "not text", "FLOPs")]
    partly = False
    for stage in plan.stages:
        first, last = stage.at(0), stage.at(stage.steps - 1)
        flops, missing = known_flops(stage_flops(plan, stage))
        partly = partly or bool(missing)
        shares = multimodal_range(plan, stage)
        ranges = {_lr(r) for r in lr_range(stage).values()}
        rows.append(
            (
                stage.name,
                f"{stage.steps:,}",
                rounded_in_words(stage.tokens),
                f"{_change(first.batch_seqs, last.batch_seqs)} x "
                f"{_change(first.seq_len, last.seq_len)}",
                ranges.pop() if len(ranges) == 1 else f"{len(ranges)} LRs",
                _change(f"{shares[0]:.0%}", f"{shares[1]:.0%}"),
                f"{'> ' if missing else ''}{flops:.2e}" if flops else "unknown",
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(heads) + 2)]
    rest = sum(widths[1:]) + 2 * len(widths) - 2
    widths[0] = min(widths[0], max(8, WIDTH - rest))
    left = (True, False, False, False, True, False, False)
    lines = [
        "  ".join(
            text[:width].ljust(width) if is_left else text.rjust(width)
            for text, width, is_left in zip(row, widths, left, strict=True)
        ).rstrip()
        for row in rows
    ]
    for unknown in plan.unknown:
        lines.append(f"{unknown.name}: not simulated, unknown: {', '.join(unknown.missing)}")
    lines.append(f"FLOPs: {CONVENTION}")
    if lacking := ", ".join(without_attention(plan)):
        lines.append(f"       without the attention of {lacking}: no heads and layers are said")
    if partly:
        lines.append("       (> : the plan does not say how much of some modules' input there is)")
    return "\n".join(lines) + "\n"


def _lr(values: Mapping[str, float] | None) -> str:
    if values is None:
        return "unknown"
    words = [rate_in_words(value) for value in values.values()]
    return words[0] if len(set(words)) == 1 else " > ".join(words)


def _change(first: object, last: object) -> str:
    return str(first) if first == last else f"{first}-{last}"
