"""The compiler: from what was written to the exact plan, in an ordered list of passes

    merge -> spec -> modules, sources -> order -> for each stage: parents, budget and batch, clocks
          -> (all budgets known) -> for each stage: curves, mixture, optimizer -> digests

Every pass reports what is wrong with its place and goes on with what is left, so that one run shows
all problems of a file.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from curriculum.allowances import Silenced
from curriculum.compile_claims import compile_claims, names_nowhere
from curriculum.compile_draft import draft_stage
from curriculum.compile_order import ordered
from curriculum.compile_parts import compile_modules, compile_sources, unused_names
from curriculum.compile_provenance import provenance_of
from curriculum.compile_scales import with_scales
from curriculum.compile_stage import finish_stage
from curriculum.compile_state import Draft, Outside, State
from curriculum.compile_unfinished import check_unfinished
from curriculum.composed import ComposedStage
from curriculum.errors import Diagnostic, FindingsError, Severity, Span
from curriculum.findings import in_order
from curriculum.lock import with_digests
from curriculum.merge import PlanText, merged_text, read_plan_text
from curriculum.nodes import Map, settled, walk
from curriculum.plan import OutsideStage, Plan, Stage
from curriculum.spec_plan import read_spec


class Compiled(NamedTuple):
    """A plan with everything that is to be said of it; no plan where it could not be compiled."""

    plan: Plan | None
    findings: tuple[Diagnostic, ...] = ()
    silenced: tuple[Silenced, ...] = ()  # what the plan allows of its rules

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        return tuple(f for f in self.findings if f.severity is Severity.ERROR)


def compile_file(path: Path, settings: Sequence[str] = (), text: str | None = None) -> Compiled:
    """Compile a plan file; `settings` are `key=value` texts that replace keys.

    With `text` it is compiled as if the file held that.
    Raises `CurriculumError` when the file cannot be read at all; whatever is wrong inside it is a
    finding.
    """
    try:
        merged = read_plan_text(path, settings, text)
    except FindingsError as error:
        return Compiled(None, error.diagnostics)
    return _compile(merged)


def compile_text(text: str, file: str = "plan.yaml") -> Compiled:
    """Compile a plan from a text that extends no other file."""
    try:
        merged = merged_text(text, file)
    except FindingsError as error:
        return Compiled(None, error.diagnostics)
    return _compile(merged)


def _drafted(text: PlanText) -> tuple[State, list[str]]:
    """Draft all stages of a plan; return them with the order in which they can be finished.

    What is measured in steps below a scale is a share of a stage there: whoever meets such a value
    has the plan below drafted, once. Few do.
    """
    used = settled(text.root)
    assert isinstance(used, Map)
    spec, found = read_spec(used)
    below = cache(lambda depth: _drafted(text.below(depth))[0])
    state = State(spec, [*text.problems, *found], below, text.copied)
    state.modules = compile_modules(state)
    state.sources = compile_sources(state)
    order = ordered(state)
    for name in order:
        draft = draft_stage(state, spec.stages[name])
        if isinstance(draft, Draft):
            state.drafts[name] = draft
        elif isinstance(draft, Outside):
            state.outside[name] = draft
        elif isinstance(draft, ComposedStage):
            state.composed[name] = draft
    return state, order


def _compile(text: PlanText) -> Compiled:
    state, order = _drafted(text)
    spec = state.spec
    stages: list[Stage] = []
    for name in order:
        if name in state.drafts and (stage := finish_stage(state, state.drafts[name])) is not None:
            state.stages[name] = stage
            stages.append(stage)
    for name in spec.stages:
        _check_unfinished(state, name)
    claims = compile_claims(state)
    findings = _each_once([*state.problems, *state.notes])
    findings = with_scales(findings, text.root, state.here)
    if any(f.severity is Severity.ERROR for f in findings):
        return Compiled(None, _each_once([*findings, *names_nowhere(state, claims)]))
    plan = Plan(
        name=spec.name,
        seed=spec.seed,
        modules=state.modules,
        sources=state.sources,
        stages=tuple(stages),
        outside=tuple(OutsideStage(n, state.outside[n].checkpoint) for n in state.outside),
        unknown=tuple(state.unknown.values()),
        composed=tuple(state.composed.values()),
        claims=claims,
        provenance=provenance_of(state, text.root),
        places=_places(spec.root),
        unused=unused_names(spec),
        allows=text.allows,
    )
    return Compiled(with_digests(plan), findings)


def _check_unfinished(state: State, name: str) -> None:
    """Say what else is wrong with a stage that was refused; never lose a stage in silence."""
    done = (state.stages, state.outside, state.unknown, state.composed)
    if any(name in found for found in done):
        return
    check_unfinished(state, name)
    if not any(problem.severity is Severity.ERROR for problem in state.problems):
        state.report(
            "not-compiled",
            f"stage `{name}` was refused and nobody said why",
            state.spec.stages[name].name.span,
            "this is a mistake of the compiler: please report it",
        )


def _places(root: Map) -> dict[str, Span]:
    """Return the place of every value: of one that covers several lines, its key's."""
    places: dict[str, Span] = {}
    for path, node in walk(root):
        if path:
            places.setdefault(path, node.span)
        if isinstance(node, Map):
            for key, value in node.entries:
                if value.span.line != value.span.end_line:
                    places[f"{path}.{key.text}" if path else key.text] = key.span
    return places


def _each_once(problems: Sequence[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Return each problem once, the worst first, in the order of places."""
    told = {problem.span for problem in problems if problem.rule == "unknown-key"}
    twice = [p.span for p in problems if p.rule == "duplicate-key" and p.span]
    unique: dict[object, Diagnostic] = {}
    for problem in problems:
        is_empty = problem.rule == "empty-value"
        # What is wrong with a mapping may come of the key in it that stands twice.
        follows = problem.span and any(map(problem.span.holds, twice))
        if not (follows or (is_empty and problem.span in told)):
            unique.setdefault((problem.rule, problem.span) if is_empty else problem, problem)
    return in_order(unique.values())
