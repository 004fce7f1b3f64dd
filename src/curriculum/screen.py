"""A plan on one screen of at most 100 columns: stages, totals, and where its values come from"""

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from curriculum.composed import ComposedStage, Share
from curriculum.cost import CONVENTION, known_flops, stage_flops, without_attention
from curriculum.curve import Curve
from curriculum.models.adapters import PART
from curriculum.paths import in_order, longest_path
from curriculum.plan import Plan, Provenance, Stage, Start
from curriculum.rope import Rope
from curriculum.rope_scaling import DynamicNtk, Llama3, LongRope, Yarn
from curriculum.units import decimal_words, rate_in_words, rounded_in_words
from curriculum.usage import epochs
from curriculum.words import STATUSES

WIDTH = 100
MOST_NAMED = 60  # columns of the parents of an average: more are counted, not named
NAME_WIDTH = 11  # a longer name stands on a line of its own
BATCH_WIDTH = 11


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
    widest = max((len(s.name) for s in plan.all_stages), default=5)
    name_width = min(max(widest, 5), NAME_WIDTH)
    lines = [f"{plan.name}  {plan.digest[:12]}", "", _header(name_width)]
    figures = stage_figures(plan)
    for stage in in_order(plan):
        if isinstance(stage, ComposedStage):
            lines += _composed_lines(plan, stage, name_width)
        else:
            lines += _stage_lines(plan, stage, figures[stage.name], name_width)
    for unknown in plan.unknown:
        asked = "?" if unknown.asked_tokens is None else rounded_in_words(unknown.asked_tokens, 4)
        lines.append(
            f"{unknown.name:<{name_width}} {asked:>7} unknown: {', '.join(unknown.missing)}"
        )
    lines += ["", *_totals(plan), *_provenance(plan.provenance)]
    return "\n".join(line[:WIDTH].rstrip() for line in lines)


def _header(width: int) -> str:
    return (
        f"{'stage':<{width}} {'tokens':>6} {'steps':>8}  {'batch':<11} {'context':>7} "
        f"{'RoPE base':>9}  {'LR start > peak > end':<27} {'epochs':>6} {'FLOPs':>7}"
    )


def _stage_lines(plan: Plan, stage: Stage, figures: Figures, width: int) -> list[str]:
    pieces = [p for p in stage.batch.pieces if p.first_step < stage.steps]
    batch = " > ".join(dict.fromkeys(str(p.batch_seqs) for p in (pieces[0], pieces[-1])))
    if len(batch) > BATCH_WIDTH:
        batch = batch.replace(" ", "")
    bases = {_base_words(rope) for rope in stage.rope.values()}
    known = [x for x in figures.epochs.values() if x is not None]
    most = f"{float(max(known)):.3g}" if known else "?"
    total, missing = known_flops(stage_flops(plan, stage))
    partial = "+" if missing else ""
    by_words: dict[str, list[str]] = {}
    for target, lr in figures.lr.items():
        by_words.setdefault(_lr_words(lr), []).append(target)
    (first_words, _), *others = by_words.items()
    long = len(stage.name) > width
    lines = [stage.name] if long else []
    lines.append(
        f"{'' if long else stage.name:<{width}} {rounded_in_words(stage.budget.tokens, 4):>6} "
        f"{stage.steps:>8,}  {batch:<{BATCH_WIDTH}} {pieces[-1].seq_len:>7,} "
        f"{', '.join(sorted(bases)) or '-':>9}  {first_words:<27} {most:>6} "
        f"{f'{total:.1e}'.replace('e+', 'e') + partial:>7}"
    )
    params = {t: "?" if n is None else rounded_in_words(n) for t, n in figures.params.items()}
    trained = ", ".join(f"{target} {words}" for target, words in params.items())
    frozen = [m for m in stage.modules if not any(t.partition("/")[0] == m for t in stage.train)]
    line = f"{'':<{width}} trains {trained}"
    line += f"; frozen {', '.join(frozen)}" if frozen else ""
    lines.append(line + ("" if stage.status == "main" else f"; status: {stage.status}"))
    lines += [f"{'':<{width}} {words}" for words in _module_words(plan, stage)]
    lines += [f"{'':<{width}} LR of {', '.join(t)}: {words}" for words, t in others]
    return lines + [
        f"{'':<{width}} {words}" for words in (*_rope_lines(stage), *_batch_words(stage))
    ]


def _base_words(rope: Rope) -> str:
    return "none" if rope.base is None else f"{float(rope.base):,.10g}"


def _rope_lines(stage: Stage) -> list[str]:
    """Say what no column of bases shows: parts, scalings, and the context prepared for."""
    by_words: dict[str, list[str]] = {}
    for name, rope in stage.rope.items():
        words = _base_words(rope)
        if (scaling := rope.scaling) is not None:
            words += f", {scaling.kind} x{float(scaling.factor):g}"
            if isinstance(scaling, DynamicNtk | Llama3 | Yarn | LongRope):
                words += f" of {scaling.original:,}"
        if rope.attention_factor != 1:
            words += f", attention x{rope.attention_factor:.6g}"
        if rope.scaling is not None or "/" in name:
            by_words.setdefault(words, []).append(name)
    lines = [f"RoPE of {', '.join(names)}: {words}" for words, names in by_words.items()]
    if stage.target_seq_len is not None:
        lines.append(f"prepares for a context of {stage.target_seq_len:,}")
    return lines


def _module_words(plan: Plan, stage: Stage) -> list[str]:
    """What becomes of modules here that `init` and `train` do not say, a line each."""
    said = stage.lifecycle
    lines = [f"begins anew: {', '.join(said.fresh)}"] if said.fresh else []
    for module in said.rows:
        sizes = said.sizes.get(module, {})
        words = ", ".join(f"{name} {size}" for name, size in sizes.items()) or "as in the plan"
        lines.append(f"reshapes {module}: {words}")
    for module, adapter in said.adapters.items():
        if said.left.get(module) != "keep":
            parts = ", ".join(adapter.parts)
            lines.append(f"adapts {module}: {adapter.kind} of rank {adapter.rank}, on {parts}")
    lines += [f"adapters of {m}: {what}" for m, what in said.left.items()]
    return lines


def _composed_lines(plan: Plan, composed: ComposedStage, width: int) -> list[str]:
    """Tell what a stage composes, modules that are made alike in one line."""
    by_words: dict[str, list[str]] = {}
    for module, shares in composed.averages.items():
        other = composed.other_name_of
        named = None if other is None else f"another name for {_point_words(plan, other)}"
        by_words.setdefault(named or _average_words(plan, shares), []).append(module)
    status = "" if composed.status == "main" else f"; status: {composed.status}"
    lines = [composed.name] if len(composed.name) > width else []
    first = "" if lines else composed.name
    for words, modules in by_words.items():
        lines.append(f"{first:<{width}} {', '.join(modules)}: {words}{status}")
        first = status = ""
    return lines


def _average_words(plan: Plan, shares: tuple[Share, ...]) -> str:
    names = [_point_words(plan, share.start) for share in shares]
    if len(shares) == 1:
        return f"as {names[0]} left it"
    if len({share.weight for share in shares}) > 1:
        parts = zip(shares, names, strict=True)
        return " + ".join(f"{decimal_words(share.weight)} {name}" for share, name in parts)
    if len(", ".join(names)) > MOST_NAMED:
        return f"average of {len(names)}, from {names[0]} to {names[-1]}"
    return f"average of {', '.join(names)}"


def _point_words(plan: Plan, start: Start) -> str:
    assert start.stage is not None
    at_mark = plan.has_stage(start.stage) and start.step < plan.stage(start.stage).steps
    return f"{start.stage}@step {start.step:,}" if at_mark else start.stage


def _batch_words(stage: Stage) -> Iterator[str]:
    """Say how the batch and the context change on the way, where the ends do not."""
    for laid in stage.batch.ramps:
        ramp = laid.ramp
        yield (
            f"batch {ramp.first_seqs:,} > {ramp.last_seqs:,} in {ramp.num_levels:,} levels, "
            f"steps {laid.first_step:,} to {laid.end_step:,}"
        )
    contexts = stage.batch.contexts(stage.steps)
    if len(contexts) > 1:
        words = [f"{seq_len:,} from step {first:,}" for first, seq_len in contexts]
        yield f"context {', '.join(words)}"


def _lr_words(lr: LrFigures) -> str:
    return " > ".join(rate_in_words(x) for x in (lr.start, lr.peak, lr.end))


def _totals(plan: Plan) -> list[str]:
    asked = sum(s.budget.tokens for s in plan.stages)
    planned = sum(s.tokens for s in plan.stages)
    steps = sum(s.steps for s in plan.stages)
    flops = [known_flops(stage_flops(plan, stage)) for stage in plan.stages]
    words = f"{sum(known for known, _ in flops):.3g}".replace("e+", "e")
    if any(missing for _, missing in flops):
        words += " and more (+: not all known)"
    beside = " of the known stages" if plan.unknown else ""
    lacking = ", ".join(without_attention(plan))
    left_out = [f"       without the attention of {lacking}: no heads and layers are said"]
    return [
        f"total{beside}: asked {rounded_in_words(asked, 5)} tokens, planned {planned:,} in "
        f"{steps:,} steps",
        *_path_words(plan, planned),
        f"FLOPs: {words}",
        f"       {CONVENTION}",
        *(left_out if lacking else ()),
        "epochs: the largest of any source, all ancestors counted",
    ]


def _path_words(plan: Plan, planned: int) -> list[str]:
    """Tell the longest path where not all tokens lie on it, and the sums where statuses differ."""
    lines = []
    longest = longest_path(plan)
    if longest != planned:
        words = "?" if longest is None else rounded_in_words(longest, 5)
        lines.append(
            f"longest path: {words} tokens; spent in all stages: {rounded_in_words(planned, 5)}"
        )
    sums = {
        status: sum(stage.tokens for stage in plan.stages if stage.status == status)
        for status in STATUSES
    }
    if any(stage.status != "main" for stage in plan.stages):
        parts = (f"{name} {rounded_in_words(tokens, 5)}" for name, tokens in sums.items() if tokens)
        lines.append(f"by status: {', '.join(parts)}")
    return lines


def _provenance(entries: tuple[Provenance, ...]) -> list[str]:
    if not entries:
        return []
    counts = Counter(entry.kind for entry in entries)
    kinds = ("assumed", "derived", "conflict", "default", "unknown")
    lines = ["values: " + ", ".join(f"{counts[kind]} {kind}" for kind in kinds if counts[kind])]
    for kind in ("unknown", "conflict", "assumed"):
        words = [f"{e.path.removeprefix('stages.')} {e.value}" for e in entries if e.kind == kind]
        lines += _wrapped(kind, words)
    return lines


def _wrapped(title: str, words: list[str]) -> list[str]:
    """Lay out entries under a title, none of them cut where it fits a line."""
    lines: list[str] = []
    line = ""
    for index, word in enumerate(words):
        text = word if index == len(words) - 1 else f"{word}, "
        if line and len(line) + len(text) > WIDTH - 11:
            lines.append(line)
            line = ""
        line += text
    if line:
        lines.append(line)
    return [f"  {title if i == 0 else '':<8} {text}" for i, text in enumerate(lines)]
