"""What a plan can say and the trainer cannot do: refused before anything is written"""

from collections.abc import Callable, Iterator

from curriculum.errors import RunError
from curriculum.models.vlm import TERMS
from curriculum.plan import Plan

ROUTER_BIAS = "router.bias_rate"
"""The one setting of `set` that modules have: how fast the experts' bias moves."""


def refuse_unable(plan: Plan) -> None:
    """Raise RunError with a sentence for everything in the plan that the trainer cannot execute."""
    sentences = [sentence for found in UNABLE for sentence in found(plan)]
    if sentences:
        raise RunError("this plan cannot be trained here:\n  " + "\n  ".join(sentences))


def _unknown_losses(plan: Plan) -> Iterator[str]:
    for stage in plan.stages:
        for term in sorted(set(stage.loss) - set(TERMS)):
            known = ", ".join(TERMS)
            yield f"stage `{stage.name}`: no such loss term: {term}; there are {known}"


def _unknown_settings(plan: Plan) -> Iterator[str]:
    for stage in plan.stages:
        for name in stage.settings:
            module, _, rest = name.partition("/")
            if rest != ROUTER_BIAS or plan.modules[module].shape.kind != "llm":
                yield f"stage `{stage.name}`: nothing here takes the setting {name}"


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


UNABLE: tuple[Callable[[Plan], Iterator[str]], ...] = (
    _unknown_losses,
    _unknown_settings,
    _outside_state,
)
"""Each tells what it finds, a sentence for each place."""
