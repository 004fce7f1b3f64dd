"""The `curriculum` command: commands, exit codes, and one JSON document whatever happens"""

import gc
import json
import os
import sys
from contextlib import suppress
from importlib import import_module
from io import TextIOWrapper
from typing import Annotated, NoReturn

import typer
from typer.exceptions import TyperException

from curriculum.errors import CurriculumError, Diagnostic, FindingsError
from curriculum.findings import finding_json, text_of

COMMANDS = (
    "plan", "check", "explain", "diff", "at", "simulate", "train", "audit", "schema", "doctor",
    "fmt",
)  # fmt: skip
SHORT = ("plan", "at", "diff", "schema", "fmt")
"""Commands that are over in a moment: what they leave behind is neither collected nor freed."""


def app_for(arguments: list[str]) -> typer.Typer:
    """Return the command line with the command that is asked for, or with all of them.

    Whoever plans does not wait for the imports of the other commands.
    """
    app = typer.Typer(
        name="curriculum",
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        help="Plan, simulate, train and audit multi-stage training curricula.",
    )
    app.callback()(_root)
    asked = arguments[:1] if arguments and arguments[0] in COMMANDS else COMMANDS
    for name in asked:
        module = import_module(f"curriculum.cli.{name}")
        app.command(name, cls=getattr(module, "CommandLine", None))(module.command)
    return app


def _version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        print(version("curriculum"))
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Plan, simulate, train and audit multi-stage training curricula."""


def main() -> None:
    """Run the command line; the exit code is 0 (fine), 1 (findings) or 2 (could not do it)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a plan may hold what a terminal lacks
    is_short = sys.argv[1:2] != [] and sys.argv[1] in SHORT
    if is_short:
        gc.disable()
    code = run(sys.argv[1:])
    if is_short:
        _leave(code)
    sys.exit(code)


def _leave(code: int) -> NoReturn:
    """End at once: freeing a plan object by object would be a tenth of the time of `plan`.

    Nothing of ours waits for the end of the interpreter: files are closed, no thread runs.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, AttributeError):  # whoever read it has gone, or nobody ever did
            stream.flush()
    os._exit(code)


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code; errors are sentences, never tracebacks."""
    command = typer.main.get_command(app_for(arguments))
    try:
        code = command.main(arguments or ["--help"], prog_name="curriculum", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except typer.Exit as error:
        return int(error.exit_code)
    except TyperException as error:
        return _fail(arguments, Diagnostic("usage", _usage_words(error)), 2)
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        return 141  # whoever read our output has gone
    except FindingsError as error:
        return _refuse(arguments, error.diagnostics, error.exit_code)
    except CurriculumError as error:
        return _fail(arguments, Diagnostic("cannot", str(error)), error.exit_code)
    except MemoryError:
        return _fail(arguments, Diagnostic("cannot", "out of memory"), 2)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(arguments, Diagnostic("cannot", f"{where}{error.strerror or error}"), 2)
    finally:
        _give_up_a_broken_stdout()


def _give_up_a_broken_stdout() -> None:
    """Let Python's last flush not fail again where stdout cannot be written to."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _usage_words(error: TyperException) -> str:
    context = getattr(error, "ctx", None)
    hint = f"; see `{context.command_path} --help`" if context is not None else ""
    return f"{error.format_message().rstrip('.')}{hint}"


def _fail(arguments: list[str], diagnostic: Diagnostic, code: int) -> int:
    if _wants_json(arguments):
        try:
            _print_findings((diagnostic,))
            sys.stdout.flush()
        except OSError:
            pass  # it is stdout that cannot be written to: stderr says it
        else:
            return code
    print(f"curriculum: {diagnostic.message}", file=sys.stderr)
    return code


def _refuse(arguments: list[str], diagnostics: tuple[Diagnostic, ...], code: int) -> int:
    if _wants_json(arguments):
        _print_findings(diagnostics)
    else:
        print(text_of(diagnostics), file=sys.stderr)
    return code


def _print_findings(diagnostics: tuple[Diagnostic, ...]) -> None:
    print(json.dumps({"format": 1, "findings": [finding_json(d) for d in diagnostics]}, indent=2))


def _wants_json(arguments: list[str]) -> bool:
    """Say whether JSON was asked for, also where the arguments could not be understood."""
    following = [*arguments[1:], ""]
    pairs = zip(arguments, following, strict=False)
    return any(a == "--format=json" or (a, b) == ("--format", "json") for a, b in pairs)


if __name__ == "__main__":
    main()
