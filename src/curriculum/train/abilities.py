"""What a plan can say and the trainer cannot do: refused before anything is written"""

from collections.abc import Callable, Iterator

from curriculum.curve import constant
from curriculum.errors import RunError
from curriculum.models.counted_shape import CountedShape
from curriculum.models.dense_shape import DenseDecoderShape
from curriculum.models.grouped_moe_shape import GroupedMoeShape
from curriculum.models.terms import TERMS
from curriculum.plan import Plan
from curriculum.told_once import MOST_NAMED
from curriculum.train.growth import cannot_grow
from curriculum.words import SHARES

ROUTER_BIAS = "router.bias_rate"
"""The one setting of `set` that modules have: how fast the experts' bias moves."""


def refuse_unable(plan: Plan) -> None:
    """Raise RunError with a sentence for everything in the plan that the trainer cannot execute."""
    sentences = [sentence for found in UNABLE for sentence in found(plan)]
    if sentences:
        raise RunError("this plan cannot be trained here:\n  " + "\n  ".join(_together(sentences)))


def _together(sentences: list[str]) -> list[str]:
    """Tell a sentence once for all stages that it is said of.

    >>> _together(["stage `a`: no ema", "stage `a`: no lora", "stage `b`: no ema"])
    ['stages `a`, `b`: no ema', 'stage `a`: no lora']
    """
    stages: dict[str, list[str]] = {}
    for sentence in sentences:
        stage, _, what = sentence.removeprefix("stage ").partition(": ")
        stages.setdefault(what, []).append(stage)
    return [f"{_stages(list(dict.fromkeys(names)))}: {what}" for what, names in stages.items()]


def _stages(names: list[str]) -> str:
    shown, more = ", ".join(names[:MOST_NAMED]), len(names) - MOST_NAMED
    return f"stage{'s' * (len(names) > 1)} {shown}" + (f" and {more:,} others" if more > 0 else "")


def _unknown_losses(plan: Plan) -> Iterator[str]:
    for stage in plan.stages:
        for term in sorted(set(stage.loss) - set(TERMS)):
            known = ", ".join(TERMS)
            yield f"stage `{stage.name}`: no such loss term: {term}; there are {known}"


def _unread_masks(plan: Plan) -> Iterator[str]:
    # `text` is what every position with a target is: image positions are read, never predicted.
    for stage in plan.stages:
        for term, rule in stage.loss_rules.items():
            if rule.over == "answers":
                yield (
                    f"stage `{stage.name}`: the loss {term} is on answers, and prepared data do "
                    "not say which tokens those are"
                )


def _cut_images(plan: Plan) -> Iterator[str]:
    for stage in plan.stages:
        names = [n for n in stage.mixture.sources if plan.sources[n].modality != "text"]
        if stage.packing != "best-fit" and names:
            yield (
                f"stage `{stage.name}`: packing {stage.packing} would cut the images of "
                f"{', '.join(sorted(names))}; only best-fit keeps them whole"
            )


def _unknown_settings(plan: Plan) -> Iterator[str]:
    for stage in plan.stages:
        for name, curve in stage.settings.items():
            if curve == constant(0) and name.rpartition(".")[2] in SHARES:
                continue  # to drop a share of 0 is to drop nothing
            module, _, rest = name.partition("/")
            if rest != ROUTER_BIAS or plan.modules[module].shape.kind != "llm":
                yield f"stage `{stage.name}`: nothing here takes the setting {name}"


def _lifecycles(plan: Plan) -> Iterator[str]:
    for stage in plan.stages:
        said = stage.lifecycle
        for module in said.adapters:
            yield f"stage `{stage.name}`: no adapters are built here, and `{module}` has some"
        if said.ema is not None:
            yield f"stage `{stage.name}`: no average of the weights (ema) is kept here"
        for module in said.rows:
            if wrong := list(cannot_grow(plan, stage, module)):
                more = f" (and {len(wrong) - 1} more)" if wrong[1:] else ""
                yield (
                    f"stage `{stage.name}`: `{module}` is reshaped in another way than by growing "
                    f"its vocabulary or adding weights: {wrong[0]}{more}"
                )


def _outside_state(plan: Plan) -> Iterator[str]:
    outside = {stage.name for stage in plan.outside}
    for stage in plan.stages:
        for module, start in stage.init.items():
            if start.carries_state and start.stage in outside:
                yield (
                    f"stage `{stage.name}`: it carries the optimizer state of `{module}` from the "
                    f"outside checkpoint `{start.stage}`, of which only weights are read; say "
                    "`carry: none`"
                )


def _unbuilt_modules(plan: Plan) -> Iterator[str]:
    for stage in plan.stages:
        for name in stage.init:
            match plan.modules[name].shape:
                case CountedShape():
                    yield (
                        f"stage `{stage.name}`: `{name}` is known by its counts alone; a preset "
                        "with all sizes is needed to build it"
                    )
                case GroupedMoeShape():
                    yield (
                        f"stage `{stage.name}`: `{name}` has grouped queries and experts in one "
                        "model, which is planned and priced here and not built"
                    )


def _short_windows(plan: Plan) -> Iterator[str]:
    for stage in plan.stages:
        longest = max(seq_len for _, seq_len in stage.batch.contexts(stage.steps))
        for name in stage.init:
            shape = plan.modules[name].shape
            window = shape.window if isinstance(shape, DenseDecoderShape) else None
            if window is not None and window < longest:
                yield (
                    f"stage `{stage.name}`: layers of `{name}` see {window} positions of "
                    f"{longest}; attention in windows is not built, only up to their length"
                )


def _unknown_optimizer_values(plan: Plan) -> Iterator[str]:
    for stage in plan.stages:
        for target, rule in stage.optimizer.items():
            if "qk_clip" in {**rule.values, **rule.curves}:
                yield f"stage `{stage.name}`: nothing here does the qk_clip of `{target}`"


UNABLE: tuple[Callable[[Plan], Iterator[str]], ...] = (
    _unknown_losses,
    _unread_masks,
    _cut_images,
    _unknown_settings,
    _lifecycles,
    _outside_state,
    _unbuilt_modules,
    _short_windows,
    _unknown_optimizer_values,
)
"""Each tells what it finds, a sentence for each place."""
