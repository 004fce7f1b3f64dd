"""What every stage and all its ancestors ask of every source: tokens and epochs, exactly"""

from fractions import Fraction

from curriculum.models.flops import patches_per_position
from curriculum.plan import Plan, Stage

Counts = dict[str, Fraction | None]


def tokens_asked(plan: Plan) -> dict[str, Counts]:
    """Return, by stage, the tokens of each of its sources that it and its ancestors ask for.

    Every ancestor counts once, up to the step it was left at, without what rounding to whole steps
    added. Tokens are the source's own, as an LLM reads it: a stage that counts ViT positions reads
    as much of it as has that many patches, which only a source's `image_share` tells; else None.
    """
    asked: dict[tuple[str, int], Counts] = {}
    totals: dict[str, Counts] = {}
    for stage in plan.stages:
        total: Counts = dict.fromkeys(stage.mixture.sources, Fraction(0))
        for reader, step in (*plan.ancestors(stage.name), (stage, stage.steps)):
            if (reader.name, step) not in asked:
                asked[reader.name, step] = _asked_by(plan, reader, step)
            for name, tokens in asked[reader.name, step].items():
                before = total.get(name)
                if before is not None:
                    total[name] = None if tokens is None else before + tokens
        totals[stage.name] = total
    return totals


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


def _asked_by(plan: Plan, stage: Stage, step: int) -> Counts:
    """Return what one stage asks of every source before a step, in the source's own tokens."""
    positions = stage.mixture.ideal_tokens(step)
    over = stage.tokens - stage.budget.tokens
    if step == stage.steps and over > 0:
        before = stage.mixture.ideal_tokens(step - 1)
        share = Fraction(over, stage.batch.piece_at(step - 1).tokens_per_step)
        positions = {n: all_ - (all_ - before[n]) * share for n, all_ in positions.items()}
    counts: Counts = {}
    for name, count in positions.items():
        per_token = _positions_per_token(plan, stage, name)
        counts[name] = count / per_token if per_token else None if count else Fraction(0)
    return counts


def _positions_per_token(plan: Plan, stage: Stage, source: str) -> Fraction | None:
    """Return how many positions a stage counts for one token of a source; None if nobody says."""
    shape = plan.shape_of(stage, stage.count)
    if shape.kind != "vit":
        return Fraction(1)
    share, patches = plan.sources[source].image_share, patches_per_position(shape)
    return share * patches if share and patches else None
