"""The curriculum as a graph: an order in which every stage follows its parents"""

from collections.abc import Iterable, Mapping


def sorted_stages(parents: Mapping[str, Iterable[str]]) -> tuple[list[str], list[str]]:
    """Return the stages with parents first, ties by name, and the stages on a cycle.

    A stage that follows a cycle without being on it counts as on it: it has no place either.

    >>> sorted_stages({"joint": ["text", "vit"], "text": [], "vit": []})
    (['text', 'vit', 'joint'], [])
    >>> sorted_stages({"a": ["b"], "b": ["a"]})
    ([], ['a', 'b'])
    """
    waiting = {name: {p for p in parents[name] if p in parents} for name in parents}
    order: list[str] = []
    done: set[str] = set()
    while ready := sorted(name for name, wants in waiting.items() if wants <= done):
        order += ready
        done.update(ready)
        for name in ready:
            del waiting[name]
    return order, sorted(waiting)


def ancestors_of(name: str, parents: Mapping[str, Iterable[str]]) -> set[str]:
    """Return all stages that a stage's parents reach, the stage itself left out.

    >>> sorted(ancestors_of("c", {"a": [], "b": ["a"], "c": ["b"]}))
    ['a', 'b']
    """
    found: set[str] = set()
    stack = list(parents.get(name, ()))
    while stack:
        parent = stack.pop()
        if parent not in found:
            found.add(parent)
            stack += parents.get(parent, ())
    return found
