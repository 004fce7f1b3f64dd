import json
import os
from pathlib import Path

import pytest

from curriculum.cli.main import run
from curriculum.compile import compile_text
from curriculum.lock import write_lock
from small_plan import small

# Nothing is wrong with it, and an info says that a source is read 1.125 times.
GOOD = small(("web: {modality: text, tokens: 10M}", "web: {modality: text, tokens: 1M}"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four files: a good plan, a wrong one, one that does not parse, and a lock."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "wrong.yaml").write_text(small((".75", ".77"), ("seed: 1", "seed: -1")))
    (tmp_path / "broken.yaml").write_text("plan: {")
    plan = compile_text(GOOD).plan
    assert plan is not None
    (tmp_path / "good.lock.json").write_text(write_lock(plan))
    return tmp_path


FEW = ("--max-examples", "5")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["good.yaml"], 0),
        (["good.lock.json"], 0),
        (["wrong.yaml"], 1),
        (["broken.yaml"], 1),
        (["none.yaml"], 2),
        ([".", "wrong.yaml"], 2),
        (["good.yaml", "--fail-on", "warning"], 0),
        (["good.yaml", "--fail-on", "info"], 1),
        (["good.yaml", "--set", "stages.first.tokens=8K potatoes"], 1),
        (["good.yaml", "--seed", "7"], 0),
        (["good.lock.json", "--set", "seed=3"], 2),
        (["good.yaml", "--fail-on", "never"], 2),
        ([], 2),
    ],
)
def test_exit_codes(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int
) -> None:
    assert run(["check", *arguments, *FEW]) == code
    assert "Traceback" not in "".join(capsys.readouterr())


def test_all_problems_of_all_files_and_then_what_could_not_be_read(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ["none.yaml", "wrong.yaml", "broken.yaml", "good.yaml"]
    assert run(["check", *files, "--format", "json", *FEW]) == 2
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert document["files"] == files
    assert [(f["file"], f["rule"], f["line"]) for f in document["findings"]] == [
        ("wrong.yaml", "wrong-value", 2),
        ("wrong.yaml", "siblings-sum", 26),
        ("broken.yaml", "yaml-syntax", 1),
        ("good.yaml", "repeated-sources-are-capped", 8),
        ("none.yaml", "cannot", None),
    ]
    assert err == "curriculum: none.yaml: no such file\n"


def test_a_finding_in_a_lock_has_its_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "good.lock.json", "--format", "json", *FEW]) == 0
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert (finding["file"], finding["line"], finding["column"]) == ("good.lock.json", 1, 1)


def test_a_lock_that_was_edited(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock = folder / "good.lock.json"
    lock.write_text(lock.read_text().replace('"steps": 489', '"steps": 490'))
    assert run(["check", str(lock), *FEW]) == 1
    assert "it was edited by hand" in capsys.readouterr().out


@pytest.mark.parametrize("form", ["text", "json", "sarif", "junit", "github"])
def test_every_format_names_the_place(
    folder: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    assert run(["check", "wrong.yaml", "--format", form, *FEW]) == 1
    out = capsys.readouterr().out
    assert "siblings-sum" in out
    assert "26" in out
    assert "\x1b" not in out


def test_nothing_is_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(os.listdir(folder))
    assert run(["check", "good.yaml", "wrong.yaml", *FEW]) == 1
    assert sorted(os.listdir(folder)) == before
