"""Which lock each line of a ledger was done under, and whether a new one left what was done alone

ledger.jsonl   text 0..7 | seam | text 8..15, joint 0..3 | seam | joint 4...
locks          began       ---> locks/DIGEST.json ---------> lock.json, the newest
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curriculum.diff.compare import compare
from curriculum.diff.executed import touched_by_run
from curriculum.diff.words import headline, touched_words
from curriculum.errors import RunError
from curriculum.lock import read_lock
from curriculum.plan import Plan
from curriculum.train.ledger import LedgerLine
from curriculum.train.rundir import LEDGER, LOCK, LOCKS, read_text
from curriculum.train.seams import Seam, read_seams


@dataclass(frozen=True, slots=True)
class Reign:
    """A plan, and the seam from which on it was in force; None where the run began with it, or
    where nothing has been done under it yet (`line` None)."""

    plan: Plan
    seam: Seam | None
    line: int | None  # of the ledger, behind which its own lines stand


@dataclass(frozen=True, slots=True)
class SeamReport:
    """A seam as the audit tells it; `difference` where the new lock changed what was done."""

    stage: str
    step: int
    line: int
    old: str
    new: str
    words: str
    difference: str | None

    def as_json(self) -> dict[str, Any]:
        """Return the seam as the values that JSON has; the digests as the ledger calls them."""
        return {
            "stage": self.stage,
            "step": self.step,
            "line": self.line,
            "from": self.old,
            "to": self.new,
            "words": self.words,
            "difference": self.difference,
        }


def reigns_of(run: Path, manifest: Mapping[str, Any]) -> list[Reign]:
    """Return the plans that a run was done under, in order; the last is that of its lock.

    RunError where a lock is not kept, or the seams do not follow one another.
    """
    newest = read_lock(read_text(run / LOCK), str(run / LOCK))
    seams = read_seams(run / LEDGER)
    began: Any = manifest.get("digest", seams[0].old if seams else newest.digest)
    known = {newest.digest: newest}

    def plan_of(digest: str) -> Plan:
        if digest not in known:
            known[digest] = _kept(run, digest)
        return known[digest]

    reigns = [Reign(plan_of(began), None, 0)]
    for seam in seams:
        if seam.old != reigns[-1].plan.digest:
            raise RunError(
                f"{run / LEDGER}:{seam.line}: a seam from lock {seam.old[:12]}, but the lines "
                f"before it were done under {reigns[-1].plan.digest[:12]}"
            )
        reigns.append(Reign(plan_of(seam.new), seam, seam.line))
    if reigns[-1].plan.digest != newest.digest:
        reigns.append(Reign(newest, None, None))
    return reigns


def lines_by_plan(
    reigns: Sequence[Reign], lines: Sequence[LedgerLine]
) -> list[tuple[Plan, list[LedgerLine]]]:
    """Return each plan with the lines that were done under it; `lines` are the steps, no seams."""
    starts = [
        len(lines) if reign.line is None else max(reign.line - number, 0)
        for number, reign in enumerate(reigns)
    ]
    found: dict[str, tuple[Plan, list[LedgerLine]]] = {}
    for reign, start, end in zip(reigns, starts, [*starts[1:], len(lines)], strict=True):
        found.setdefault(reign.plan.digest, (reign.plan, []))[1].extend(lines[start:end])
    return list(found.values())


def seam_report(old: Plan, new: Reign, executed: Mapping[str, int]) -> SeamReport | None:
    """Say what a change of the lock did to the steps done before it; None where none is marked."""
    if new.seam is None:
        return None
    seam = new.seam
    diff = compare(old, new.plan)
    found = touched_by_run(diff, executed)
    words = None if found is None else touched_words(found)
    return SeamReport(seam.stage, seam.step, seam.line, seam.old, seam.new, headline(diff), words)


def _kept(run: Path, digest: str) -> Plan:
    path = run / LOCKS / f"{digest}.json"
    if not path.is_file():
        raise RunError(
            f"{run / LEDGER} has lines that were done under lock {digest[:12]}, and {path} is not "
            "there: put the lock back that it was done under"
        )
    plan = read_lock(read_text(path), str(path))
    if plan.digest != digest:
        raise RunError(f"{path} is another lock: its digest is {plan.digest[:12]}")
    return plan
