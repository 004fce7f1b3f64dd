"""A run goes on under another lock where what it has done stays; ledger and audit show the seam"""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from curriculum.cli.audit import lines_of
from curriculum.composed import ComposedStage, Share
from curriculum.curve import Curve, Piece, constant
from curriculum.diff.compare import compare
from curriculum.diff.values import Place
from curriculum.errors import RunError
from curriculum.lock import read_lock, with_digests, write_lock
from curriculum.mixture import Mixture, Node
from curriculum.plan import Plan, Stage, Start
from curriculum.train import change_lock as module
from curriculum.train import checkpoint
from curriculum.train.audit import Report, audit
from curriculum.train.execute import Request, run_plan
from curriculum.train.launch import Launch
from curriculum.train.ledger import read
from curriculum.train.position import Position
from curriculum.train.rundir import RunDir
from curriculum.train.seams import Seam, is_seam, read_seams
from train.plans import small_plan, small_stage
from train.worlds import Quiet, write_world


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("data")
    write_world(folder)
    return folder


def held(*values: tuple[int, str]) -> Curve:
    """Return a curve that holds each value from its step on."""
    pieces = (
        Piece("constant", "steps", step, step, None, Fraction(value), Fraction(value))
        for step, value in values
    )
    return Curve(tuple(pieces))


def plan(
    lr: Curve | None = None,
    *,
    steps: int = 8,
    ratios: tuple[Curve, Curve] | None = None,
    after: dict[str, Any] | None = None,
    more: tuple[Stage, ...] = (),
    composed: tuple[ComposedStage, ...] = (),
) -> Plan:
    """Return text (8 steps, LR halved at step 5) -> after (4 steps), or a variation of it."""
    english = {"english": Fraction(1)}
    falling = {"llm": lr or held((0, "1/1000"), (5, "1/2000"))}
    first = small_stage(steps=steps, lr=falling, ratios=english)
    if ratios is not None:
        nodes = (Node("code", ratios[0], "code"), Node("english", ratios[1], "english"))
        mixture = Mixture(nodes, first.batch, steps, first.budget.tokens)
        first = replace(first, mixture=mixture)
    start = {"llm": Start("text", steps, carries_state=True)}
    said: dict[str, Any] = {"steps": 4, "init": start, "ratios": english} | (after or {})
    last = small_stage("after", lr={"llm": constant(Fraction(1, 4000))}, **said)
    stages = (first, last, *more)
    return with_digests(replace(small_plan(), stages=stages, composed=composed))


OTHER_LR = held((0, "1/1000"), (5, "1/5000"))


def go(data: Path, run: Path, plan: Plan, stop_at: tuple[str, int] | None = None,
       resume: bool = True, every: int = 2, **asked: Any) -> list[str]:  # fmt: skip
    console = Quiet()
    launch = Launch(data=data, device="cpu", checkpoint_every_steps=every, keep=9, evaluates=False)
    stop = None if stop_at is None else Position(*stop_at)
    request = Request(plan, write_lock(plan), launch, run, resume, stop_at=stop, **asked)
    run_plan(request, console)
    return console.said


def begin(
    data: Path, run: Path, stop_at: tuple[str, int] | None, plan: Plan, every: int = 2
) -> None:
    go(data, run, plan, stop_at, resume=False, every=every)


def seams_of(run: Path) -> list[tuple[str, int]]:
    return [(seam.stage, seam.step) for seam in read_seams(run / "ledger.jsonl")]


def steps_of(run: Path) -> list[tuple[str, int, float]]:
    return [(line.stage, line.step, line.lr["llm"]) for line in read(run / "ledger.jsonl")]


def bad(report: Report) -> list[str]:
    return [f.message for f in report.findings if f.rule != "run-not-finished"]


# It goes on


def test_a_run_goes_on_under_a_lock_that_leaves_alone_what_was_done(
    data: Path, tmp_path: Path
) -> None:
    run, old, new = tmp_path / "run", plan(), plan(OTHER_LR)
    begin(data, run, ("text", 4), old)
    said = go(data, run, new)
    assert said[0] == (
        f"goes on under another lock, {old.digest[:12]} -> {new.digest[:12]}: stage text, step 5 "
        "is the first that differs: breaking"
    )
    assert read_lock((run / "lock.json").read_text(), "x").digest == new.digest
    assert read_lock((run / "locks" / f"{old.digest}.json").read_text(), "x").digest == old.digest
    assert seams_of(run) == [("text", 4)]
    text = [(step, lr) for stage, step, lr in steps_of(run) if stage == "text"]
    assert text == [(step, 0.001 if step < 5 else 0.0002) for step in range(8)]
    report = audit(run)
    assert report.ok, report.findings
    (seam,) = report.as_json()["seams"]
    assert (seam["stage"], seam["step"], seam["line"]) == ("text", 4, 5)
    assert (seam["from"], seam["to"], seam["difference"]) == (old.digest, new.digest, None)
    assert any(line.startswith("seam before step 4 of text: lock") for line in lines_of(report))


def test_the_run_is_the_one_that_had_the_new_lock_from_the_start(
    data: Path, tmp_path: Path
) -> None:
    begin(data, tmp_path / "whole", ("after", 4), plan(OTHER_LR))
    begin(data, tmp_path / "run", ("text", 4), plan())
    go(data, tmp_path / "run", plan(OTHER_LR))
    whole = (tmp_path / "whole" / "ledger.jsonl").read_bytes().splitlines()
    lines = (tmp_path / "run" / "ledger.jsonl").read_bytes().splitlines()
    assert [line for line in lines if not is_seam(line)] == whole


def test_each_step_is_audited_against_the_lock_it_ran_under(data: Path, tmp_path: Path) -> None:
    """Step 5 is as the first lock says, and another in the second: only the seam is wrong."""
    run, new = tmp_path / "run", plan(OTHER_LR)
    begin(data, run, ("text", 6), plan())
    # Of a run that went past step 5 the new lock is refused; by hand it is put there all the same.
    old = read_lock((run / "lock.json").read_text(), "x")
    with RunDir.open_existing(run, write_lock(old), {"sources": sources_of(run)}) as opened:
        opened.append_seam(Seam("text", 6, old.digest, new.digest))
        opened.replace_lock(old.digest, write_lock(new), {})
    report = audit(run)
    assert bad(report) == [
        "the lock that the run went on under changes what was done: step 5 of stage `text` would "
        "be another (LR of llm 0.0005 -> 0.0002), and 6 steps of it are done"
    ]
    assert report.stages[0].differences == ()  # each step is as its own lock said


def sources_of(run: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads((run / "manifest.json").read_text())["sources"]
    return found


def test_two_seams_and_a_kill_behind_each(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    begin(data, run, ("text", 2), plan())
    go(data, run, plan(OTHER_LR), ("text", 4))
    third = plan(OTHER_LR, after={"rope_base": 60_000})
    go(data, run, third, ("text", 6))
    assert seams_of(run) == [("text", 2), ("text", 4)]
    # The last checkpoint is lost: what is done again is behind the first seam, and the second is
    # written anew where the new lock takes over.
    for step in (4, 6):
        shutil.rmtree(checkpoint.checkpoint_path(run / "checkpoints", "text", step))
    go(data, run, third)
    assert seams_of(run) == [("text", 2)]
    assert read_seams(run / "ledger.jsonl")[0].new == third.digest
    assert sorted(path.stem for path in (run / "locks").iterdir()) == sorted(
        {plan().digest, plan(OTHER_LR).digest}
    )
    assert audit(run).ok


def test_stages_that_are_not_begun_may_be_added_changed_and_go(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    begin(data, run, ("text", 8), plan())
    third = small_stage("third", steps=3, init={"llm": Start("after", 6)}, batch_seqs=2,
                        ratios={"code": Fraction(1)})  # fmt: skip
    more = plan(after={"steps": 6}, more=(third,))
    go(data, run, more, ("after", 2))
    assert sorted(sources_of(run)) == [
        "code",
        "english",
    ]  # a source that the first lock did not read
    fewer = plan(after={"steps": 6})
    go(data, run, fewer)
    assert seams_of(run) == [("after", 0), ("after", 2)]
    assert audit(run).ok


def test_a_last_stage_that_is_over_grows_longer(data: Path, tmp_path: Path) -> None:
    """Who is drawn at its end is decided by what comes behind: that it is the same is looked up."""
    run, thirds = tmp_path / "run", {"english": Fraction(2, 3), "code": Fraction(1, 3)}
    old, new = (plan(after={"steps": steps, "ratios": thirds}) for steps in (4, 7))
    assert compare(old, new).place == Place("after", 3)
    begin(data, run, ("after", 4), old)
    assert audit(run).ok
    go(data, run, new)
    assert seams_of(run) == [("after", 4)]
    assert [step for stage, step, _ in steps_of(run) if stage == "after"] == list(range(7))
    assert audit(run).ok


def test_a_lock_of_words_only_changes_nothing(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    begin(data, run, ("text", 2), plan())
    before = (run / "lock.json").read_bytes()
    found = plan()
    status = replace(found, stages=(replace(found.stages[0], status="probe"), found.stages[1]))
    go(data, run, status, ("text", 4))
    assert seams_of(run) == []
    assert not (run / "locks").exists()
    assert (run / "lock.json").read_bytes() == before


# It is refused, and nothing is changed


def share(step: int, before: str, after: str) -> tuple[Curve, Curve]:
    code = held((0, before), (step, after))
    rest = held((0, str(1 - Fraction(before))), (step, str(1 - Fraction(after))))
    return code, rest


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (
            lambda: plan(held((0, "1/1000"), (3, "1/5000"))),
            "step 3 of stage `text` would be another (LR of llm 0.001 -> 0.0002), and 4 steps of "
            "it are done",
        ),
        (
            lambda: plan(ratios=share(2, "0", "1/2")),
            "step 2 of stage `text` would be another (share of code 0 -> 0.5; share of english "
            "1 -> 0.5), and 4 steps of it are done",
        ),
        (
            lambda: plan(steps=3),
            "step 3 of stage `text` would be another (steps 8 -> 3), and 4 steps of it are done",
        ),
        (
            lambda: renamed(plan(), "text", "begin"),
            "stage `text`, of which 4 steps are done, is `begin` in it",
        ),
        (
            lambda: with_digests(replace(plan(), seed=7)),
            "step 0 of stage `text` would be another (seed of the plan 0 -> 7)",
        ),
    ],
)
def test_a_lock_that_changes_what_was_done_is_refused(
    data: Path, tmp_path: Path, other: Callable[[], Plan], words: str
) -> None:
    run = tmp_path / "run"
    begin(data, run, ("text", 4), plan())
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(RunError) as caught:
        go(data, run, other())
    assert words in str(caught.value)
    assert f"resume it with its own lock ({run / 'lock.json'})" in str(caught.value)
    after = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert after == before
    go(data, run, plan())  # and its own lock goes on


def renamed(plan: Plan, old: str, new: str) -> Plan:
    stages = []
    for stage in plan.stages:
        init = {
            m: replace(s, stage=new if s.stage == old else s.stage) for m, s in stage.init.items()
        }
        rides = {t: replace(r, instance=stage.name.replace(old, new)) for t, r in
                 stage.rides.items()}  # fmt: skip
        name = new if stage.name == old else stage.name
        stages.append(replace(stage, name=name, init=init, rides=rides))
    return with_digests(replace(plan, stages=tuple(stages)))


def test_a_stage_that_would_have_to_be_done_before_a_begun_one_is_refused(
    data: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    begin(data, run, ("after", 2), plan())
    longer = plan(steps=10)
    after = replace(longer.stages[1], init={"llm": Start("text", 8, carries_state=True)})
    longer = with_digests(replace(longer, stages=(longer.stages[0], after)))
    with pytest.raises(RunError, match=r"stage `text` has 2 steps to do and stands before `after`"):
        go(data, run, longer)
    assert seams_of(run) == []


def test_a_mark_that_was_passed_without_a_checkpoint_is_refused(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    begin(data, run, ("text", 6), plan(), every=3)
    moved = {"init": {"llm": Start("text", 5, carries_state=True)}}
    with pytest.raises(
        RunError,
        match=r"stage `after` starts from step 5 of `text`, which the run has passed without a "
        r"checkpoint; it has those at 3, 6",
    ):
        go(data, run, plan(after=moved))
    moved = {"init": {"llm": Start("text", 3, carries_state=True)}}
    go(data, run, plan(after=moved))
    assert audit(run).ok


def test_an_average_that_was_made_stays_as_it_was_made(data: Path, tmp_path: Path) -> None:
    def soup(weight: str) -> tuple[ComposedStage, ...]:
        parts = (("text", Fraction(weight)), ("after", 1 - Fraction(weight)))
        steps = {"text": 8, "after": 4}
        shares = tuple(Share(Start(name, steps[name]), part) for name, part in parts)
        return (ComposedStage("soup", {"llm": shares}),)

    run = tmp_path / "run"
    begin(data, run, None, plan(composed=soup("1/2")))
    with pytest.raises(RunError, match=r"step 0 of stage `soup` would be another \(average of llm"):
        go(data, run, plan(composed=soup("1/4")))


# Killed in between


@pytest.mark.parametrize("moment", ["kept", "manifest", "lock", "seam"])
def test_a_kill_at_any_moment_of_the_change_leaves_a_run_that_goes_on_under_either(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Killed behind the writing of each file; then resumed under the old lock, and the new one."""
    third = small_stage("third", steps=2, init={"llm": Start("after", 4)}, batch_seqs=2,
                        ratios={"code": Fraction(1)})  # fmt: skip
    old, new = plan(), plan(OTHER_LR, more=(third,))
    begin(data, tmp_path / "run", ("text", 4), old)

    class Killed(BaseException):
        pass

    from curriculum.train import rundir

    write, names = rundir._replace, {"kept": "locks", "manifest": "manifest", "lock": "lock.json"}

    def until(path: Path, text: str) -> None:
        write(path, text)
        if names.get(moment) in (path.parent.name, path.stem, path.name):
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(rundir, "_replace", until)
        if moment == "seam":
            patched.setattr("curriculum.train.execute.mark_seam", lambda *_: kill(Killed()))
        with pytest.raises(Killed):
            go(data, tmp_path / "run", new)
    for number, given in enumerate((old, new)):
        run = tmp_path / f"run-{number}"
        shutil.copytree(tmp_path / "run", run)
        report = audit(run)
        assert bad(report) == []
        go(data, run, given)
        report = audit(run)
        assert report.ok, report.findings
        assert seams_of(run) == ([("text", 4)] if given is new else [])


def kill(error: BaseException) -> None:
    raise error


# What the audit refuses


def test_locks_and_seams_that_do_not_fit_are_refused(data: Path, tmp_path: Path) -> None:
    run, old = tmp_path / "run", plan()
    begin(data, run, ("text", 4), old)
    go(data, run, plan(OTHER_LR), ("text", 6))
    kept = run / "locks" / f"{old.digest}.json"
    text = kept.read_text()
    kept.unlink()
    with pytest.raises(RunError, match="is not there: put the lock back"):
        audit(run)
    kept.write_text(write_lock(plan(OTHER_LR)))
    with pytest.raises(RunError, match="is another lock: its digest is"):
        audit(run)
    kept.write_text(text)
    ledger = run / "ledger.jsonl"
    lines = ledger.read_text()
    ledger.write_text(lines.replace(f'"from": "{old.digest}"', '"from": "ab"'))
    with pytest.raises(RunError, match=r"ledger.jsonl:5: a seam from lock ab, but the lines"):
        audit(run)
    ledger.write_text(lines.replace('"to":', '"two":'))
    with pytest.raises(RunError, match=r"ledger.jsonl:5: no seam"):
        audit(run)
    ledger.write_text(lines)
    assert bad(audit(run)) == []


def test_steps_done_are_those_that_checkpoints_hold(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    begin(data, run, ("text", 5), plan())
    text = (run / "lock.json").read_text()
    with RunDir.open_existing(run, text, {"sources": sources_of(run)}) as opened:
        assert module.executed_steps(opened, plan()) == {"text": 5, "after": 0}
