"""Rules about what becomes of shares from one stage to the next"""

from collections.abc import Iterator, Sequence
from fractions import Fraction

from curriculum.check.places import mixture_place, related_place
from curriculum.errors import Diagnostic, Severity
from curriculum.mixture import Node, ratios_of
from curriculum.plan import Plan, Stage

Shares = dict[tuple[str, str], Fraction]
"""The ratio of every node, by the path of what holds it and its own name; of nothing: none."""


def shares_are_not_swapped(plan: Plan) -> Iterator[Diagnostic]:
    """No stage exchanges the shares of two groups or sources of the stage before it, or of one
    that starts from the same, while all others stay what they were."""
    alike: dict[object, Stage] = {}
    known: dict[tuple[str, int], Shares] = {}

    def shares_at(stage: Stage, step: int) -> Shares:
        key = (stage.name, 0 if stage.mixture.is_constant else step)
        if key not in known:
            at_end = step == stage.steps
            tokens = stage.mixture.end_tokens if at_end else stage.batch.tokens_before(step)
            known[key] = _shares(stage.mixture.roots, step, tokens)
        return known[key]

    for stage in plan.stages:
        if stage.status == "abandoned":
            continue
        mine = shares_at(stage, 0)
        told = False
        for parent, step in _before(plan, stage):
            if (swapped := _swapped(shares_at(parent, step), mine)) is not None:
                yield _finding(plan, parent, stage, swapped, Severity.WARNING)
                told = True
        beside = tuple(sorted(stage.init.items(), key=lambda each: each[0]))
        other = alike.setdefault(beside, stage)
        if other is stage or told or all(start.is_new for start in stage.init.values()):
            continue
        if (swapped := _swapped(shares_at(other, 0), mine)) is not None:
            yield _finding(plan, other, stage, swapped, Severity.INFO)
        alike[beside] = stage


def _finding(
    plan: Plan, other: Stage, stage: Stage, names: tuple[str, str], severity: Severity
) -> Diagnostic:
    one, two = names
    what = "what the stage before it" if severity is Severity.WARNING else "what its sibling"
    return Diagnostic(
        "shares-are-not-swapped",
        f"in stage `{stage.name}` `{one}` has exactly the share of `{two}`, and `{two}` that of "
        f"`{one}`, in {what}, `{other.name}`, reads; all else is the same",
        mixture_place(plan, stage, one),
        f"exchange the shares of `{one}` and `{two}`, unless the swap is meant",
        severity,
        related_place(plan, f"the shares of `{other.name}`", f"stages.{other.name}.mixture"),
    )


def _before(plan: Plan, stage: Stage) -> list[tuple[Stage, int]]:
    """Return the stages that modules come from, each with the step where it was left."""
    starts = {
        (origin.stage, origin.step): None
        for module, start in stage.init.items()
        for origin in plan.origins(start, module)
        if origin.stage is not None and plan.has_stage(origin.stage)
    }
    return [(plan.stage(name), step) for name, step in starts if name is not None]


def _shares(siblings: Sequence[Node], step: int, tokens: int, above: str = "") -> Shares:
    """Return the ratios of a tree at a step; what is alone at its place is no group.

    Pieces of a mixture are such: at any step one of them has all.
    """
    ratios = zip(siblings, ratios_of(siblings, step, tokens), strict=True)
    there = [(node, ratio) for node, ratio in ratios if ratio]
    if len(there) == 1 and there[0][0].children:
        return _shares(there[0][0].children, step, tokens, above)
    found: Shares = {}
    for node, ratio in there:
        found[above, node.name] = ratio
        if node.children:
            found |= _shares(node.children, step, tokens, f"{above}/{node.name}")
    return found


def _swapped(before: Shares, now: Shares) -> tuple[str, str] | None:
    """Return the two names whose ratios are exchanged; None unless they are all that changed.

    Of two alone nobody can tell a swap from a change of mind: a third has to stay what it was.

    >>> a, b, c = (("", name) for name in "abc")
    >>> tenths = lambda *n: dict(zip((a, b, c), (Fraction(x, 10) for x in n)))
    >>> _swapped(tenths(7, 2, 1), tenths(7, 1, 2)), _swapped(tenths(7, 2, 1), tenths(6, 3, 1))
    (('b', 'c'), None)
    """
    if before is now or before.keys() != now.keys():
        return None
    changed = [key for key, share in now.items() if share != before[key]]
    if len(changed) != 2:
        return None
    (above, one), (below, two) = changed
    if above != below or sum(place == above for place, _ in now) < 3:
        return None
    is_swap = now[changed[0]] == before[changed[1]] and now[changed[1]] == before[changed[0]]
    return (one, two) if is_swap else None
