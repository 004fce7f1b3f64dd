"""The order of the stages: parents first, and every ring of stages that follow themselves"""

from collections import deque
from typing import NamedTuple

from curriculum.compile_state import State
from curriculum.errors import Related, Span
from curriculum.graph import ancestors_of, sorted_stages
from curriculum.spec import MixSpec, StageSpec


class Edge(NamedTuple):
    """Why a stage comes after another, and where it says so."""

    kind: str
    to: str
    span: Span


def ordered(state: State) -> list[str]:
    """Return the stages with parents first; report each ring once, with all its edges.

    What only follows a ring is left out too, and not told of: its parents come first.
    """
    edges = {name: _edges(stage) for name, stage in state.spec.stages.items()}
    parents = {name: [edge.to for edge in found] for name, found in edges.items()}
    order, left = sorted_stages(parents)
    told: set[str] = set()
    for name in left:
        if name in told or name not in ancestors_of(name, parents):
            continue
        ring = _ring(name, edges)
        told.update({name}, (s for s in left if _are_one_ring(s, name, parents)))
        chain = " -> ".join([name, *(edge.to for edge in ring)])
        said = [name, *(edge.to for edge in ring[:-1])]
        state.report(
            "cycle",
            f"stage `{name}` follows itself in the end ({chain})",
            ring[0].span,
            "a stage starts from stages that are over before it",
            tuple(
                Related(f"`{stage}` comes after `{edge.to}` by `{edge.kind}`", edge.span)
                for stage, edge in zip(said, ring, strict=True)
            ),
        )
    return order


def _are_one_ring(one: str, other: str, parents: dict[str, list[str]]) -> bool:
    return one in ancestors_of(other, parents) and other in ancestors_of(one, parents)


def _ring(name: str, edges: dict[str, list[Edge]]) -> list[Edge]:
    """Return the shortest way from a stage back to itself."""
    waiting: deque[tuple[str, list[Edge]]] = deque([(name, [])])
    seen: set[str] = set()
    while waiting:
        stage, way = waiting.popleft()
        for edge in edges.get(stage, ()):
            if edge.to == name:
                return [*way, edge]
            if edge.to not in seen:
                seen.add(edge.to)
                waiting.append((edge.to, [*way, edge]))
    raise AssertionError(f"{name} is on no ring")


def _edges(stage: StageSpec) -> list[Edge]:
    """Return every stage that this one must come after."""
    edges = [Edge("init", point.stage, point.span) for point in stage.points()]
    kept = [point for point in (stage.keep, *stage.keep_by.values()) if point is not None]
    edges += [Edge("keep", point.stage, point.span) for point in kept]
    return edges + (_replays(stage.mixture) if stage.mixture else [])


def _replays(mix: MixSpec) -> list[Edge]:
    own = [Edge("replay", mix.replay.stage, mix.replay.span)] if mix.replay else []
    return own + [edge for group in mix.groups for edge in _replays(group)]
