import json
from pathlib import Path
from typing import Any

import pytest

from curriculum.check.checked import Checked
from curriculum.check.report import report
from curriculum.check.sarif import RULES_URL
from curriculum.cli.main import run
from curriculum.errors import Diagnostic, Fix, Span
from small_plan import small

WRONG = small((".75", ".77"))


def results(*findings: Diagnostic) -> list[dict[str, Any]]:
    document = json.loads(report([Checked("a.yaml", findings)], "sarif"))
    found: list[dict[str, Any]] = document["runs"][0]["results"]
    return found


def prints(text: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the fingerprints of what is found in a plan."""
    (folder / "a.yaml").write_text(text)
    run(["check", str(folder / "a.yaml"), "--format", "sarif", "--max-examples", "1"])
    found = json.loads(capsys.readouterr().out)["runs"][0]["results"]
    return [result["partialFingerprints"]["ruleAndKeys/v1"] for result in found]


def test_a_finding_is_known_again_where_lines_move_and_values_change(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = prints(WRONG, tmp_path, capsys)
    assert len(before) == 1
    assert prints(f"# a head\n\n{WRONG}", tmp_path, capsys) == before
    assert prints(WRONG.replace(".77", ".78"), tmp_path, capsys) == before
    assert prints(WRONG.replace("first:", "1st:"), tmp_path, capsys) != before


def test_two_findings_at_one_place_are_two(tmp_path: Path) -> None:
    span = Span("none.yaml", 3, 1, 3, 2)
    one, two = results(Diagnostic("claims-hold", "a", span), Diagnostic("claims-hold", "b", span))
    first, second = (found["partialFingerprints"]["ruleAndKeys/v1"] for found in (one, two))
    assert (first[-2:], second[-2:]) == (":1", ":2")
    assert first[:-2] == second[:-2]


@pytest.mark.parametrize(
    ("file", "uri"),
    [
        ("plans/a b.yaml", "plans/a%20b.yaml"),
        ("/tmp/a.yaml", "file:///tmp/a.yaml"),
        ("./a.yaml", "a.yaml"),
    ],
)
def test_places_are_references(file: str, uri: str) -> None:
    (result,) = results(Diagnostic("claims-hold", "m", Span(file, 1, 1, 1, 2)))
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": uri}


def test_what_is_set_on_the_command_line_is_in_no_file() -> None:
    (result,) = results(Diagnostic("wrong-value", "m", Span("--set seed=x", 1, 6, 1, 7)))
    assert result["locations"] == [{"logicalLocations": [{"fullyQualifiedName": "--set seed=x"}]}]


def test_a_safe_edit_is_a_fix() -> None:
    span = Span("a.yaml", 3, 5, 3, 9)
    (result,) = results(Diagnostic("unknown-key", "m", span, fix=Fix(span, "optimizer")))
    (change,) = result["fixes"][0]["artifactChanges"]
    assert change["artifactLocation"] == {"uri": "a.yaml"}
    (edit,) = change["replacements"]
    assert edit["deletedRegion"] == {
        "startLine": 3, "startColumn": 5, "endLine": 3, "endColumn": 9
    }  # fmt: skip
    assert edit["insertedContent"] == {"text": "optimizer"}
    given = Span("--set seed=x", 1, 6, 1, 7)
    (result,) = results(Diagnostic("unknown-key", "m", given, fix=Fix(given, "3")))
    assert "fixes" not in result


def test_the_page_of_rules_is_named_where_its_home_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def rules() -> list[dict[str, Any]]:
        found = (Diagnostic("claims-hold", "m"), Diagnostic("cycle", "m"))
        document = json.loads(report([Checked("a", found)], "sarif"))
        rules: list[dict[str, Any]] = document["runs"][0]["tool"]["driver"]["rules"]
        return rules

    assert all("helpUri" not in rule for rule in rules())
    monkeypatch.setenv(RULES_URL, "https://example.org/docs/rules.md")
    assert [rule["helpUri"] for rule in rules()] == [
        "https://example.org/docs/rules.md#claims-hold",
        "https://example.org/docs/rules.md",
    ]
