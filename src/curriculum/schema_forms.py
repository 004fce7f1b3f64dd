"""The forms that values of a plan take in JSON Schema: tables of keys, names, numbers, choices

A key's description says what it means, and then what its kind of value is (`schema_words.py`,
`schema_mappings.py`), for an editor shows nothing else. A `!conflict` is a list of what its sources
say, so a number or a word may be a list too.
"""

from collections.abc import Mapping
from typing import Any

from curriculum.schema_mappings import MAPPINGS
from curriculum.schema_words import CHOICES, SIMPLE, Kind
from curriculum.words import NAME_PATTERN, TARGET_PATTERN, Table, Word

Json = dict[str, Any]

NAME = f"^{NAME_PATTERN}$"
TARGET = f"^{TARGET_PATTERN}$"
POINT: Json = {"type": "string", "pattern": f"^{NAME_PATTERN}(@.+)?$"}
AMOUNT = (
    r"^[+]?[0-9._]+([eE][+-]?[0-9]+)?\s*(Ki|Mi|Gi|Ti|K|M|B|T)?\s*(%|tokens?|steps?|seqs?|epochs?)?$"
)
_DECIMAL = r"[0-9._]+([eE][+-]?[0-9]+)?"
NUMBER = rf"^\s*[+-]?{_DECIMAL}(\s*/\s*{_DECIMAL}|\s*%)?\s*$|^(unknown|current|rest|none)$"
STEP_MARK = r"^\s*step\s+[0-9._]+([eE][+-]?[0-9]+)?\s*(K|M|B|T)?\s*$"

KINDS_OF_VALUE: Mapping[str, Kind] = {**SIMPLE, **CHOICES, **MAPPINGS}
SELF_EVIDENT = ("text", "boolean", "name", "names")
"""Kinds of value that need no sentence beside a key's own."""

CONFLICT: Json = {"items": {"type": ["number", "string", "boolean"]}, "minItems": 1}
"""What else is said of a value that may be a list only because sources disagree."""


CONFLICT_TITLE = "!conflict"
"""The title of what a conflict is to the schema: a list of several values."""


def mapping(table: Table, dotted: bool = False, required: tuple[str, ...] = ()) -> Json:
    """Turn a table of words into an object schema; a dotted key reaches below one of its words."""
    schema: Json = {
        "type": "object",
        "properties": {key: _key(word) for key, word in table.items()},
        "additionalProperties": False,
    }
    if dotted:
        heads = "|".join(sorted(table))
        schema["patternProperties"] = {
            rf"^({heads})\..+$": {"description": "One thing below a key."}
        }
    return {**schema, "required": list(required)} if required else schema


def _key(word: Word) -> Json:
    """Say of a key what it means, then what its kind of value is: an editor shows this alone."""
    kind = "" if word.takes in SELF_EVIDENT else f"\n\n{KINDS_OF_VALUE[word.takes].means}"
    return {"description": word.means + kind, **ref(word.takes)}


def one_of(schema: Json, keys: tuple[str, ...]) -> Json:
    """Ask for exactly one of some keys."""
    return {**schema, "oneOf": [{"required": [key]} for key in keys]}


def ref(name: str) -> Json:
    """Point to a definition."""
    return {"$ref": f"#/$defs/{name}"}


def named(item: Json, pattern: str = NAME) -> Json:
    """Take any names as keys, each with one kind of value."""
    return {"type": "object", "patternProperties": {pattern: item}, "additionalProperties": False}


def described(means: Mapping[str, str], schema: Json) -> Json:
    """Take some keys, all with one kind of value and each with its own meaning."""
    return {
        "type": "object",
        "properties": {name: {"description": text, **schema} for name, text in means.items()},
        "additionalProperties": False,
    }


def some(item: Json) -> Json:
    """Take a list that is not empty."""
    return {"type": "array", "items": item, "minItems": 1}


def number(pattern: str = NUMBER) -> Json:
    """Take a number or its words, or a conflict of several; an amount is not negative."""
    what = "a number such as .45, 10% or 2/3"
    words: Json = {"pattern": pattern}
    if pattern != NUMBER:
        what = "an amount such as 5.2T, 8Ki, 2000 steps or 10%"
        words["minimum"] = 0
    words["patternErrorMessage"] = f"This is not {what}."  # what editors say in its place
    return {"type": ["number", "string", "array"], **words, **CONFLICT}


def choice(kind: Kind) -> Json:
    """Take one of some words, or a conflict of several."""
    words = list(kind.words)
    means = {"enum": words, "enumDescriptions": list(kind.words.values())}
    return {"anyOf": [means, some({"enum": words})]}


def with_conflicts(schema: Json) -> Json:
    """Let a conflict, a list of values, stand wherever a value may: below a key, or in a list."""
    found = dict(schema)
    for key in ("properties", "patternProperties"):
        if key in schema:
            found[key] = {name: _or_conflict(value) for name, value in schema[key].items()}
    if "items" in schema:
        found["items"] = _or_conflict(schema["items"])
    if "anyOf" in schema:
        found["anyOf"] = [with_conflicts(one) for one in schema["anyOf"]]
    return found


def _or_conflict(value: Json) -> Json:
    described = {key: value[key] for key in ("description",) if key in value}
    plain = with_conflicts({key: x for key, x in value.items() if key != "description"})
    if not plain:
        return value
    several = {"title": CONFLICT_TITLE, "type": "array", "items": plain, "minItems": 1}
    # An editor shows what the first form that fits says of itself.
    return {**described, "anyOf": [{**described, **plain}, several]}


def with_markdown(schema: Json) -> Json:
    """Say again as Markdown what has code in it: editors print a `description` with its marks."""
    inner = {key: _in_value(value) for key, value in schema.items()}
    text = schema.get("description")
    if isinstance(text, str) and "`" in text:
        inner["markdownDescription"] = text
    if "enumDescriptions" in schema:
        inner["markdownEnumDescriptions"] = schema["enumDescriptions"]
    return inner


def _in_value(value: Any) -> Any:
    match value:
        case dict():
            return with_markdown(value)
        case list():
            return [_in_value(one) for one in value]
        case _:
            return value
