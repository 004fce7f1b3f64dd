"""What every stage and all its ancestors ask of every source: tokens and epochs, exactly"""

from collections.abc import Mapping
from fractions import Fraction

from curriculum.models.flops import patches_per_position
from curriculum.models.shapes import Shape
from curriculum.plan import Plan, Source, Stage

Counts = dict[str, Fraction | None]


def tokens_asked(plan: Plan, on_path: bool = False) -> Mapping[str, Counts]:
    """Return, by stage, the tokens of each of its sources that it and its ancestors ask for.

    Every ancestor counts once, up to the step it was left at, without what rounding to whole steps
    added. Tokens are the source's own, as an LLM reads it: a stage that counts ViT positions reads
    as much of it as has that many patches, which only a source's `image_share` tells; else None.
    What is read of a part of a source is read of the whole, too. `on_path`: also of the sources
    that only its ancestors read.
    """
    if on_path not in _last or _last[on_path][0] is not plan:
        _last[on_path] = plan, _tokens_asked(plan, on_path)
    return _last[on_path][1]


_last: dict[bool, tuple[Plan, Mapping[str, Counts]]] = {}
"""What was told of the last plan, a frozen value: rules, claims and the screen ask it alike."""


def _tokens_asked(plan: Plan, on_path: bool) -> dict[str, Counts]:
    asked: dict[tuple[str, int], Counts] = {}
    before: dict[str, Counts] = {}
    totals: dict[str, Counts] = {}

    def own(stage: Stage, step: int) -> Counts:
        if (stage.name, step) not in asked:
            asked[stage.name, step] = asked_by(plan, stage, step)
        return asked[stage.name, step]

    for stage in plan.stages:
        parent = plan.only_parent(stage.name)
        if parent is not None:
            sums = dict(before[parent.name])
            _add(sums, own(parent, parent.steps))
        else:
            sums = {}
            for ancestor, step in plan.ancestors(stage.name):
                _add(sums, own(ancestor, step))
        before[stage.name] = sums
        counts = own(stage, stage.steps)
        total = dict(sums) if on_path else {n: sums.get(n, Fraction(0)) for n in counts}
        _add(total, counts)
        totals[stage.name] = total
    return totals


def _add(sums: Counts, counts: Counts) -> None:
    for name, tokens in counts.items():
        so_far = sums.get(name)
        if name not in sums or tokens is None:
            sums[name] = tokens
        elif so_far is not None:
            sums[name] = so_far + tokens


def epochs(plan: Plan) -> dict[str, Counts]:
    """Return, by stage, how often each of its sources is read by its end, all ancestors counted.

    None where the size is unknown. Held-out documents are not there to be read. A stage that deals
    its sources anew still reads the same documents.
    """
    readable = {name: source.readable_tokens for name, source in plan.sources.items()}
    return {
        stage: {
            name: tokens / size if tokens is not None and (size := readable[name]) else None
            for name, tokens in counts.items()
        }
        for stage, counts in tokens_asked(plan).items()
    }


def asked_by(plan: Plan, stage: Stage, step: int) -> Counts:
    """Return what one stage asks of every source before a step, in the source's own tokens."""
    shape = plan.shape_of(stage, stage.count)
    counts: Counts = {}
    for name, count in stage.mixture.asked_tokens(step).items():
        per_token = positions_per_token(shape, plan.sources[name])
        tokens = count / per_token if per_token else None if count else Fraction(0)
        _add(counts, {name: tokens})
        if (whole := plan.sources[name].whole) != name:
            _add(counts, {whole: tokens})
    return counts


def positions_per_token(shape: Shape, source: Source) -> Fraction | None:
    """Return how many positions a stage counts for one token of a source; None if nobody says.

    `shape` is that of the module whose positions the stage counts.
    """
    if shape.kind != "vit":
        return Fraction(1)
    share, patches = source.image_share, patches_per_position(shape)
    return share * patches if share and patches else None
