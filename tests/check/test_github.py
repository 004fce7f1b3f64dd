import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curriculum.allowances import Silenced
from curriculum.check.checked import Checked
from curriculum.check.github import MAX_ANNOTATIONS, SUMMARY, annotations, summary
from curriculum.cli.main import run
from curriculum.errors import Diagnostic, Severity, Span
from curriculum.findings import printable
from small_plan import small

# docs.github.com, "Workflow commands for GitHub Actions": "Setting a notice message", "Setting a
# warning message", "Setting an error message".
COMMANDS = {"notice", "warning", "error"}
FIELDS = {"title", "file", "col", "endColumn", "line", "endLine"}

# The runner's own reading: actions/runner, src/Runner.Common/ActionCommand.cs.
UNESCAPED = {"%3A": ":", "%2C": ",", "%0D": "\r", "%0A": "\n", "%25": "%"}

SPAN = Span("plans/a b.yaml", 9, 5, 9, 12)
ERROR = Diagnostic("siblings-sum", "the sum is <1.02> & 100%", SPAN, "make it 1")
WARNING = Diagnostic("every-source-is-drawn", "w", SPAN, None, Severity.WARNING)
INFO = Diagnostic("first-steps-learn", "i", None, None, Severity.INFO)


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests may themselves run in a workflow."""
    for name in ("SERVER_URL", "REPOSITORY", "SHA", "WORKSPACE", "STEP_SUMMARY"):
        monkeypatch.delenv(f"GITHUB_{name}", raising=False)


def read(line: str) -> tuple[str, dict[str, str], str]:
    """Read a workflow command as the runner does."""
    found = re.fullmatch(r"::(\w+)(?: (.*?))?::(.*)", line)
    assert found, line
    name, told, message = found.groups()
    fields = dict(pair.split("=", 1) for pair in (told or "").split(",") if pair)
    return name, {key: unescaped(value) for key, value in fields.items()}, unescaped(message)


def unescaped(text: str) -> str:
    return re.sub("|".join(UNESCAPED), lambda found: UNESCAPED[found[0]], text)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(), st.text(min_size=1), st.integers(1, 9), st.integers(0, 2))
def test_the_runner_reads_what_was_found(message: str, file: str, line: int, more: int) -> None:
    span = Span(file, line, 4, line + more, 9)
    text = annotations([Checked("a", (Diagnostic("claims-hold", message, span),))])
    assert len(text.split("\n")) == 3  # no text begins a line, or a command, of its own
    name, fields, told = read(text.split("\n")[0])
    assert name in COMMANDS
    assert fields.keys() <= FIELDS
    assert told == "".join(c if c in "\r\n" else printable(c) for c in message)
    if not file.startswith("--set "):
        assert (fields["line"], fields["endLine"]) == (str(line), str(line + more))
        assert ("col" in fields) == ("endColumn" in fields) == (more == 0)


def test_a_file_that_could_not_be_read_comes_first() -> None:
    gone = Checked("gone.yaml", failure="gone.yaml: no such file")
    lines = annotations([Checked("a", (ERROR, WARNING, INFO)), gone]).splitlines()
    assert lines == [
        "::error::gone.yaml: no such file",
        "::error file=plans/a b.yaml,line=9,col=5,endLine=9,endColumn=11,title=siblings-sum::"
        "the sum is <1.02> & 100%25; make it 1",
        "::warning file=plans/a b.yaml,line=9,col=5,endLine=9,endColumn=11,"
        "title=every-source-is-drawn::w",
        "::notice title=first-steps-learn::i",
        "1 error, 1 warning, 1 info",
    ]


def test_no_more_are_told_than_are_shown_and_the_worst_of_them() -> None:
    many = [Diagnostic("r", f"{i}\nx", SPAN, None, Severity.WARNING) for i in range(30)]
    lines = annotations([Checked("a", (*many, ERROR))]).splitlines()
    assert len(lines) == MAX_ANNOTATIONS + 1
    assert lines[0].startswith("::error ")
    assert "0%0Ax" in lines[1]
    assert lines[-1] == "1 error, 30 warnings (10 shown)"


# The summary of the step


def test_the_summary_has_a_table_for_each_file_with_findings() -> None:
    silenced = (Silenced(WARNING, "as *published*"),)
    checked = [
        Checked("plans/a b.yaml", (ERROR, INFO), silenced=silenced),
        Checked("good.yaml"),
        Checked("gone.yaml", failure="gone.yaml: no such file"),
    ]
    assert summary(checked) == (
        "## `curriculum check`: 1 error, 1 info, 1 allowed\n"
        "\n"
        "### plans/a b.yaml\n"
        "\n"
        "| | rule | place | what |\n"
        "| --- | --- | --- | --- |\n"
        "| error | `siblings-sum` | line 9 | the sum is &#60;1.02&#62; &#38; 100%; make it 1 |\n"
        "| info | `first-steps-learn` |  | i |\n"
        "\n"
        "plans/a b.yaml:9:5: allowed&#91;every-source-is-drawn&#93;: w; as &#42;published&#42;\n"
        "\n"
        "### gone.yaml\n"
        "\n"
        "could not be checked: gone.yaml: no such file\n"
    )


def test_what_two_plans_share_is_told_at_the_first() -> None:
    checked = [Checked("a.yaml", (ERROR,)), Checked("b.yaml", (ERROR,))]
    assert summary(checked).count("siblings-sum") == 1


def test_places_are_links_into_the_commit_where_it_is_known(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://github.com")
    monkeypatch.setenv("GITHUB_REPOSITORY", "lab/runs")
    monkeypatch.setenv("GITHUB_SHA", "abc")
    link = "[line 9](https://github.com/lab/runs/blob/abc/plans/a%20b.yaml#L9)"
    assert f"| {link} |" in summary([Checked("plans/a b.yaml", (ERROR,))])
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path / "elsewhere"))
    assert "| line 9 |" in summary([Checked("plans/a b.yaml", (ERROR,))])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 4000))
def test_a_summary_is_never_too_long(room: int) -> None:
    checked = [Checked("a", tuple(Diagnostic("r", f"{i}: \u00e9", SPAN) for i in range(60)))]
    text = summary(checked, room)
    assert len(text.encode()) <= room
    told = text.count("| error |")
    assert told == 60 or not text or re.search(r"\n\*\*and \d+ more lines.*\*\*\n$", text)


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong.yaml").write_text(small((".75", ".77")))
    return "wrong.yaml"


def test_check_adds_to_the_summary_of_the_step(
    plan: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("summary.md").write_text("before\n")
    monkeypatch.setenv(SUMMARY, "summary.md")
    assert run(["check", plan, "--format", "github"]) == 1
    out, err = capsys.readouterr()
    assert out.startswith("::error file=wrong.yaml,line=26,")
    assert err == ""
    text = Path("summary.md").read_text()
    assert text.startswith("before\n## `curriculum check`: 1 error\n")
    assert "| error | `siblings-sum` | line 26 |" in text
    assert run(["check", plan, "--format", "text"]) == 1
    assert Path("summary.md").read_text() == text


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "no step summary is written: GITHUB_STEP_SUMMARY is not set"),
        ("no/such/folder", "no step summary is written: no/such/folder: No such file or directory"),
        (".", "no step summary is written: .: Is a directory"),
    ],
)
def test_a_summary_that_cannot_be_written_changes_no_exit_code(
    plan: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    said: str,
) -> None:
    monkeypatch.setenv(SUMMARY, name)
    assert run(["check", plan, "--format", "github"]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == "1 error"
    assert err == f"curriculum: {said}\n"
