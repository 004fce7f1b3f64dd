"""What a path of a claim is worth: numbers, or forms on runs of steps

`values_of` finds what a path means in a plan, once; `breaks` cuts a stage where its form changes,
and `form_on` gives it between two such cuts.
"""

from collections.abc import Collection, Iterator
from fractions import Fraction
from typing import NamedTuple, assert_never

from curriculum.check.claim_curves import Curves, optimizer_curves, stage_curves
from curriculum.check.claim_names import NodeSets, nodes_of
from curriculum.check.claim_numbers import Number, Numbers, numbers_of
from curriculum.check.forms import Atoms, Clock, Form, constant, polynomial
from curriculum.check.polynomials import ZERO, Poly, plus, through
from curriculum.claims import Path
from curriculum.curve import Curve
from curriculum.plan import Plan, Stage


class Shares(NamedTuple):
    """The summed share of some nodes of every stage's mixture."""

    nodes: NodeSets
    cut: frozenset[str]  # stages that cannot tell all of them
    missing: str


class Batches(NamedTuple):
    """Tokens or sequences of a step, or its context."""

    field: str  # tokens_per_step, batch_seqs, seq_len


FEW_CUTS = 8
"""Batches of so many sizes under one piece are gone through one by one; a ramp is not."""

Values = Number | Numbers | Shares | Curves | Batches


class Run(NamedTuple):
    """Steps of a stage from `first` to `end`, or (with `is_end`) the boundary after its last."""

    stage: Stage
    first: int
    end: int
    is_end: bool = False

    @property
    def steps(self) -> int:
        return self.end - self.first


class Unknown(Exception):
    """A value that the plan does not know."""


def values_of(plan: Plan, path: Path, stages: Collection[str] = ()) -> Values:
    """Return what a path means in a plan, or in the stages that its claim is limited to.

    Raises `ClaimProblem`.
    """
    match path.names[0]:
        case "mix":
            return Shares(*nodes_of(plan, path, stages), f"`{path.text}`")
        case "lr" | "loss" | "set":
            return stage_curves(plan, path)
        case "optimizer":
            return optimizer_curves(plan, path)
        case "batch":
            return Batches("tokens_per_step" if path.names[1] == "tokens" else "batch_seqs")
        case "seq_len":
            return Batches("seq_len")
        case _:
            return numbers_of(plan, path)


def stages_with(plan: Plan, values: Values) -> frozenset[str] | None:
    """Return the stages that have a value; None where it belongs to no stage."""
    match values:
        case Number():
            return None
        case Numbers(by_stage=found) | Curves(by_stage=found):
            return frozenset(found)
        case Shares(nodes=nodes, cut=cut):
            return cut.union(name for name, paths in nodes.items() if paths)
        case Batches():
            return frozenset(stage.name for stage in plan.stages)
        case _:
            assert_never(values)


def breaks(values: Values, stage: Stage) -> set[int]:
    """Return the steps of a stage at which the form of a value may become another."""
    match values:
        case Number() | Numbers():
            return set()
        case Shares(nodes=nodes):
            return set(_share_breaks(stage, nodes[stage.name]))
        case Batches():
            return set(stage.batch.breaks())
        case Curves(by_stage=found):
            curve = found[stage.name]
            return set(_curve_breaks(stage, curve)) if curve is not None else set()
        case _:
            assert_never(values)


def form_on(values: Values, run: Run, atoms: Atoms) -> Form:
    """Return what a value is on a run of steps between two breaks. Raises `Unknown`."""
    match values:
        case Number(value=value, missing=missing):
            return _known(value, missing)
        case Numbers(by_stage=found, missing=missing):
            return _known(found[run.stage.name], f"{missing} of stage `{run.stage.name}`")
        case Shares(nodes=nodes, cut=cut, missing=missing):
            if run.stage.name in cut:
                raise Unknown(f"{missing} in the long replay of stage `{run.stage.name}`")
            return polynomial(_share(run, nodes[run.stage.name]))
        case Batches(field=name):
            step = min(run.first, run.stage.steps - 1)
            return constant(int(getattr(run.stage.batch.piece_at(step), name)))
        case Curves(by_stage=by_stage, missing=missing):
            curve = by_stage[run.stage.name]
            if curve is None:
                raise Unknown(f"{missing} of stage `{run.stage.name}`")
            return _curve_form(run, curve, atoms)
        case _:
            assert_never(values)


def _known(value: Fraction | None, missing: str) -> Form:
    if value is None:
        raise Unknown(missing)
    return constant(value)


# Shares


def _share_breaks(stage: Stage, nodes: frozenset[str]) -> Iterator[int]:
    before: list[object] = []
    for segment in stage.mixture.segments:
        shares: list[object] = [segment.nodes[path] for path in sorted(nodes)]
        is_flat = all(len(segment.nodes[path].numerators) == 1 for path in nodes)
        if not is_flat or shares != before:
            yield segment.first_step
        before = shares


def _share(run: Run, nodes: frozenset[str]) -> Poly:
    if run.is_end:
        shares = run.stage.mixture.end_shares()
        total = sum((shares[path] for path in nodes), Fraction(0))
        return (total,) if total else ZERO
    segment = run.stage.mixture.segment_at(run.first)
    poly, moved = ZERO, run.first - segment.first_step
    for path in nodes:
        share = segment.nodes[path]
        samples = [share.exact(moved + j) for j in range(len(share.numerators))]
        poly = plus(poly, through(samples))
    return poly


# Curves


def _curve_breaks(stage: Stage, curve: Curve) -> Iterator[int]:
    starts = [step for step in curve.breaks() if step < stage.steps]
    for piece, after in zip(curve.pieces, [*starts[1:], stage.steps], strict=False):
        yield piece.first_step
        if piece.shape == "constant":
            continue
        if piece.end is not None:
            in_tokens = piece.unit == "tokens"
            yield stage.batch.step_at_tokens(piece.end) if in_tokens else piece.end
        cuts = [b for b in stage.batch.breaks() if piece.first_step < b < after]
        if piece.unit == "tokens" and len(cuts) <= FEW_CUTS:
            yield from cuts


def _curve_form(run: Run, curve: Curve, atoms: Atoms) -> Form:
    piece, batch = curve.piece_at(run.first), run.stage.batch
    if run.is_end:
        end = run.stage.budget.tokens if piece.unit == "tokens" else run.first
        return atoms.form(piece, Clock(end, 0), 1)
    if piece.unit == "steps":
        return atoms.form(piece, Clock(run.first, 1), run.steps)
    one, last = batch.piece_at(run.first), batch.piece_at(run.end - 1)
    if one != last:
        return atoms.form(piece, Clock(run.first, 0, batch), run.steps)
    before = batch.tokens_before(run.first)
    return atoms.form(piece, Clock(before, one.tokens_per_step), run.steps)
