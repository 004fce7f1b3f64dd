"""Locks as files: the same bytes on any machine, small, and honest after a merge"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from curriculum.cli.main import run
from curriculum.compile import compile_file, compile_text
from curriculum.errors import FindingsError
from curriculum.lock import read_lock, write_lock
from curriculum.plan import Plan
from small_plan import SMALL

ROOT = Path(__file__).parents[1]
PLANS = ("plans/kimi-vl-laptop.yaml", "docs/language/merges.yaml")  # one extends, one averages

MACHINES: dict[str, dict[str, str]] = {
    "hash seed 1": {"PYTHONHASHSEED": "1"},
    "hash seed 77, Turkish": {"PYTHONHASHSEED": "77", "LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR"},
    "ASCII, other zone": {"PYTHONUTF8": "0", "LC_ALL": "C", "TZ": "Asia/Kathmandu"},
}


def plan_of(text: str) -> Plan:
    found = compile_text(text)
    assert found.plan is not None, found.findings
    return found.plan


@pytest.mark.parametrize("machine", MACHINES)
def test_a_lock_has_the_same_bytes_on_any_machine(machine: str, tmp_path: Path) -> None:
    here = tmp_path / "somewhere else"
    shutil.copytree(ROOT / "plans", here / "plans", ignore=shutil.ignore_patterns("*.md"))
    shutil.copytree(ROOT / "docs" / "language", here / "docs" / "language")
    for path in here.rglob("*.yaml"):  # as git checks files out on Windows
        path.write_bytes(path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), **MACHINES[machine]}
    for number, name in enumerate(PLANS):
        out = tmp_path / f"{number}.lock.json"
        command = [sys.executable, "-m", "curriculum.cli.main", "plan", name, "-o", str(out)]
        done = subprocess.run(command, cwd=here, env=environment, capture_output=True)
        assert done.returncode == 0, done.stderr
        plan = compile_file(ROOT / name).plan
        assert plan is not None
        assert out.read_bytes() == write_lock(plan).encode("ascii")


def test_a_lock_with_other_line_ends_is_the_same_lock(tmp_path: Path) -> None:
    plan = plan_of(SMALL)
    path = tmp_path / "small.lock.json"
    path.write_bytes(write_lock(plan).replace("\n", "\r\n").encode())
    assert read_lock(path.read_text(), "x") == plan
    assert read_lock(path.read_bytes().decode(), "x") == plan


# Small: pieces, not steps


def chain(stages: int, tokens: str) -> str:
    """Return a plan of many stages of as many tokens, each with a curve and a change of batch."""
    head, first = SMALL.split("  second:\n")[0].split("stages:\n")
    first = first.replace("tokens: 1M", f"tokens: {tokens}").replace("lr: main", "lr: 1e-3")
    more = "".join(
        f"  s{i}:\n    init: {f's{i - 1}' if i else 'first'}\n"
        f"    keep: {f's{i - 1}' if i else 'first'}\n    carry: all\n    tokens: {tokens}\n"
        "    lr: [{shape: constant, from: 1e-3, for: 60%}, {shape: linear, to: 1e-3}]\n"
        "    batch: [{seqs: 16, until: 10%}, {seqs: 32}]\n"
        for i in range(stages - 1)
    )
    return f"{head}stages:\n{first}{more}"


def test_a_lock_of_two_thousand_stages_and_ten_quadrillion_tokens_is_small() -> None:
    few = len(write_lock(plan_of(chain(20, "5B"))))
    plan = plan_of(chain(2000, "5T"))
    assert sum(stage.tokens for stage in plan.stages) >= 10**16
    text = write_lock(plan)
    per_stage = len(text) / len(plan.stages)
    assert per_stage < 3000  # bytes, whatever a stage's steps are
    assert per_stage < 1.05 * few / 20


# Merges


def merged(tmp_path: Path, *locks: str) -> tuple[int, str]:
    """Merge two locks on their common one as git does; how many conflicts, and the text."""
    names = ("ours", "base", "theirs")
    for name, text in zip(names, locks, strict=True):
        (tmp_path / name).write_text(text)
    command = ["git", "merge-file", "-p", *names]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git here")
def test_a_merge_of_locks_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = SMALL.replace("rope.llm.base: 10_000", "rope.llm.base: 20_000")
    theirs = SMALL.replace("packing: best-fit", "packing: concat")
    conflicts, text = merged(tmp_path, *(write_lock(plan_of(x)) for x in (ours, SMALL, theirs)))
    assert conflicts > 0
    first = next(n for n, line in enumerate(text.splitlines(), 1) if line.startswith("<<<<<<<"))
    lock = tmp_path / "small.lock.json"
    lock.write_text(text)
    assert run(["plan", str(lock)]) == 1
    told = capsys.readouterr().err
    assert f"{lock}:{first}:1" in told
    assert "it holds conflict markers" in told
    assert "regenerate: curriculum plan FILE -o LOCK" in told

    # Regenerating is always right: of the plans merged, whatever became of the lock.
    both = ours.replace("packing: best-fit", "packing: concat")
    (tmp_path / "small.yaml").write_text(both)
    assert run(["plan", str(tmp_path / "small.yaml"), "-o", str(lock)]) == 0
    assert read_lock(lock.read_text(), "x") == plan_of(both)


def test_a_lock_that_was_merged_without_a_word_is_refused() -> None:
    ours, theirs = plan_of(SMALL), plan_of(SMALL.replace("base: 10_000", "base: 20_000"))
    lock = json.loads(write_lock(ours))
    lock["stages"][1] = json.loads(write_lock(theirs))["stages"][1]
    with pytest.raises(FindingsError, match=r"edited by hand, or merged line by line.*regenerate"):
        read_lock(json.dumps(lock), "x.lock.json")


def test_a_change_of_one_number_is_a_change_of_few_lines() -> None:
    """Each number and word of a lock stands on a line of its own, so lines merge."""
    before = write_lock(plan_of(SMALL)).splitlines()
    edited = SMALL.replace("rope.llm.base: 10_000", "rope.llm.base: 20_000")
    after = write_lock(plan_of(edited)).splitlines()
    assert len(before) == len(after)
    changed = [new.strip() for old, new in zip(before, after, strict=True) if old != new]
    assert [line.split(":")[0] for line in changed] == ['"digest"', '"digest"', '"llm"']
