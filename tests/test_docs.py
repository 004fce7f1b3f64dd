"""Every page of the language has a plan beside it that compiles, and tells the errors it gives"""

import json
import re
import sys
import textwrap
from pathlib import Path

import pytest

from curriculum.cli.load import load
from curriculum.cli.main import COMMANDS
from curriculum.errors import Diagnostic, FindingsError, Severity
from curriculum.source_map import TAGS
from mistakes import MISTAKES

DOCS = Path(__file__).parents[1] / "docs" / "language"
INDEX = DOCS / "README.md"
PAGES = sorted(page for page in DOCS.glob("*.md") if page != INDEX)
PLANS = sorted(DOCS.glob("*.yaml"))


def plans_of(page: Path) -> list[Path]:
    """Return the plan of a page, and others that are called after it: `merges-seeds.yaml`."""
    pages = {page.stem for page in PAGES}
    more = [p for p in DOCS.glob(f"{page.stem}-*.yaml") if p.stem not in pages]
    return [p for p in (page.with_suffix(".yaml"), *more) if p.is_file()]


def blocks(page: str) -> list[str]:
    """Return the YAML blocks of a page, without the indentation that all their lines share."""
    return [textwrap.dedent(found) for found in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]


def stands_in(block: str, text: str) -> bool:
    """Say whether the lines of a block stand in a text one after another, all moved by as much."""
    wanted = [line.rstrip() for line in block.strip("\n").splitlines()]
    lines = [line.rstrip() for line in text.splitlines()]
    for start in range(len(lines) - len(wanted) + 1):
        moved = lines[start : start + len(wanted)]
        if textwrap.dedent("\n".join(moved)).splitlines() == wanted:
            return True
    return False


@pytest.mark.parametrize("plan", PLANS, ids=lambda path: path.stem)
def test_the_example_compiles(plan: Path) -> None:
    compiled = load(plan)
    assert compiled.plan is not None
    assert [str(error) for error in compiled.errors] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_what_a_page_shows_stands_in_its_example(page: Path) -> None:
    plan = page.with_suffix(".yaml")
    found = blocks(page.read_text(encoding="utf-8"))
    assert plan.is_file() == bool(found), f"{page.name} shows YAML and has no {plan.name}"
    for block in found:
        texts = (path.read_text(encoding="utf-8") for path in plans_of(page))
        assert any(stands_in(block, text) for text in texts), f"not in {plan.name}:\n{block}"


def test_every_plan_belongs_to_a_page() -> None:
    assert sorted(plan for page in PAGES for plan in plans_of(page)) == PLANS


def findings(plan: Path, edits: tuple[str, ...]) -> tuple[Diagnostic, ...]:
    try:
        return load(plan, list(edits)).findings
    except FindingsError as error:
        return error.diagnostics


def errors_of(page: str) -> str:
    """Return the table of errors of a page: what its plan is told after each mistake."""
    rows = ["| rule | says | way out |", "| --- | --- | --- |"]
    for rule, *edits in MISTAKES[page]:
        found = findings(DOCS / f"{page}.yaml", tuple(edits))
        told = next((one for one in found if one.rule == rule), None)
        assert told is not None, f"{edits}: {[str(one) for one in found]}"
        kind = "" if told.severity is Severity.ERROR else f"{told.severity.value}: "
        cells = (f"`{rule}`", kind + told.message, told.help or "")
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


ERRORS = re.compile(r"(?<=^## Errors one meets\n\n)(?:\|.*\n)+", re.MULTILINE)


@pytest.mark.parametrize("page", MISTAKES)
def test_the_errors_of_a_page_are_those_that_one_meets(page: str) -> None:
    table = ERRORS.search((DOCS / f"{page}.md").read_text(encoding="utf-8"))
    assert table is not None
    assert table[0] == errors_of(page), "`make docs` writes it anew"


def test_the_index_lists_every_page_once() -> None:
    listed = re.findall(
        r"^[0-9]+\. \[.*\]\((.*)\)", INDEX.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert sorted(listed) == [page.name for page in PAGES]
    numbers = re.findall(r"^([0-9]+)\.", INDEX.read_text(encoding="utf-8"), re.MULTILINE)
    assert numbers == [str(number) for number in range(1, len(PAGES) + 1)]


def test_every_command_stands_on_its_page() -> None:
    page = (DOCS.parent / "commands.md").read_text(encoding="utf-8")
    rows = set(re.findall(r"^\| `curriculum ([a-z]+)", page, re.MULTILINE))
    assert rows == set(COMMANDS)


def test_editors_are_told_every_tag() -> None:
    page = (DOCS.parent / "editors.md").read_text(encoding="utf-8")
    settings = json.loads(re.findall(r"```json\n(.*?)```", page, re.DOTALL)[0])
    kinds = ("scalar", "mapping", "sequence")
    assert settings["yaml.customTags"] == [f"!{tag} {kind}" for tag in TAGS for kind in kinds]


def test_a_block_is_found_wherever_it_is_indented() -> None:
    text = "a:\n  b: 1\n  c: 2\nd: 3\n"
    assert stands_in("b: 1\nc: 2\n", text)
    assert not stands_in("b: 1\nd: 3\n", text)


if __name__ == "__main__":
    for name in MISTAKES:
        path = DOCS / f"{name}.md"
        text = path.read_text(encoding="utf-8")
        made = errors_of(name)
        path.write_text(ERRORS.sub(lambda _: made, text), encoding="utf-8", newline="\n")  # noqa: B023
    sys.exit(0)
