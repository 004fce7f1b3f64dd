"""Rules about sources: that they are drawn, caps, epochs, seeds of separate branches"""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import count

from curriculum.check.places import mixture_place, related_place
from curriculum.check.repetition import MANY_EPOCHS, MOST_EPOCHS, SOURCE, worth_tokens
from curriculum.composed import ComposedStage
from curriculum.errors import Diagnostic, Severity
from curriculum.plan import Plan, Source, Stage
from curriculum.units import decimal_words, parse_exact, rounded_in_words
from curriculum.usage import epochs as epochs_of


def every_source_can_be_read(plan: Plan) -> Iterator[Diagnostic]:
    """A stage that reads images has what sees them, and one whose tokens are the ViT's positions
    reads nothing but images: a text has none there."""
    for stage in plan.stages:
        kinds = {plan.modules[module].shape.kind for module in stage.init}
        eyes = {"vit", "projector"} if "llm" in kinds else {"vit"}
        for name in _read(stage):
            is_text = plan.sources[name].modality == "text"
            if is_text and "llm" not in kinds:
                why = "its tokens are the ViT's positions, and a text has none"
            elif not is_text and not eyes <= kinds:
                why = f"has no {' and no '.join(sorted(eyes - kinds))} for its images"
            else:
                continue
            yield Diagnostic(
                "every-source-can-be-read",
                f"stage `{stage.name}` reads `{name}`, and {why}",
                mixture_place(plan, stage, name),
                "leave the source out of this stage's mixture",
            )


def every_source_is_drawn(plan: Plan) -> Iterator[Diagnostic]:
    """A source with a ratio above 0 gives at least one sequence to its stage.

    A warning where a stage before it on the path drew the source: it was read, but not here.
    """
    for stage in plan.stages:
        ideal = stage.mixture.ideal_seqs(stage.steps)
        # Draws are strictly within one sequence of the ideal: from 1 on there is one.
        rare = [name for name, seqs in ideal.items() if 0 < seqs < 1]
        drawn = stage.draws().before(stage.steps) if rare else {}
        for name in rare:
            if drawn[name] > 0:
                continue
            before = any(
                ancestor.mixture.ideal_seqs(step).get(name, 0) >= 1
                for ancestor, step in plan.ancestors(stage.name)
            )
            yield Diagnostic(
                "every-source-is-drawn",
                f"source `{name}` rounds to no sequence in stage `{stage.name}`: its ratio "
                f"asks for {float(ideal[name]):.2g} of one in {stage.seqs:,}",
                mixture_place(plan, stage, name),
                "raise its ratio, ask for more tokens, or leave it out",
                Severity.WARNING if before else Severity.ERROR,
            )


def no_source_passes_its_cap(plan: Plan) -> Iterator[Diagnostic]:
    """No source is read more often than its `max_epochs`, a stage and all its ancestors counted
    together."""
    capped = [source for source in plan.sources.values() if source.max_epochs is not None]
    read = epochs_of(plan) if capped else {}
    for source in capped:
        told: set[str] = set()
        for stage in plan.stages:
            epochs = read[stage.name].get(source.name)
            if epochs is None or source.max_epochs is None or epochs <= source.max_epochs:
                continue
            if told & {ancestor.name for ancestor, _ in plan.ancestors(stage.name)}:
                continue
            told.add(stage.name)
            yield Diagnostic(
                "no-source-passes-its-cap",
                f"by the end of stage `{stage.name}` source `{source.name}` is read "
                f"{_times(epochs)}, its cap is {decimal_words(source.max_epochs)}"
                f"{_lacking(source, epochs - source.max_epochs)}",
                mixture_place(plan, stage, source.name),
                "give it a smaller ratio, or raise its `max_epochs`",
                related=related_place(plan, "the cap", f"sources.{source.name}.max_epochs"),
            )


def separate_stages_deal_their_own_samples(plan: Plan) -> Iterator[Diagnostic]:
    """Two stages of which neither follows the other, and that read the same source, have different
    seeds: else they read the same documents.

    A side branch, an abandoned one or a probe may, where nothing comes of both.
    """
    read: dict[str, list[Source]] = {}
    told: set[str] = set()  # of hundreds of branches each is told of once, not with every other
    taken = {stage.seed for stage in plan.stages}
    for one, other in beside(plan):
        if one.seed != other.seed or other.name in told:
            continue
        for stage in (one, other):
            if stage.name not in read:
                read[stage.name] = [plan.sources[name] for name in _read(stage)]
        shared = list(
            dict.fromkeys(
                mine.name
                for mine in read[one.name]
                for theirs in read[other.name]
                if share_documents(mine, theirs)
            )
        )
        if shared:
            told.add(other.name)
            free = next(seed for seed in count(other.seed + 1) if seed not in taken)
            taken.add(free)
            yield Diagnostic(
                "separate-stages-deal-their-own-samples",
                f"stages `{one.name}` and `{other.name}` run beside each other and read the same "
                f"documents of {', '.join(f'`{name}`' for name in shared)}",
                plan.place(f"stages.{other.name}"),
                f"say `seed: {free}` in `{other.name}`",
                related=related_place(plan, "the other stage", f"stages.{one.name}"),
            )


def beside(plan: Plan) -> Iterator[tuple[Stage, Stage]]:
    """Go through the pairs of stages that may not read the same documents, by the later one.

    Neither is the other's ancestor, and both are of the main line, or something comes of both. The
    ancestors of a stage are the bits of a number: a chain of thousands has no such pair.
    """
    bit = {stage.name: 1 << index for index, stage in enumerate(plan.stages)}
    above: dict[str, int] = {}
    for later in plan.all_stages:
        starts = later.starts if isinstance(later, ComposedStage) else later.init.items()
        found = {o.stage for module, start in starts for o in plan.origins(start, module)}
        names = [name for name in found if name in bit]
        above[later.name] = 0
        for name in names:
            above[later.name] |= above[name] | bit[name]
    for other in plan.stages:
        others = (bit[other.name] - 1) & ~above[other.name]
        while others:
            lowest = others & -others
            one = plan.stages[lowest.bit_length() - 1]
            if one.status == other.status == "main" or _meet(above, lowest | bit[other.name]):
                yield one, other
            others ^= lowest


def _meet(above: Mapping[str, int], both: int) -> bool:
    """Say whether some stage comes from both of two."""
    return any(bits & both == both for bits in above.values())


def share_documents(one: Source, other: Source) -> bool:
    """Say whether two sources may hold a document in common: parts of one whole that overlap.

    >>> first = Source("first", "text", 1, of="web", part=(Fraction(0), Fraction(1, 10)))
    >>> last = Source("last", "text", 1, of="web", part=(Fraction(9, 10), Fraction(1)))
    >>> share_documents(first, Source("web", "text", 10)), share_documents(first, last)
    (True, False)
    """
    if one.whole != other.whole:
        return False
    if one.part and other.part:
        return one.part[0] < other.part[1] and other.part[0] < one.part[1]
    longest = [x.max_tokens for x in (one, other) if x.max_tokens is not None]
    return not longest or max(one.min_tokens or 0, other.min_tokens or 0) < min(longest)


def repeated_sources_are_capped(plan: Plan) -> Iterator[Diagnostic]:
    """A source that is read more than once says how often it may be, by `max_epochs`, unless the
    stage's budget in `epochs` says so many.

    More than 4 epochs are a warning: beyond, repeated data loses its worth, and from about 40 on
    it has none (arXiv 2305.16264).
    """
    read = epochs_of(plan)
    few: list[tuple[Fraction, Source, Stage]] = []
    for source in plan.sources.values():
        epochs = [
            (often, s) for s in plan.stages if (often := read[s.name].get(source.name)) is not None
        ]
        most, stage = max(epochs, key=lambda each: each[0], default=(Fraction(0), None))
        if stage is None or most <= 1 or source.max_epochs is not None:
            continue
        if _says_epochs(stage, source, most):
            continue
        if most <= MANY_EPOCHS:
            few.append((most, source, stage))
            continue
        yield Diagnostic(
            "repeated-sources-are-capped",
            f"{_read_often(most, source, stage)}{_worth(source, most)}",
            plan.place(f"sources.{source.name}.tokens"),
            f"say `max_epochs: {_up(most)}` if that is meant",
            Severity.WARNING,
        )
    if few:
        yield _read_a_few_times(plan, sorted(few, key=lambda each: (-each[0], each[1].name)))


def _read_a_few_times(plan: Plan, read: Sequence[tuple[Fraction, Source, Stage]]) -> Diagnostic:
    """Tell at once of all sources that are read more than once, but not often.

    The most read stands first; told one by one they would bury what matters.
    """
    (most, source, stage), *others = read
    named = ", ".join(f"`{s.name}` {_times(often)}" for often, s, _ in others[:3])
    more = f" and {len(others) - 3} more sources" if len(others) > 3 else ""
    also = f"; also {named}{more}" if others else ""
    return Diagnostic(
        "repeated-sources-are-capped",
        f"{_read_often(most, source, stage)}{also}",
        plan.place(f"sources.{source.name}.tokens"),
        f"say `max_epochs: {_up(most)}` if that is meant",
        Severity.INFO,
    )


def _read_often(epochs: Fraction, source: Source, stage: Stage) -> str:
    return f"source `{source.name}` is read {_times(epochs)} by the end of stage `{stage.name}`"


def _worth(source: Source, epochs: Fraction) -> str:
    """Say what reading a source so many times is worth."""
    unique = source.readable_tokens
    assert unique is not None
    read = unique * epochs
    worth = rounded_in_words(round(worth_tokens(unique, read)))
    more = f"; from about {MOST_EPOCHS} times on it gains nothing" if epochs > MOST_EPOCHS else ""
    return f": {rounded_in_words(round(read))} tokens worth {worth} new ones{more} ({SOURCE})"


def _lacking(source: Source, epochs: Fraction) -> str:
    """Say how many tokens a source lacks for epochs that it may not give."""
    unique = source.readable_tokens
    return f": {rounded_in_words(round(unique * epochs))} tokens are lacking" if unique else ""


def _says_epochs(stage: Stage, source: Source, most: Fraction) -> bool:
    """Say whether the budget of a stage asks for as many epochs as it and all before it read."""
    epochs, _, unit = stage.budget.words.partition(" ")
    size = source.readable_tokens
    # A budget is a whole number of tokens: the share of one is no epoch that nobody asked for.
    return unit == "epochs" and size is not None and (most - parse_exact(epochs)) * size < 1


def _read(stage: Stage) -> list[str]:
    """Return the sources that a stage reads anything of."""
    return [name for name, n in stage.mixture.ideal_tokens(stage.steps).items() if n > 0]


def _times(epochs: Fraction) -> str:
    return f"{float(epochs):.4g} times"


def _up(epochs: Fraction) -> str:
    return decimal_words(Fraction(-(-epochs.numerator * 10 // epochs.denominator), 10))
