"""Places in a plan's text that findings point at beside their own"""

from curriculum.curve import Curve, Piece
from curriculum.errors import Related, Span
from curriculum.plan import Plan, Stage

BUDGETS = ("tokens", "steps", "seqs", "epochs", "until")
"""The keys of which a stage says one."""


def related_place(plan: Plan, message: str, path: str) -> tuple[Related, ...]:
    """Return a second place to speak of; none where the plan has no text."""
    span = plan.place(path)
    return (Related(message, span),) if span else ()


def first_place(plan: Plan, *paths: str) -> Span | None:
    """Return the place of the first path that the text has, else of what is around the last."""
    said = (plan.places[path] for path in paths if path in plan.places)
    return next(said, plan.place(paths[-1]) if paths else None)


def rope_place(plan: Plan, stage: Stage, name: str) -> Span | None:
    """Return the place where a stage says the RoPE of a module, else that of its context."""
    own = f"stages.{stage.name}.rope"
    below = plan.paths_below(f"{own}.{name}.")
    paths = (f"{own}.{name}", own, *below, f"stages.{stage.name}.seq_len")
    return first_place(plan, *paths)


def mixture_place(plan: Plan, stage: Stage, source: str) -> Span | None:
    """Return the place of a source in its stage's mixture, else of what is around it."""
    above = f"stages.{stage.name}.mixture"
    named = [
        path
        for inside in (f"{above}.", f"{above}[")
        for path in plan.paths_below(inside)
        if path.endswith(f".{source}")
    ]
    return plan.place(named[0] if named else above)


def batch_place(plan: Plan, stage: Stage, index: int) -> Span | None:
    """Return the place of a piece of a stage's batch, where each has its own; else of all."""
    above = f"stages.{stage.name}.batch"
    last = len(stage.batch.pieces) - 1
    own = not stage.batch.ramps and f"{above}[{last}]" in plan.places
    is_whole = f"{above}[{last + 1}]" not in plan.places
    return plan.place(f"{above}[{index}]" if own and is_whole else above)


def piece_place(
    plan: Plan, stage: Stage, kind: str, name: str, piece: Piece, *keys: str
) -> Span | None:
    """Return the place of one of the keys of a curve's piece, else of what is around it.

    `kind` is `lr` or `loss`, `name` the target or the term.
    """
    ride = stage.rides[name] if kind == "lr" else None
    if ride is not None and ride.schedule is not None:
        above = [f"schedules.{ride.schedule}"]
        if any(".repeat" in path for path in plan.paths_below(f"{above[0]}[")):
            return plan.place(above[0])  # one text for many pieces
        index = _pieces_of(plan, stage, name).index(_on_clock(stage, name, piece))
    else:
        curves: dict[str, Curve | None] = getattr(stage, kind)
        curve = curves[name]
        own = [f"stages.{stage.name}.{kind}.{name}", f"stages.{stage.name}.{kind}"]
        above = [path for whole in own for path in (whole, f"{whole}.curve")]
        index = curve.pieces.index(piece) if curve is not None else 0
    items = [f"{path}[{index}]" for path in above]
    paths = [*(f"{item}.{key}" for item in items for key in keys), *items]
    return plan.place(next((path for path in paths if path in plan.places), above[0]))


def _pieces_of(plan: Plan, stage: Stage, target: str) -> list[tuple[str, int]]:
    """Return the pieces of a schedule in order, as all riders of one clock see them."""
    ride = stage.rides[target]
    found = {
        _on_clock(rider, name, piece): None
        for rider in plan.stages
        for name, other in rider.rides.items()
        if (other.schedule, other.instance) == (ride.schedule, ride.instance)
        and (curve := rider.lr[name]) is not None
        for piece in curve.pieces
    }
    return list(found)


def _on_clock(stage: Stage, target: str, piece: Piece) -> tuple[str, int]:
    """Return where a piece begins on its schedule's clock, whichever stage sees it."""
    ride = stage.rides[target]
    before = ride.tokens_before if piece.unit == "tokens" else ride.steps_before
    return piece.unit, before + piece.start
