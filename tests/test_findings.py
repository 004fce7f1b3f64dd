import io
from pathlib import Path

import pytest

from curriculum.compile import compile_file
from curriculum.errors import Diagnostic, Related, Severity, Span
from curriculum.findings import count_words, finding_json, printable, text_of, wants_colour

KEYS = ("rule", "severity", "file", "line", "column", "end_line", "end_column", "message")


def at(file: Path, line: int, column: int, end_column: int, end_line: int = 0) -> Span:
    return Span(str(file), line, column, end_line or line, end_column)


def test_the_place_is_shown_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("plan: a\n    mixture: {a: .5}\n")
    finding = Diagnostic("siblings-sum", "the sum is 0.5", at(file, 2, 14, 21), "make it 1")
    assert text_of([finding]) == (
        f"{file}:2:14: error[siblings-sum]: the sum is 0.5\n"
        "  2 |     mixture: {a: .5}\n"
        "    |              ^^^^^^^\n"
        "    = make it 1\n"
    )


def test_a_place_of_several_lines_is_marked_to_the_end_of_the_first(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("a:\n  b: 1   \n  c: 2\n")
    text = text_of([Diagnostic("r", "m", at(file, 2, 3, 4, end_line=3))])
    assert text.splitlines()[1:] == ["  2 |   b: 1", "    |   ^^^^"]


def test_a_related_place_is_shown_too(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("a: 1\nb: 2\n")
    related = Related("left at 2 here", at(file, 2, 4, 5))
    text = text_of([Diagnostic("r", "m", at(file, 1, 4, 5), related=(related,))])
    assert text.splitlines()[3:] == [
        f"  {file}:2:4: left at 2 here",
        "  2 | b: 2",
        "    |    ^",
    ]


def test_wide_characters_and_long_lines_keep_the_marks_below_their_place(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("\u8868: x\n" + "a" * 300 + "BB" + "c" * 300 + "\n")
    _, line, marks = text_of([Diagnostic("r", "m", at(file, 1, 4, 5))]).splitlines()
    assert (line, marks) == ("  1 | \u8868: x", "    |     ^")
    _, line, marks = text_of([Diagnostic("r", "m", at(file, 2, 301, 303))]).splitlines()
    assert line[marks.index("^") :].startswith("BBccc")
    assert len(line) < 140


def test_no_line_is_shown_where_the_file_cannot_be_read(tmp_path: Path) -> None:
    span = at(tmp_path / "gone.yaml", 3, 1, 2)
    assert text_of([Diagnostic("r", "m", span)]) == f"{span}: error[r]: m\n"
    assert text_of([Diagnostic("r", "m")]) == "error[r]: m\n"


def test_settings_are_shown_with_their_place() -> None:
    compiled = compile_file(Path("plans/kimi-vl.yaml"), ["seed=x"])
    assert text_of(compiled.findings).splitlines() == [
        "--set seed=x:1:6: error[wrong-value]: `x` is not a number",
        "  1 | seed=x",
        "    |      ^",
    ]


def test_a_users_text_is_neither_markup_nor_steers_the_terminal(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_bytes(b'a: "[red]\x1b[31m\xff"\n')
    text = text_of([Diagnostic("r", "[bold]x[/bold]\x1b[2J\u202e", at(file, 1, 4, 8), "[/] \x07")])
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "[bold]x[/bold]\\x1b[2J\\u202e" in text
    assert 'a: "[red]?[31m' in text
    assert printable("a b") == "a b"


def test_colours_stand_around_the_words_only(tmp_path: Path) -> None:
    finding = Diagnostic("r", "m", None, None, Severity.WARNING)
    assert text_of([finding], colour=True) == "\x1b[1;33mwarning[r]\x1b[0m: m\n"


def test_colours_are_for_terminals_and_not_where_somebody_said_no(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert wants_colour(Terminal())
    assert not wants_colour(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not wants_colour(Terminal())
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not wants_colour(Terminal())


def test_json_has_the_fields_of_the_contract() -> None:
    span = Span("x.yaml", 1, 2, 3, 4)
    found = finding_json(Diagnostic("r", "m", span, "h", related=(Related("there", span),)))
    assert [found[key] for key in KEYS] == ["r", "error", "x.yaml", 1, 2, 3, 4, "m"]
    assert found["help"] == "h"
    assert found["related"][0] == {
        "message": "there",
        "file": "x.yaml",
        "line": 1,
        "column": 2,
        "end_line": 3,
        "end_column": 4,
    }
    assert finding_json(Diagnostic("r", "m"))["file"] is None


def test_counts_name_the_worst_first() -> None:
    def one(severity: Severity) -> Diagnostic:
        return Diagnostic("r", "m", severity=severity)

    found = [one(Severity.INFO), one(Severity.INFO), one(Severity.ERROR), one(Severity.WARNING)]
    assert count_words(found) == "1 error, 1 warning, 2 info"
