"""What a ledger says of every stage, line after line, each against the plan that was in force"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from curriculum.data.draws import Draws
from curriculum.plan import Plan, Stage
from curriculum.train.chain import Chain
from curriculum.train.compare import count_differences, step_differences
from curriculum.train.ledger import Counts, LedgerLine, merge_counts
from curriculum.train.planned import (
    PlannedRules,
    Values,
    optimizer_differences,
    planned_rules,
)
from curriculum.train.recount import Recount
from curriculum.train.reigns import Reign, SeamReport, seam_report


@dataclass(frozen=True, slots=True)
class StageReport:
    """What was consumed of one stage; `differences` are sentences, one per kind of difference."""

    name: str
    steps: int
    planned_steps: int
    tokens: int
    sources: Counts
    padding: float | None
    differences: tuple[str, ...]


class Books:
    """What the ledger says of every stage, and the plan that is in force, while it is read."""

    def __init__(self, plan: Plan, chain: Chain) -> None:
        self.plan, self.chain = plan, chain
        self.known = {stage.name: Book(plan, stage, chain) for stage in plan.stages}
        self.seams: list[SeamReport] = []

    def turn(self, reign: Reign) -> None:
        """Go on under another plan; stages that it does not have stay where they were begun."""
        executed = {name: book.next_step for name, book in self.known.items()}
        if (report := seam_report(self.plan, reign, executed)) is not None:
            self.seams.append(report)
        self.plan = reign.plan
        self.chain.turn(reign.plan)
        kept = self.known
        self.known = {name: book for name, book in kept.items() if book.steps}
        for stage in reign.plan.stages:
            book = kept.get(stage.name)
            if book is None or not book.steps:
                book = Book(reign.plan, stage, self.chain)
            elif book.stage.digest != stage.digest:
                book.turn(reign.plan, stage)
            else:
                book.plan, book.stage = reign.plan, stage
            self.known[stage.name] = book
        order = [stage.name for stage in reign.plan.stages]
        rest = [name for name in self.known if name not in order]
        self.known = {name: self.known[name] for name in (*rest, *order)}


@dataclass(slots=True)
class Book:
    """What the ledger says of one stage, while it is read."""

    plan: Plan
    stage: Stage
    chain: Chain
    next_step: int = 0
    steps: int = 0
    tokens: int = 0
    sources: Counts = field(default_factory=dict)
    differences: dict[str, list[tuple[int, int, str]]] = field(default_factory=dict)
    _draws: Draws | None = None
    _rules: PlannedRules | None = None
    _values: Values | None = None

    def enter(self, line: LedgerLine, number: int, recount: Recount | None) -> None:
        """Compare one line with its step, and count it."""
        is_due = line.step == self.next_step
        self._check_order(line, number)
        self.tokens += line.tokens
        self.sources = merge_counts([self.sources, line.sources])
        if not 0 <= line.step < self.stage.steps:
            return
        if self._draws is None:
            self._draws = self.stage.draws()
            self._rules = planned_rules(self.plan, self.stage)
        found = list(step_differences(self.plan, self.stage, line, self._draws))
        found += optimizer_differences(self._values_at(line.step), line)
        found += self.chain.enter(self.stage, line, is_due)
        if recount is not None:
            found += count_differences(line, recount(self.stage, line.step))
        for what, words in found:
            self.note(what, line.step, number, words)

    def _values_at(self, step: int) -> Values:
        assert self._rules is not None
        if self._values is None or self._rules.change:
            self._values = self._rules.at(step)
        return self._values

    def turn(self, plan: Plan, stage: Stage) -> None:
        """Go on with the stage as another plan has it."""
        self.plan, self.stage = plan, stage
        self._draws = self._rules = self._values = None

    def note(self, what: str, step: int, number: int, words: str) -> None:
        """Keep a difference; those of one kind are told together."""
        self.differences.setdefault(what, []).append((step, number, words))

    def sentences(self) -> Iterator[tuple[str, int]]:
        """Each kind of difference as a sentence, and the line of the ledger where it is first."""
        for found in self.differences.values():
            step, number, words = found[0]
            more = f" (and {len(found) - 1} more, to step {found[-1][0]})" if found[1:] else ""
            yield f"step {step}: {words}{more}", number

    def report(self, differences: tuple[str, ...]) -> StageReport:
        pad = sum(counts["pad"] for counts in self.sources.values())
        return StageReport(
            self.stage.name,
            self.steps,
            self.stage.steps,
            self.tokens,
            self.sources,
            pad / self.tokens if self.tokens > 0 else None,
            differences,
        )

    def _check_order(self, line: LedgerLine, number: int) -> None:
        step, due = line.step, self.next_step
        if not 0 <= step < self.stage.steps:
            self.note("end", step, number, f"the stage has steps 0 to {self.stage.steps - 1}")
            return
        if step < due:
            self.note("repeated", step, number, f"done again, after step {due - 1}")
            return
        if step > due:
            which = f"step {due} is" if step == due + 1 else f"steps {due} to {step - 1} are"
            self.note("left out", step, number, f"{which} left out")
        self.next_step = step + 1
        self.steps += 1


def check_parents(books: Mapping[str, Book], line: LedgerLine, number: int) -> None:
    """Note on the book of a stage that begins the parents that had not come so far."""
    book = books[line.stage]
    plan = book.plan
    starts = ((m, o) for m, start in book.stage.init.items() for o in plan.origins(start, m))
    for module, start in starts:
        if start.stage is None or start.stage not in books:
            continue
        if books[start.stage].next_step < start.step:
            gives = f"`{start.stage}`, which gives `{module}`,"
            words = f"began before {gives} had done {start.step} steps"
            book.note(f"parent {start.stage} {module}", line.step, number, words)
