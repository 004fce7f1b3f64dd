"""What a plan wants turned, against what RoPE's buffer held: bases, speeds, attention factors

    stage.rope, layers of a shape --> Rope of each layer --inv_freq--> floats == the ledger's

The floats are those that the buffer is filled from; what is compared is what was read back.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from math import isclose

from curriculum.plan import Plan, Stage
from curriculum.rope import Rope, ropes_by_layer
from curriculum.train.floats import TOLERANCE, float_differences
from curriculum.train.ledger import LedgerLine

Speeds = tuple[float, ...]


def rope_differences(plan: Plan, stage: Stage, line: LedgerLine) -> Iterator[tuple[str, str]]:
    """Compare the base, the speeds and the attention factor of every layer of every decoder."""
    wanted = {name: ropes for name in stage.init if (ropes := _ropes(plan, stage, name))}
    first = {name: rope for name, ropes in wanted.items() if (rope := _first_turning(ropes))}
    # The first speeds of a scaled RoPE speak of a base that nobody said: its speeds tell.
    measured = {
        name: base
        for name, base in line.rope_base.items()
        if name not in first or first[name].scaling is None
    }
    bases: dict[str, float | None] = {
        name: float(rope.base)
        for name, rope in first.items()
        if rope.base is not None and rope.scaling is None
    }
    for name in measured.keys() - bases.keys():
        own = plan.shape_of(stage, name) if name in stage.init else None
        if own is not None and hasattr(own, "rope_base"):
            bases[name] = own.rope_base
    told = set()
    for what, words in float_differences("RoPE base", measured, bases):
        told.add(what.rpartition(" ")[2])
        yield what, words
    for name in sorted(wanted.keys() | line.rope.keys()):
        if name not in told:  # another base is all that is to be said
            planned = {layer: _floats(*rope) for layer, rope in wanted.get(name, {}).items()}
            yield from _layer_differences(name, line, planned)


def _ropes(plan: Plan, stage: Stage, name: str) -> dict[int, tuple[Rope, int]]:
    """Return the RoPE of each layer that the plan turns, and the dimensions that it turns."""
    shape = plan.shape_of(stage, name)
    ropes = ropes_by_layer(stage.rope, name, shape.rope_layers(), shape.rope_parts())
    return {layer: (rope or Rope(None), shape.rope_head_dim) for layer, rope in ropes.items()}


@cache
def _floats(rope: Rope, head_dim: int) -> tuple[Speeds, float]:
    """Compute a RoPE once: it holds for every step of a stage."""
    return tuple(rope.inv_freq(head_dim)), rope.attention_factor


def _first_turning(ropes: Mapping[int, tuple[Rope, int]]) -> Rope | None:
    """Return the RoPE of the first layer that turns: the one that a base is read back from."""
    return next((rope for rope, _ in ropes.values() if rope.base is not None), None)


def _layer_differences(
    name: str, line: LedgerLine, planned: Mapping[int, tuple[Speeds, float]]
) -> Iterator[tuple[str, str]]:
    measured = {
        layer: (entry["inv_freq"], entry["attention_factor"])
        for entry in line.rope.get(name, ())
        for layer in entry["layers"]
    }
    if missing := planned.keys() - measured.keys():
        yield f"RoPE {name}", f"no RoPE was measured in layer {min(missing)} of `{name}`"
        return
    for layer, (speeds, factor) in sorted(measured.items()):
        # A layer that the plan does not turn has speeds of 0.
        due, due_factor = planned.get(layer, ((0.0,) * len(speeds), 1.0))
        where = f"in layer {layer} of `{name}`"
        if len(speeds) != len(due):
            yield f"RoPE {name}", f"{len(speeds)} pairs turn {where}, planned {len(due)}"
            return
        for pair, (speed, planned_speed) in enumerate(zip(speeds, due, strict=True)):
            if not isclose(speed, planned_speed, rel_tol=TOLERANCE, abs_tol=0.0):
                words = f"{speed!r} rad/token, planned {planned_speed!r}"
                yield f"RoPE {name}", f"pair {pair} {where} turns by {words}"
                return
        if not isclose(factor, due_factor, rel_tol=TOLERANCE, abs_tol=0.0):
            words = f"{factor!r}, planned {due_factor!r}"
            yield f"attention {name}", f"the attention factor {where} is {words}"
            return
