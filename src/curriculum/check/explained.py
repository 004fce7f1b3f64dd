"""Why there is a rule: the handbook, one file a rule, with a plan that trips it

A rule's sentence and severity stand in its code; `handbook/CODE.yaml` says the rest. A rule whose
breach no text can bring about (a check of the compiler itself) has no example.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

HANDBOOK = Path(__file__).parent / "handbook"


@dataclass(frozen=True, slots=True)
class Entry:
    """What the handbook says of a rule.

    `why` is what goes wrong where the rule is broken, `seen` where that was really done, `source`
    the paper or formula behind it, `domain` when it applies and what it cannot see. `trips` is a
    whole plan that breaks the rule, `mend` the `--set` edits after which it does not.
    """

    why: str
    source: str
    domain: str
    seen: str | None = None
    trips: str | None = None
    mend: tuple[str, ...] = ()


def handbook() -> tuple[str, ...]:
    """Return the codes of all rules that the handbook has a file for, in order."""
    return tuple(sorted(path.stem for path in HANDBOOK.glob("*.yaml")))


def entry(code: str) -> Entry:
    """Return what the handbook says of a rule; raises KeyError where it has no file for it.

    >>> entry("rates-are-not-negative").source
    'arithmetic'
    """
    path = HANDBOOK / f"{code}.yaml"
    if not path.is_file():
        raise KeyError(code)
    said: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    mend = tuple(said.pop("mend", ()))
    return Entry(**said, mend=mend)
