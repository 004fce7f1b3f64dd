"""Plan files written anew, each whole or not at all, and what would change in them"""

from collections.abc import Iterator
from pathlib import Path

from curriculum.findings import printable


def rewrite(path: Path, text: str) -> None:
    """Write a file anew, with the rights it has; raises `CurriculumError` or `OSError`."""
    from curriculum.simulate.output import write_whole

    target = path.resolve()  # what a link names is written, and the link stays
    mode = target.stat().st_mode

    def write(unfinished: Path) -> None:
        unfinished.write_text(text, encoding="utf-8", newline="")
        unfinished.chmod(mode)

    write_whole(target, write)


def differences(path: Path, old: str, new: str, what: str) -> Iterator[str]:
    """Return the lines that differ, as `diff -u` prints them; `what` happened to the new text."""
    import difflib

    name = str(path)
    lines = [text.splitlines(keepends=True) for text in (old, new)]
    for line in difflib.unified_diff(lines[0], lines[1], name, f"{name} ({what})"):
        yield f"{printable(line.rstrip(chr(10)))}\n"
