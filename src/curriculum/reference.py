"""The reference of the plan language as Markdown, made from its JSON Schema

Every definition of the schema becomes a section: what it is, its keys, and what each of them takes.
"""

from typing import Any

from curriculum.schema import CONFLICT

Json = dict[str, Any]

HEAD = """\
# The plan language: every key

Made from the JSON Schema by `curriculum schema --format markdown`; `curriculum schema` prints the
schema itself, for editors. The ideas behind the keys, each with an example, are in
[the pages of the language](language/README.md). Wherever a value may stand, so may several that
contradict each other, `!conflict [...]`: the first is used.
"""


def reference(schema: Json) -> str:
    """Return the reference as Markdown: the plan itself, then every definition it leads to."""
    definitions = schema["$defs"]
    sections = [HEAD, _section("A plan file", schema, definitions)]
    sections += [_section(f"`{name}`", definitions[name], definitions) for name in _reached(schema)]
    return "\n".join(sections)


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


def _section(title: str, schema: Json, definitions: Json) -> str:
    lines = [f"## {title}", ""]
    if "description" in schema:
        lines += [schema["description"], ""]
    if "properties" in schema:
        lines += _table(schema)
    elif words := _words(schema):
        lines += [f"Written as {words}.", ""]
    return "\n".join(lines)


def _table(schema: Json) -> list[str]:
    required = schema.get("required", ())
    lines = ["| key | takes | means |", "| --- | --- | --- |"]
    for key, value in schema["properties"].items():
        said = f"`{key}`" + (" (required)" if key in required else "")
        means = value.get("description", "").replace("|", "\\|")
        lines.append(f"| {said} | {_words(value)} | {means} |")
    for pattern, value in schema.get("patternProperties", {}).items():
        if "properties" in value or "$ref" in value or "anyOf" in value:
            lines.append(f"| {_pattern(pattern)} | {_words(value)} | |")
    return [*lines, ""]


def _words(schema: Json) -> str:
    """Say in words what a schema takes."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name})"
    if "anyOf" in schema:
        said = [one for one in schema["anyOf"] if one.get("title") != CONFLICT]
        return " or ".join(dict.fromkeys(_words(one) for one in said))
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    match schema.get("type"):
        case "array":
            return f"a list: {_words(schema.get('items', {}))}" if schema.get("items") else "a list"
        case "object":
            inner = schema.get("patternProperties", {})
            pairs = [f"{_pattern(p)}: {_words(value)}" for p, value in inner.items()]
            return f"a mapping of {'; '.join(pairs)}" if pairs else "a mapping"
        case list() as kinds:
            return " or ".join(kinds)
        case "string":
            return "text"
        case "null":
            return "nothing"
        case kind:
            return str(kind or "anything")


def _pattern(pattern: str) -> str:
    """Name what the keys are that a pattern takes."""
    if "(/" in pattern:
        return "a module or part"
    return "a part of a module" if "/" in pattern else "a name"
