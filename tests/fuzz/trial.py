"""What must hold of any file: a plan that keeps its word, or findings with places; nothing else"""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from random import Random
from types import FrameType

from curriculum.check.proofs import PROVED
from curriculum.check.properties import broken_properties
from curriculum.check.step_properties import CHAIN, STEP, Point
from curriculum.cli.at import values_at
from curriculum.cli.fix import mended
from curriculum.cli.load import load
from curriculum.cli.plan_json import plan_json
from curriculum.compile import Compiled, compile_file
from curriculum.diff.as_json import diff_json
from curriculum.diff.compare import compare
from curriculum.diff.words import told
from curriculum.errors import CurriculumError, Diagnostic, FindingsError
from curriculum.findings import finding_json, text_of
from curriculum.lock import read_lock, write_lock
from curriculum.plan import Plan, Stage
from curriculum.screen import screen
from curriculum.source_map import bytes_of, text_in
from curriculum.tidy import tidied
from fuzz.corpus import PLANS
from fuzz.examples import Example

MOST_CPU_S = 10
"""CPU seconds that one file may take."""


class TooLong(BaseException):
    """A file took more than its share of CPU; not an Exception, so that nobody catches it."""


@contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """Raise `TooLong` where a body takes more CPU than that."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise TooLong(f"more than {seconds:g} s of CPU")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def hold(example: Example, folder: Path, is_thorough: bool) -> str:
    """Do with an example what people do with plans; return what came out, in a word.

    `folder` holds all of `plans/`, which the example may extend. Whoever raises anything but an
    `AssertionError` is a traceback that a person would see.
    """
    path = folder / "example.yaml"
    path.write_bytes(example.data)
    if is_thorough:
        with bounded(MOST_CPU_S):
            _laid_out(path)
        with bounded(MOST_CPU_S):
            _mended(path)
    with bounded(MOST_CPU_S):
        try:
            compiled = load(path, list(example.settings), advises=is_thorough)
        except FindingsError as error:
            _told(error.diagnostics)
            return "refused"
        except CurriculumError as refused:
            _require(str(refused), "an error without a word")
            return "refused"
    with bounded(MOST_CPU_S):
        _told(compiled.findings)
    if compiled.plan is None:
        assert compiled.errors, "no plan, and no error that says why"
        return "refused"
    for holds in (_kept, _asked, *((_shown, _compared) if is_thorough else ())):
        with bounded(MOST_CPU_S):
            holds(compiled.plan)
    return "plan"


def _require(holds: object, words: str) -> None:
    assert holds, words


def _told(findings: tuple[Diagnostic, ...]) -> None:
    """Print findings in both forms; each has a place, and none says that it is our fault."""
    text = text_of(findings)
    assert text or not findings
    json.dumps([finding_json(finding) for finding in findings], allow_nan=False)
    for finding in findings:
        assert finding.span is not None, f"{finding.rule} has no place"
        assert finding.span.line > 0 < finding.span.column, f"{finding.rule}: {finding.span}"
        assert "report it" not in (finding.help or ""), f"{finding.rule}: {finding.message}"


def _kept(plan: Plan) -> None:
    """Write the lock, and read it again."""
    text = write_lock(plan)
    again = read_lock(text, "lock")
    assert again == plan, "it comes back from its lock as another"
    assert write_lock(again) == text, "its lock, written again, has other bytes"


def _asked(plan: Plan) -> None:
    """Ask stages what they do in some steps, and hold every property there."""
    chance = Random(plan.digest)
    for stage in chance.sample(plan.stages, min(4, len(plan.stages))):
        for step in {0, stage.steps // 2, stage.steps - 1, stage.steps}:
            json.dumps(values_at(plan, stage, step), allow_nan=False)
        steps = (chance.randrange(stage.steps) for _ in range(2))
        for step in steps:
            for prop in STEP:
                wrong = prop(Point(stage, step, 0))
                assert wrong is None, f"{prop.__name__}: {wrong}"
        for proof in PROVED:
            assert proof(stage) is None, f"{proof.__name__}: {proof(stage)}"
    for check in CHAIN:
        assert not list(check(plan)), check.__name__


def _shown(plan: Plan) -> None:
    """Show the plan as the commands do, and test its properties."""
    assert screen(plan)
    json.dumps(plan_json(Compiled(plan), None), allow_nan=False)
    assert not broken_properties(plan, max_examples=10)


@cache
def _published() -> dict[str, Plan]:
    """Return the plans of `plans/` that compile in a moment, by their names."""
    small = (path for path in PLANS if path.stat().st_size < 5000)
    plans = (compile_file(path).plan for path in small)
    return {plan.name: plan for plan in plans if plan is not None}


def _compared(plan: Plan) -> None:
    """Compare it with its lock, and with the published plan that has its name, or any."""
    same = compare(plan, read_lock(write_lock(plan), "lock"))
    assert same.is_harmless, "its lock is another plan to `diff`"
    before = _published().get(plan.name) or next(iter(_published().values()))
    for one, other in ((before, plan), (plan, before)):
        found = compare(one, other)
        assert told(found)
        json.dumps(diff_json(found), allow_nan=False)
        for stage in found.stages:
            if stage.was is not None and one.has_stage(stage.was) and other.has_stage(stage.name):
                _alike(one.stage(stage.was), other.stage(stage.name), stage.step)


def _alike(one: Stage, other: Stage, step: int | None) -> None:
    """Hold that two stages do the same before a step; None: in all of them."""
    end = min(one.steps, other.steps) if step is None else step
    for s in {0, end // 2, end - 1} if end > 0 else ():
        a, b = one.at(s), other.at(s)
        for what in ("tokens", "batch_seqs", "seq_len", "lr", "loss", "settings", "ratios"):
            assert getattr(a, what) == getattr(b, what), f"{what} differs, and `diff` says no word"


def _laid_out(path: Path) -> None:
    """Lay the text out as `fmt` does; what it makes is laid out already."""
    try:
        new = tidied(text_in(bytes_of(path), str(path)), str(path))
        assert tidied(new, str(path)) == new, "laid out twice, it is another text"
    except FindingsError as error:
        _told(error.diagnostics)
    except CurriculumError as refused:
        _require("report it" not in str(refused), str(refused))


def _mended(path: Path) -> None:
    """Make the safe edits, as `check --fix` does; a second time nothing is left to do."""
    found = mended(path)
    if found is not None and found.done:
        beside = path.with_name("mended.yaml")
        beside.write_bytes(found.new.encode("utf-8"))
        again = mended(beside)
        assert again is not None, "mended, it cannot be read"
        assert not again.done, f"mended twice: {again.done[0]}"
