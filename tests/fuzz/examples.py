"""One example of the fuzzer: a plan file and what `--set` says above it, by seed and number"""

import json
from pathlib import Path
from random import Random
from typing import NamedTuple

from fuzz.corpus import PLANS, any_text, any_tree, drawn, drawn_plan, garbage, keys
from fuzz.mutations import OF_TEXTS, OF_TREES
from fuzz.trees import Leaf, Table, Tree, dotted, flow, tree_of, walk, written

_LONG = 1 << 19  # characters: longer texts are refused by their size, which says little


class Example(NamedTuple):
    """The bytes of a plan file, and settings; the file lies beside all of `plans/`."""

    data: bytes
    settings: tuple[str, ...] = ()

    def write(self, path: Path) -> None:
        """Write it: the file, and beside it what `--set` says, if anything."""
        path.write_bytes(self.data)
        beside = settings_of(path)
        if self.settings:
            beside.write_text(json.dumps(self.settings) + "\n")
        else:
            beside.unlink(missing_ok=True)

    @classmethod
    def read(cls, path: Path) -> "Example":
        beside = settings_of(path)
        settings = json.loads(beside.read_text()) if beside.is_file() else ()
        return cls(path.read_bytes(), tuple(settings))


def settings_of(path: Path) -> Path:
    return path.with_suffix(".settings.json")


def example(seed: int, number: int) -> Example:
    """Make an example: the same one for the same seed and number on any machine."""
    chance = Random(f"{seed}/{number}")
    match chance.choices(("tree", "text", "settings", "overlay", "garbage"), (44, 26, 12, 12, 6))[
        0
    ]:
        case "tree":
            return Example(_bytes(_mutated(chance, any_tree(chance))))
        case "text":
            return Example(_mutated_text(chance))
        case "settings":
            return _with_settings(chance)
        case "overlay":
            return _overlay(chance)
        case _:
            tree = drawn_plan(chance)
            return Example(_bytes(_mutated(chance, tree) if chance.random() < 0.3 else tree))


def _mutated(chance: Random, tree: Tree) -> Tree:
    for _ in range(chance.choice((1, 1, 1, 1, 1, 1, 2, 3, 8))):
        tree = chance.choice(OF_TREES)(chance, tree)
    return tree


def _bytes(tree: Tree) -> bytes:
    return written(tree)[:_LONG].encode("utf-8", "surrogatepass")


def _mutated_text(chance: Random) -> bytes:
    text = any_text(chance)
    for _ in range(chance.choice((1, 1, 1, 1, 2, 8))):
        text = chance.choice(OF_TEXTS)(chance, text)
    data = text[:_LONG].encode("utf-8", "surrogatepass")
    if chance.random() < 0.03:
        at = chance.randrange(len(data) + 1)
        data = data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]
    return data


def _with_settings(chance: Random) -> Example:
    tree = any_tree(chance)
    changes = (_change(chance, tree) for _ in range(chance.choice((1, 1, 2, 4))))
    settings = tuple(f"{name}={_said(chance, value)}" for name, value in changes)
    if chance.random() < 0.3:
        tree = _mutated(chance, tree)
    return Example(_bytes(tree), settings)


def _said(chance: Random, value: Tree) -> str:
    is_raw = isinstance(value, Leaf) and chance.random() < 0.5
    return value.text if is_raw and isinstance(value, Leaf) else flow(value)


def _change(chance: Random, tree: Tree) -> tuple[str, Tree]:
    """Draw a name as `--set` and overlays write it, and a value."""
    place = chance.choice([path for path, _ in walk(tree) if path] or [()])
    name = dotted(tree, place) or chance.choice(keys())
    if chance.random() < 0.2:
        name = f"{name}.{chance.choice(keys())}"
    if chance.random() < 0.1:
        name = chance.choice((name[:-1], f"scale.{chance.choice(('tokens', 'seqs', 'x'))}", "a..b"))
    last = name.rpartition(".")[2].partition("[")[0]
    return name, drawn(chance, last) if chance.random() < 0.5 else garbage(chance)


def _overlay(chance: Random) -> Example:
    """Extend a plan of `plans/`, and change some of it; maybe through a scale."""
    below = chance.choice(PLANS)
    tree = tree_of(below.read_text(encoding="utf-8"))
    entries: list[tuple[str, Tree]] = [
        ("plan", Leaf("over")),
        ("extends", Leaf(below.name)),
    ]
    if chance.random() < 0.4:
        by = ("1/8_000_000", "1/1000", "1/2", "2", "1", "1e-30", "1/3", "0", "x", "1e300")
        factors = [(k, Leaf(chance.choice(by))) for k in ("tokens", "seqs", "seq_len")]
        entries.append(("scale", Table(tuple(factors[: chance.randrange(4)]))))
    for _ in range(chance.choice((0, 1, 1, 2, 4))):
        entries.append(_change(chance, tree))
    made: Tree = Table(tuple(entries))
    return Example(_bytes(_mutated(chance, made) if chance.random() < 0.2 else made))
