"""What the fuzzer starts from: every plan of `plans/` and of the pages, and what they hold"""

import re
from collections import defaultdict
from functools import cache
from pathlib import Path
from random import Random

from curriculum.schema import plan_schema
from curriculum.schema_forms import Json
from fuzz.trees import Leaf, Many, Table, Tree, tree_of, walk

ROOT = Path(__file__).parents[2]
PLANS = tuple(sorted((ROOT / "plans").glob("*.yaml")))
PAGES = tuple(sorted((ROOT / "docs" / "language").glob("*.yaml")))
FOUND = Path(__file__).parent / "found"

NUMBERS = (
    "0", "-1", "1", "2", "3", "1e400", "1/0", "0/0", "nan", "NaN", ".inf", "-.inf", "1" + "0" * 30,
    "1e30", "1e17", "1e-300", "1e999999999", "-0", "0.1", "1/3", "0x10", "0o7", "1_0", "1,000",
    "9" * 60, "9" * 5000, "0." + "0" * 400 + "1", "1e18 steps", "10^30", "9223372036854775807",
    "18446744073709551616", "1e15 steps", "1 steps", "0 steps", "1 seqs", "1e12 seqs", "1e9 epochs",
    ".5 epochs", "0%", "100%", "101%", "1e-9%", "step 0", "step 5", "step 1e12", "1T", "1e6T",
    "1Ki", "8K", "999999999999Ti", "1e308", "4.9e-324", "1/7", "1e3/1e3", "1/1e300",
)  # fmt: skip
WORDS = (
    "", "null", "~", "unknown", "keep", "current", "rest", "none", "all", "new", "previous", "true",
    "no", "varies", "mean", "*a", "&a 3", "!!int 3", "<<", "?", "|", ">", "- a", "a: b", "{", "]",
    "#", "\x00", "\x1b[31m", "\x07", "\x85", "\u2028", "\ufeff", "\ud800", "\U0001f525", "\u202e",
    "caf\u00e9", "a" * 300, "x y", "a/b", "a/b/c", "a@b", "@", "a@50%", "a@1e30", "a@step 1e30",
    "a@-1", "a@@", "[x]", "..", ".", "a.b", "\n", "\t", "'", '"', "%", "`", "a\nb", "$(ls)", "-",
)  # fmt: skip
UNITS = ("", "K", "M", "B", "T", "Ki", "Mi", "Gi", "%", " steps", " tokens", " seqs", " epochs")


@cache
def texts() -> tuple[str, ...]:
    return tuple(path.read_text(encoding="utf-8") for path in (*PLANS, *PAGES))


@cache
def trees() -> tuple[Tree, ...]:
    return tuple(map(tree_of, texts()))


@cache
def weights() -> tuple[float, ...]:
    """How often each is taken: small plans more often, as they are compiled sooner."""
    return tuple(1 / (400 + len(text)) for text in texts())


def any_tree(chance: Random) -> Tree:
    return chance.choices(trees(), weights())[0]


def any_text(chance: Random) -> str:
    return chance.choices(texts(), weights())[0]


@cache
def values_by_key() -> dict[str, tuple[Tree, ...]]:
    """Return what stands at each key anywhere, each once."""
    found: dict[str, dict[Tree, None]] = defaultdict(dict)
    for tree in trees():
        for _, node in walk(tree):
            if isinstance(node, Table):
                for key, value in node.entries:
                    found[key][value] = None
    return {key: tuple(values) for key, values in found.items()}


@cache
def keys() -> tuple[str, ...]:
    """Return the language's keys, and the plans' names."""
    return tuple(sorted({*values_by_key(), *_properties()}))


@cache
def leaves() -> tuple[Leaf, ...]:
    """Return the scalars of all plans, and a good deal of garbage."""
    found = dict.fromkeys(n for tree in trees() for _, n in walk(tree) if isinstance(n, Leaf))
    return (*found, *map(Leaf, NUMBERS), *map(Leaf, WORDS))


def garbage(chance: Random) -> Leaf:
    """Draw a scalar that nobody should write."""
    tag = chance.choice(("", "", "", "", "", "!assumed", "!derived", "!conflict", "!x"))
    return Leaf(chance.choice((*NUMBERS, *WORDS)), tag)


# What the schema allows: values that are of the right form, and otherwise anything


@cache
def _schema() -> Json:
    return plan_schema()


@cache
def _properties() -> dict[str, tuple[Json, ...]]:
    """Return every key that some mapping knows, with the schemas of its values."""
    found: dict[str, list[Json]] = defaultdict(list)
    for one in (_schema(), *_schema()["$defs"].values()):
        for form in (one, *one.get("anyOf", ())):
            for key, value in form.get("properties", {}).items():
                found[key].append(value)
    return {key: tuple(values) for key, values in found.items()}


@cache
def _matching(pattern: str) -> tuple[Leaf, ...]:
    fitting = tuple(leaf for leaf in leaves() if re.search(pattern, leaf.text))
    return fitting or leaves()


def drawn(chance: Random, key: str) -> Tree:
    """Draw a value that the schema allows at a key, somewhere."""
    schemas = _properties().get(key)
    return _drawn(chance, chance.choice(schemas), 4) if schemas else garbage(chance)


def drawn_plan(chance: Random) -> Tree:
    """Draw a whole plan from the schema alone."""
    return _drawn(chance, {**_schema(), "required": list(_schema()["properties"])[5:]}, 9)


def _drawn(chance: Random, schema: Json, depth: int) -> Tree:
    if chance.random() < 0.01 or depth == 0:
        return garbage(chance)
    if "$ref" in schema:
        return _drawn(chance, _schema()["$defs"][schema["$ref"].rpartition("/")[2]], depth)
    for several in ("anyOf", "oneOf"):
        if several in schema:
            forms = schema[several]
            return _drawn(
                chance, forms[0] if chance.random() < 0.3 else chance.choice(forms), depth
            )
    if "const" in schema:
        return Leaf(str(schema["const"]))
    if "enum" in schema:
        return Leaf(str(chance.choice(schema["enum"])))
    kind = schema.get("type", "string")
    match kind if isinstance(kind, str) else chance.choice(kind):
        case "object":
            return _object(chance, schema, depth)
        case "array":
            item = schema.get("items", {})
            least = schema.get("minItems", 0)
            count = max(least, chance.choice((0, 1, 1, 2, 3)))
            return Many(tuple(_drawn(chance, item, depth - 1) for _ in range(count)))
        case "boolean":
            return Leaf(chance.choice(("true", "false")))
        case "integer" | "number":
            return Leaf(chance.choice(("0", "1", "2", "64", "0.5", "1024", "1e-3", *NUMBERS)))
        case _:
            return chance.choice(_matching(schema.get("pattern", "")))


def _object(chance: Random, schema: Json, depth: int) -> Tree:
    known = schema.get("properties", {})
    wanted = set(schema.get("required", ()))
    often = chance.choice((0.1, 0.4, 0.8))
    chosen = [key for key in known if key in wanted or chance.random() < often]
    entries = [(key, _drawn(chance, known[key], depth - 1)) for key in chosen]
    for pattern, value in schema.get("patternProperties", {}).items():
        names = {chance.choice(_matching(pattern)).text for _ in range(chance.choice((0, 1, 2)))}
        entries += [(name, _drawn(chance, value, depth - 1)) for name in sorted(names)]
    if isinstance(more := schema.get("additionalProperties"), dict) and more:
        for _ in range(chance.choice((1, 2, 3))):
            entries.append((chance.choice(keys()), _drawn(chance, more, depth - 1)))
    return Table(tuple(entries))
