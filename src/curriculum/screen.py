"""A plan on one screen of at most 100 columns: stages, totals, and where its values come from"""

from fractions import Fraction
from typing import NamedTuple

from curriculum.composed import ComposedStage
from curriculum.cost import known_flops, stage_flops
from curriculum.cost_words import convention_lines, missing_lines
from curriculum.curve import Curve
from curriculum.models.adapters import PART
from curriculum.paths import in_order, longest_path, path_tokens
from curriculum.plan import Plan, Stage
from curriculum.screen_lines import (
    base_cell,
    batch_lines,
    composed_lines,
    module_lines,
    rope_lines,
)
from curriculum.screen_values import value_lines
from curriculum.short_forms import short_length
from curriculum.text_table import GLUE, Row, laid_out, wrapped
from curriculum.units import rate_in_words, rounded_in_words
from curriculum.usage import epochs
from curriculum.words import STATUSES

HEADS = (
    "stage",
    "tokens",
    "steps",
    " batch",
    "context",
    "RoPE base",
    " LR start > peak > end",
    "epochs",
    "FLOPs",
)
LEFT = (" batch", " LR start > peak > end")


Flops = tuple[int, tuple[str, ...]]
"""The known FLOPs of a stage, and the modules whose cost nobody says."""


class LrFigures(NamedTuple):
    """The learning rate of a target at the stage's start, at its peak and at its end."""

    start: float | None
    peak: float | None
    end: float | None


class Figures(NamedTuple):
    """What is told of a stage beside its sizes."""

    lr: dict[str, LrFigures]
    params: dict[str, int | None]
    epochs: dict[str, Fraction | None]


def stage_figures(plan: Plan) -> dict[str, Figures]:
    """Return the learning rates, trained parameters and epochs of every stage."""
    read = epochs(plan)
    return {
        stage.name: Figures(
            {target: _lr_figures(stage, curve) for target, curve in stage.lr.items()},
            {target: params_of(plan, stage, target) for target in stage.train},
            read[stage.name],
        )
        for stage in plan.stages
    }


def params_of(plan: Plan, stage: Stage, target: str) -> int | None:
    """Return the parameters of a module or a part; None where only the module's are known."""
    module, _, part = target.partition("/")
    shape, adapter = plan.shape_of(stage, module), stage.lifecycle.adapters.get(module)
    adapted = adapter.num_params(shape) if adapter else 0
    if part:
        return adapted if part == PART else shape.params_of(part)
    return shape.num_params() + adapted


def _lr_figures(stage: Stage, curve: Curve | None) -> LrFigures:
    if curve is None:
        return LrFigures(None, None, None)
    corners = curve.corners(stage.steps - 1)
    peak = max(curve.at(step, stage.batch.tokens_before(step)) for step in corners)
    end = curve.at(stage.steps, stage.budget.tokens)
    return LrFigures(curve.at(0, 0), peak, end)


def screen(plan: Plan) -> str:
    """Draw the plan as text."""
    figures = stage_figures(plan)
    flops = {stage.name: known_flops(stage_flops(plan, stage)) for stage in plan.stages}
    rows: list[Row] = []
    for stage in in_order(plan):
        if isinstance(stage, ComposedStage):
            words, *more = composed_lines(plan, stage)
            rows.append(Row(stage.name, words=words, below=tuple(more)))
        else:
            rows.append(_stage_row(plan, stage, figures[stage.name], flops[stage.name]))
    for unknown in plan.unknown:
        asked = "" if unknown.asked_tokens is None else rounded_in_words(unknown.asked_tokens, 4)
        words = f"{asked} unknown: {', '.join(unknown.missing)}"
        rows.append(Row(unknown.name, words=words.strip()))
    head = wrapped(f"{plan.name}  {plan.digest[:12]}")
    totals = [line for words in _totals(plan, list(flops.values())) for line in _told(words)]
    table = laid_out(HEADS, rows, LEFT)
    return "\n".join([*head, "", *table, "", *totals, *value_lines(plan.provenance)])


def _told(words: str) -> list[str]:
    """Wrap a line of the totals behind the spaces that it begins with."""
    return wrapped(words.lstrip(), len(words) - len(words.lstrip()))


def _stage_row(plan: Plan, stage: Stage, figures: Figures, flops: Flops) -> Row:
    pieces = [p for p in stage.batch.pieces if p.first_step < stage.steps]
    known = [x for x in figures.epochs.values() if x is not None]
    total, missing = flops
    partial = "+" if missing else ""
    by_words: dict[str, list[str]] = {}
    for target, lr in figures.lr.items():
        by_words.setdefault(_lr_words(lr), []).append(target)
    (first_words, _), *others = by_words.items()
    cells = (
        rounded_in_words(stage.budget.tokens, 4),
        f"{stage.steps:,}",
        " " + " > ".join(dict.fromkeys(str(p.batch_seqs) for p in (pieces[0], pieces[-1]))),
        short_length(pieces[-1].seq_len),
        base_cell(stage),
        " " + first_words,
        f"{float(max(known)):.3g}" if known else "?",
        f"{total:.1e}".replace("e+", "e") + partial,
    )
    params = {t: "?" if n is None else rounded_in_words(n) for t, n in figures.params.items()}
    trained = ", ".join(f"{target}{GLUE}{words}" for target, words in params.items())
    frozen = [m for m in stage.modules if not any(t.partition("/")[0] == m for t in stage.train)]
    line = f"trains {trained}" + (f"; frozen {', '.join(frozen)}" if frozen else "")
    below = (
        line + ("" if stage.status == "main" else f"; status: {stage.status}"),
        *([] if stage.gate is None else [f"gate: {stage.gate.words}"]),
        *module_lines(plan, stage),
        *(f"LR of {', '.join(t)}: {words}" for words, t in others),
        *rope_lines(stage),
        *batch_lines(stage),
    )
    return Row(stage.name, cells, below=below)


def _lr_words(lr: LrFigures) -> str:
    return " > ".join(rate_in_words(x) for x in (lr.start, lr.peak, lr.end))


def _totals(plan: Plan, flops: list[Flops]) -> list[str]:
    asked = sum(s.budget.tokens for s in plan.stages)
    planned = sum(s.tokens for s in plan.stages)
    steps = sum(s.steps for s in plan.stages)
    words = f"{sum(known for known, _ in flops):.3g}".replace("e+", "e")
    if any(missing for _, missing in flops):
        words += " and more"
    beside = " of the known stages" if plan.unknown else ""
    return [
        f"total{beside}: asked {rounded_in_words(asked, 5)} tokens, planned {planned:,} in "
        f"{steps:,} steps",
        *_path_words(plan, planned),
        f"FLOPs: {words}",
        *(f"       {line}" for line in (*convention_lines(plan), *missing_lines(plan))),
        "epochs: the largest of any source, all ancestors counted",
    ]


def _longest_words(plan: Plan, longest: int | None) -> str:
    """Say how long the longest path is; of paths that are not known, say which are left out."""
    if longest is not None:
        return f"{rounded_in_words(longest, 5)} tokens"
    paths = path_tokens(plan)
    known = [tokens for tokens in paths.values() if tokens is not None]
    unknown = ", ".join(name for name, tokens in paths.items() if tokens is None)
    found = f"{rounded_in_words(max(known), 5)} tokens" if known else "not known"
    return f"{found} (what came before {unknown} is not known)"


def _path_words(plan: Plan, planned: int) -> list[str]:
    """Tell the longest path where not all tokens lie on it, and the sums where statuses differ."""
    lines = []
    longest = longest_path(plan)
    if longest != planned:
        lines.append(
            f"longest path: {_longest_words(plan, longest)}; "
            f"spent in all stages: {rounded_in_words(planned, 5)}"
        )
    sums = {
        status: sum(stage.tokens for stage in plan.stages if stage.status == status)
        for status in STATUSES
    }
    if any(stage.status != "main" for stage in plan.stages):
        parts = (f"{name} {rounded_in_words(tokens, 5)}" for name, tokens in sums.items() if tokens)
        lines.append(f"by status: {', '.join(parts)}")
    return lines
