"""`curriculum check --fix`: the edits that are safe, made until there are no more

text --load--> findings --their fixes--> text, as often as it goes on --> the file, once
"""

from dataclasses import dataclass
from pathlib import Path

from curriculum.cli.load import judged
from curriculum.compile import compile_file
from curriculum.errors import CurriculumError, Diagnostic, FindingsError, Fix
from curriculum.fixes import with_fixes
from curriculum.source_map import bytes_of, read_text, text_in

MOST_ROUNDS = 10
"""A plan that reads better shows more: each round mends what the last one brought to light."""


@dataclass(frozen=True, slots=True)
class Mended:
    """A plan file as it was and as it is mended, with the findings whose edits were made."""

    path: Path
    old: str
    new: str
    done: tuple[Diagnostic, ...] = ()


def mended(path: Path) -> Mended | None:
    """Return a plan file with all safe edits made, in memory; None where it is no plan file.

    Only the file itself is edited, not what it extends.
    """
    if path.suffix == ".json":
        return None
    try:
        data = bytes_of(path)
        text = text_in(data, str(path))
        old = data.decode("utf-8")  # with its byte order mark, if there is one
        mark = old.removesuffix(text)
        done: list[Diagnostic] = []
        for _ in range(MOST_ROUNDS):
            found = _fixable(path, text)
            new, fixes = with_fixes(text, list(found))
            if not fixes or not _is_read(new, str(path)):
                break
            text = new
            done += [found[fix] for fix in fixes]
    except (CurriculumError, FindingsError):
        return None  # the check says why
    return Mended(path, old, mark + text, tuple(done))


def _fixable(path: Path, text: str) -> dict[Fix, Diagnostic]:
    """Return the edits that the findings of a text propose in its own file."""
    compiled = judged(compile_file(path, text=text), advises=True)
    own = [f for f in compiled.findings if f.fix is not None and f.fix.span.file == str(path)]
    return {finding.fix: finding for finding in own if finding.fix is not None}


def _is_read(text: str, file: str) -> bool:
    """Say whether an edited text is YAML as before: two edits may have made one key of two."""
    try:
        read_text(text, file)
    except FindingsError:
        return False
    return True


def done_words(finding: Diagnostic) -> str:
    """Say in a line what was edited, and why."""
    assert finding.fix is not None
    what = f"`{finding.fix.text}`" if finding.fix.text else "nothing"
    return f"{finding.fix.span}: now {what}: {finding.message}"
