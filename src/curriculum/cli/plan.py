"""`curriculum plan`: compile, check, and print one screen; write and compare locks"""

import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curriculum.cli.load import load
from curriculum.cli.options import Format, FormatOption, Set
from curriculum.compile import Compiled
from curriculum.errors import CurriculumError, FindingsError
from curriculum.findings import silenced_lines, text_of
from curriculum.lock import write_lock
from curriculum.plan import Plan
from curriculum.screen import screen

if TYPE_CHECKING:
    from curriculum.cli.against import Against

Out = Annotated[Path | None, typer.Option("-o", metavar="LOCK", help="Write the lock here.")]
AgainstLock = Annotated[
    Path | None,
    typer.Option("--against", metavar="LOCK", help="Exit 1 if the plan differs from this lock."),
]
Locked = Annotated[
    bool,
    typer.Option("--locked", help="Exit 1 if the lock beside the plan (FILE.lock.json) differs."),
]


def command(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Plans, or locks.")],
    out: Out = None,
    against: AgainstLock = None,
    locked: Locked = False,
    set_: Set = None,
    format: FormatOption = Format.TEXT,
) -> None:
    """Compile and check plans, and print each on one screen; -o writes a plan without errors."""
    if len(files) > 1 and (out is not None or against is not None):
        raise CurriculumError("-o and --against belong to one plan; name one FILE with them")
    if out is not None:
        _require_lock_name(out)
    documents, failures, is_good = [], [], True
    for number, file in enumerate(files):
        try:
            compiled = load(file, set_)
            changed = _against(compiled, file.with_suffix(".lock.json") if locked else against)
        except FindingsError as error:
            compiled, changed = Compiled(None, error.diagnostics), None
        except CurriculumError as error:
            if len(files) == 1:
                raise
            failures.append(str(error))
            continue
        plan = compiled.plan
        is_sound = plan is not None and not compiled.errors
        if out is not None and plan is not None and is_sound:
            _write_lock(out, plan)
        if format is Format.JSON:
            documents.append({"file": str(file), **_json(compiled, changed)})
        else:
            _print(compiled, changed, is_first=number == 0)
        if out is not None and not is_sound:
            print(f"curriculum: {out} is not written: the plan has errors", file=sys.stderr)
        is_good = is_good and is_sound and changed is None
    if format is Format.JSON:
        print(json.dumps(documents[0] if len(files) == 1 else _together(documents), indent=2))
    for failure in failures:
        print(f"curriculum: {failure}", file=sys.stderr)
    if failures or not is_good:
        raise typer.Exit(CurriculumError.exit_code if failures else FindingsError.exit_code)


def _write_lock(path: Path, plan: Plan) -> None:
    from curriculum.simulate.output import write_whole

    write_whole(path, partial(_write, text=write_lock(plan)))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _json(compiled: Compiled, changed: "Against | None") -> dict[str, Any]:
    from curriculum.cli.plan_json import plan_json

    return plan_json(compiled, changed)


def _print(compiled: Compiled, changed: "Against | None", is_first: bool) -> None:
    if compiled.plan is not None:
        print(("" if is_first else "\n") + screen(compiled.plan), flush=True)
    if compiled.findings:
        print(text_of(compiled.findings), file=sys.stderr)
    print(silenced_lines(compiled.silenced), end="", file=sys.stderr)
    if changed is not None:
        print("\n".join(changed.lines), file=sys.stderr)


def _together(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """Put the documents of several plans into one, with all their findings as its own."""
    findings = [finding for document in documents for finding in document["findings"]]
    return {"format": 1, "plans": documents, "findings": findings}


def _against(compiled: Compiled, lock: Path | None) -> "Against | None":
    """Compare with a lock, where one is asked for; None where nothing differs."""
    if lock is None or compiled.plan is None:
        return None
    if compiled.errors and not lock.exists():
        return None  # the errors are told: none is written of a plan that has some
    from curriculum.cli.against import against

    return against(compiled.plan, lock)


def _require_lock_name(path: Path) -> None:
    """Refuse to write a lock where it would not be read as one, or over what is none."""
    if path.suffix != ".json":
        raise CurriculumError(f"{path}: a lock is a .json file; write -o {path.stem}.lock.json")
    if not path.is_file():
        return
    try:
        is_lock = '"digest"' in path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        is_lock = False
    if not is_lock:
        raise CurriculumError(f"{path}: is there and is no lock; move it away, or name another")
