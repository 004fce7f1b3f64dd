"""`curriculum schema`: the JSON Schema of a plan file"""

import json

from curriculum.schema import plan_schema


def command() -> None:
    """Print the JSON Schema of a plan file."""
    print(json.dumps(plan_schema(), indent=2))
