"""The audit: what a run's ledger says was consumed, against what its lock planned

    lock.json   --read_lock--> Plan ---+
    ledger.jsonl --read--> lines ------+--> compared step by step --> Report
    prepared data --feed--> recounted -+    (docs/ledger.md: what is compared with what)

A run that is not finished is audited as far as it came, and is not ok. Where it went on under
another lock, every step is compared with the lock that it was done under.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from curriculum.errors import Diagnostic, RunError, Severity, Span
from curriculum.findings import finding_json
from curriculum.plan import Plan
from curriculum.train.books import Books, StageReport, check_parents
from curriculum.train.chain import Chain
from curriculum.train.composed_audit import Composed, ComposedReport, composed_of_run, report_of
from curriculum.train.ledger import LedgerLine, read
from curriculum.train.recount import Recount, recount_from
from curriculum.train.reigns import Reign, SeamReport, lines_by_plan, reigns_of
from curriculum.train.rundir import CHECKPOINTS, LEDGER, LOCK, read_manifest
from curriculum.train.starts import Starts, expected_starts

MAX_PADDING = 0.15
"""More of a stage than this may not be padding: it would be paid for and teach nothing."""


@dataclass(frozen=True, slots=True)
class Report:
    """The verdict; `notes` say what could not be looked at."""

    ok: bool
    complete: bool
    stages: tuple[StageReport, ...]
    findings: tuple[Diagnostic, ...]
    notes: tuple[str, ...]
    composed: tuple[ComposedReport, ...] = ()
    seams: tuple[SeamReport, ...] = ()

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
            "seams": [seam.as_json() for seam in self.seams],
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
    manifest = read_manifest(run)
    reigns = reigns_of(run, manifest)
    plan = reigns[-1].plan
    lines = list(read(run / LEDGER))
    where = data or (Path(str(manifest["data"])) if "data" in manifest else None)
    starts, notes = expected_starts(plan, run / CHECKPOINTS)
    recounts: dict[str, Recount] = {}
    if where is None or (data is None and not where.is_dir()):
        notes.append(
            "the data folder is not here: documents and counts were not made anew from it "
            "(curriculum audit --data DIR)"
        )
    else:
        for ruling, theirs in lines_by_plan(reigns, lines):
            recounts[ruling.digest] = recount_from(ruling, theirs, where, manifest)
    is_there = where is not None and where.is_dir()
    composed, unseen = composed_of_run(plan, run / CHECKPOINTS, where if is_there else None)
    notes += unseen
    file = str(run / LEDGER)
    return audit_reigns(reigns, lines, recounts, file, tuple(notes), starts, composed)


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
    recounts = {} if recount is None else {plan.digest: recount}
    return audit_reigns([Reign(plan, None, 0)], lines, recounts, file, notes, starts, composed)


def audit_reigns(
    reigns: Sequence[Reign],
    lines: Iterable[LedgerLine],
    recounts: Mapping[str, Recount] = MappingProxyType({}),
    file: str = LEDGER,
    notes: tuple[str, ...] = (),
    starts: Starts = MappingProxyType({}),
    composed: tuple[Composed, ...] = (),
) -> Report:
    """Compare the lines of a ledger with the plans that were in force, one after the other.

    `recounts` are by the digest of the plan. What is missing is told by the last plan.
    """
    first, *later = reigns
    plan = reigns[-1].plan
    due = {stage.name: stage.due for stage in composed}
    books = Books(first.plan, Chain(first.plan, starts, due, [one.plan for one in later]))
    findings = []
    number = 0
    for line in lines:
        number += 1
        while later and later[0].line == number:  # a seam stands in this line, and the step below
            books.turn(later.pop(0))
            number += 1
        book = books.known.get(line.stage)
        if book is None:
            message = f"step {line.step} of stage `{line.stage}`, which the plan does not have"
            findings.append(_finding("ledger-differs", message, file, number))
            continue
        book.enter(line, number, recounts.get(book.plan.digest))
        if line.step == 0:
            check_parents(books.known, line, number)
    for reign in later:
        books.turn(reign)
    stages = []
    for book in books.known.values():
        sentences = list(book.sentences())
        findings += [
            _finding("ledger-differs", f"stage `{book.stage.name}`: {sentence}", file, number)
            for sentence, number in sentences
        ]
        stages.append(book.report(tuple(sentence for sentence, _ in sentences)))
    findings += [_broken_seam(seam, file) for seam in books.seams if seam.difference is not None]
    findings += [finding for stage in stages for finding in _padding(stage, file)]
    made = tuple(report_of(stage, books.chain) for stage in composed)
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
    seams = tuple(books.seams)
    return Report(not findings, complete, tuple(stages), tuple(findings), notes, made, seams)


def _broken_seam(seam: SeamReport, file: str) -> Diagnostic:
    message = f"the lock that the run went on under changes what was done: {seam.difference}"
    return _finding("seam-differs", message, file, seam.line)


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
