"""Every published curriculum compiles without an error to the lock that it had"""

from itertools import takewhile
from pathlib import Path

import pytest

from curriculum.cli.load import load
from curriculum.lock import read_lock, write_lock

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests" / "golden"
PLANS = sorted((ROOT / "plans").glob("*.yaml"))


def test_every_lock_belongs_to_a_plan() -> None:
    locks = {path.name.removesuffix(".lock.json") for path in GOLDEN.glob("*.json")}
    assert locks == {path.stem for path in PLANS}, "make golden writes the locks anew"


@pytest.mark.parametrize("file", PLANS, ids=lambda path: path.stem)
def test_the_plan_is_what_it_was(file: Path) -> None:
    compiled = load(file)
    assert compiled.plan is not None
    assert [str(error) for error in compiled.errors] == []
    assert compiled.plan.name == file.stem
    lock = GOLDEN / f"{file.stem}.lock.json"
    text = lock.read_text(encoding="utf-8")
    assert read_lock(text, str(lock)).digest == compiled.plan.digest, "make golden, if it is meant"
    assert write_lock(compiled.plan) == text


@pytest.mark.parametrize("file", PLANS, ids=lambda path: path.stem)
def test_the_plan_opens_with_where_it_comes_from(file: Path) -> None:
    lines = file.read_text(encoding="utf-8").splitlines()
    said = "\n".join(takewhile(lambda line: line.startswith("#") or not line, lines))
    for word in (f"curriculum plan plans/{file.name}", "Expect"):
        assert word in said, f"{file.name} opens without `{word}`"
