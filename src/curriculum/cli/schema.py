"""`curriculum schema`: the JSON Schema of a plan file, and the reference made from it"""

import json
from enum import StrEnum
from typing import Annotated

import typer

from curriculum.schema import plan_schema


class Format(StrEnum):
    """How the language is written down."""

    JSON = "json"
    MARKDOWN = "markdown"


def command(
    format: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.JSON,
) -> None:
    """Print the JSON Schema of a plan file, or the reference made from it."""
    if format is Format.JSON:
        print(json.dumps(plan_schema(), indent=2))
        return
    from curriculum.reference import reference

    print(reference(plan_schema()), end="")
