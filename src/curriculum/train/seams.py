"""Seams: where a run went on under another lock, told in its ledger by a line of their own

    {"seam": {"from": DIGEST, "to": DIGEST}, "stage": "joint", "step": 40}

What stands below it was done under the new lock. It is cut and written anew with the lines around
it, so that after any kill the last seam that is left says which lock the next line needs.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

from curriculum.errors import RunError

_HEAD = b'{"seam": '


class Seam(NamedTuple):
    """A change of the lock before a step; `line` is where the ledger says so, 0 before it does."""

    stage: str
    step: int
    old: str  # digests of plans
    new: str
    line: int = 0

    def to_json(self) -> str:
        """Return the line without its end."""
        seam = {"from": self.old, "to": self.new}
        return json.dumps({"seam": seam, "stage": self.stage, "step": self.step})


def is_seam(line: bytes) -> bool:
    """Say whether a line of a ledger is a seam, and no step.

    >>> is_seam(Seam("joint", 4, "ab", "cd").to_json().encode()), is_seam(b'{"stage": "joint"}')
    (True, False)
    """
    return line.startswith(_HEAD)


def read_seams(ledger: Path) -> list[Seam]:
    """Return the seams of a ledger, in order; RunError with the number of a line that is none."""
    try:
        content = ledger.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunError(f"{ledger}: cannot be read: {error.strerror}") from None
    if _HEAD not in content:
        return []
    lines = enumerate(content.split(b"\n")[:-1], 1)
    return [_parse(text, ledger, number) for number, text in lines if is_seam(text)]


def _parse(text: bytes, ledger: Path, number: int) -> Seam:
    try:
        raw: dict[str, Any] = json.loads(text)
        seam = raw["seam"]
        found = Seam(raw["stage"], raw["step"], seam["from"], seam["to"], number)
        if {type(x) for x in (found.stage, found.old, found.new)} != {str}:
            raise TypeError
        if type(found.step) is not int or raw.keys() != {"seam", "stage", "step"}:
            raise TypeError
    except (ValueError, KeyError, TypeError):
        raise RunError(f"{ledger}:{number}: no seam: it needs from, to, stage and step") from None
    return found
