"""The compiled plan: frozen, exact, and one way to ask what a step does

    plan.stage("joint").at(step)      everything the plan says of one step
    plan.ancestors("joint")           what it starts from, each stage once, up to where it was left
    plan.digest, stage.digest         what may not change under a run

Nobody here knows that YAML exists; `compile.py` makes these values from a spec,
`lock.py` from a lock.
"""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from operator import itemgetter
from typing import TYPE_CHECKING

from curriculum.allowances import Allow, Allowed
from curriculum.batch import Batch, BatchPiece
from curriculum.composed import ComposedStage, origins
from curriculum.curve import Curve, root
from curriculum.errors import Span
from curriculum.gate import Gate
from curriculum.layout import Layout
from curriculum.lifecycle import NOTHING_SAID, Lifecycle
from curriculum.mixture import Mixture
from curriculum.models.shapes import Shape, changed
from curriculum.objective import LossRule
from curriculum.rope import Rope

if TYPE_CHECKING:
    from curriculum.data.draws import Draws


@dataclass(frozen=True, slots=True)
class Module:
    """A part of the model that stages train, freeze, take over, add or drop."""

    name: str
    preset: str | None  # None: known by counts alone
    shape: Shape


@dataclass(frozen=True, slots=True)
class Source:
    """A named set of documents; `tokens` is what there is, None where nobody knows."""

    name: str
    modality: str
    tokens: int | None
    holdout: Fraction = Fraction(0)
    max_epochs: Fraction | None = None
    image_share: Fraction | None = None  # of its LLM positions, those that images fill
    path: str | None = None
    of: str | None = None  # the whole of which it is a part: some of its documents
    part: tuple[Fraction, Fraction] | None = None  # from where to where, in shares of its tokens
    min_tokens: int | None = None  # of the length of a document
    max_tokens: int | None = None  # exclusive
    tags: tuple[str, ...] = ()  # sorted, with those of its whole; no mathematics

    @property
    def whole(self) -> str:
        """The source whose documents it reads: itself, or what it is a part of."""
        return self.of or self.name

    @property
    def readable_tokens(self) -> Fraction | None:
        """What training may read of it: all but the held-out share."""
        return None if self.tokens is None else self.tokens * (1 - self.holdout)


@dataclass(frozen=True, slots=True)
class Start:
    """Where a module comes from: `new` (stage None), or a stage at a step (its end, or a mark)."""

    stage: str | None
    step: int = 0
    carries_state: bool = False  # whether its optimizer state comes along

    @property
    def is_new(self) -> bool:
        return self.stage is None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """An outside checkpoint: the modules it gives, where its weights lie, and what is known of it.

    `path` is relative to the launch's data folder; `stand_in` says that a proxy has no such
    checkpoint and starts these modules with fresh weights, on purpose. `tokens`, `lr`, `rope` and
    `seq_len` are as it was left; no mathematics but through what stages read of them.
    """

    gives: tuple[str, ...]
    path: str | None = None
    stand_in: bool = False
    tokens: int | None = None
    lr: Mapping[str, Fraction] = field(default_factory=dict)  # by module or part
    rope: Mapping[str, Rope] = field(default_factory=dict)
    seq_len: int | None = None
    state: tuple[str, ...] = ()  # modules whose optimizer state it holds

    def lr_of(self, target: str) -> Fraction | None:
        """Return the LR that a module or part was left at; None where nobody says."""
        return self.lr.get(target, self.lr.get(target.partition("/")[0]))


@dataclass(frozen=True, slots=True)
class Ride:
    """How a module's LR follows a schedule: where the schedule's own clock stood at step 0.

    `with_batch` (`sqrt`, `linear`, or `none` where it was said) is how it follows the tokens in a
    step, against those of the clock's first step, `first_batch_tokens`.
    """

    schedule: str | None  # None: a curve over the stage itself
    instance: str  # the stage in which this run of the schedule's clock began
    tokens_before: int
    steps_before: int
    scale: Fraction = Fraction(1)
    jump: bool = False
    with_batch: str | None = None
    first_batch_tokens: int | None = None

    def factor(self, tokens_per_step: int) -> Fraction:
        """Return what the batch multiplies the learning rate by, a root to 20 digits.

        Source: sqrt as in Marin 8B's batch change and OLMo-core's batch-size scheduler; Adam's
        noise scale (arXiv:2205.10287); linear as for SGD (arXiv:1706.02677).

        >>> ride = Ride("main", "text", 0, 0, with_batch="sqrt", first_batch_tokens=1024)
        >>> ride.factor(4096), float(ride.factor(3072))
        (Fraction(2, 1), 1.7320508075688772)
        """
        if self.first_batch_tokens is None or self.with_batch not in ("sqrt", "linear"):
            return Fraction(1)
        ratio = Fraction(tokens_per_step, self.first_batch_tokens)
        return ratio if self.with_batch == "linear" else root(ratio)


@dataclass(frozen=True, slots=True)
class OptimizerRule:
    """What updates a module or a part: the kind, and numbers that are said or in the table."""

    kind: str
    values: Mapping[str, float | bool | None]
    curves: Mapping[str, Curve] = field(default_factory=dict)  # the values that change, instead

    def at(self, step: int, tokens: int) -> dict[str, float | bool | None]:
        """Return all values at a step of the stage, before which it has seen `tokens`."""
        values = dict(self.values)
        for name, curve in self.curves.items():
            values[name] = curve.at(step, tokens)
        return dict(sorted(values.items())) if self.curves else values


@dataclass(frozen=True, slots=True)
class Budget:
    """What a stage asked for, as it was said, and in tokens."""

    words: str
    tokens: int
    round_down: bool = False


class Now:
    """Everything that the plan says of one step of a stage.

    `step` may be the number of steps of the stage: the boundary after its last step, which is what
    a stage that continues from here starts with. Its batch and context are the last step's.
    """

    __slots__ = ("_clock_tokens", "piece", "stage", "step")

    def __init__(self, stage: "Stage", step: int) -> None:
        if not 0 <= step <= stage.steps:
            raise IndexError(f"stage {stage.name} has steps 0 to {stage.steps}, asked for {step}")
        self.stage = stage
        self.step = step
        self.piece: BatchPiece = stage.batch.piece_at(min(step, stage.steps - 1))
        self._clock_tokens = (
            stage.batch.tokens_before(step) if step < stage.steps else stage.budget.tokens
        )

    def __repr__(self) -> str:
        return f"<step {self.step:,} of stage {self.stage.name}, at {self.tokens:,} tokens>"

    @property
    def tokens(self) -> int:
        """Tokens of this stage's steps before this one."""
        return self.stage.batch.tokens_before(self.step)

    @property
    def first_sequence(self) -> int:
        """The number of sequences of this stage's steps before this one."""
        return self.stage.batch.seqs_before(self.step)

    @property
    def batch_seqs(self) -> int:
        return self.piece.batch_seqs

    @property
    def seq_len(self) -> int:
        return self.piece.seq_len

    @property
    def tokens_per_step(self) -> int:
        return self.piece.tokens_per_step

    @property
    def lr(self) -> dict[str, float | None]:
        """Learning rate of every trained module or part; None where it is unknown."""
        return self._values(self.stage.lr)

    @property
    def loss(self) -> dict[str, float | None]:
        """Weight of every loss term."""
        return self._values(self.stage.loss)

    @property
    def settings(self) -> dict[str, float | None]:
        """Every scheduled scalar of `set`, as `llm/router.bias_rate`."""
        return self._values(self.stage.settings)

    @property
    def optimizer(self) -> dict[str, dict[str, float | bool | None]]:
        """Values of the rule of every module, and of the parts that differ."""
        step, tokens = self.step, self._clock_tokens
        return {target: rule.at(step, tokens) for target, rule in self.stage.optimizer.items()}

    @property
    def rope(self) -> dict[str, Rope]:
        return dict(self.stage.rope)

    @property
    def shares(self) -> dict[str, float]:
        """Share of every node of the mixture's tree."""
        return self.stage.mixture.shares(self.step)

    @property
    def ratios(self) -> dict[str, float]:
        """Share of every source of the mixture, zeros included."""
        return self.stage.mixture.ratios(self.step)

    def _values(self, curves: Mapping[str, Curve | None]) -> dict[str, float | None]:
        step, tokens = self.step, self._clock_tokens
        known: dict[int, float] = {}
        values: dict[str, float | None] = {}
        for name, curve in curves.items():
            if curve is None:
                values[name] = None
            elif (key := id(curve)) in known:
                values[name] = known[key]
            else:
                values[name] = known[key] = curve.at(step, tokens)
        return values


@dataclass(frozen=True, slots=True)
class Stage:
    """One node of the curriculum's graph, compiled: piecewise, closed-form, exact."""

    name: str
    init: Mapping[str, Start]
    train: tuple[str, ...]
    count: str
    budget: Budget
    steps: int
    batch: Batch
    mixture: Mixture
    lr: Mapping[str, Curve | None]
    rides: Mapping[str, Ride]
    optimizer: Mapping[str, OptimizerRule]
    loss: Mapping[str, Curve | None]
    settings: Mapping[str, Curve | None]
    rope: Mapping[str, Rope]
    packing: str
    seed: int
    own_seed: bool
    digest: str = ""
    target_seq_len: int | None = None  # what it prepares for, where that is said: no mathematics
    loss_rules: Mapping[str, LossRule] = field(default_factory=dict)  # what is not the default
    lifecycle: Lifecycle = NOTHING_SAID
    status: str = "main"  # what became of it; no mathematics
    among: Mapping[str, tuple[Start, ...]] = field(default_factory=dict)  # as ComposedStage.among
    layout: Layout | None = None  # where it is said: no mathematics, and in no digest
    gate: Gate | None = None  # what its end waits for: no mathematics, and in no digest

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules that are there, trained or frozen."""
        return tuple(self.init)

    @property
    def parents(self) -> tuple[str, ...]:
        """The stages that its modules come from, in the order of the modules' names."""
        return tuple(dict.fromkeys(s.stage for s in self.init.values() if s.stage is not None))

    @property
    def tokens(self) -> int:
        """Planned tokens: what whole steps make of the budget."""
        return self.batch.tokens_before(self.steps)

    @property
    def seqs(self) -> int:
        """Sequences of all steps."""
        return self.batch.seqs_before(self.steps)

    def at(self, step: int) -> Now:
        """Return everything the plan says of one step, or of the boundary after the last."""
        return Now(self, step)

    def lr_of(self, target: str) -> Curve | None:
        """Return the LR of a module or part; a part that is not named follows its module."""
        if target in self.lr:
            return self.lr[target]
        return self.lr[target.partition("/")[0]]

    def optimizer_of(self, target: str) -> OptimizerRule:
        """Return what updates a module or part; the longer name wins."""
        return self.optimizer.get(target) or self.optimizer[target.partition("/")[0]]

    def clock_tokens(self, steps: range) -> list[int]:
        """Return, for consecutive steps, the tokens that curves read: what was seen before each."""
        return self.batch.tokens_before_each(steps)

    def draws(self) -> "Draws":
        """Compile which source each sequence of each step is drawn from, exactly."""
        from curriculum.data.draws import ShareSegment, compile_draws

        names = self.mixture.sources
        segments = []
        for s in self.mixture.segments:
            shares = tuple(s.sources[name].coefficients() for name in names)
            runs = self.batch.runs(s.first_step, s.end_step)
            segments += [ShareSegment(a, b, piece.batch_seqs, shares) for a, b, piece in runs]
        return compile_draws(names, segments)


@dataclass(frozen=True, slots=True)
class OutsideStage:
    """An outside checkpoint: a stage that is over before the plan begins."""

    name: str
    checkpoint: Checkpoint
    digest: str = ""


@dataclass(frozen=True, slots=True)
class UnknownStage:
    """A stage that nobody can compile because its budget, batch or mixture is unknown."""

    name: str
    parents: tuple[str, ...]
    asked_tokens: int | None
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Claim:
    """What `require` says of the plan, as it was written: no mathematics, but proved."""

    text: str
    because: str | None = None
    place: Span | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where one value of the plan comes from, if it is not simply stated or chosen."""

    kind: str  # assumed, derived, conflict, default, unknown; in a proxy scaled, kept
    path: str
    value: str
    span: Span | None
    below: str | None = None  # as written, where a scale changed it


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole curriculum, its stages in an order in which each follows its parents."""

    name: str
    seed: int
    modules: Mapping[str, Module]
    sources: Mapping[str, Source]
    stages: tuple[Stage, ...]
    outside: tuple[OutsideStage, ...] = ()
    unknown: tuple[UnknownStage, ...] = ()
    composed: tuple[ComposedStage, ...] = ()  # in an order in which each follows its parents
    claims: tuple[Claim, ...] = ()
    provenance: tuple[Provenance, ...] = field(default=(), compare=False)
    places: Mapping[str, Span] = field(default_factory=dict, compare=False)
    unused: tuple[str, ...] = field(default=(), compare=False)  # paths of what no stage names
    allows: tuple[Allow, ...] = field(default=(), compare=False)  # the comments of its text
    allowed: tuple[Allowed, ...] = field(default=(), compare=False)  # what its lock says of them
    digest: str = ""
    _by_name: Mapping[str, Stage] = field(init=False, repr=False, compare=False)
    _paths: list[tuple[str, int]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {stage.name: stage for stage in self.stages})
        object.__setattr__(self, "_paths", [])

    def paths_below(self, start: str) -> list[str]:
        """Return the paths of `places` that begin so, in the order of the text.

        The first to ask has them sorted: of a large plan every stage asks.
        """
        if not self._paths:
            self._paths.extend(sorted((path, i) for i, path in enumerate(self.places)))
        first = bisect_left(self._paths, (start, 0))
        end = bisect_left(self._paths, (f"{start}\U0010ffff", 0))
        found = sorted(self._paths[first:end], key=itemgetter(1))
        return [path for path, _ in found]

    @property
    def all_stages(self) -> tuple[Stage | ComposedStage, ...]:
        """All that the plan does: stages that train, and behind them those that only compose."""
        return (*self.stages, *self.composed)

    def stage(self, name: str) -> Stage:
        """Return a stage by name; raises KeyError."""
        return self._by_name[name]

    def has_stage(self, name: str) -> bool:
        return name in self._by_name

    def only_parent(self, name: str) -> Stage | None:
        """Return the stage at whose end all that is not new begins; None where there is no one.

        What its ancestors read, and what it reads itself, is then all that was read before.
        """
        given = {outside.name for outside in self.outside}
        starts = {
            (start.stage, start.step)
            for start in self._by_name[name].init.values()
            if start.stage is not None and start.stage not in given
        }
        if len(starts) != 1:
            return None
        ((parent, step),) = starts
        found = self._by_name.get(parent)  # an average has several parents
        return found if found is not None and step == found.steps else None

    def place(self, path: str) -> Span | None:
        """Return the place in the plan file of a path, or of the nearest thing around it."""
        while path:
            if path in self.places:
                return self.places[path]
            cut = max(path.rfind("."), path.rfind("["))
            path = path[:cut] if cut > 0 else ""
        return None

    def shape_of(self, stage: Stage, module: str) -> Shape:
        """Return the shape that a module has in a stage: the plan's, or what it was reshaped to."""
        shape = self.modules[module].shape
        sizes = stage.lifecycle.sizes.get(module)
        return changed(shape, sizes) if sizes else shape

    def parts_of(self, stage: Stage, module: str) -> tuple[str, ...]:
        """Return the parts that a module has in a stage, its adapters as the last."""
        return (*self.shape_of(stage, module).parts(), *stage.lifecycle.parts_of(module))

    def ancestors(self, name: str) -> tuple[tuple[Stage, int], ...]:
        """Return all stages that a stage's `init` reaches, furthest first, each once.

        With each comes the step at which it was left: the furthest that any descendant on the path
        needs. What an average is made of is an ancestor, each of them.
        """
        stages = {stage.name: stage for stage in self.stages}
        composed = {stage.name: stage for stage in self.composed}
        left: dict[str, int] = {}
        waiting = [*(composed[name].starts if name in composed else self.stage(name).init.items())]
        while waiting:
            module, init = waiting.pop()
            for start in origins(composed, init, module):
                if start.stage not in stages:
                    continue
                if start.stage not in left:
                    waiting += stages[start.stage].init.items()
                left[start.stage] = max(left.get(start.stage, 0), start.step)
        return tuple((stage, left[stage.name]) for stage in self.stages if stage.name in left)

    def composed_stage(self, name: str | None) -> ComposedStage | None:
        """Return a stage that only composes; None where it is none."""
        return next((composed for composed in self.composed if composed.name == name), None)

    def origins(self, start: Start, module: str) -> tuple[Start, ...]:
        """Return where a module comes from behind all averages: the start itself, or several."""
        return origins({composed.name: composed for composed in self.composed}, start, module)

    def tokens_before(self, name: str) -> int:
        """Return the planned tokens of all ancestors of a stage."""
        return sum(stage.batch.tokens_before(step) for stage, step in self.ancestors(name))

    @property
    def is_executable(self) -> bool:
        """Say whether everything that a trainer needs is known."""
        curves = (c for s in self.stages for g in (s.lr, s.loss, s.settings) for c in g.values())
        rules = (rule for stage in self.stages for rule in stage.optimizer.values())
        values = (v for rule in rules for n, v in rule.values.items() if n != "clip_norm")
        decays = (s.lifecycle.ema.decay for s in self.stages if s.lifecycle.ema is not None)
        is_known = all(x is not None for x in (*curves, *values, *decays))
        return not self.unknown and is_known
