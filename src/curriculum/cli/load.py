"""A plan or a lock by file name, with what the rules say of it"""

from pathlib import Path

from curriculum.compile import Compiled, compile_file
from curriculum.errors import CurriculumError, FindingsError
from curriculum.findings import in_order
from curriculum.lock import read_lock
from curriculum.plan import Plan


def load(path: Path, settings: list[str] | None = None, advises: bool = False) -> Compiled:
    """Compile a plan file or read a lock (`*.json`), and apply the rules to what came out.

    With `advises` those too that only advise.
    """
    return judged(unjudged(path, settings), advises)


def judged(compiled: Compiled, advises: bool = False) -> Compiled:
    """Apply the rules to what was compiled."""
    if compiled.plan is None:
        return compiled
    from curriculum.check.allowing import outcome_of

    plan, found, silenced = outcome_of(compiled.plan, advises)
    return Compiled(plan, in_order([*compiled.findings, *found]), silenced)


def load_compiled(path: Path, settings: list[str] | None = None) -> tuple[Plan, Compiled]:
    """Return a plan that compiled, whatever the rules say of it, with all that is said.

    Raises `FindingsError` where it did not compile.
    """
    compiled = load(path, settings)
    if compiled.plan is None:
        raise FindingsError(compiled.findings)
    return compiled.plan, compiled


def unjudged(path: Path, settings: list[str] | None = None) -> Compiled:
    """Compile a plan file or read a lock, and apply no rules."""
    if path.suffix != ".json":
        return compile_file(path, settings or [])
    if settings:
        raise CurriculumError(f"{path}: is a lock; `--set` changes plan files, not locks")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise CurriculumError(f"{path}: not a text in UTF-8, so not a lock") from None
    except OSError as error:
        raise CurriculumError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        return Compiled(read_lock(text, str(path)))
    except FindingsError as error:
        return Compiled(None, error.diagnostics)
