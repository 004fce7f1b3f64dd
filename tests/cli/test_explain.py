import json
from pathlib import Path

import pytest

from curriculum.check.explained import explanations
from curriculum.cli.main import run

PAGE = Path(__file__).parents[2] / "docs" / "rules.md"


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(["explain", *arguments]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_a_rule_with_a_plan_that_breaks_it_and_what_mends_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "example.yaml").write_text("another file of that name, which is not read\n")
    out = told(capsys, "stages-have-three-steps")
    assert out.startswith("stages-have-three-steps  warning\nA stage has at least 3 steps.\n")
    assert "why     A stage of one or two steps" in out
    assert (
        "    $ curriculum check example.yaml\n"
        "    example.yaml:8:13: warning[stages-have-three-steps]: stage `text` has 2 steps of "
        "2.05K tokens\n"
        "      8 |     tokens: 4K\n"
        "        |             ^^\n"
    ) in out
    assert out.endswith("    $ curriculum check example.yaml --set stages.text.tokens=1M\n")
    assert max(map(len, out.splitlines())) <= 100


def test_the_example_is_told_as_check_tells_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    example = json.loads(told(capsys, "rates-are-not-negative", "--format", "json"))
    (tmp_path / "example.yaml").write_text(example["example"])
    assert run(["check", "example.yaml", "--format", "json"]) == 1
    assert example["findings"] == json.loads(capsys.readouterr().out)["findings"]
    (edit,) = example["mend"]
    assert run(["check", "example.yaml", "--set", edit]) == 0


def test_a_rule_of_two_severities_says_when(capsys: pytest.CaptureFixture[str]) -> None:
    rule = "repeated-sources-are-capped"
    head = told(capsys, rule).splitlines()[0]
    assert head == "repeated-sources-are-capped  warning, or info up to 4 epochs"
    assert f"{rule} " in told(capsys)
    assert "  warning or info   A source that is read more" in told(capsys)
    said = json.loads(told(capsys, rule, "--format", "json"))
    assert (said["severity"], said["milder"]) == ("warning", "info up to 4 epochs")


def test_a_code_that_is_no_rule_with_a_plan_that_breaks_it_and_the_line_to_change(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = told(capsys, "wrong-unit")
    assert "shown on the page docs/language/units.md\n\na plan that breaks it:\n\n" in out
    assert (
        "    $ curriculum check example.yaml\n"
        "    example.yaml:13:13: error[wrong-unit]: an amount in steps cannot stand here\n"
        "      13 |     tokens: 500 steps\n"
    ) in out
    changed = "    -     tokens: 500 steps\n    +     tokens: 1M\n"
    assert out.endswith(f"\nand what keeps it:\n\n{changed}")
    example = json.loads(told(capsys, "wrong-unit", "--format", "json"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "example.yaml").write_text(example["example"])
    assert run(["check", "example.yaml", "--format", "json"]) == 1
    assert example["findings"] == json.loads(capsys.readouterr().out)["findings"]
    (tmp_path / "example.yaml").write_text(example["mended"])
    assert run(["check", "example.yaml"]) == 0


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("not-whole", "shown on the page docs/language/proxies.md"),
        ("locks-come-back", "tested on every plan; where it fails, the program is wrong, not the"),
        ("usage", "A command is written as its `--help` shows."),
        ("budgets-become-whole-steps", "when    Every stage."),
    ],
)
def test_codes_that_have_no_example(
    capsys: pytest.CaptureFixture[str], code: str, line: str
) -> None:
    out = told(capsys, code)
    assert line in out
    assert "a plan that breaks it" not in out


def test_all_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    lines = told(capsys).splitlines()
    rules = [one for one in explanations().values() if one.entry is not None]
    assert [line.split()[0] for line in lines[: len(rules)]] == [one.code for one in rules]
    assert lines[len(rules)] == ""
    document = json.loads(told(capsys, "--format", "json"))
    assert [one["rule"] for one in document["rules"]] == list(explanations())


def test_a_word_that_is_no_rule(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "siblingsum"]) == 2
    assert capsys.readouterr().err == (
        "curriculum: there is no rule `siblingsum`; did you mean `siblings-sum`?\n"
    )


def test_a_word_of_the_language_is_no_rule(capsys: pytest.CaptureFixture[str]) -> None:
    where = "`curriculum explain` lists all rules; words of a plan stand in docs/reference.md"
    assert run(["explain", "yarn"]) == 2
    assert capsys.readouterr().err == f"curriculum: there is no rule `yarn`; {where}\n"
    assert run(["explain", "repeat"]) == 2
    assert capsys.readouterr().err == (
        f"curriculum: there is no rule `repeat`; there are `repeated-sources-are-capped`; {where}\n"
    )


def test_the_page_of_rules_is_what_explain_tells(capsys: pytest.CaptureFixture[str]) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == told(capsys, "--format", "markdown"), "`make docs` writes it anew"
