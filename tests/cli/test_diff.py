"""`curriculum diff`: exit codes, one JSON document, and what is refused"""

import json
from pathlib import Path
from typing import Any

import pytest

from curriculum.cli.main import run
from small_plan import SMALL, small


@pytest.fixture
def plan(tmp_path: Path) -> str:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return str(path)


def document(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = run(["diff", *arguments, "--format", "json"])
    parsed: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert parsed["format"] == 1
    assert parsed["findings"] == [] or code
    return code, parsed


def test_a_plan_and_its_lock_are_the_same(
    plan: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = str(tmp_path / "small.lock.json")
    assert run(["plan", plan, "-o", lock]) == 0
    for pair in ((plan, plan), (plan, lock), (lock, plan), (lock, lock)):
        assert run(["diff", *pair]) == 0
    code, said = document(capsys, plan, lock)
    assert (code, said["class"], said["place"], said["from_step"]) == (0, "same", None, None)
    assert [stage["class"] for stage in said["stages"]] == ["same", "same"]


def test_settings_change_the_second_plan(plan: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = document(capsys, plan, plan, "--set", "stages.second.rope.llm.base=20_000")
    assert (code, said["class"]) == (1, "forward-only")
    assert said["place"] == {"stage": "second", "step": 0}
    (row,) = said["stages"][1]["numbers"]
    assert row == {"what": "RoPE base of llm", "before": 10_000.0, "after": 20_000.0}
    assert run(["diff", plan, plan, "--set", "stages.second.rope.llm.base=20_000"]) == 1
    assert "RoPE base of llm 10,000 -> 20,000" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("point", "code"),
    [
        ("second@0", 0),
        ("second@end", 1),
        ("second@1", 1),
        ("first@end", 0),
        ("first@9", 0),
        ("first@50%", 0),
        ("second@step 2", 1),
    ],
)
def test_from_a_step_on_only_what_lies_before_it_counts(
    plan: str, capsys: pytest.CaptureFixture[str], point: str, code: int
) -> None:
    edit = ["--set", "stages.second.rope.llm.base=20_000", "--from-step", point]
    assert run(["diff", plan, plan, *edit]) == code
    line = capsys.readouterr().out.splitlines()[0]
    assert line.startswith("everything before" if code == 0 else "not everything before")
    found, said = document(capsys, plan, plan, *edit)
    assert found == code
    assert said["from_step"]["is_untouched"] == (code == 0)
    if code:
        assert said["from_step"]["first"] == {"stage": "second", "step": 0}
        assert said["from_step"]["changes"][0]["what"] == "RoPE base of llm"


@pytest.mark.parametrize(
    ("point", "words"),
    [
        ("third@1", "no stage `third` in this plan"),
        ("first@100_000", "`first` has 489 steps, so no step 100,000"),
        ("first@x", "x"),
    ],
)
def test_a_step_that_is_not_there_is_a_sentence(
    plan: str, capsys: pytest.CaptureFixture[str], point: str, words: str
) -> None:
    assert run(["diff", plan, plan, "--from-step", point]) == 2
    assert words in capsys.readouterr().err


def test_a_plan_that_does_not_compile_is_told(
    plan: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text(small(("seed: 1", "sed: 1")))
    code, said = document(capsys, plan, str(broken))
    assert code == 1
    assert said["findings"][0]["rule"] == "unknown-key"
    assert run(["diff", plan, str(tmp_path / "none.yaml")]) == 2
