"""The handbook has a file for every rule, with a plan that breaks it and a way out that mends it"""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from curriculum.check.advice import advice, every_rule
from curriculum.check.explained import HANDBOOK, Explanation, entry, explanations, handbook
from curriculum.check.rules import broken_rules
from curriculum.cli.explain import example_findings
from curriculum.cli.load import load
from curriculum.compile import compile_file
from curriculum.errors import Diagnostic, Severity
from mistakes import MISTAKES

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "curriculum"
DOCS = ROOT / "docs" / "language"

CODES = [rule.code for rule in every_rule()]
WITHOUT_EXAMPLE = {"budgets-become-whole-steps"}  # a check of the compiler: no text breaks it


CODES_WITHOUT_EXAMPLE = {
    # of a run, a lock, a command or the program itself
    "broken-lock", "cannot", "composed-differs", "ledger-differs", "not-compiled", "padding",
    "run-not-finished", "seam-differs", "set", "unknown", "usage",
    # of an overlay: two files
    "claim-of-a-proxy", "not-whole", "replaces-all", "scale",
    # no text, or none worth printing
    "empty-plan", "line-break", "no-stage", "not-a-mapping", "not-utf8", "too-deep", "too-large",
    # a plan that brings them about is long
    "composes-new", "mixture-too-fine", "mixture-too-large", "piece-shorter-than-step",
    "ramp-levels", "rope-context", "rope-unread",
}  # fmt: skip
OTHERS = [one for one in explanations().values() if one.kind == "code"]


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


def test_every_code_has_an_example_but_for_those_named_here() -> None:
    assert {one.code for one in OTHERS if one.example is None} == CODES_WITHOUT_EXAMPLE


@pytest.mark.parametrize(
    "one", [one for one in OTHERS if one.example is not None], ids=lambda one: one.code
)
def test_a_codes_example_trips_it_and_nothing_worse_and_before_it_was_sound(
    one: Explanation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert one.example is not None
    assert one.sound is not None
    text = one.sound
    for old, new in one.breaks:
        assert old in text, old
        text = text.replace(old, new, 1)
    assert text == one.example
    told = every_finding(one.example)
    mine = [finding for finding in told if finding.rule == one.code]
    assert mine, [str(finding) for finding in told]
    assert all(finding.span is not None for finding in mine)
    assert example_findings(one) == tuple(mine)
    assert [str(f) for f in told if f.severity is Severity.ERROR and f.rule != one.code] == []
    assert every_finding(one.sound) == ()


def every_finding(text: str) -> tuple[Diagnostic, ...]:
    path = Path("example.yaml")
    path.write_text(text, encoding="utf-8")
    return load(path, advises=True).findings


def test_what_the_handbook_does_not_have() -> None:
    with pytest.raises(KeyError):
        entry("no-such-rule")


# Every code that src/ emits is explained


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func
            yield (called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")), node


def takers(trees: Mapping[Path, ast.AST]) -> dict[str, int]:
    """Return the functions that are given a code, `rule: str`, and which argument it is."""
    found = {"Diagnostic": 0}
    for tree in trees.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                arguments = [a for a in node.args.args if a.arg not in ("self", "cls")]
                for index, a in enumerate(arguments):
                    if a.arg == "rule" and a.annotation and ast.unparse(a.annotation) == "str":
                        found[node.name] = index
    return found


def words(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.IfExp):
        yield from (*words(node.body), *words(node.orelse))
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


def emitted() -> set[str]:
    trees = {file: ast.parse(file.read_text(encoding="utf-8")) for file in SRC.rglob("*.py")}
    given = takers(trees)
    found: set[str] = set()
    for tree in trees.values():
        for name, call in calls(tree):
            if name in given and len(call.args) > given[name]:
                found |= set(words(call.args[given[name]]))
            found |= {w for k in call.keywords if k.arg == "rule" for w in words(k.value)}
    return {word for word in found if re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", word)}


def test_every_code_that_is_emitted_is_explained_and_no_other() -> None:
    by_name = {c for c, one in explanations().items() if one.kind == "property"}
    assert {"wrong-value", "unknown-key", "ledger-differs", "usage"} <= emitted()
    named = {c for c in explanations() if c not in by_name | {"claims-hold"}}
    assert emitted() - {"claims-hold"} == named


@pytest.mark.parametrize("one", explanations().values(), ids=lambda one: one.code)
def test_a_sentence_is_one(one: Explanation) -> None:
    assert one.sentence.isascii()
    assert one.sentence[0].isupper() or one.sentence.startswith("`")
    assert one.sentence.endswith((".", ":"))


def test_a_page_that_shows_a_code_says_it() -> None:
    shown = {code for page in MISTAKES.values() for code, *_ in page}
    for one in explanations().values():
        if one.kind != "code":
            continue
        assert one.page is not None or one.code not in shown, one.code
        if one.page is not None:
            assert f"`{one.code}`" in (DOCS / f"{one.page}.md").read_text(encoding="utf-8")
