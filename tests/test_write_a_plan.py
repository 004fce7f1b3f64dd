"""The tutorial: its plans compile, its YAML stands in them, and its commands print what it shows"""

import contextlib
import io
import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from curriculum.check.rules import broken_rules
from curriculum.cli.main import run
from curriculum.compile import compile_file
from curriculum.errors import Severity
from test_docs import blocks, stands_in

PAGE = Path(__file__).parents[1] / "docs" / "write-a-plan.md"
STEPS = sorted((PAGE.parent / PAGE.stem).glob("step-*.yaml"))
CONSOLE = re.compile(r"(?<=^```console\n).*?(?=^```$)", re.DOTALL | re.MULTILINE)


def console(block: str, answer: Callable[[str], list[str]]) -> str:
    """Return a console block with what its commands print, as much of it as was shown."""
    shown = re.findall(r"^(\$ .*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)
    answered = [
        "\n".join([command, *cut(answer(command[2:]), before.rstrip().splitlines())])
        for command, before in shown
    ]
    return "\n\n".join(answered) + "\n"


def cut(lines: list[str], before: list[str]) -> list[str]:
    """Leave out of what is printed what was left out before, where a line said `...`."""
    if "..." not in before:
        return lines
    head = before.index("...")
    tail = len(before) - head - 1
    return [*lines[:head], "...", *lines[len(lines) - tail :]]


def answer(command: str) -> list[str]:
    """Run `curriculum ...` here, and return the lines that a terminal would show."""
    program, *arguments = shlex.split(command)
    assert program == "curriculum"
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown):
        run(arguments)
    return [line.rstrip() for line in shown.getvalue().rstrip().splitlines()]


def written_anew(page: str) -> str:
    """Return the page with every console block as its commands print it today."""
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(PAGE.parent / PAGE.stem, folder, dirs_exist_ok=True)
        os.chdir(folder)
        try:
            return CONSOLE.sub(lambda found: console(found[0], answer), page)
        finally:
            os.chdir(here)


@pytest.mark.parametrize("plan", STEPS[2:], ids=lambda path: path.stem)
def test_every_finished_step_is_a_plan_without_errors(plan: Path) -> None:
    compiled = compile_file(plan)
    assert compiled.plan is not None, [str(error) for error in compiled.errors]
    found = [str(f) for f in broken_rules(compiled.plan) if f.severity is Severity.ERROR]
    assert found == []


def test_what_the_page_shows_stands_in_the_files() -> None:
    texts = [plan.read_text(encoding="utf-8") for plan in STEPS]
    for block in blocks(PAGE.read_text(encoding="utf-8")):
        assert any(stands_in(block, text) for text in texts), block


def test_the_commands_print_what_the_page_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    page = PAGE.read_text(encoding="utf-8")
    assert page == written_anew(page), "`make docs` writes it anew"


if __name__ == "__main__":
    PAGE.write_text(written_anew(PAGE.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")
    sys.exit(0)
