"""The run as a table: one row per step, from the expressions that answer `stage.at(step)`

    plan.stages --steps--> curves, batch, mixture --columns--> polars.DataFrame

A row says what holds in its step and what was seen before it, as `at` does. A constant run of steps
is never evaluated step by step, which is what makes every step of a large plan cheap.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import polars as pl

from curriculum.curve import Curve
from curriculum.plan import Plan, Stage
from curriculum.simulate.columns import cut_rows, joined, same
from curriculum.simulate.mixture_rows import mixture_rows


@dataclass(frozen=True, slots=True)
class Names:
    """What a plan's columns are named after, over all its stages."""

    lr: tuple[str, ...]
    rope: tuple[str, ...]
    sources: tuple[str, ...]
    loss: tuple[str, ...]
    settings: tuple[str, ...]
    optimizer: tuple[tuple[str, str], ...]  # target and value of what is a curve in some stage


def names_of(plan: Plan) -> Names:
    """Return what the stages train, place, read, minimise and set; sources by name."""
    stages = plan.stages
    return Names(
        lr=_in_order(stage.lr for stage in stages),
        rope=_in_order(stage.rope for stage in stages),
        sources=tuple(sorted({name for stage in stages for name in stage.mixture.sources})),
        loss=_in_order(stage.loss for stage in stages),
        settings=_in_order(stage.settings for stage in stages),
        optimizer=tuple(dict.fromkeys(pair for stage in stages for pair in _moving(stage))),
    )


def timeline(
    plan: Plan, every: int = 1, draws: bool = False, stages: Sequence[str] | None = None
) -> pl.DataFrame:
    """Return every N-th step of each stage, its first and last step and those where a piece begins.

    The columns, in this order (a module, term or setting that a stage does not have is null, a
    source that it does not read is 0; an unknown value is null):

    - `stage`, `step`; `tokens_stage` seen in this stage before the step, `tokens_ancestors` planned
      by the stages it starts from, `tokens_all` spent in all stages so far, in the plan's order;
    - `batch_seqs`, `seq_len`, `lr.<module>`, `rope_base.<module>` (as said: scalings are not in it,
      and it is null where nothing turns), `ratio.<source>` of the step;
    - `tokens.<source>`: tokens of the source that the shares ask for before the step, over the
      ancestors and this stage: the float nearest to the exact value;
    - `loss.<term>`, `set.<name>` of the step, and `optimizer.<target>.<name>` of a value that runs
      along a curve in any stage; with `draws`, `drawn.<source>`: its sequences.

    `stages` keeps some stages by name; `every` is at least 1 (ValueError).
    """
    if every < 1:
        raise ValueError(f"every {every} steps: at least 1")
    return _table(plan, stages, draws, lambda stage: sampled_steps(stage, every))


def outline(plan: Plan, rows_per_stage: int = 600) -> pl.DataFrame:
    """Return `timeline`'s columns at as many steps as a picture can show, each change included."""

    def steps(stage: Stage) -> Sequence[int]:
        every = max(1, stage.steps // rows_per_stage)
        shown = set(sampled_steps(stage, every))
        return sorted(shown | {step - 1 for step in change_steps(stage) if step > 0})

    return _table(plan, None, False, steps)


def sampled_steps(stage: Stage, every: int) -> Sequence[int]:
    """Return every N-th step, the last step, and the steps where a piece begins."""
    if every == 1:
        return range(stage.steps)
    return sorted({*range(0, stage.steps, every), *change_steps(stage), stage.steps - 1})


def change_steps(stage: Stage) -> list[int]:
    """Return the steps at which a piece of any curve, of the batch or of the mixture begins."""
    groups = (stage.lr, stage.loss, stage.settings, _moving(stage))
    curves = [curve for group in groups for curve in group.values() if curve is not None]
    steps = {segment.first_step for segment in stage.mixture.segments}
    steps.update(stage.batch.breaks(), *(curve.breaks() for curve in curves))
    return sorted(step for step in steps if 0 <= step < stage.steps)


def _table(
    plan: Plan,
    stages: Sequence[str] | None,
    draws: bool,
    steps_of: Callable[[Stage], Sequence[int]],
) -> pl.DataFrame:
    names = names_of(plan)
    frames: list[pl.DataFrame] = []
    spent = 0
    for stage in plan.stages:
        if stages is None or stage.name in stages:
            steps = steps_of(stage)
            frames.append(pl.DataFrame(list(_columns(plan, names, stage, steps, spent, draws))))
        spent += stage.tokens
    if not frames:
        raise ValueError("no stage of the plan is asked for")
    return pl.concat(frames)


def _columns(
    plan: Plan, names: Names, stage: Stage, steps: Sequence[int], spent: int, draws: bool
) -> Iterator[pl.Series]:
    rows = len(steps)
    if isinstance(steps, range):
        tokens = stage.batch.tokens_before_each(steps)
    else:
        tokens = [stage.batch.tokens_before(step) for step in steps]
    seen = pl.Series("tokens_stage", tokens, pl.Int64)
    yield same("stage", stage.name, rows, pl.String)
    yield pl.Series("step", steps, pl.Int64)
    yield seen
    yield same("tokens_ancestors", plan.tokens_before(stage.name), rows, pl.Int64)
    yield (seen + spent).rename("tokens_all")
    yield from _batch(stage, steps)
    known: dict[int, pl.Series] = {}
    yield from _curves("lr", names.lr, stage.lr, steps, tokens, known)
    for name in names.rope:
        rope = stage.rope.get(name)
        base = None if rope is None or rope.base is None else float(rope.base)
        yield same(f"rope_base.{name}", base, rows)
    yield from mixture_rows(plan, names.sources, stage, steps, tokens)
    yield from _curves("loss", names.loss, stage.loss, steps, tokens, known)
    yield from _curves("set", names.settings, stage.settings, steps, tokens, known)
    yield from _optimizer(names.optimizer, stage, steps, tokens, known)
    if draws:
        yield from _drawn(names.sources, stage, steps)


def _batch(stage: Stage, steps: Sequence[int]) -> Iterator[pl.Series]:
    runs = [
        (stage.batch.piece_at(steps[low]), high - low)
        for low, high in cut_rows(steps, stage.batch.breaks())
    ]
    for name in ("batch_seqs", "seq_len"):
        yield joined(name, [(getattr(piece, name), n) for piece, n in runs], pl.Int64)


def _curves(
    kind: str,
    names: Sequence[str],
    curves: Mapping[str, Curve | None],
    steps: Sequence[int],
    tokens: Sequence[int],
    known: dict[int, pl.Series],
) -> Iterator[pl.Series]:
    """Yield a column for each name; modules that share a curve share its values."""
    for name in names:
        curve = curves.get(name)
        if curve is None:
            yield same(f"{kind}.{name}", None, len(steps))
            continue
        if id(curve) not in known:
            if curve.is_constant():
                known[id(curve)] = same("", curve.at(0, 0), len(steps))
            elif isinstance(steps, range):
                known[id(curve)] = pl.Series(curve.values(steps, tokens), dtype=pl.Float64)
            else:
                values = map(curve.at, steps, tokens)
                known[id(curve)] = pl.Series(list(values), dtype=pl.Float64)
        yield known[id(curve)].alias(f"{kind}.{name}")


def _moving(stage: Stage) -> dict[tuple[str, str], Curve]:
    """Return the values of a stage's optimizers that run along curves, by target and name."""
    rules = stage.optimizer.items()
    return {(target, n): curve for target, rule in rules for n, curve in rule.curves.items()}


def _optimizer(
    names: Sequence[tuple[str, str]],
    stage: Stage,
    steps: Sequence[int],
    tokens: Sequence[int],
    known: dict[int, pl.Series],
) -> Iterator[pl.Series]:
    """Yield a column for each value that is a curve in some stage; here it may stand still."""
    curves = _moving(stage)
    for target, name in names:
        words = f"{target}.{name}"
        if (target, name) in curves:
            moving = {words: curves[target, name]}
            yield from _curves("optimizer", [words], moving, steps, tokens, known)
            continue
        rule = stage.optimizer.get(target)
        value = rule.values.get(name) if rule else None
        yield same(f"optimizer.{words}", None if value is None else float(value), len(steps))


def _drawn(names: Sequence[str], stage: Stage, steps: Sequence[int]) -> Iterator[pl.Series]:
    draws = stage.draws()
    counts: Iterable[Sequence[int]]
    if isinstance(steps, range):
        counts = draws.each(steps.start, steps.stop)
    else:
        counts = (tuple(draws.counts(step).values()) for step in steps)
    # One flat column, then every n-th of it: rows as Python tuples cost more than their numbers.
    flat = pl.Series(list(chain.from_iterable(counts)), dtype=pl.Int64)
    for name in names:
        if name in draws.names:
            column = flat.gather_every(len(draws.names), draws.names.index(name))
            yield column.alias(f"drawn.{name}")
        else:
            yield same(f"drawn.{name}", 0, len(steps), pl.Int64)


def _in_order(groups: Iterable[Iterable[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for group in groups for name in group))
