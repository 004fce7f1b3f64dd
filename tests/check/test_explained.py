"""The handbook has a file for every rule, with a plan that breaks it and a way out that mends it"""

from pathlib import Path

import pytest

from curriculum.check.advice import advice, every_rule
from curriculum.check.explained import HANDBOOK, entry, handbook
from curriculum.check.rules import broken_rules
from curriculum.compile import compile_file
from curriculum.errors import Diagnostic, Severity

CODES = [rule.code for rule in every_rule()]
WITHOUT_EXAMPLE = {"budgets-become-whole-steps"}  # a check of the compiler: no text breaks it


def found(folder: Path, text: str, edits: tuple[str, ...] = ()) -> tuple[Diagnostic, ...]:
    path = folder / "example.yaml"
    path.write_text(text)
    compiled = compile_file(path, edits)
    assert compiled.plan is not None, [str(error) for error in compiled.errors]
    return (*compiled.findings, *broken_rules(compiled.plan), *advice(compiled.plan))


def test_every_rule_has_a_file_and_every_file_a_rule() -> None:
    assert len(set(CODES)) == len(CODES)
    assert handbook() == tuple(sorted(CODES))
    assert {code for code in CODES if entry(code).trips is None} == WITHOUT_EXAMPLE


@pytest.mark.parametrize("code", CODES)
def test_the_file_says_why_and_when(code: str) -> None:
    said = entry(code)
    assert (HANDBOOK / f"{code}.yaml").read_text(encoding="utf-8").isascii()
    for text in (said.why, said.source, said.domain):
        assert text
        assert "\n" not in text
    assert said.why.endswith(".")
    assert said.domain.endswith(".")


@pytest.mark.parametrize("code", [code for code in CODES if code not in WITHOUT_EXAMPLE])
def test_the_example_trips_its_rule_until_it_is_mended(code: str, tmp_path: Path) -> None:
    said = entry(code)
    assert said.trips is not None
    assert said.mend
    tripped = found(tmp_path, said.trips)
    mine = [finding for finding in tripped if finding.rule == code]
    assert mine, [str(finding) for finding in tripped]
    assert all(finding.span is not None for finding in mine)
    others = [str(f) for f in tripped if f.severity is Severity.ERROR and f.rule != code]
    assert others == []
    after = found(tmp_path, said.trips, said.mend)
    assert [str(f) for f in after if f.rule == code] == []
    assert [str(f) for f in after if f.severity is Severity.ERROR] == []


def test_what_the_handbook_does_not_have() -> None:
    with pytest.raises(KeyError):
        entry("no-such-rule")
