"""The areas of the mixture: its sources, the groups at the top of its trees, or sets of tags

by source    code | web | captions                 what `ratio.<source>` holds
by group     text | multimodal                     the nodes at the top of each stage's mixture
by tag       english, web | code | without tags    sources that have the same tags

Areas never overlap: they sum to 1 in every step.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from curriculum.errors import CurriculumError
from curriculum.mixture import Node
from curriculum.plan import Plan, Stage
from curriculum.simulate.columns import cut_rows, polynomial_rows

By = Literal["source", "group", "tag"]
TITLES: Mapping[By, str] = {"source": "sources", "group": "groups", "tag": "tags"}
MIXED = "mixed"
UNTAGGED = "without tags"
MOST_AREAS = 14  # that a picture names; the others are one area


@dataclass(frozen=True, slots=True)
class Area:
    """One area of the stack: its share in every row of the table, by stage."""

    name: str
    kind: str  # the modality of its sources, or `mixed`
    shares: Mapping[str, Sequence[float]]

    @property
    def largest(self) -> float:
        return max((share for rows in self.shares.values() for share in rows), default=0.0)


def areas(plan: Plan, table: pl.DataFrame, by: By) -> tuple[Area, ...]:
    """Return all that is ever read, in the order of the plan; `table` is `timeline.outline(plan)`.

    Raises `CurriculumError` where sources are to be told apart by tags and have none.
    """
    if by == "tag" and not any(source.tags for source in plan.sources.values()):
        raise CurriculumError(f"no source of `{plan.name}` has tags: draw it by group or by source")
    found: dict[str, dict[str, list[float]]] = {}
    kinds: dict[str, set[str]] = {}
    place = {name: index for index, name in enumerate(plan.sources)}
    for stage in plan.stages:
        rows = table.filter(pl.col("stage") == stage.name)
        parts = list(_stage_areas(plan, stage, rows, by))
        parts.sort(key=lambda part: min(place[name] for name in part[1]))  # the tree is by name
        for name, source_names, shares in parts:
            if max(shares, default=0.0) > 0:
                kept = found.setdefault(name, {}).get(stage.name)
                found[name][stage.name] = shares if kept is None else _sum([kept, shares])
                kinds.setdefault(name, set()).update(plan.sources[n].modality for n in source_names)
    order = [name for name in plan.sources if name in found] if by == "source" else list(found)
    return tuple(
        Area(name, next(iter(kinds[name])) if len(kinds[name]) == 1 else MIXED, found[name])
        for name in order
    )


def named(found: Sequence[Area]) -> tuple[Area, ...]:
    """Return the areas that a picture names: all, or of many those with the largest shares."""
    if len(found) <= MOST_AREAS + 1:  # one other would need as much room as its name
        return tuple(found)
    largest = sorted(found, key=lambda area: (-area.largest, area.name))[:MOST_AREAS]
    kept = {area.name for area in largest}
    return tuple(area for area in found if area.name in kept)


def _stage_areas(
    plan: Plan, stage: Stage, rows: pl.DataFrame, by: By
) -> Iterator[tuple[str, Sequence[str], list[float]]]:
    """Yield a name, the sources behind it and the shares in each row; a name may come twice."""
    if by == "group":
        for path, node in _tops(stage.mixture.roots):
            leaves = [n.source for _, n in node.paths() if n.source is not None]
            yield node.name, leaves, _node_shares(stage, path, rows["step"].to_list())
        return
    for name in stage.mixture.sources:
        tags = ", ".join(plan.sources[name].tags) or UNTAGGED
        yield name if by == "source" else tags, [name], rows[f"ratio.{name}"].to_list()


def _tops(roots: Sequence[Node]) -> Iterator[tuple[str, Node]]:
    """Go through the top of a tree with the paths there; of pieces in turn, through their tops."""
    for root in roots:
        if root.is_piece and root.children:
            yield from ((f"{root.name}/{child.name}", child) for child in root.children)
        else:
            yield root.name, root


def _node_shares(stage: Stage, path: str, steps: Sequence[int]) -> list[float]:
    segments = stage.mixture.segments
    shares: list[float] = []
    for low, high in cut_rows(steps, [segment.first_step for segment in segments]):
        segment = stage.mixture.segment_at(steps[low])
        part = polynomial_rows(segment.nodes[path], segment.first_step, steps[low:high])
        shares += [part[0]] * part[1] if isinstance(part, tuple) else part
    return shares


def _sum(columns: Sequence[Sequence[float]]) -> list[float]:
    return [sum(row) for row in zip(*columns, strict=True)]
