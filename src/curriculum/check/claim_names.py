"""What names of a claim mean in a plan: nodes, tags, sources, stages

A name may mean several of these as long as it means the same documents; else the claim says which:
`mix.tag.web`, `tokens.stage.web`.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import NoReturn

from curriculum.claims import Path
from curriculum.errors import ClaimProblem, did_you_mean
from curriculum.mixture import Node
from curriculum.plan import Plan, Stage

NodeSets = Mapping[str, frozenset[str]]
"""Paths of nodes in a mixture's tree, by stage, none below another."""

MIX_KINDS = ("source", "modality", "tag", "node")
SOURCE_KINDS = ("source", "tag", "modality")


def nodes_of(
    plan: Plan, path: Path, stages: Collection[str] = ()
) -> tuple[NodeSets, frozenset[str]]:
    """Return the nodes that `mix.NAME` sums, by stage, and the stages that cannot tell all of them.

    What a name may mean must be the same in all of `stages`, which are all of the plan where none
    is named. Of a replay that was too large to keep, a plan knows the sources and no groups. Raises
    `ClaimProblem`.
    """
    kind, name = _kind_and_name(path, MIX_KINDS)
    found = {k: _nodes(plan, k, name) for k in MIX_KINDS}
    there = {
        k: nodes
        for k, nodes in found.items()
        if any(nodes.values()) or (k in SOURCE_KINDS and _sources(plan, k, name))
    }
    if kind is not None:
        if kind not in there:
            _refuse(path, f"there is no {kind} `{name}`", _known_of(plan, kind))
        return there[kind], _cut(plan, kind, name)
    if not there:
        _refuse(path, f"no node, tag, source or modality is called `{name}`", _known(plan))
    leaves = {
        k: {s: _leaves(plan.stage(s), n) for s, n in there[k].items() if s in stages or not stages}
        for k in there
    }
    _require_same(path, name, leaves)
    first = next(iter(there))
    return there[first], _cut(plan, first, name)


def sources_of(plan: Plan, path: Path, above: Iterable[str] = ()) -> frozenset[str] | None:
    """Return the sources that a name means, None where it is one of the other names `above`.

    What is read of a part counts for its whole: of both the whole alone. Raises `ClaimProblem`.
    """
    kind, name = _kind_and_name(path, (*SOURCE_KINDS, "stage") if above else SOURCE_KINDS)
    found = {k: s for k in SOURCE_KINDS if (s := _sources(plan, k, name))}
    is_above = name in above and kind in (None, "stage")
    if kind is not None and kind not in found and not is_above:
        _refuse(path, f"there is no {kind} `{name}`", _known_of(plan, kind))
    if kind is not None:
        return found.get(kind)
    if is_above and found:
        _require_same(path, name, {"stage": "a stage", **found})
    if is_above:
        return None
    if not found:
        names = [*above, *(n for k in SOURCE_KINDS for n in _known_of(plan, k))]
        _refuse(
            path,
            f"no {'stage, ' if above else ''}source, tag or modality is called `{name}`",
            names,
        )
    _require_same(path, name, found)
    return next(iter(found.values()))


def _kind_and_name(path: Path, kinds: tuple[str, ...]) -> tuple[str | None, str]:
    if len(path.names) == 2:
        return None, path.names[1]
    if path.names[1] not in kinds:
        what = f"`{path.text}` says no kind of name"
        way_out = f"{path.names[0]}.{kinds[0]}.NAME; kinds are {', '.join(kinds)}"
        if re.search("[-/]", path.names[1]):
            way_out = "put spaces around operators"
        raise ClaimProblem(what, *path.place, way_out)
    return path.names[1], path.names[2]


def _require_same(path: Path, name: str, meant: Mapping[str, object]) -> None:
    """Refuse a name of several kinds that mean different documents."""
    kinds = list(meant)
    for other in kinds[1:]:
        if meant[other] != meant[kinds[0]]:
            one, two = (f"{path.names[0]}.{kind}.{name}" for kind in (kinds[0], other))
            what = f"`{path.text}` may be the {kinds[0]} or the {other} `{name}`, which differ"
            raise ClaimProblem(what, *path.place, f"say which: {one} or {two}")


def _refuse(path: Path, what: str, known: list[str]) -> NoReturn:
    name = path.names[-1]
    split = [part for part in known if part != name and name.startswith((f"{part}-", f"{part}/"))]
    way_out = f"put spaces around the operator behind `{split[0]}`" if split else None
    raise ClaimProblem(what, *path.place, way_out or did_you_mean(name, sorted(set(known))))


def _nodes(plan: Plan, kind: str, name: str) -> dict[str, frozenset[str]]:
    if kind in ("source", "modality") and not _sources(plan, kind, name):
        return {stage.name: frozenset() for stage in plan.stages}
    return {
        stage.name: frozenset(_topmost(plan, kind, name, stage.mixture.roots, ""))
        for stage in plan.stages
    }


def _cut(plan: Plan, kind: str, name: str) -> frozenset[str]:
    """Return the stages with a replay that groups of this name or tag may have been cut from."""
    if kind not in ("node", "tag"):
        return frozenset()
    trees = {s.name: [found for r in s.mixture.roots for found in r.paths()] for s in plan.stages}
    is_of_groups = any(
        node.children and _is_meant(plan, kind, name, path, node)
        for tree in trees.values()
        for path, node in tree
    )
    cut = (stage for stage, tree in trees.items() if any(node.is_cut for _, node in tree))
    return frozenset(cut) if is_of_groups else frozenset()


def _topmost(plan: Plan, kind: str, name: str, nodes: Iterable[Node], above: str) -> list[str]:
    found: list[str] = []
    for node in nodes:
        path = f"{above}/{node.name}" if above else node.name
        if _is_meant(plan, kind, name, path, node):
            found.append(path)
        else:
            found += _topmost(plan, kind, name, node.children, path)
    return found


def _is_meant(plan: Plan, kind: str, name: str, path: str, node: Node) -> bool:
    source = plan.sources[node.source] if node.source is not None else None
    match kind:
        case "node":
            return path == name or path.endswith(f"/{name}")
        case "tag":
            return name in node.tags or (source is not None and name in source.tags)
        case "source":
            return source is not None and name in (source.name, source.whole)
        case _:
            return source is not None and source.modality == name


def _leaves(stage: Stage, nodes: frozenset[str]) -> frozenset[str]:
    """Return the sources' nodes at or below these."""
    found: set[str] = set()

    def descend(siblings: Iterable[Node], above: str, is_below: bool) -> None:
        for node in siblings:
            path = f"{above}/{node.name}" if above else node.name
            counts = is_below or path in nodes
            if counts and not node.children:
                found.add(path)
            descend(node.children, path, counts)

    descend(stage.mixture.roots, "", False)
    return frozenset(found)


def _sources(plan: Plan, kind: str, name: str) -> frozenset[str]:
    found = {
        source.name: source.whole
        for source in plan.sources.values()
        if (kind == "source" and source.name == name)
        or (kind == "tag" and name in source.tags)
        or (kind == "modality" and source.modality == name)
    }
    return frozenset(n for n, whole in found.items() if n == whole or whole not in found)


def _known_of(plan: Plan, kind: str) -> list[str]:
    trees = [node for s in plan.stages for root in s.mixture.roots for _, node in root.paths()]
    match kind:
        case "node":
            return sorted({node.name for node in trees})
        case "tag":
            tags = [*(s.tags for s in plan.sources.values()), *(node.tags for node in trees)]
            return sorted({tag for some in tags for tag in some})
        case "source":
            return list(plan.sources)
        case "modality":
            return sorted({source.modality for source in plan.sources.values()})
        case _:
            return [stage.name for stage in plan.stages]


def _known(plan: Plan) -> list[str]:
    return [name for kind in MIX_KINDS for name in _known_of(plan, kind)]
