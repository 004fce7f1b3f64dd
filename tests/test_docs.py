"""Every page of the language has a plan beside it that compiles, and shows nothing else"""

import re
import textwrap
from pathlib import Path

import pytest

from curriculum.check.rules import broken_rules
from curriculum.compile import compile_file
from curriculum.errors import Severity

DOCS = Path(__file__).parents[1] / "docs" / "language"
PAGES = sorted(DOCS.glob("*.md"))
PLANS = sorted(DOCS.glob("*.yaml"))


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
    compiled = compile_file(plan)
    assert compiled.plan is not None, [str(error) for error in compiled.errors]
    found = [str(f) for f in broken_rules(compiled.plan) if f.severity is Severity.ERROR]
    assert found == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_what_a_page_shows_stands_in_its_example(page: Path) -> None:
    plan = page.with_suffix(".yaml")
    found = blocks(page.read_text(encoding="utf-8"))
    assert plan.is_file() == bool(found), f"{page.name} shows YAML and has no {plan.name}"
    for block in found:
        assert stands_in(block, plan.read_text(encoding="utf-8")), f"not in {plan.name}:\n{block}"


def test_a_block_is_found_wherever_it_is_indented() -> None:
    text = "a:\n  b: 1\n  c: 2\nd: 3\n"
    assert stands_in("b: 1\nc: 2\n", text)
    assert not stands_in("b: 1\nd: 3\n", text)
