"""Claims of `require` as trees: their words and units, each with its place

Nothing here knows a plan: `check/claim_values.py` says what a path is worth in one.
"""

from fractions import Fraction
from typing import Literal, NamedTuple

from curriculum.errors import ClaimProblem, did_you_mean
from curriculum.in_samples import SAMPLES
from curriculum.units import Amount

Sign = Literal["+", "-", "*", "/"]
Order = Literal["<=", "<", ">=", ">", "==", "!="]


class Point(NamedTuple):
    """A stage, or one point of it: at its end, or at a mark."""

    stage: str
    mark: Amount | None
    is_end: bool
    place: tuple[int, int]

    @property
    def is_whole(self) -> bool:
        """Say whether it is the whole stage: a mark would make it one step."""
        return self.mark is None and not self.is_end


class Constant(NamedTuple):
    """A number; `unit` is what was written beside it: tokens, steps, seqs, epochs or share."""

    value: Fraction
    unit: str | None
    place: tuple[int, int]


class Path(NamedTuple):
    """A value of the plan: `mix.web`, `lr.llm`; `point` where it is asked elsewhere."""

    names: tuple[str, ...]
    point: Point | None
    place: tuple[int, int]

    @property
    def text(self) -> str:
        return ".".join(self.names)


class Operation(NamedTuple):
    """Two values made one."""

    sign: Sign
    left: "Value"
    right: "Value"
    place: tuple[int, int]


Value = Constant | Path | Operation


class Relation(NamedTuple):
    """What a claim says of two values."""

    order: Order
    left: Value
    right: Value
    place: tuple[int, int]


UNITS = {
    "mix": "share", "tokens": "tokens", "steps": "steps", "epochs": "epochs", "seq_len": "tokens",
    "batch.tokens": "tokens", "batch.seqs": "seqs", "lr": None, "loss": None, "set": None,
    "rope": None, "optimizer": None,
}  # fmt: skip
"""What the values are counted in, by the first words of their path."""

AMOUNTS = ("tokens", "steps", "epochs", "batch", "seq_len")
"""First words of paths that a proxy's `scale` changes."""

FORMS = {
    "mix": "mix.NAME", "tokens": "tokens.total", "steps": "steps.total", "epochs": "epochs.SOURCE",
    "batch": "batch.tokens or batch.seqs", "seq_len": "seq_len", "lr": "lr.MODULE",
    "loss": "loss.TERM", "set": "set.MODULE/PART.NAME", "rope": "rope.MODULE.base",
    "optimizer": "optimizer.MODULE.weight_decay",
}  # fmt: skip
"""How each path is written."""

_LENGTHS = {
    "mix": (2, 3), "tokens": (2, 3), "steps": (2, 3), "epochs": (2, 3), "batch": (2, 2),
    "seq_len": (1, 1), "lr": (2, 2), "loss": (2, 2), "set": (3, 3), "rope": (3, 9),
    "optimizer": (3, 3),
}  # fmt: skip


def paths_of(relation: Relation) -> tuple[Path, ...]:
    """Return the paths that a relation speaks of, from left to right."""
    found: list[Path] = []
    waiting: list[Value] = [relation.right, relation.left]
    while waiting:
        match waiting.pop():
            case Path() as path:
                found.append(path)
            case Operation(left=left, right=right):
                waiting += [right, left]
            case Constant():
                pass
    return tuple(found)


def check_form(path: Path) -> None:
    """Refuse a path that begins with no word of claims, or is too long or short for its word."""
    head = path.names[0]
    if head not in FORMS:
        way_out = _of_samples(path) or did_you_mean(head, tuple(FORMS))
        raise ClaimProblem(
            f"claims know no `{head}`", path.place[0], path.place[0] + len(head), way_out
        )
    least, most = _LENGTHS[head]
    is_batch = head == "batch" and path.names[1:] not in (("tokens",), ("seqs",))
    if not least <= len(path.names) <= most or is_batch:
        what = f"`{path.text}` names no value"
        raise ClaimProblem(what, *path.place, f"write {FORMS[head]}")


def _of_samples(path: Path) -> str | None:
    """Say how a claim counts what it calls sequences or samples."""
    head, *names = path.names
    if head not in SAMPLES:
        return None
    if not names:
        return "those of a step are `batch.seqs`; a stage's are `tokens.STAGE / SEQ_LEN`"
    return f"count tokens, seqs x `seq_len`: `tokens.{names[0]} == 4M * 1024`"


def unit_of(relation: Relation) -> str | None:
    """Return what both sides of a relation count; None where they are bare numbers."""
    return _unit(relation.left) or _unit(relation.right)


def unit_of_path(path: Path) -> str | None:
    """Return what a value of the plan counts, None where it is a bare number."""
    return UNITS.get(path.names[0], UNITS.get(".".join(path.names)))


def check_units(relation: Relation) -> None:
    """Refuse to compare or add what is not counted in the same unit."""
    left, right = _unit(relation.left), _unit(relation.right)
    if left and right and left != right:
        raise ClaimProblem(
            f"this compares {_counted(left)} with {_counted(right)}",
            *relation.place,
            _way_out(left, right),
        )


def _unit(value: Value) -> str | None:
    """Return what a value counts, None where it is a bare number or nobody can say."""
    match value:
        case Constant():
            return value.unit
        case Path():
            return unit_of_path(value)
        case Operation(sign=sign):
            left, right = _unit(value.left), _unit(value.right)
            if sign in ("+", "-"):
                if left and right and left != right:
                    what = f"this adds {_counted(left)} and {_counted(right)}"
                    raise ClaimProblem(what, *value.place, _way_out(left, right))
                return left or right
            counted = [unit for unit in (left, right) if unit not in (None, "share")]
            if sign == "*":
                return counted[0] if len(counted) == 1 else None
            return left if right in (None, "share") else None


def _counted(unit: str) -> str:
    return "a share" if unit == "share" else unit


def _way_out(left: str, right: str) -> str | None:
    if "share" in (left, right):
        return "say of what: 10% * tokens.total"
    return None


def scoped(relation: Relation, scope: Point | None) -> Relation:
    """Return a relation whose paths are asked at a point, but for those that say their own."""
    if scope is None:
        return relation
    return relation._replace(
        left=_value_at(relation.left, scope), right=_value_at(relation.right, scope)
    )


def _value_at(value: Value, scope: Point) -> Value:
    match value:
        case Path(point=None):
            return value._replace(point=scope)
        case Operation():
            return value._replace(
                left=_value_at(value.left, scope), right=_value_at(value.right, scope)
            )
        case _:
            return value
