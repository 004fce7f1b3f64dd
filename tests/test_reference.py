"""The schema explains every key and every kind of value, and docs/reference.md is made from it"""

import re
from pathlib import Path
from typing import Any

import pytest

from curriculum.curve import SHAPES
from curriculum.lifecycle import LEFT, ROWS
from curriculum.models.adapters import KINDS as ADAPTER_KINDS
from curriculum.models.shapes import KINDS
from curriculum.objective import MASKS, REDUCTIONS
from curriculum.reference import reference
from curriculum.schema import plan_schema
from curriculum.schema_words import CHOICES, LOSS_TERMS, OPTIMIZER_MEANS, SETTING_MEANS
from curriculum.words import (
    FOLLOWS_BATCH,
    LOSSES,
    MODALITIES,
    OPTIMIZER_VALUES,
    PACKINGS,
    SETTINGS,
    STATUSES,
)

PAGE = Path(__file__).parents[1] / "docs" / "reference.md"
SCHEMA = plan_schema()
DEFINITIONS: dict[str, dict[str, Any]] = SCHEMA["$defs"]


def test_the_page_is_what_the_schema_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(SCHEMA), "`make docs` writes it anew"


def test_every_key_stands_in_the_reference_with_its_meaning() -> None:
    page = reference(SCHEMA)
    for table in (SCHEMA, *DEFINITIONS.values()):
        for key, value in table.get("properties", {}).items():
            rows = [line for line in page.splitlines() if line.startswith(f"| `{key}`")]
            means = value["description"].partition("\n\n")[0].replace("|", "\\|")
            assert any(f"| {means} |" in row for row in rows), key


@pytest.mark.parametrize("name", DEFINITIONS)
def test_every_kind_of_value_is_explained(name: str) -> None:
    kind = DEFINITIONS[name]
    assert kind["description"].endswith(".")
    for key, value in kind.get("properties", {}).items():
        means = value["description"]
        assert means.endswith("."), f"{name}.{key}: {means}"
        assert len(means.split()) >= 3, f"{name}.{key}: {means}"


@pytest.mark.parametrize("name", [name for name in DEFINITIONS if "examples" in DEFINITIONS[name]])
def test_its_examples_are_such_values(name: str) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = {"$ref": f"#/$defs/{name}", "$defs": DEFINITIONS}
    validator = jsonschema.Draft202012Validator(schema)
    for example in DEFINITIONS[name]["examples"]:
        assert [error.message for error in validator.iter_errors(example)] == []


def test_every_word_is_explained_and_no_other() -> None:
    words = {
        "shape": SHAPES,
        "modality": MODALITIES,
        "kind": KINDS,
        "status": STATUSES,
        "with_batch": FOLLOWS_BATCH,
        "packing": PACKINGS,
        "mask": MASKS,
        "reduce": REDUCTIONS,
        "rows": ROWS,
        "left": LEFT,
        "adapter_kind": ADAPTER_KINDS,
        "optimizer_kind": OPTIMIZER_VALUES,
    }
    assert {name: sorted(CHOICES[name].words) for name in words} == {
        name: sorted(known) for name, known in words.items()
    }
    assert sorted(LOSS_TERMS) == sorted(LOSSES)
    assert set(SETTING_MEANS) == {name for names in SETTINGS.values() for name in names}
    assert set(OPTIMIZER_MEANS) == {name for names in OPTIMIZER_VALUES.values() for name in names}


def test_every_link_leads_to_a_section() -> None:
    page = reference(SCHEMA)
    sections = set(re.findall(r"^## `(.+)`$", page, re.MULTILINE))
    assert set(re.findall(r"\]\(#([^)]+)\)", page)) <= sections


def test_what_has_code_in_it_is_markdown_for_editors() -> None:
    lr = DEFINITIONS["stage"]["properties"]["train"]
    assert "markdownDescription" not in lr
    mixture = DEFINITIONS["stage"]["properties"]["mixture"]
    assert mixture["markdownDescription"] == mixture["description"]


def test_what_an_editor_shows_of_a_key_says_what_the_key_means() -> None:
    for key, value in DEFINITIONS["stage"]["properties"].items():
        assert value["anyOf"][0]["description"] == value["description"], key


def test_a_schema_reads_as_words() -> None:
    word = {"anyOf": [{"const": "none"}, {"$ref": "#/$defs/thing"}]}
    thing = {"type": "array", "items": {"enum": [1, 2]}, "description": "What there is."}
    page = reference(
        {"properties": {"a": {"description": "One.", **word}}, "$defs": {"thing": thing}}
    )
    assert "| `a` | `none` or [thing](#thing) | One. |" in page
    assert "## `thing`\n\nWhat there is.\n\nWritten as a list: `1`, `2`.\n" in page
