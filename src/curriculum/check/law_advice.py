"""Advice from published laws: the highest learning rate for a model, and the tokens that it reads

The laws were fitted on dense models of up to a few billion parameters, and differ among themselves
by factors: only what lies far outside of all of them is told.
"""

import math
from collections.abc import Iterator, Mapping

from curriculum.check.lineage import highest_of
from curriculum.check.rate_rules import own_curves
from curriculum.errors import Diagnostic, Severity
from curriculum.models.dense_shape import DenseDecoderShape
from curriculum.models.flops import attention_products
from curriculum.plan import Plan
from curriculum.units import rate_in_words, rounded_in_words

OUTSIDE = 2
"""Times outside of all laws, from where on it is told."""


def rates_are_near_published_laws(plan: Plan) -> Iterator[Diagnostic]:
    """The highest learning rate of a new dense LLM under AdamW is within a factor of 2 of what one
    of the published laws gives for its size and tokens."""
    ends: dict[tuple[str | None, str], int] = {}
    for stage, targets, _ in own_curves(plan):
        ride = stage.rides[targets[0]]
        end = ride.tokens_before + stage.budget.tokens
        ends[ride.schedule, ride.instance] = max(ends.get((ride.schedule, ride.instance), 0), end)
    for stage, targets, curve in own_curves(plan):
        module = targets[0].partition("/")[0]
        shape = plan.shape_of(stage, module)
        is_whole = targets[0] == module and stage.init[module].is_new
        if not isinstance(shape, DenseDecoderShape) or not is_whole:
            continue
        if stage.optimizer_of(module).kind != "adamw":
            continue
        ride = stage.rides[module]
        tokens, rate = ends[ride.schedule, ride.instance], highest_of(stage, curve)
        laws = optimal_rates(shape, stage.at(0).seq_len, tokens)
        low, high = min(laws.values()), max(laws.values())
        if low / OUTSIDE <= rate <= high * OUTSIDE:
            continue
        times = rate / low if rate < low else rate / high
        named = ", ".join(f"{name} {rate_in_words(value)}" for name, value in laws.items())
        yield Diagnostic(
            "rates-are-near-published-laws",
            f"the highest learning rate of `{module}` in stage `{stage.name}`, "
            f"{rate_in_words(rate)}, is {times:.2g} times the "
            f"{'lowest' if rate < low else 'highest'} that published laws give for "
            f"{rounded_in_words(non_embedding_params(shape))} parameters and "
            f"{rounded_in_words(tokens)} tokens: {named}",
            plan.place(f"stages.{stage.name}.lr.{module}"),
            "laws are fits of small models: keep it where it was tried at this size",
            Severity.INFO,
        )


def optimal_rates(shape: DenseDecoderShape, seq_len: int, tokens: int) -> Mapping[str, float]:
    """Return the highest learning rate of a training by three laws, by their names.

    `tokens` are those of the whole training. Domain: dense decoders under AdamW; the laws' own
    models have at most some billions of parameters.
    """
    params = non_embedding_params(shape)
    per_token = 6 * (params + attention_products(shape, seq_len))
    return {
        "DeepSeek-LLM": deepseek_rate(per_token * tokens),
        "Step Law": step_law_rate(params, tokens),
        "Moonlight": moonlight_rate(per_token * tokens),
    }


def non_embedding_params(shape: DenseDecoderShape) -> int:
    """Return the parameters of a decoder without its embeddings and its head."""
    counts = shape.params_by_part()
    return sum(n for part, n in counts.items() if part not in ("embeddings", "head"))


def deepseek_rate(flops: float) -> float:
    """Return the best highest learning rate at a compute budget in FLOPs without embeddings.

    Source: DeepSeek LLM (arXiv:2401.02954), 3.1: 0.3118 C^-0.1250. fitted on budgets below 1e20.

    >>> f"{deepseek_rate(1e16):.3g}"
    '0.00312'
    """
    return 0.3118 * math.pow(flops, -0.1250)


def step_law_rate(params: float, tokens: float) -> float:
    """Return the best highest learning rate for parameters without embeddings, and tokens.

    Source: Step Law (arXiv:2503.04715): 1.79 N^-0.713 D^0.307, for a small fixed last rate.

    >>> f"{step_law_rate(1e9, 1e11):.3g}"
    '0.00163'
    """
    return 1.79 * math.pow(params, -0.713) * math.pow(tokens, 0.307)


def moonlight_rate(flops: float) -> float:
    """Return the best highest learning rate at a compute budget in FLOPs.

    Source: Muon is Scalable (arXiv:2502.16982), fitted for its AdamW baselines of 0.4B to 1.5B
    parameters: 0.0127 C^-0.057.

    >>> f"{moonlight_rate(1e20):.3g}"
    '0.00092'
    """
    return 0.0127 * math.pow(flops, -0.057)
