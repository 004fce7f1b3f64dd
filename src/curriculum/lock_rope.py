"""RoPE as JSON and back: a plain base is a word, no turning is null, a scaling stands beside it

    Rope(50_000)            "50000"
    Rope(None)              null
    Rope(10_000, Yarn(...)) {"base": "10000", "scaling": {"kind": "yarn", "factor": "40", ...}}

Locks of plans without a scaling are the bytes they were before there was any.
"""

from dataclasses import fields
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from curriculum.rope import Rope
from curriculum.units import decimal_words, parse_exact

if TYPE_CHECKING:
    from curriculum.rope_scaling import Scaling


def rope_json(rope: Rope) -> str | dict[str, Any] | None:
    """Write a RoPE, its numbers exactly."""
    if rope.base is None:
        return None
    base = decimal_words(rope.base)
    if rope.scaling is None:
        return base
    return {"base": base, "scaling": scaling_json(rope.scaling)}


def scaling_json(scaling: "Scaling") -> dict[str, Any]:
    """Write a scaling; contexts are whole numbers, all else are words."""
    values = {field.name: _json(getattr(scaling, field.name)) for field in fields(scaling)}
    return {"kind": scaling.kind, **values}


def read_rope(rope: str | dict[str, Any] | None) -> Rope:
    """Read what `rope_json` wrote."""
    if rope is None:
        return Rope(None)
    if isinstance(rope, str):
        return Rope(parse_exact(rope))
    from curriculum.rope_scaling import SCALINGS

    scaling = rope["scaling"]
    values = {name: _read(value) for name, value in scaling.items() if name != "kind"}
    return Rope(parse_exact(rope["base"]), SCALINGS[scaling["kind"]](**values))


def _json(value: object) -> Any:
    if isinstance(value, tuple):
        return [_json(item) for item in value]
    return decimal_words(value) if isinstance(value, Fraction) else value


def _read(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_read(item) for item in value)
    return parse_exact(value) if isinstance(value, str) else value
