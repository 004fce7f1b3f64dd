"""Floats of a ledger against the plan's own, to 1e-12"""

from collections.abc import Iterator, Mapping
from math import isclose

TOLERANCE = 1e-12
"""Of floats, relative: the plan's own, on their way through a group or a buffer."""


def float_differences(
    what: str, measured: Mapping[str, float], planned: Mapping[str, float | None]
) -> Iterator[tuple[str, str]]:
    """Compare floats by name: which kind of difference, and in words."""
    for name in sorted(measured.keys() | planned.keys()):
        is_value, due = measured.get(name), planned.get(name)
        if is_value is None or due is None:
            said = "not planned" if due is None else f"planned {due!r}"
            yield f"{what} {name}", f"{what} of {name} is {is_value!r}, {said}"
        elif not isclose(is_value, due, rel_tol=TOLERANCE, abs_tol=0.0):
            yield f"{what} {name}", f"{what} of {name} is {is_value!r}, planned {due!r}"
