"""The audit: what a run's ledger says was consumed, against what its lock planned

    lock.json   --read_lock--> Plan ---+
    ledger.jsonl --read--> lines ------+--> compared step by step --> Report
    prepared data --feed--> recounted -+    (docs/ledger.md: what is compared with what)

A run that is not finished is audited as far as it came, and is not ok.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from curriculum.data.draws import Draws
from curriculum.errors import Diagnostic, RunError, Severity, Span
from curriculum.findings import finding_json
from curriculum.lock import read_lock
from curriculum.plan import Plan, Stage
from curriculum.train.chain import Chain
from curriculum.train.compare import count_differences, step_differences
from curriculum.train.composed_audit import Composed, ComposedReport, composed_of_run, report_of
from curriculum.train.ledger import Counts, LedgerLine, merge_counts, read
from curriculum.train.planned import (
    PlannedRules,
    Values,
    optimizer_differences,
    planned_rules,
)
from curriculum.train.recount import Recount, recount_from
from curriculum.train.rundir import CHECKPOINTS, LEDGER, LOCK, read_manifest, read_text
from curriculum.train.starts import Starts, expected_starts

MAX_PADDING = 0.15
"""More of a stage than this may not be padding: it would be paid for and teach nothing."""


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


@dataclass(frozen=True, slots=True)
class Report:
    """The verdict; `notes` say what could not be looked at."""

    ok: bool
    complete: bool
    stages: tuple[StageReport, ...]
    findings: tuple[Diagnostic, ...]
    notes: tuple[str, ...]
    composed: tuple[ComposedReport, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the report as the values that JSON has."""
        return {
            "ok": self.ok,
            "complete": self.complete,
            "stages": [
                asdict(stage) | {"differences": list(stage.differences)} for stage in self.stages
            ],
            "composed": [
                asdict(stage) | {"differences": list(stage.differences)} for stage in self.composed
            ],
            "findings": [finding_json(finding) for finding in self.findings],
            "notes": list(self.notes),
        }


def audit(run: Path, data: Path | None = None) -> Report:
    """Audit a run directory, recounting from `data`, or from where the run's manifest says it lay.

    RunError where there is no run, no readable lock or no readable ledger; where the data are given
    and cannot be opened. FindingsError where the lock was edited.
    """
    if not (run / LOCK).is_file():
        raise RunError(f"{run} is not a run (it has no {LOCK}): nothing to audit")
    plan = read_lock(read_text(run / LOCK), str(run / LOCK))
    lines = list(read(run / LEDGER))
    manifest = read_manifest(run)
    where = data or (Path(str(manifest["data"])) if "data" in manifest else None)
    starts, notes = expected_starts(plan, run / CHECKPOINTS)
    recount: Recount | None = None
    if where is None or (data is None and not where.is_dir()):
        notes.append(
            "the data folder is not here: documents and counts were not made anew from it "
            "(curriculum audit --data DIR)"
        )
    else:
        recount = recount_from(plan, lines, where, manifest)
    is_there = where is not None and where.is_dir()
    composed, unseen = composed_of_run(plan, run / CHECKPOINTS, where if is_there else None)
    notes += unseen
    return audit_lines(plan, lines, recount, str(run / LEDGER), tuple(notes), starts, composed)


def audit_lines(
    plan: Plan,
    lines: Iterable[LedgerLine],
    recount: Recount | None = None,
    file: str = LEDGER,
    notes: tuple[str, ...] = (),
    starts: Starts = MappingProxyType({}),
    composed: tuple[Composed, ...] = (),
) -> Report:
    """Compare the lines of a ledger with the plan, every step of every stage, and what was
    composed with what it had to be."""
    chain = Chain(plan, starts, {stage.name: stage.due for stage in composed})
    books = {stage.name: _Book(plan, stage, chain) for stage in plan.stages}
    findings = []
    for number, line in enumerate(lines, 1):
        if line.stage not in books:
            message = f"step {line.step} of stage `{line.stage}`, which the plan does not have"
            findings.append(_finding("ledger-differs", message, file, number))
            continue
        books[line.stage].enter(line, number, recount)
        if line.step == 0:
            _check_parents(books, line, number)
    stages = []
    for book in books.values():
        sentences = list(book.sentences())
        findings += [
            _finding("ledger-differs", f"stage `{book.stage.name}`: {sentence}", file, number)
            for sentence, number in sentences
        ]
        stages.append(book.report(tuple(sentence for sentence, _ in sentences)))
    findings += [finding for stage in stages for finding in _padding(stage, file)]
    made = tuple(report_of(stage, chain) for stage in composed)
    findings += [
        _finding("composed-differs", f"stage `{stage.name}`: {difference}", file, None)
        for stage in made
        for difference in stage.differences
    ]
    complete = not plan.unknown and all(s.steps == s.planned_steps for s in stages)
    complete = complete and all(stage.is_made for stage in made)
    if not complete:
        message = f"the run is not finished: {_unfinished(plan, stages, made)}"
        findings.append(_finding("run-not-finished", message, file, None))
    return Report(not findings, complete, tuple(stages), tuple(findings), notes, made)


def _unfinished(
    plan: Plan, stages: Iterable[StageReport], composed: Iterable[ComposedReport]
) -> str:
    for stage in stages:
        if stage.steps != stage.planned_steps:
            return f"stage `{stage.name}` has {stage.steps} of {stage.planned_steps} steps"
    for made in composed:
        if not made.is_made:
            return f"stage `{made.name}` is not composed"
    return f"stage `{plan.unknown[0].name}` cannot be run, because something in it is unknown"


@dataclass(slots=True)
class _Book:
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


def _check_parents(books: Mapping[str, _Book], line: LedgerLine, number: int) -> None:
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


def _padding(stage: StageReport, file: str) -> Iterator[Diagnostic]:
    if stage.padding is not None and stage.padding > MAX_PADDING:
        message = (
            f"stage `{stage.name}`: {stage.padding:.1%} of its tokens are padding, "
            f"more than {MAX_PADDING:.0%}"
        )
        help = "give it a longer context, or shorter documents"
        yield _finding("padding", message, file, None, help)


def _finding(
    rule: str, message: str, file: str, number: int | None, help: str | None = None
) -> Diagnostic:
    span = None if number is None else Span(file, number, 1, number + 1, 1)
    return Diagnostic(rule, message, span, help, Severity.ERROR)
