"""The typed form of what a person wrote: every value with its span, nothing resolved yet

Only the compiler sees it; `spec_plan.py` reads it. Most are named tuples: thirty frozen dataclasses
take 10 ms to define, a fifteenth of what `curriculum plan` takes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from types import MappingProxyType
from typing import NamedTuple

from curriculum.errors import Span
from curriculum.nodes import UNSCALED, Key, Map, Node, Scale
from curriculum.units import Amount


@dataclass(frozen=True, slots=True)
class Number:
    """A number as written; None where the plan says `unknown`; `percent` if it was written so."""

    value: Fraction | None
    span: Span
    percent: bool = False


@dataclass(frozen=True, slots=True)
class Quantity:
    """An amount as written, and the scale of the proxy it is read through."""

    amount: Amount
    span: Span
    scale: Scale = UNSCALED

    @property
    def scaled_tokens(self) -> int:
        """An amount in tokens, through the proxy's scale, in whole tokens (up)."""
        return ceil(self.amount.value * self.scale.tokens)


class Word(NamedTuple):
    """A word and where it stands."""

    text: str
    span: Span


class PieceSpec(NamedTuple):
    """One piece of a curve as written."""

    shape: Word
    start: Number | Word | None  # the word is `current`
    end: Number | None
    length: Quantity | None
    is_until: bool
    knob: Quantity | None
    span: Span
    power: Fraction | None = None
    stretch: Word | None = None  # the schedule of which it draws out what is left


class CurveSpec(NamedTuple):
    """A value or pieces."""

    pieces: tuple[PieceSpec, ...]
    span: Span


class LossSpec(NamedTuple):
    """A loss term: its weight, and what it says of positions and of its average."""

    weight: CurveSpec
    over: Word | None
    reduce: Word | None


class RideSpec(NamedTuple):
    """A module's LR: a schedule by name, or a curve over the stage."""

    schedule: Word | None
    curve: CurveSpec | None
    restart: bool
    scale: Fraction
    jump: bool
    span: Span
    with_batch: str | None = None  # sqrt, linear, or none: how it follows the batch


class Point(NamedTuple):
    """A stage, at its end or at a mark."""

    stage: str
    mark: Quantity | None
    span: Span


class AverageSpec(NamedTuple):
    """An average of points, weighted or uniform."""

    points: tuple[Point, ...]
    weights: tuple[Fraction, ...]  # none where it is uniform
    span: Span


class LastSpec(NamedTuple):
    """An average of checkpoints of one stage: its end or mark, and `number - 1` before it."""

    point: Point
    number: int
    every: Quantity
    span: Span


class SelectSpec(NamedTuple):
    """One point, chosen among candidates of which it is one."""

    point: Point
    candidates: tuple[Point, ...]
    span: Span


Merge = AverageSpec | LastSpec | SelectSpec
Origin = Point | Merge
"""Where a module comes from, if it is not new."""


def points_of(origin: Origin, with_candidates: bool = True) -> tuple[Point, ...]:
    """Return the points that an origin names; of a selection, maybe the chosen one alone."""
    match origin:
        case Point():
            return (origin,)
        case AverageSpec():
            return origin.points
        case LastSpec():
            return (origin.point,)
        case SelectSpec():
            return origin.candidates if with_candidates else (origin.point,)


class RampSpec(NamedTuple):
    """A size of the batch that rises or falls in levels."""

    start: Quantity | Word | None  # the word is `current`; None: where the piece before ended
    end: Quantity
    level: Quantity  # `by`, or what every level is a multiple of
    is_linear: bool  # else in increments
    span: Span


class BatchSpec(NamedTuple):
    """One piece of a batch: its size in the unit that it is said in, maybe its context."""

    unit: str  # "seqs" or "tokens"
    size: Quantity | RampSpec | None  # None: as the ancestor left it
    seq_len: Quantity | None
    until: Quantity | None
    span: Span


class MeasureSpec(NamedTuple):
    """What a node says instead of a ratio: tokens or epochs, or a factor of its size or root."""

    kind: str  # one of words.MEASURES
    value: Fraction
    span: Span
    at_most: Quantity | None = None  # tokens that its size counts as, where it has more
    amount: Quantity | None = None  # of tokens, as written


class LayoutSpec(NamedTuple):
    """How the stage is laid out on a machine: its numbers, none of them where it says `none`.

    `accumulation` is not among them where it is not said or varies.
    """

    numbers: Mapping[str, int]
    scale: Scale  # below one it is of the run that the proxy stands for
    span: Span


class NodeSpec(NamedTuple):
    """A node of a mixture: a source, or a group; neither ratio nor measure says `rest`."""

    name: Word
    ratio: CurveSpec | None
    of: "MixSpec | None"
    measure: MeasureSpec | None = None
    tags: tuple[str, ...] = ()


class MixPieceSpec(NamedTuple):
    """A piece of a mixture; `of` None goes over from the mixture before to the one after."""

    of: "MixSpec | None"
    length: Quantity | None
    is_until: bool
    span: Span


class MixSpec(NamedTuple):
    """A mixture: nodes, a replay of a stage or of the piece before, sources by size, or pieces."""

    nodes: tuple[NodeSpec, ...]
    replay: Point | None
    replay_path: tuple[str, ...]
    by_size: tuple[Word, ...]
    span: Span
    previous: bool = False
    normalize: Span | None = None  # where it says that the ratios are divided by their sum
    pieces: tuple[MixPieceSpec, ...] = ()

    @property
    def groups(self) -> "tuple[MixSpec, ...]":
        """The mixtures right below this one: of its groups, or of its pieces."""
        below = (*(node.of for node in self.nodes), *(piece.of for piece in self.pieces))
        return tuple(of for of in below if of is not None)

    def takes_previous(self) -> bool:
        """Say whether it takes anything from the mixture before it."""
        return self.previous or any(group.takes_previous() for group in self.groups)

    def replayed(self) -> tuple[str, ...]:
        """Return the stages that this mixture replays, at any depth."""
        own = (self.replay.stage,) if self.replay else ()
        return own + tuple(stage for group in self.groups for stage in group.replayed())


class SourceSpec(NamedTuple):
    """A source as written."""

    name: Word
    modality: str
    tokens: Quantity | None
    holdout: Fraction
    max_epochs: Fraction | None
    image_share: Fraction | None
    path: str | None
    part: "PartSpec | None" = None
    tags: tuple[str, ...] = ()


class PartSpec(NamedTuple):
    """Which documents of another source: a share of them by order, or those of some lengths."""

    of: Word
    share: tuple[Fraction, Fraction] | None
    min_tokens: int | None
    max_tokens: int | None


class ModuleSpec(NamedTuple):
    """A module: its preset and fields of the shape that differ, or its kind and what is known."""

    name: Word
    preset: Word | None
    kind: Word | None  # one of the two
    overrides: Mapping[str, object]
    span: Span


class OptimizerSpec(NamedTuple):
    """An optimizer or the rule of a part."""

    name: Word
    kind: Word | None  # none where every module has one of its own
    values: Mapping[str, "OptimizerValue"]
    parts: Mapping[str, "OptimizerSpec"]


ScalingValue = Number | Quantity | tuple[Number, ...]


class ScalingSpec(NamedTuple):
    """What stretches RoPE, as written: its kind, and its numbers by name."""

    kind: Word
    values: Mapping[str, ScalingValue]
    span: Span


class RopeSpec(NamedTuple):
    """The RoPE of a module or a part as written; `base` None says `none`."""

    base: Number | None
    scaling: ScalingSpec | None
    span: Span


OptimizerValue = Number | bool | CurveSpec
"""A number, a switch, or a curve over the steps of the optimizer's state."""


class CheckpointSpec(NamedTuple):
    """What is known of an outside checkpoint."""

    gives: tuple[Word, ...]
    path: str | None
    stand_in: bool
    tokens: Quantity | None = None
    lr: Mapping[str, Number] = MappingProxyType({})
    rope: Mapping[str, RopeSpec] | None = None
    seq_len: Quantity | None = None
    state: tuple[Word, ...] = ()


class ReshapeSpec(NamedTuple):
    """The fields of a module's shape that change, and how the rows that it gains begin."""

    module: Word
    sizes: Mapping[str, int | float | bool | None]
    rows: Word | None
    span: Span


class AdapterSpec(NamedTuple):
    """New adapters of a module."""

    module: Word
    kind: str
    rank: int
    parts: tuple[Word, ...]


class GateSpec(NamedTuple):
    """What a stage's end waits for, and the bounds of its length."""

    when: str
    least: Quantity | None
    most: Quantity | None


class EmaSpec(NamedTuple):
    """An average of the weights; without a decay it says `none`."""

    decay: Number | None


class StageSpec(NamedTuple):
    """One stage as written; None where it says nothing."""

    name: Word
    span: Span
    checkpoint: CheckpointSpec | None = None
    init: Mapping[str, Origin | None] | None = None  # None inside: `new`
    init_all: Origin | None = None
    init_span: Span | None = None
    keep: Point | None = None  # the `rest`, where modules keep others
    keep_by: Mapping[str, Point] = MappingProxyType({})
    status: Word | None = None
    carry: tuple[Word, ...] | None = None  # ("all",) and ("none",) too
    budget: tuple[str, Quantity] | None = None
    round_down: bool = False
    gate: GateSpec | None = None
    counted: Word | None = None  # `count`: the module whose positions tokens are
    train: tuple[Word, ...] | None = None
    optimizer: Word | None = None
    loss: Mapping[str, LossSpec] | None = None
    settings: Mapping[str, Mapping[str, CurveSpec]] | None = None
    lr: RideSpec | None = None
    lr_by_target: Mapping[str, RideSpec] | None = None
    seq_len: Quantity | None = None
    batch: tuple[BatchSpec, ...] | None = None
    layout: LayoutSpec | None = None
    packing: Word | None = None
    rope: Mapping[str, RopeSpec] | None = None
    target_seq_len: Quantity | None = None
    mixture: MixSpec | None = None
    seed: int | None = None
    fresh: tuple[Word, ...] = ()  # parts that `init` says are new
    reshape: Mapping[str, ReshapeSpec] | None = None
    adapters: Mapping[str, AdapterSpec | Word] | None = None  # "": of every module
    ema: EmaSpec | None = None
    dotted: tuple[tuple[tuple[str, ...], Key, Node], ...] = ()
    unknown: tuple[str, ...] = ()  # keys whose value is the word `unknown`
    said: frozenset[str] = frozenset()  # its keys, also those that could not be read

    @property
    def origins(self) -> tuple[Origin, ...]:
        """Where its modules come from, those that are new left out."""
        return tuple(o for o in (*(self.init or {}).values(), self.init_all) if o is not None)

    def points(self, with_candidates: bool = True) -> tuple[Point, ...]:
        """Return all points that `init` names; of selections, maybe the chosen ones alone."""
        return tuple(p for origin in self.origins for p in points_of(origin, with_candidates))


class ClaimSpec(NamedTuple):
    """A claim of `require`; scaled where a proxy takes it from the plan below."""

    text: str
    because: str | None
    is_scaled: bool
    span: Span


class PlanSpec(NamedTuple):
    """A whole plan as written."""

    name: str
    seed: int
    seed_is_default: bool
    modules: Mapping[str, ModuleSpec]
    optimizers: Mapping[str, OptimizerSpec]
    sources: Mapping[str, SourceSpec]
    schedules: Mapping[str, CurveSpec]
    stages: Mapping[str, StageSpec]
    claims: tuple[ClaimSpec, ...]
    root: Map
