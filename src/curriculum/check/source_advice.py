"""Advice about sources: how rarely they are drawn, how often dealt, and where sizes come from"""

from collections.abc import Iterator

from curriculum.check.data_rules import beside
from curriculum.check.places import mixture_place, related_place
from curriculum.errors import Diagnostic, Severity
from curriculum.plan import Plan, Source, Stage
from curriculum.units import count_in_words
from curriculum.usage import asked_by, tokens_asked

RARE_STEPS = 100
"""A source that is drawn less than once in so many steps hardly tells in any of them."""

FEW_SEQS = 8
"""Fewer sequences of a source than this are a handful in a whole stage."""

TOLD_TWICE = 0.01
"""From this share of what a stage reads on it is worth a word that it was read before."""

NUM_DIGITS = 3
"""Two sizes that agree in so many digits were hardly measured apart."""


def no_source_starves(plan: Plan) -> Iterator[Diagnostic]:
    """A source is drawn at least once in 100 steps, and 8 times in its stage, where the stage has
    so many steps."""
    told: set[str] = set()
    for stage in plan.stages:
        if stage.steps < RARE_STEPS or stage.status == "abandoned":
            continue
        ideal = stage.mixture.ideal_seqs(stage.steps)
        rare = {n: x for n, x in ideal.items() if 1 <= x < max(stage.steps // RARE_STEPS, FEW_SEQS)}
        new = sorted((seqs, name) for name, seqs in rare.items() if name not in told)
        told.update(rare)
        if not new:
            continue
        seqs, name = new[0]
        others = f", and {len(new) - 1} more as rarely" if len(new) > 1 else ""
        yield Diagnostic(
            "no-source-starves",
            f"source `{name}` is drawn about {round(seqs):,} times in the {stage.steps:,} steps of "
            f"stage `{stage.name}`{others}",
            mixture_place(plan, stage, name),
            "raise its ratio, or leave it out",
            Severity.INFO,
        )


def documents_are_not_dealt_anew(plan: Plan) -> Iterator[Diagnostic]:
    """A stage reads on in the sources that its ancestors read, where there is more of them: one
    that deals them anew by a `seed` of its own reads some of them twice, and others never.

    Stages beside each other have to deal anew, and so has what comes of several.
    """
    seeded = [stage for stage in plan.stages if stage.own_seed and _has_one_parent(plan, stage)]
    if not seeded:
        return
    asked = tokens_asked(plan)
    apart = {stage.name for pair in beside(plan) for stage in pair}
    sizes = {name: float(source.readable_tokens or 0) for name, source in plan.sources.items()}
    for stage in seeded:
        if stage.name in apart:
            continue
        sources = set(stage.mixture.sources)
        again: list[tuple[float, float, str]] = []
        for name, own in asked_by(plan, stage, stage.steps).items():
            both, size = asked[stage.name].get(name), sizes[name]
            if not size or not own or both is None or own == both:
                continue
            now = float(own)
            before = (float(both) - now) / size
            if 0 < before < 1 and now < size and name in sources:
                again.append((now * before, before, name))
        if not again or sum(each[0] for each in again) < TOLD_TWICE * stage.budget.tokens:
            continue
        _, share, name = max(again)
        others = f", and so it is with {len(again) - 1} more" if len(again) > 1 else ""
        yield Diagnostic(
            "documents-are-not-dealt-anew",
            f"stage `{stage.name}` deals its sources anew: about {_percent(share)} of what it "
            f"reads of `{name}` was read before{others}",
            plan.place(f"stages.{stage.name}.seed"),
            "leave its `seed` out to read on",
            Severity.INFO,
        )


def sizes_are_not_copied(plan: Plan) -> Iterator[Diagnostic]:
    """No two sources have the same size to three digits and more: the one was most likely copied
    from the other."""
    same: dict[int, list[Source]] = {}
    for source in plan.sources.values():
        if source.tokens is not None and source.of is None:
            same.setdefault(source.tokens, []).append(source)
    for tokens, sources in same.items():
        if len(sources) < 2 or len(str(tokens).rstrip("0")) < NUM_DIGITS:
            continue
        first, *others = sorted(sources, key=lambda source: (len(source.name), source.name))
        yield Diagnostic(
            "sizes-are-not-copied",
            f"{' and '.join(f'`{source.name}`' for source in others)} "
            f"{'has' if len(others) == 1 else 'have'} exactly the {_words(tokens)} tokens "
            f"of `{first.name}`",
            plan.place(f"sources.{others[0].name}.tokens"),
            "measure each, or say `unknown`",
            Severity.INFO,
            tuple(
                place
                for source in (first, *others[1:])
                for place in related_place(
                    plan, f"the size of `{source.name}`", f"sources.{source.name}.tokens"
                )
            ),
        )


def _has_one_parent(plan: Plan, stage: Stage) -> bool:
    """Say whether all that a stage takes over comes from one stage of the plan."""
    origins = {
        origin.stage
        for module, start in stage.init.items()
        for origin in plan.origins(start, module)
        if origin.stage is not None
    }
    return len(origins) == 1 and plan.has_stage(next(iter(origins)) or "")


def _percent(share: float) -> str:
    """Return a share in whole percent, or in two digits where it is smaller.

    >>> _percent(1 / 3), _percent(1 / 400)
    ('33%', '0.25%')
    """
    return f"{share:.0%}" if share >= 0.01 else f"{share * 100:.2g}%"


def _words(tokens: int) -> str:
    words = count_in_words(tokens)
    return f"{tokens:,}" if words.isdecimal() else words
