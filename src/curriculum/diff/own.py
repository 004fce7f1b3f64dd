"""What of a stage's own steps differs, each with the first step that does, and its values there"""

from collections.abc import Iterator, Mapping

from curriculum.curve import Curve
from curriculum.diff.drawn import drawn_alike
from curriculum.diff.fixed import Pair, fixed_changes
from curriculum.diff.pieces import batch_differs, curve_differs, shares_differ
from curriculum.diff.values import Change, Value
from curriculum.plan import Stage

DRAWS = "draws"
"""What a change is called that only says that the draws may part here."""


def own_changes(pair: Pair) -> tuple[Change, ...]:
    """Return what differs in the steps of a stage, whatever lies before it, by step.

    Each is the first of its kind: where the tokens in a step differ, what follows the tokens does
    too from there on, and is not told again.
    """
    found = [*fixed_changes(pair), *_moving_changes(pair)]
    return tuple(sorted(found, key=lambda change: change.step))


def first_step(changes: tuple[Change, ...]) -> int | None:
    """Return the first step that differs, or may; None where none does."""
    return changes[0].step if changes else None


def _moving_changes(pair: Pair) -> Iterator[Change]:
    one, other = pair.one, pair.other
    steps = min(one.steps, other.steps)
    at = batch_differs(one.batch, other.batch, steps)
    alike = steps if at is None else at  # before this step, batches are
    clocked = min(alike + 1, steps)
    if at is not None:
        before, after = one.at(at), other.at(at)
        if before.batch_seqs != after.batch_seqs:
            yield Change("batch", at, before.batch_seqs, after.batch_seqs)
        if before.seq_len != after.seq_len:
            yield Change("context", at, before.seq_len, after.seq_len)
    yield from _curves_differ("LR of", one, other, one.lr, other.lr, clocked)
    yield from _curves_differ("loss", one, other, one.loss, other.loss, clocked)
    yield from _curves_differ("set", one, other, one.settings, other.settings, clocked)
    yield from _optimizer_curves_differ(one, other, clocked)
    shares = shares_differ(one.mixture, other.mixture, clocked)
    if shares is not None:
        step, names = shares
        was, now = one.at(step).ratios, other.at(step).ratios
        for name in names:
            yield Change(f"share of {name}", step, was.get(name, 0.0), now.get(name, 0.0))
        alike = min(alike, step)
    if one.steps != other.steps:
        yield Change("steps", steps, one.steps, other.steps)
    if shares is not None or at is not None or one.steps != other.steps:
        drawn = drawn_alike(one.mixture, alike)
        if drawn < alike:
            yield Change(DRAWS, drawn, None, None, is_certain=False)


def _curves_differ(
    what: str,
    one: Stage,
    other: Stage,
    mine: Mapping[str, Curve | None],
    its: Mapping[str, Curve | None],
    end: int,
) -> Iterator[Change]:
    for name in sorted(mine.keys() | its.keys()):
        if name in mine and name in its:
            found = curve_differs(mine[name], its[name], one.batch, end)
            if found is None:
                continue
            step, is_certain = found
        else:
            step, is_certain = 0, True
        was, now = _value(one, mine.get(name), step), _value(other, its.get(name), step)
        yield Change(f"{what} {name}", step, was, now, is_certain)


def _value(stage: Stage, curve: Curve | None, step: int) -> float | None:
    return None if curve is None else curve.at(step, stage.batch.tokens_before(step))


def _optimizer_curves_differ(one: Stage, other: Stage, end: int) -> Iterator[Change]:
    for target in sorted(one.optimizer.keys() & other.optimizer.keys()):
        before, after = one.optimizer[target], other.optimizer[target]
        if before.kind != after.kind:
            continue  # told as such
        for name in sorted(before.curves.keys() | after.curves.keys()):
            mine, its = before.curves.get(name), after.curves.get(name)
            if mine is not None and its is not None:
                found = curve_differs(mine, its, one.batch, end)
                if found is None:
                    continue
                step, is_certain = found
            else:
                step, is_certain = 0, True
            was, now = (_of_rule(stage, target, name, step) for stage in (one, other))
            yield Change(f"{name} of {target}", step, was, now, is_certain)


def _of_rule(stage: Stage, target: str, name: str, step: int) -> Value:
    return stage.at(step).optimizer[target].get(name)
