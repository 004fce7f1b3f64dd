"""The chain through a ledger: each step begins with what the one before it left

    parent's line ... after --init (stage, step)--> before ... step 0 of its child ... after
    after of step k == before of step k + 1, also where a kill and a resume lie between

New modules and outside checkpoints have nothing to be compared with.
"""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from curriculum.plan import Plan, Stage
from curriculum.train.growth import is_made_anew
from curriculum.train.ledger import LedgerLine
from curriculum.train.planned import planned_state_steps

Difference = tuple[str, str]
"""The kind of a difference, and the words for it."""


class Chain:
    """What stages left, as far as others start from it, while the ledger is read."""

    def __init__(
        self,
        plan: Plan,
        starts: Mapping[tuple[str, str], str] = MappingProxyType({}),
        composed: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
        later: Iterable[Plan] = (),
    ) -> None:
        """Begin with the weights, by stage and module, of what is made anew and of averages.

        `later` are plans that the run goes on under: what they start from is kept too.
        """
        self._starts = starts
        self._plan = plan
        self._marks: set[tuple[str | None, int]] = set()
        for one in (plan, *later):
            self._marks |= {(s.stage, s.step) for stage in one.stages for s in stage.init.values()}
            self._marks |= {(s.stage, s.step) for c in one.composed for _, s in c.starts}
        self._left: dict[tuple[str | None, int], Mapping[str, str]] = {}
        for name, weights in composed.items():
            self._left[name, 0] = weights
        self._last: dict[str, LedgerLine] = {}

    def turn(self, plan: Plan) -> None:
        """Go on under another plan."""
        self._plan = plan

    def enter(self, stage: Stage, line: LedgerLine, is_due: bool) -> list[Difference]:
        """Return how a line does not go on from the one before it, and keep it for the next.

        A line that is not the one due (repeated, or behind a gap) goes on from nothing.
        """
        found = list(self._own_differences(stage, line))
        if is_due and line.step == 0:
            found += self._start_differences(stage, line)
        elif is_due:
            found += self._step_differences(line, self._last[stage.name])
        self._last[stage.name] = line
        for step, which in ((line.step, 0), (line.step + 1, 1)):
            # What a stage began with is what its step 0 had; later marks are what a step left.
            if (stage.name, step) in self._marks and (which == 1 or step == 0):
                weights = {module: pair[which] for module, pair in line.weights.items()}
                self._left[stage.name, step] = weights
        return found

    def left(self, stage: str, step: int) -> Mapping[str, str]:
        """Return the weights, by module, that a stage left at a mark; nothing where unknown."""
        return self._left.get((stage, step), {})

    def _own_differences(self, stage: Stage, line: LedgerLine) -> Iterator[Difference]:
        if sorted(line.weights) != sorted(stage.init):
            words = f"modules {', '.join(sorted(line.weights))}, planned {', '.join(stage.init)}"
            yield "modules", words
        trained = {target.partition("/")[0] for target in stage.train}
        for module, (before, after) in line.weights.items():
            if before != after and module not in trained and module not in line.trained:
                yield f"buffers {module}", f"a buffer of `{module}` changed, which is frozen"

    def _start_differences(self, stage: Stage, line: LedgerLine) -> Iterator[Difference]:
        planned = planned_state_steps(self._plan, stage)
        for module in sorted(planned.keys() | line.state_steps.keys()):
            start = stage.init.get(module)
            if start is not None and start.carries_state and not self._knows(start.stage):
                continue
            yield from _state_difference(module, line, planned.get(module))
        for module, start in stage.init.items():
            left = self._left.get((start.stage, start.step), {}).get(module)
            is_anew = is_made_anew(stage, module)
            if is_anew:
                left = self._starts.get((stage.name, module))
            now = line.weights.get(module, [left])[0]
            if left is not None and now != left:
                place = f"`{start.stage}` at step {start.step}"
                made = "made anew gives" if is_anew else "left"
                words = f"`{module}` began with weights {now}, {place} {made} {left}"
                yield f"start {module}", words

    def _knows(self, stage: str | None) -> bool:
        return stage in self._last

    def _step_differences(self, line: LedgerLine, last: LedgerLine) -> Iterator[Difference]:
        for module in sorted(last.weights.keys() & line.weights.keys()):
            left, now = last.weights[module][1], line.weights[module][0]
            if now != left:
                words = f"`{module}` began with weights {now}, step {last.step} left {left}"
                yield f"weights {module}", words
        for module in sorted(last.state_steps.keys() | line.state_steps.keys()):
            before = last.state_steps.get(module, [])
            yield from _state_difference(module, line, [count + 1 for count in before])


def _state_difference(
    module: str, line: LedgerLine, planned: list[int] | None
) -> Iterator[Difference]:
    found = line.state_steps.get(module)
    if found != planned:
        has, due = (_words(counts) for counts in (found, planned))
        words = f"the optimizer's state of `{module}` had seen {has} updates, planned {due}"
        yield f"state {module}", words


def _words(counts: list[int] | None) -> str:
    return " and ".join(map(str, counts)) if counts else "no"
