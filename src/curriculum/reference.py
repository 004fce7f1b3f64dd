"""The reference of the plan language as Markdown, made from its JSON Schema

Every definition of the schema becomes a section: what it is, its keys, and what each of them takes.
"""

from typing import Any

from curriculum.schema_forms import CONFLICT_TITLE
from curriculum.units import rate_in_words

Json = dict[str, Any]

HEAD = """\
# The plan language: every key

Made from the JSON Schema by `curriculum schema --format markdown`; `curriculum schema` prints the
schema itself, for editors. The ideas behind the keys, each with an example, are in
[the pages of the language](language/README.md).
"""


def reference(schema: Json) -> str:
    """Return the reference as Markdown: the plan itself, then every definition it leads to."""
    definitions = schema["$defs"]
    sections = [HEAD, _section("A plan file", schema)]
    names = sorted(_reached(schema), key=lambda name: _place(definitions[name]))
    sections += [_section(f"`{name}`", definitions[name]) for name in names]
    return "\n".join(sections)


def _place(schema: Json) -> int:
    """Order the sections: mappings and lists, then choices of words, then simple values."""
    if _word_meanings(schema) or "enum" in str(schema.get("anyOf")):
        return 0 if "$ref" in str(schema) else 1
    return 0 if "$ref" in str(schema) or "properties" in schema else 2


def _reached(schema: Json) -> list[str]:
    """Return the definitions that the plan leads to, in the order in which it names them."""
    found: dict[str, None] = {}
    waiting = _references(schema, skip="$defs")
    while waiting:
        name = waiting.pop(0)
        if name not in found:
            found[name] = None
            waiting += _references(schema["$defs"][name])
    return list(found)


def _references(node: object, skip: str = "") -> list[str]:
    if isinstance(node, list):
        return [name for item in node for name in _references(item)]
    if not isinstance(node, dict):
        return []
    own = [node["$ref"].rpartition("/")[2]] if "$ref" in node else []
    return own + [n for key, value in node.items() if key != skip for n in _references(value)]


def _section(title: str, schema: Json) -> str:
    lines = [f"## {title}", ""]
    if "description" in schema:
        lines += [schema["description"], ""]
    if meanings := _word_meanings(schema):
        lines += ["| word | means |", "| --- | --- |"]
        lines += [f"| `{word}` | {_in_cell(means)} |" for word, means in meanings.items()] + [""]
    elif "properties" in schema:
        lines += _table(schema)
    elif "$ref" in str(schema) or "enum" in str(schema):
        lines += [f"Written as {_words(schema)}.", ""]
    if examples := schema.get("examples"):
        lines += ["Such as " + ", ".join(f"`{in_a_line(one)}`" for one in examples) + ".", ""]
    return "\n".join(lines)


def _word_meanings(schema: Json) -> dict[str, str]:
    for one in schema.get("anyOf", ()):
        if "enumDescriptions" in one:
            return dict(zip(one["enum"], one["enumDescriptions"], strict=True))
    return {}


def _table(schema: Json) -> list[str]:
    required = schema.get("required", ())
    lines = ["| key | takes | means |", "| --- | --- | --- |"]
    for key, value in schema["properties"].items():
        said = f"`{key}`" + (" (required)" if key in required else "")
        means = value.get("description", "").partition("\n\n")[0]
        lines.append(f"| {said} | {_words(value)} | {_in_cell(means)} |")
    for keys, value in _other_keys(schema):
        if set(value) - {"description"}:
            lines.append(f"| {keys} | {_words(value)} | |")
    return [*lines, ""]


def _other_keys(schema: Json) -> list[tuple[str, Json]]:
    """Return what other keys a mapping has, in words, each with what it takes."""
    named = [(_pattern(p), value) for p, value in schema.get("patternProperties", {}).items()]
    rest = schema.get("additionalProperties")
    if isinstance(rest, dict):
        named.append((_pattern(schema.get("propertyNames", {}).get("pattern", "")), rest))
    return named


def _words(schema: Json) -> str:
    """Say in words what a schema takes; that it may be a list of what sources say is left out."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name})"
    if "anyOf" in schema and "type" not in schema:
        said = [one for one in schema["anyOf"] if one.get("title") != CONFLICT_TITLE]
        return " or ".join(dict.fromkeys(_words(one) for one in said))
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    match schema.get("type"):
        case "array":
            return f"a list: {_words(schema.get('items', {}))}" if schema.get("items") else "a list"
        case "object":
            pairs = [f"{keys}: {_words(value)}" for keys, value in _other_keys(schema)]
            return f"a mapping of {'; '.join(pairs)}" if pairs else "a mapping"
        case list() as types:
            is_number = "number" in types or "integer" in types
            spare = ("array", "string") if is_number else ("array",)
            return " or ".join(_TYPES[name] for name in types if name not in spare)
        case str() as name:
            return _TYPES[name]
        case _:
            return "anything"


_TYPES = {
    "number": "a number",
    "integer": "a whole number",
    "string": "text",
    "boolean": "`true`, `false`",
    "null": "nothing",
}


def _pattern(pattern: str) -> str:
    """Name what the keys are that a pattern takes."""
    if "@" in pattern:
        return "a stage"
    return "a module or part" if "(/" in pattern else "a name"


def _in_cell(text: str) -> str:
    return text.replace("|", "\\|")


def in_a_line(value: object) -> str:
    """Write a value as YAML in one line.

    >>> in_a_line({"shape": "linear", "to": "10%", "on": [True, 3e-4]})
    '{shape: linear, to: 10%, on: [true, 3e-4]}'
    """
    match value:
        case bool():
            return "true" if value else "false"
        case float() if 0 < value < 1e-2:
            return rate_in_words(value)
        case dict():
            return "{" + ", ".join(f"{key}: {in_a_line(one)}" for key, one in value.items()) + "}"
        case list():
            return "[" + ", ".join(in_a_line(one) for one in value) + "]"
        case _:
            return str(value)
