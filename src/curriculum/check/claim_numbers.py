"""What no step changes of a claim's paths: amounts, epochs, RoPE"""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from fractions import Fraction
from typing import NamedTuple

from curriculum.check.claim_names import sources_of
from curriculum.claims import Path
from curriculum.errors import ClaimProblem, did_you_mean
from curriculum.paths import path_tokens
from curriculum.plan import Plan, Stage
from curriculum.usage import tokens_asked


class Number(NamedTuple):
    """One number of the whole plan; None: unknown, and why."""

    value: Fraction | None
    missing: str = ""


class Numbers(NamedTuple):
    """One number for each stage that has it; None where it is unknown."""

    by_stage: Mapping[str, Fraction | None]
    missing: str
    by_end: bool = False  # what was read by the stage's end, and at none of its steps


def numbers_of(plan: Plan, path: Path) -> Number | Numbers:
    """Return what such a path means in a plan. Raises `ClaimProblem`."""
    match path.names[0]:
        case "tokens":
            return _tokens(plan, path)
        case "steps":
            return _steps(plan, path)
        case "epochs":
            return _epochs(plan, path)
        case _:
            return _rope(plan, path)


def _tokens(plan: Plan, path: Path) -> Number | Numbers:
    stages = [*(s.name for s in plan.stages), *(s.name for s in plan.unknown)]
    if path.names[1:] == ("total",):
        return _total(plan, [Fraction(s.budget.tokens) for s in plan.stages])
    if path.names[1:] == ("path",):
        on_path = path_tokens(plan, asked=True)
        counts = {s.name: on_path[s.name] for s in plan.stages}
        known = {name: None if n is None else Fraction(n) for name, n in counts.items()}
        return Numbers(known, "`tokens.path`", by_end=True)
    sources = sources_of(plan, path, stages)
    if sources is None:
        return _of_stage(plan, path, lambda stage: stage.budget.tokens)
    return Numbers(
        {
            stage: _sum([tokens[name] for name in sources if name in tokens])
            for stage, tokens in tokens_asked(plan, on_path=True).items()
            if sources & set(tokens)
        },
        f"`{path.text}`",
        by_end=True,
    )


def _steps(plan: Plan, path: Path) -> Number | Numbers:
    if path.names[1:] == ("total",):
        return _total(plan, [Fraction(s.steps) for s in plan.stages])
    if len(path.names) == 3 and path.names[1] != "stage":
        raise ClaimProblem(f"`{path.text}` names no stage", *path.place, "write steps.STAGE")
    return _of_stage(plan, path, lambda stage: stage.steps)


def _epochs(plan: Plan, path: Path) -> Number | Numbers:
    sources = sources_of(plan, path)
    assert sources is not None
    readable = _sum([plan.sources[name].readable_tokens for name in sources])
    return Numbers(
        {
            stage: read / readable if readable and read is not None else None
            for stage, tokens in tokens_asked(plan, on_path=True).items()
            if sources & set(tokens)
            for read in [_sum([tokens[name] for name in sources if name in tokens])]
        },
        f"`{path.text}`",
        by_end=True,
    )


def _rope(plan: Plan, path: Path) -> Numbers:
    """Return the base of a module's or a part's RoPE, or a number of its scaling."""
    target, *names = path.names[1:]
    ropes = {stage.name: stage.rope[target] for stage in plan.stages if target in stage.rope}
    if not ropes:
        known = sorted({name for stage in plan.stages for name in stage.rope})
        message = f"no stage gives `{target}` a RoPE"
        raise ClaimProblem(message, *path.place, did_you_mean(target, known))
    found: dict[str, Fraction | None] = {}
    for stage, rope in ropes.items():
        value: object = rope
        for name in names:
            value = getattr(value, name, None) if name in _fields(value) else None
        if isinstance(value, int | float | Fraction) and not isinstance(value, bool):
            found[stage] = Fraction(value)
    if not found:
        message = f"`{path.text}` is no number in any stage"
        raise ClaimProblem(message, *path.place, "write rope.MODULE.base")
    return Numbers(found, f"`{path.text}`")


def _fields(value: object) -> tuple[str, ...]:
    return tuple(field.name for field in fields(value)) if is_dataclass(value) else ()


def _total(plan: Plan, counts: list[Fraction]) -> Number:
    if plan.unknown:
        names = ", ".join(f"`{stage.name}`" for stage in plan.unknown)
        return Number(None, f"the budget, batch or mixture of {names}")
    return Number(sum(counts, Fraction(0)))


def _of_stage(plan: Plan, path: Path, count: Callable[[Stage], int]) -> Number:
    name = path.names[-1]
    if plan.has_stage(name):
        return Number(Fraction(count(plan.stage(name))))
    if any(stage.name == name for stage in plan.unknown):
        return Number(None, f"the budget, batch or mixture of `{name}`")
    known = ["total", *(stage.name for stage in plan.stages)]
    if plan.composed_stage(name) is not None:
        raise ClaimProblem(f"stage `{name}` only composes: it reads nothing", *path.place)
    what = f"there is no stage `{name}`"
    raise ClaimProblem(what, *path.place, did_you_mean(name, known))


def _sum(counts: list[Fraction | None]) -> Fraction | None:
    known = [count for count in counts if count is not None]
    return sum(known, Fraction(0)) if len(known) == len(counts) else None
