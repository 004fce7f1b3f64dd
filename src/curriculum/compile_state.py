"""What the compiler's passes share: the spec, what is compiled so far, and the problems found"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import floor
from typing import NamedTuple

from curriculum.batch import Batch
from curriculum.clock import Clock, Rider
from curriculum.compile_trees import Trees
from curriculum.composed import ComposedStage, origins
from curriculum.errors import Diagnostic, Fix, Related, Severity, Span
from curriculum.extent import unknown_share
from curriculum.lifecycle import Lifecycle
from curriculum.nodes import UNSCALED, Map, Scale
from curriculum.plan import Budget, Checkpoint, Module, Source, Stage, Start, UnknownStage
from curriculum.spec import LayoutSpec, PlanSpec, Quantity, RideSpec, StageSpec, Word
from curriculum.spec_reader import is_misspelt


class Outside(NamedTuple):
    """An outside checkpoint, drafted."""

    name: str
    checkpoint: Checkpoint


@dataclass(slots=True)
class Draft:
    """A stage whose parents, budget, batch and clocks are known, but not yet its curves."""

    spec: StageSpec
    init: Mapping[str, Start]
    kept: "Kept | None"
    train: tuple[str, ...]
    count: str
    budget: Budget
    steps: int
    batch: Batch
    layout: LayoutSpec | None
    uniform_ride: RideSpec | None  # one ride for all trained modules
    rides: Mapping[str, RideSpec]
    clocks: Mapping[str, Clock]  # by schedule, where it stands when the stage begins
    ridden: frozenset[str]  # the schedules that this stage rides on
    seed: int
    own_seed: bool
    lifecycle: Lifecycle
    kept_by: "Mapping[str, Kept]" = field(default_factory=dict)  # by module, where not `kept`
    among: Mapping[str, tuple[Start, ...]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.spec.name.text

    def kept_of(self, target: str) -> "Kept | None":
        """Return the ancestor that a module or part keeps, and its step."""
        return self.kept_by.get(target.partition("/")[0], self.kept)

    def rider(self, clock: Clock) -> Rider:
        """This stage as a rider of a clock."""
        return Rider(
            self.name,
            self.batch,
            self.budget.tokens,
            self.steps,
            clock.tokens,
            clock.steps,
        )


Kept = tuple[Draft, int]
"""The ancestor that `keep` names, and the step it was left at."""


@dataclass(slots=True)
class State:
    """The compiler's workbench.

    `below` drafts the plan that stands below so many scales, and `copied` names the stages whose
    text a stage may have from there.
    """

    spec: PlanSpec
    problems: list[Diagnostic]
    below: "Callable[[int], State]"
    copied: Mapping[str, tuple[str, ...]]
    modules: dict[str, Module] = field(default_factory=dict)
    sources: dict[str, Source] = field(default_factory=dict)
    outside: dict[str, Outside] = field(default_factory=dict)
    drafts: dict[str, Draft] = field(default_factory=dict)
    stages: dict[str, Stage] = field(default_factory=dict)
    unknown: dict[str, UnknownStage] = field(default_factory=dict)
    composed: dict[str, ComposedStage] = field(default_factory=dict)
    followed: set[tuple[str, Rider, str]] = field(default_factory=set)  # by whom clocks went on
    used_optimizers: set[str] = field(default_factory=set)
    optimizer_words: dict[tuple[str, str], Word | None] = field(default_factory=dict)
    clock_ends: dict[tuple[str, str], frozenset[int]] = field(default_factory=dict)
    trees: Trees = field(default_factory=Trees)
    notes: list[Diagnostic] = field(default_factory=list)  # what is told and stops nothing
    ramp_levels: int = 0  # of all batches so far
    here: dict[Span, str] = field(default_factory=dict)  # what amounts from below a scale became

    def is_declared(self, section: str, name: str) -> bool:
        """Say whether the text declares a name, also where it could not be read."""
        node = self.spec.root.get(section)
        if isinstance(node, Map):
            return node.key(name) is not None or name in getattr(self.spec, section)
        return node is not None or is_misspelt(self.spec.root, section)

    def declared(self, section: str) -> list[str]:
        """Return the names that the text declares, also those that could not be read."""
        node = self.spec.root.get(section)
        said = [key.text for key, _ in node.entries] if isinstance(node, Map) else []
        return list(dict.fromkeys([*getattr(self.spec, section), *said]))

    def draft_below(self, stage: str, scale: Scale) -> Draft | None:
        """Return a stage as it stands below a scale; None where there is none."""
        drafts = self.below(scale.depth).drafts
        names = self.copied.get(stage, (stage,))
        return next((drafts[name] for name in names if name in drafts), None)

    def share_of(self, stage: str, scale: Scale) -> Fraction | None:
        """Return how many steps a stage has for each that it has below a scale."""
        draft = self.draft_below(stage, scale)
        return None if draft is None else Fraction(self.drafts[stage].steps, draft.steps)

    def steps_of(self, stage: str, said: Quantity) -> int | None:
        """Return steps that are said of a stage: through a scale, its share of them, rounded.

        None, and a report, where nobody knows that share.
        """
        share = Fraction(1) if said.scale == UNSCALED else self.share_of(stage, said.scale)
        if share is None:
            self.report(*unknown_share(stage, said))
            return None
        return floor(said.amount.value * share + Fraction(1, 2))

    def became(self, said: Quantity, words: str) -> None:
        """Note what an amount became that is read through a scale, for whoever lists the values.

        A text that several stages have may become several amounts.
        """
        if said.scale == UNSCALED:
            return
        before = self.here.get(said.span)
        if before is None:
            self.here[said.span] = words
        elif words not in before.split(" or "):
            self.here[said.span] = f"{before} or {words}"

    def origins(self, start: Start, module: str) -> tuple[Start, ...]:
        """Return where a module comes from behind all averages: the start itself, or several."""
        return origins(self.composed, start, module)

    def left_drafts(self, init: Mapping[str, Start]) -> list[tuple[Draft, int]]:
        """Return the stages that modules come from, behind all averages, and their steps."""
        starts = (o for module, start in init.items() for o in self.origins(start, module))
        unique = dict.fromkeys((start.stage or "", start.step) for start in starts)
        return [(self.drafts[name], step) for name, step in unique if name in self.drafts]

    def report(
        self,
        rule: str,
        message: str,
        span: Span,
        help: str | None = None,
        related: tuple[Related, ...] = (),
        fix: Fix | None = None,
    ) -> None:
        """Note a problem at a place."""
        self.problems.append(Diagnostic(rule, message, span, help, related=related, fix=fix))

    def tell(self, rule: str, message: str, span: Span) -> None:
        """Note what a reader should know, and what is no problem."""
        self.notes.append(Diagnostic(rule, message, span, severity=Severity.INFO))
