"""A run that goes on under another lock: only where all that it has done stays as it was

lock.json --diff--> the lock given      refused where an executed step differs, with its numbers
   |                     |
locks/DIGEST.json    lock.json --> the ledger's next line is a seam
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from curriculum.diff.compare import compare
from curriculum.diff.executed import touched_by_run
from curriculum.diff.words import headline, touched_words
from curriculum.errors import RunError
from curriculum.plan import Plan, Stage
from curriculum.train import checkpoint
from curriculum.train.composing import drop_stale
from curriculum.train.position import next_step, rewind
from curriculum.train.rundir import LOCK, RunDir
from curriculum.train.seams import Seam, read_seams

Say = Callable[[str], None]


def change_lock(
    run: RunDir,
    old: Plan,
    new: Plan,
    lock_text: str,
    sources: Mapping[str, str],
    only: str | None,
    say: Say,
) -> None:
    """Put a run that was opened with its own lock under another one.

    `sources` are the fingerprints of what the new plan reads, `only` the one stage that is asked
    for. RunError, and nothing is changed, where the new plan would have done otherwise what is
    done, or where it cannot go on from what is here.
    """
    diff = compare(old, new)
    executed = executed_steps(run, old)
    if (found := touched_by_run(diff, executed)) is not None:
        raise RunError(
            f"{run.path} runs another plan: {touched_words(found)}; resume it with its own lock "
            f"({run.path / LOCK}), or begin a new run"
        )
    if only is None:
        _require_order(run, new, executed)
    _require_marks(run, new, executed)
    rewind(run, [stage for stage in old.stages if only in (None, stage.name)], say)
    drop_stale(old, run.checkpoints, say)
    run.replace_lock(old.digest, lock_text, sources)
    say(f"goes on under another lock, {old.digest[:12]} -> {new.digest[:12]}: {headline(diff)}")


def executed_steps(run: RunDir, plan: Plan) -> dict[str, int]:
    """Return the steps of each stage that checkpoints hold; 1 of a stage that is composed."""
    done = {stage.name: next_step(run.checkpoints, stage) for stage in plan.stages}
    for composed in plan.composed:
        path = checkpoint.checkpoint_path(run.checkpoints, composed.name, 0)
        done[composed.name] = int(checkpoint.is_complete(path))
    return done


def mark_seam(run: RunDir, plan: Plan, stages: Sequence[Stage]) -> None:
    """Write a seam where what comes next is done under another lock than what is in the ledger.

    To be called after the run was brought back to its checkpoint.
    """
    began: Any = run.manifest.get("digest", plan.digest)
    seams = read_seams(run.ledger_file)
    in_force = seams[-1].new if seams else began
    if in_force == plan.digest:
        return
    stage, step = stages[-1].name, stages[-1].steps
    for one in stages:
        if (comes := next_step(run.checkpoints, one)) < one.steps:
            stage, step = one.name, comes
            break
    run.append_seam(Seam(stage, step, in_force, plan.digest))


def _require_order(run: RunDir, plan: Plan, executed: Mapping[str, int]) -> None:
    """Refuse a plan that would go back to a stage before one that has begun."""
    waiting: Stage | None = None
    for stage in plan.stages:
        done = executed.get(stage.name, 0)
        if waiting is not None and done:
            raise RunError(
                f"{run.path}: stage `{waiting.name}` has "
                f"{waiting.steps - executed.get(waiting.name, 0):,} steps to do and stands before "
                f"`{stage.name}`, of which {done:,} are done: a run does its stages in order"
            )
        if waiting is None and done < stage.steps:
            waiting = stage


def _require_marks(run: RunDir, plan: Plan, executed: Mapping[str, int]) -> None:
    """Refuse a stage that would start at a step which the run has passed without a checkpoint."""
    wanted = [(s.name, start) for s in plan.stages for start in s.init.values()]
    wanted += [(c.name, start) for c in plan.composed for _, start in c.starts]
    for name, start in wanted:
        if executed.get(name, 0) or start.stage is None:
            continue
        passed = executed.get(start.stage, 0) > start.step and plan.has_stage(start.stage)
        place = checkpoint.checkpoint_path(run.checkpoints, start.stage, start.step)
        if passed and not checkpoint.is_complete(place):
            kept = ", ".join(map(str, checkpoint.steps_of(run.checkpoints, start.stage)))
            raise RunError(
                f"{run.path}: stage `{name}` starts from step {start.step:,} of `{start.stage}`, "
                f"which the run has passed without a checkpoint; it has those at {kept}"
            )
