"""The README's tree shows every file's caption, its relative links lead somewhere"""

import ast
import re
import shlex
from itertools import zip_longest
from pathlib import Path

import pytest

from curriculum.cli.main import run

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "curriculum"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def caption(file: Path) -> str:
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
    assert docstring, f"{file.relative_to(ROOT)} has no docstring"
    return docstring.splitlines()[0]


def lines(folder: Path, depth: int) -> list[str]:
    """Return the tree of a package: itself, its files in columns, then its packages."""
    name = folder.name if depth else folder.relative_to(ROOT).as_posix()
    found = [("  " * depth + name + "/", caption(folder / "__init__.py"))]
    for file in sorted(folder.glob("*.py")):
        if file.name != "__init__.py" and file.read_text(encoding="utf-8").strip():
            found.append(("  " * (depth + 1) + file.name, caption(file)))
    width = max(len(name) for name, _ in found) + 2
    inner = [path for path in sorted(folder.iterdir()) if (path / "__init__.py").is_file()]
    return [
        *(f"{name:{width}}{text}" for name, text in found),
        *(line for path in inner for line in lines(path, depth + 1)),
    ]


def tree() -> list[str]:
    """Return the lines of the README's tree, as `make tree` prints them."""
    return lines(PACKAGE, 0)


def tree_in(page: str) -> list[str]:
    """Return the fenced block that opens with the package, without its fence."""
    block = re.search(r"^```\w*\n(src/curriculum/.*?)^```", page, re.DOTALL | re.MULTILINE)
    return block[1].splitlines() if block else []


def test_tree_has_one_caption_a_file() -> None:
    wanted = tree()
    readme = ROOT / "README.md"
    shown = tree_in(readme.read_text(encoding="utf-8")) if readme.is_file() else []
    differing = [
        f"- {is_shown}\n+ {is_wanted}"
        for is_shown, is_wanted in zip_longest(shown, wanted, fillvalue="")
        if is_shown != is_wanted
    ]
    message = "README.md's tree differs; `make tree` prints it:\n" + "\n".join(wanted)
    assert not differing, message


def test_captions_fit_a_line() -> None:
    assert not [line for line in tree() if len(line) > 120]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_exist(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)\s]+)[^)]*\)|(?:src|href)=\"([^\"]+)\"", text)
    paths = [(inline or html).partition("#")[0] for inline, html in links]
    local = [path for path in paths if path and not re.match(r"[a-z]+:", path)]
    missing = [path for path in local if not (page.parent / path).exists()]
    assert not missing, f"{page.relative_to(ROOT)} links to what is not there: {missing}"


def shown_checks() -> list[tuple[str, str]]:
    """Return the commands of the README's three mistakes, and what it shows of their output."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.partition("## Three real mistakes")[2]
    blocks = re.findall(r"^```\n\$ curriculum (check [^\n]*)\n(.*?)^```", section, re.S | re.M)
    assert len(blocks) == 3
    return blocks


@pytest.mark.parametrize(("command", "shown"), shown_checks())
def test_real_mistakes_are_told_as_shown(
    command: str, shown: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert run(shlex.split(command)) == 1
    assert capsys.readouterr().out.startswith(shown)


if __name__ == "__main__":
    print("\n".join(tree()))
