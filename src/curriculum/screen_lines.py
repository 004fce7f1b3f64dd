"""What the screen tells of a stage below its row: what it trains, its RoPE, its batch, averages"""

from collections.abc import Iterator
from fractions import Fraction
from itertools import groupby

from curriculum.composed import ComposedStage, Share
from curriculum.plan import Plan, Stage, Start
from curriculum.rope import Rope
from curriculum.short_forms import short_count
from curriculum.text_table import GLUE
from curriculum.units import decimal_words

MOST_NAMED = 60  # columns of the parents of an average: more are counted, not named
MOST_BASES = 2  # in one cell
MOST_BATCHES = 8  # more of them are counted, not named


def base_cell(stage: Stage) -> str:
    """Write the RoPE bases of a stage; more than fit a cell are told below."""
    bases = sorted({rope.base for rope in stage.rope.values() if rope.base is not None})
    words = [short_count(Fraction(base)) for base in bases]
    if any(rope.base is None for rope in stage.rope.values()):
        words.append("none")
    if len(words) > MOST_BASES:
        return f"{len(words)} bases"
    return ", ".join(words) or "-"


def rope_lines(stage: Stage) -> Iterator[str]:
    """Say what no column of bases shows: parts, scalings, and the context prepared for."""
    several = len({rope.base for rope in stage.rope.values()}) > MOST_BASES
    by_words: dict[str, list[str]] = {}
    for name, rope in stage.rope.items():
        if several or rope.scaling is not None or "/" in name:
            by_words.setdefault(_rope_words(rope), []).append(name)
    for words, names in by_words.items():
        yield f"RoPE of {', '.join(names)}: {words}"
    if stage.target_seq_len is not None:
        yield f"prepares for a context of {stage.target_seq_len:,}"


def _rope_words(rope: Rope) -> str:
    words = "none" if rope.base is None else f"{float(rope.base):,.10g}"
    if (scaling := rope.scaling) is not None:
        from curriculum.rope_scaling import DynamicNtk, Llama3, LongRope, Yarn

        words += f", {scaling.kind} x{float(scaling.factor):g}"
        if isinstance(scaling, DynamicNtk | Llama3 | Yarn | LongRope):
            words += f" of {scaling.original:,}"
    if rope.attention_factor != 1:
        words += f", attention x{rope.attention_factor:.6g}"
    return words


def module_lines(plan: Plan, stage: Stage) -> list[str]:
    """Say what becomes of modules here that `init` and `train` do not, a line each."""
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


def batch_lines(stage: Stage) -> Iterator[str]:
    """Say how the batch and the context change on the way, where the ends do not."""
    for laid in stage.batch.ramps:
        ramp = laid.ramp
        yield (
            f"batch {ramp.first_seqs:,} > {ramp.last_seqs:,} in {ramp.num_levels:,} levels, "
            f"steps {laid.first_step:,} to {laid.end_step:,}"
        )
    pieces = [p for p in stage.batch.pieces if p.first_step < stage.steps]
    if not stage.batch.ramps:
        alike = (list(same) for _, same in groupby(pieces, key=lambda piece: piece.batch_seqs))
        batches = [_from(p.first_step, p.batch_seqs) for p, *_ in alike]
        if len(batches) > MOST_BATCHES:
            yield f"batch in {len(batches):,} levels"
        elif len(batches) > 1:
            yield f"batch {', '.join(batches)}"
    contexts = stage.batch.contexts(stage.steps)
    if len(contexts) > 1:
        yield f"context {', '.join(_from(step, seq_len) for step, seq_len in contexts)}"


def _from(step: int, value: int) -> str:
    return f"{value:,} from step {step:,}".replace(" ", GLUE)


def composed_lines(plan: Plan, composed: ComposedStage) -> list[str]:
    """Tell what a stage composes, modules that are made alike in one line."""
    by_words: dict[str, list[str]] = {}
    for module, shares in composed.averages.items():
        other = composed.other_name_of
        named = None if other is None else f"another name for {_point_words(plan, other)}"
        by_words.setdefault(named or _average_words(plan, shares), []).append(module)
    status = "" if composed.status == "main" else f"; status: {composed.status}"
    lines = [f"{', '.join(modules)}: {words}" for words, modules in by_words.items()]
    return [lines[0] + status, *lines[1:]]


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
