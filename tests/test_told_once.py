"""What several stages have in common is told once; what only looks alike is told each time."""

from curriculum.compile import compile_text
from curriculum.errors import Diagnostic, Severity, Span
from curriculum.findings import in_order, text_of
from curriculum.told_once import told_once
from small_plan import SMALL


def at(line: int, message: str, severity: Severity = Severity.ERROR, file: str = "x") -> Diagnostic:
    return Diagnostic("rule", message, Span(file, line, 1, line, 2), None, severity)


def messages(*findings: Diagnostic) -> list[str]:
    return [finding.message for finding in told_once(findings)]


def test_stages_that_lack_the_same_are_told_once() -> None:
    stages = "".join(
        f"  {name}: {{init: {{llm: first}}, keep: first, tokens: 1M, seed: {seed}}}\n"
        for seed, name in enumerate(("a", "b", "c", "d", "e"), 7)
    )
    found = compile_text(SMALL + stages).findings
    assert len(found) == 5
    first, *way_out = text_of(found).splitlines()
    assert first.endswith("does not say whether the optimizer state of llm comes along; "
                          "and in 4 more stages: b, c, d, e")  # fmt: skip
    assert sum("error[" in line for line in way_out) == 0


def test_the_step_makes_no_difference_and_the_numbers_do() -> None:
    said = ["fails at step 1 of stage `a`", "fails at step 1,000 of stage `b`"]
    assert messages(*(at(1, text) for text in said)) == [
        "fails at step 1 of stage `a`; and in 1 more stage: b"
    ]
    said = ["stage `a` has 2 steps", "stage `b` has 1 step"]
    assert messages(*(at(1, text) for text in said)) == said


def test_the_same_stage_severity_and_file_are_told_apart() -> None:
    twice = [at(1, "stage `a` lacks it"), at(2, "stage `a` lacks it")]
    assert messages(*twice) == ["stage `a` lacks it"] * 2
    worse = [at(1, "stage `a` lacks it"), at(2, "stage `b` lacks it", Severity.INFO)]
    assert messages(*worse) == [finding.message for finding in worse]
    other = [at(1, "stage `a` lacks it"), at(1, "stage `b` lacks it", file="y")]
    assert messages(*other) == [finding.message for finding in other]


def test_a_mistyped_key_of_several_stages_is_told_once() -> None:
    text = SMALL.replace("    keep: first\n", "    keep: first\n    sed: 2\n").replace(
        "    packing:", "    sed: 1\n    packing:"
    )
    (told,) = told_once(compile_text(text).findings)
    assert told.message == "stage `first` has no key `sed`; and in 1 more stage: second"


def test_what_names_no_stage_is_told_each_time() -> None:
    assert (
        messages(at(1, "`x` is no number"), at(2, "`x` is no number")) == ["`x` is no number"] * 2
    )


def test_a_sentence_of_many_places_is_told_at_the_first_with_their_lines() -> None:
    few = [at(line, "there is no source `webb`") for line in (3, 5, 7, 9)]
    assert messages(*few) == ["there is no source `webb`"] * 4
    between = at(4, "another")
    first, other = told_once([few[0], between, *few[1:], at(9, few[0].message)])
    assert str(first.span) == "x:3:1"
    assert first.message == "there is no source `webb`; and at 4 more places: lines 5, 7, 9"
    assert other == between
    (many,) = told_once(at(line, "there is no source `webb`") for line in range(1, 101))
    assert many.message.endswith("; and at 99 more places: lines 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, "
                                 "12, 13 and 87 others")  # fmt: skip
    files = [at(1, "x", file=name) for name in "abcde"]
    assert told_once(files) == files


def test_many_stages_are_counted() -> None:
    (told,) = told_once(at(n, f"stage `s{n}` lacks it") for n in range(1, 21))
    assert told.message.endswith("; and in 19 more stages: s2, s3, s4, s5, s6, s7, s8, s9, s10, "
                                 "s11, s12, s13 and 7 others")  # fmt: skip


def test_errors_come_before_warnings_and_these_before_infos() -> None:
    found = [
        at(3, "info", Severity.INFO),
        at(9, "late", Severity.ERROR),
        at(4, "warning", Severity.WARNING),
        at(5, "early", Severity.ERROR),
    ]
    assert [f.message for f in in_order(found)] == ["early", "late", "warning", "info"]
