"""The reference names every key of the schema, with what it takes and means, and links that lead"""

import re
from typing import Any

from curriculum.reference import reference
from curriculum.schema import plan_schema


def test_every_key_stands_in_the_reference_with_its_meaning() -> None:
    schema = plan_schema()
    page = reference(schema)
    tables: list[dict[str, Any]] = [schema, *schema["$defs"].values()]
    for table in tables:
        for key, value in table.get("properties", {}).items():
            row = next(line for line in page.splitlines() if line.startswith(f"| `{key}`"))
            assert row.count("|") >= 4
            assert value.get("description", "").replace("|", "\\|") in page


def test_every_link_leads_to_a_section() -> None:
    page = reference(plan_schema())
    sections = set(re.findall(r"^## `(.+)`$", page, re.MULTILINE))
    assert set(re.findall(r"\]\(#([^)]+)\)", page)) <= sections


def test_a_schema_reads_as_words() -> None:
    word = {"anyOf": [{"const": "none"}, {"$ref": "#/$defs/thing"}]}
    thing = {"type": "array", "items": {"enum": [1, 2]}, "description": "What there is."}
    page = reference(
        {"properties": {"a": {"description": "One.", **word}}, "$defs": {"thing": thing}}
    )
    assert "| `a` | `none` or [thing](#thing) | One. |" in page
    assert "## `thing`\n\nWhat there is.\n\nWritten as a list: `1`, `2`.\n" in page
