"""The demo's texts: CPython's modules, docstrings and help topics, and torch's reference

Every passage belongs to one source: a module that is read as a long text gives neither code nor
docstrings, code is read without its docstrings, and what was taken once is not taken again.
"""

import ast
import importlib.util
import sysconfig
import warnings
from collections.abc import Iterator
from hashlib import sha256
from inspect import cleandoc
from pathlib import Path

from curriculum.data.store import DataError

LONG_MODULE_CHARS = 12_000, 40_000
CODE_MODULE_MAX_CHARS = 24_000
LONG_TOPIC_CHARS = 9_000
LONG_REFERENCE_CHARS = 3_500
CODE_CHARS = 200, 8_000
PROSE_MIN_CHARS = 60
NOT_THE_LIBRARY = {"test", "tests", "idle_test", "site-packages", "lib2to3", "turtledemo"}
TORCH_REFERENCE = (
    *("_torch_docs.py", "_tensor_docs.py", "_tensor.py", "functional.py", "nn", "optim"),
    *("distributions", "autograd", "sparse", "amp"),
)

_DEFINITIONS = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def texts() -> dict[str, list[str]]:
    """The documents of each text source, by its name; DataError where a package is missing."""
    library = _library()
    long = {
        path
        for path, text in library.items()
        if _is_between(text, LONG_MODULE_CHARS) and sha256(path.encode()).digest()[0] % 4 == 0
    }
    rest = {path: _parsed(text) for path, text in library.items() if path not in long}
    topics, long_topics = _topics()
    reference, long_reference = _torch_reference()
    modules = (ast.get_docstring(tree) for tree in rest.values())
    code = [
        definition
        for path, tree in rest.items()
        if len(library[path]) <= CODE_MODULE_MAX_CHARS
        for definition in _definitions(library[path], tree)
    ]
    return _without_repeats(
        {
            "long-text": [library[path] for path in sorted(long)],
            "long-doc": [*long_topics, *long_reference],
            "knowledge": [*topics, *(doc for doc in modules if doc and len(doc) > PROSE_MIN_CHARS)],
            "web": [doc for tree in rest.values() for doc in _docstrings(tree)],
            "code": [text for text in code if _is_between(text, CODE_CHARS)],
            "hq-text": reference,
        }
    )


def _without_repeats(sources: dict[str, list[str]]) -> dict[str, list[str]]:
    seen: set[str] = set()
    kept: dict[str, list[str]] = {}
    for name, documents in sources.items():
        fresh = [text for text in dict.fromkeys(documents) if text not in seen]
        seen.update(fresh)
        kept[name] = fresh
    return kept


def _is_between(text: str, ends: tuple[int, int]) -> bool:
    return ends[0] <= len(text) <= ends[1]


def _library() -> dict[str, str]:
    """The modules of CPython's standard library by their relative path, sorted, tests left out."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.py")}
    return {
        name: paths[name].read_text(encoding="utf-8")
        for name in sorted(paths)
        if not NOT_THE_LIBRARY & set(name.split("/"))
    }


def _parsed(text: str) -> ast.Module:
    with warnings.catch_warnings():
        # What a module's escape sequences look like is its author's business.
        warnings.simplefilter("ignore")
        return ast.parse(text)


def _docstrings(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, _DEFINITIONS):
            text = ast.get_docstring(node)
            if text and len(text) > PROSE_MIN_CHARS:
                yield text


def _definitions(text: str, tree: ast.Module) -> Iterator[str]:
    """The top-level functions and classes of a module, without their docstrings."""
    lines: list[str | None] = [*text.splitlines()]
    for node in ast.walk(tree):
        if isinstance(node, _DEFINITIONS) and ast.get_docstring(node) is not None:
            first = node.body[0]
            lines[first.lineno - 1 : first.end_lineno] = [None] * _num_lines(first)
    for node in tree.body:
        if isinstance(node, _DEFINITIONS):
            start = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            yield "\n".join(line for line in lines[start - 1 : node.end_lineno] if line is not None)


def _num_lines(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _topics() -> tuple[list[str], list[str]]:
    """CPython's help topics: the short ones that no longer one contains, and the long ones."""
    from pydoc_data.topics import topics

    short: list[str] = []
    long: list[str] = []
    taken: set[str] = set()
    for text in sorted(topics.values(), key=lambda text: (-len(text), text)):
        paragraphs = {part.strip() for part in text.split("\n\n") if len(part) > PROSE_MIN_CHARS}
        if paragraphs and 2 * len(paragraphs & taken) <= len(paragraphs):
            taken |= paragraphs
            (long if len(text) >= LONG_TOPIC_CHARS else short).append(text.strip())
    return short, long


def _torch_reference() -> tuple[list[str], list[str]]:
    """Docstrings of the installed torch, which is not imported: short ones and long ones."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        raise DataError("the demo's source `hq-text` is read from torch, which is not installed")
    folder = Path(spec.origin).parent
    found: list[str] = []
    for name in TORCH_REFERENCE:
        part = folder / name
        for path in sorted(part.rglob("*.py")) if part.is_dir() else [part]:
            tree = _parsed(path.read_text(encoding="utf-8"))
            found += _docstrings(tree)
            found += _added_docstrings(tree)
    return (
        [text for text in found if len(text) < LONG_REFERENCE_CHARS],
        [text for text in found if len(text) >= LONG_REFERENCE_CHARS],
    )


def _added_docstrings(tree: ast.Module) -> Iterator[str]:
    """What `add_docstr(torch.abs, r\"\"\"...\"\"\")` says of functions that are written in C++."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id not in ("add_docstr", "add_docstr_all"):
                continue
            for part in (part for argument in node.args for part in ast.walk(argument)):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    text = cleandoc(part.value)
                    if len(text) > PROSE_MIN_CHARS:
                        yield text
