"""A RoPE as plain values for JSON, and as words of one line"""

from dataclasses import fields
from fractions import Fraction
from typing import Any

from curriculum.rope import Rope


def plain(value: Fraction) -> int | float:
    """Write an exact number as JSON does best."""
    return int(value) if value.denominator == 1 else float(value)


def rope_values(rope: Rope) -> dict[str, Any]:
    """Return a RoPE as plain values; no base where nothing turns."""
    values: dict[str, Any] = {"base": None if rope.base is None else plain(rope.base)}
    if rope.scaling is not None:
        said = {f.name: _plain_all(getattr(rope.scaling, f.name)) for f in fields(rope.scaling)}
        factor = {"attention_factor": rope.attention_factor}
        values["scaling"] = {"kind": rope.scaling.kind, **said, **factor}
    return values


def _plain_all(value: Any) -> Any:
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return plain(value) if isinstance(value, Fraction) else value


def rope_words(rope: dict[str, Any]) -> str:
    """Write what `rope_values` returns."""
    if rope["base"] is None:
        return "none: nothing is turned"
    if "scaling" not in rope:
        return f"{rope['base']:,}"
    said = [f"{name} {value}" for name, value in rope["scaling"].items() if name != "kind"]
    return f"{rope['base']:,}, {rope['scaling']['kind']}: {', '.join(said)}"
