import json
from pathlib import Path

import pytest

from curriculum.cli.main import run
from small_plan import SMALL, small

WRONG = small(
    ("    optimizer: adam", "    optimiser:   adam  # ours"),
    ("    packing: best-fit", "    packing: bestfit"),
    ("tokens: 500K", "tokens: 500,000  # curriculum: allow rates-are-below-one a habit"),
)
RIGHT = small(
    ("    optimizer: adam", "    optimizer:   adam  # ours"), ("tokens: 500K", "tokens: 500_000")
)
FEW = ("--max-examples", "5")


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "plan.yaml"
    path.write_text(WRONG)
    return path


def test_edits_are_made_told_and_checked_again(
    plan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["check", "plan.yaml", *FEW]) == 1
    said = capsys.readouterr().out
    assert said.endswith(" errors (3 can be mended by --fix)\n")
    assert run(["check", "plan.yaml", "--fix", *FEW]) == 0
    out, err = capsys.readouterr()
    assert plan.read_text() == RIGHT
    assert out == "1 file checked: no findings\n"
    assert err.splitlines() == [
        "fixed plan.yaml:19:5: now `optimizer`: stage `first` has no key `optimiser`",
        "fixed plan.yaml:24:14: now `best-fit`: `bestfit` is not one of the words for this",
        "fixed plan.yaml:31:13: now `500_000`: `500,000` is not an amount",
        "fixed plan.yaml:31:20: now nothing: `rates-are-below-one` finds nothing here that this "
        "comment could allow",
    ]
    assert run(["check", "plan.yaml", "--fix", *FEW]) == 0
    assert capsys.readouterr() == ("1 file checked: no findings\n", "")


def test_edits_are_shown_and_nothing_is_written(
    plan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["check", "plan.yaml", "--fix", "--diff"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["--- plan.yaml", "+++ plan.yaml (fixed)"]
    assert [line for line in lines[2:] if line[0] in "-+"] == [
        "-    optimiser:   adam  # ours",
        "+    optimizer:   adam  # ours",
        "-    packing: bestfit",
        "+    packing: best-fit",
        "-    tokens: 500,000  # curriculum: allow rates-are-below-one a habit",
        "+    tokens: 500_000",
    ]
    assert plan.read_text() == WRONG
    plan.write_text(RIGHT)
    assert run(["check", "plan.yaml", "--fix", "--diff"]) == 0
    assert capsys.readouterr().out == ""


def test_the_document_tells_what_can_be_and_what_was_fixed(
    plan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["check", "plan.yaml", "--format", "json", *FEW])
    document = json.loads(capsys.readouterr().out)
    assert document["fixed"] == []
    found = next(f for f in document["findings"] if f["rule"] == "unknown-key")
    assert found["fix"] == {
        "file": "plan.yaml", "line": 19, "column": 5, "end_line": 19, "end_column": 14,
        "text": "optimizer",
    }  # fmt: skip
    run(["check", "plan.yaml", "--format", "sarif", *FEW])
    results = json.loads(capsys.readouterr().out)["runs"][0]["results"]
    result = next(r for r in results if r["ruleId"] == "unknown-key")
    (change,) = result["fixes"][0]["artifactChanges"]
    assert change["artifactLocation"] == {"uri": "plan.yaml"}
    assert change["replacements"] == [
        {
            "deletedRegion": {"startLine": 19, "startColumn": 5, "endLine": 19, "endColumn": 14},
            "insertedContent": {"text": "optimizer"},
        }
    ]
    assert run(["check", "plan.yaml", "--fix", "--format", "json", *FEW]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [f["rule"] for f in document["fixed"]] == [
        "unknown-key", "wrong-value", "wrong-value", "unused-allow",
    ]  # fmt: skip
    assert document["findings"] == []


def test_what_cannot_be_mended_is_told_and_left(
    plan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = small(("web: .75", "web: .80"))
    plan.write_text(text)
    assert run(["check", "plan.yaml", "--fix", *FEW]) == 1
    out, err = capsys.readouterr()
    assert "siblings-sum" in out
    assert err == ""
    assert plan.read_text() == text


def test_only_the_file_that_was_named_is_edited(
    plan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overlay = plan.with_name("overlay.yaml")
    overlay.write_text("extends: plan.yaml\nplan: other\nseeds: 3\n")
    assert run(["check", "overlay.yaml", "--fix", *FEW]) == 1
    assert capsys.readouterr().out.endswith(" errors\n")
    assert plan.read_text() == WRONG
    assert overlay.read_text() == "extends: plan.yaml\nplan: other\nseed: 3\n"


def test_two_keys_that_mean_one_are_left_to_a_person(
    plan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = small(("    optimizer: adam", "    optimiser: adam\n    optimzer: adam"))
    plan.write_text(text)
    assert run(["check", "plan.yaml", "--fix", *FEW]) == 1
    assert plan.read_text() == text


def test_marks_breaks_and_rights_stay(plan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan.write_bytes(b"\xef\xbb\xbf" + WRONG.replace("\n", "\r\n").encode())
    plan.chmod(0o640)
    assert run(["check", "plan.yaml", "--fix", *FEW]) == 0
    assert plan.read_bytes() == b"\xef\xbb\xbf" + RIGHT.replace("\n", "\r\n").encode()
    assert plan.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--fix", "--set", "seed=3"], "--fix edits the files as they are: leave out --set"),
        (["--diff"], "--diff belongs to --fix, and prints text"),
        (["--fix", "--diff", "--format", "junit"], "--diff belongs to --fix, and prints text"),
    ],
)
def test_options_that_do_not_go_together(
    plan: Path, capsys: pytest.CaptureFixture[str], options: list[str], why: str
) -> None:
    assert run(["check", "plan.yaml", *options]) == 2
    assert capsys.readouterr().err == f"curriculum: {why}\n"
    assert plan.read_text() == WRONG


def test_what_is_no_plan_is_left_to_the_check(
    plan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan.write_text("plan: {")
    assert run(["check", "plan.yaml", "none.yaml", "--fix", *FEW]) == 2
    out, err = capsys.readouterr()
    assert "yaml-syntax" in out
    assert err == "curriculum: none.yaml: no such file\n"
    plan.write_text(SMALL)
    assert run(["plan", "plan.yaml", "-o", "plan.lock.json"]) == 0
    assert run(["check", "plan.lock.json", "--fix", *FEW]) == 0
