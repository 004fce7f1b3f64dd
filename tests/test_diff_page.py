"""The page on diffs: its plan compiles, and its commands print what it shows"""

import contextlib
import os
import sys
from pathlib import Path

import pytest

from curriculum.check.rules import broken_rules
from curriculum.compile import compile_file
from test_write_a_plan import CONSOLE, answer, console

PAGE = Path(__file__).parents[1] / "docs" / "diff.md"
PLAN = PAGE.parent / "diff" / "run.yaml"


def written_anew(page: str) -> str:
    """Return the page with every console block as its commands print it today."""
    with contextlib.chdir(PLAN.parent):
        return CONSOLE.sub(lambda found: console(found[0], answer), page)


def test_the_plan_of_the_page_is_right() -> None:
    found = compile_file(PLAN)
    assert found.plan is not None, found.findings
    assert list(broken_rules(found.plan)) == []


def test_the_commands_print_what_the_page_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    page = PAGE.read_text(encoding="utf-8")
    assert page.count("$ curriculum diff") == 2
    assert page == written_anew(page), "`make docs` writes it anew"


if __name__ == "__main__":
    os.environ["NO_COLOR"], os.environ["COLUMNS"] = "1", "100"
    PAGE.write_text(written_anew(PAGE.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")
    sys.exit(0)
