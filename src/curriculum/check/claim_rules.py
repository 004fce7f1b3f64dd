"""The claims of `require`, proved on every step that they speak of"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple, assert_never

from curriculum.check import forms
from curriculum.check.claim_numbers import Numbers
from curriculum.check.claim_points import require_stage, run_of
from curriculum.check.claim_values import (
    Run,
    Shares,
    Unknown,
    Values,
    breaks,
    form_on,
    stages_with,
    values_of,
)
from curriculum.check.claim_words import number_in_words, sides_in_words
from curriculum.check.comparing import DividesByZero, Undecided, first_failure
from curriculum.check.forms import Atoms, Form
from curriculum.check.places import related_place
from curriculum.claims import Constant, Operation, Path, Point, Relation, Value, paths_of
from curriculum.claims_text import parse_claim
from curriculum.errors import ClaimProblem, Diagnostic, Severity, Span
from curriculum.plan import Claim, Plan, Stage

RULE = "claims-hold"


def claims_hold(plan: Plan) -> Iterator[Diagnostic]:
    """Every claim of `require` holds at every step of every stage that it speaks of."""
    for claim in plan.claims:
        yield from _broken(plan, claim)


def _broken(plan: Plan, claim: Claim) -> Iterator[Diagnostic]:
    try:
        relations = parse_claim(claim.text)
    except ClaimProblem as problem:  # of a lock: the compiler has read those of a plan
        yield _refused(claim, "claim-syntax", problem)
        return
    for relation in relations:
        try:
            found = _Question.of(plan, claim, relation).answer()
        except ClaimProblem as problem:
            found = _refused(claim, "claim-path", problem)
            if plan.unknown:  # there it may be
                names = ", ".join(f"`{stage.name}`" for stage in plan.unknown)
                what = f"{found.message}, and stages are unknown ({names})"
                found = replace(found, message=what, severity=Severity.INFO)
        if found is not None:
            yield found


def _refused(claim: Claim, rule: str, problem: ClaimProblem) -> Diagnostic:
    place = _place(claim, problem.start, problem.end)
    return Diagnostic(rule, f"{problem}, in the claim `{claim.text}`", place, problem.help)


def _place(claim: Claim, start: int, end: int) -> Span | None:
    return claim.place.part(claim.text, start, end) if claim.place else None


def _require_value(plan: Plan, path: Path, values: Values, stage: str) -> None:
    """Refuse a value of a stage that has no such; a share that is not there is 0."""
    stages = None if isinstance(values, Shares) else stages_with(plan, values)
    if stages is not None and stage not in stages and plan.has_stage(stage):
        there = ", ".join(sorted(stages))
        what = f"stage `{stage}` has no `{path.text}`"
        raise ClaimProblem(what, *path.place, f"it is a value of: {there}")


class _Question(NamedTuple):
    """One relation of a claim, and what its paths mean in the plan."""

    plan: Plan
    claim: Claim
    relation: Relation
    values: Mapping[Path, Values]

    @staticmethod
    def of(plan: Plan, claim: Claim, relation: Relation) -> "_Question":
        paths = paths_of(relation)
        if not paths:
            raise ClaimProblem(
                "this says nothing of the plan", *relation.place, "name a value: mix.web"
            )
        for path in paths:
            if path.point is not None:
                require_stage(plan, path.point)
        whole = {p.point.stage for p in paths if p.point is not None and p.point.is_whole}
        values = {
            path: values_of(plan, path, {path.point.stage} if path.point else whole)
            for path in paths
        }
        for path, found in values.items():
            if path.point is not None and not path.point.is_whole:
                _require_value(plan, path, found, path.point.stage)
        return _Question(plan, claim, relation, values)

    def answer(self) -> Diagnostic | None:
        """Return what is wrong with the claim, or cannot be decided; None where it holds."""
        unknown: list[str] = [
            f"stage `{p.point.stage}`" for p in self.values if p.point and self._is_unknown(p.point)
        ]
        for run in () if unknown else self._runs():
            try:
                found = self._fails_on(run)
            except Unknown as error:
                unknown.append(str(error))
                continue
            if found is not None:
                return found
        if self._asks_all() and self.plan.unknown:
            unknown += [f"stage `{stage.name}`" for stage in self.plan.unknown]
        if unknown:
            missing = ", ".join(dict.fromkeys(unknown))
            verb = "are" if len(set(unknown)) > 1 else "is"
            what = f"`{self._text}` cannot be decided: {missing} {verb} unknown"
            return self._finding("claim-undecided", what, severity=Severity.INFO)
        return None

    # Where it must hold

    def _varying(self) -> dict[Path, frozenset[str]]:
        """Return the paths that are asked at every step, with the stages that have them."""
        return {
            path: stages
            for path, values in self.values.items()
            if (stages := stages_with(self.plan, values)) is not None
            and (path.point is None or path.point.is_whole)
        }

    def _asks_all(self) -> bool:
        return not self.plan.stages or any(path.point is None for path in self._varying())

    def _runs(self) -> Iterator[Run]:
        """Go through the runs of steps on which every side has one form."""
        varying = self._varying()
        if not varying:
            yield from (Run(stage, 0, 1) for stage in self.plan.stages[:1])
            return
        stages = [stage for stage in self.plan.stages if self._is_asked(stage, varying)]
        if not stages and not self.plan.unknown:
            names = " and ".join(f"`{path.text}`" for path in varying)
            what = f"no stage has {names}{' together' if len(varying) > 1 else ''}"
            raise ClaimProblem(what, *self.relation.place, "pin one to a mark: STAGE@end:lr.llm")
        for stage in stages:
            cuts = {0, stage.steps}.union(*(breaks(self.values[path], stage) for path in varying))
            for first, end in pairwise(sorted(c for c in cuts if 0 <= c <= stage.steps)):
                yield Run(stage, first, end)

    def _is_asked(self, stage: Stage, varying: Mapping[Path, frozenset[str]]) -> bool:
        """Say whether a stage has every value; a share that is not there is 0 beside another."""
        shares = [path for path in varying if isinstance(self.values[path], Shares)]
        for path, stages in varying.items():
            if path.point is not None and path.point.stage != stage.name:
                return False
            if path not in shares and stage.name not in stages:
                if path.point is not None:
                    _require_value(self.plan, path, self.values[path], stage.name)
                return False
        named = any(path.point is not None for path in varying)
        return not shares or named or any(stage.name in varying[path] for path in shares)

    def _is_unknown(self, point: Point) -> bool:
        return any(stage.name == point.stage for stage in self.plan.unknown)

    # Whether it holds

    def _fails_on(self, run: Run) -> Diagnostic | None:
        atoms = Atoms([])
        left = self._form(self.relation.left, run, atoms)
        right = self._form(self.relation.right, run, atoms)
        try:
            step = first_failure(atoms.found, left, self.relation.order, right, run.steps)
        except DividesByZero as error:
            where = self._where(run, error.step)
            what = f"`{self._text}` divides by 0{where}"
            return self._finding("claim-undecided", what, "multiply instead")
        except Undecided:
            what = f"`{self._text}` takes too long to decide in stage `{run.stage.name}`"
            help = "compare with something further away, or at a mark: STAGE@MARK: ..."
            return self._finding("claim-undecided", what, help, severity=Severity.WARNING)
        if step is None:
            return None
        sides = sides_in_words(self.relation, atoms.value(left, step), atoms.value(right, step))
        false = f"{sides[0]} {self.relation.order} {sides[1]} is false"
        read = self._read_in_words(run)
        what = f"`{self._text}` does not hold{self._where(run, step)}: {false}"
        if read is not None:
            what = f"`{self._text}` does not hold: {read}, and {false}"
        because = f"it must hold because {self.claim.because}" if self.claim.because else None
        stage = run.stage.name if self._varying() else None
        return self._finding(RULE, what, because, stage=stage)

    def _form(self, value: Value, run: Run, atoms: Atoms) -> Form:
        match value:
            case Constant():
                return forms.constant(value.value)
            case Path(point=point) if point is not None and not point.is_whole:
                return form_on(self.values[value], run_of(self.plan, point), atoms)
            case Path():
                return form_on(self.values[value], run, atoms)
            case Operation(sign=sign):
                left, right = (
                    self._form(value.left, run, atoms),
                    self._form(value.right, run, atoms),
                )
                match sign:
                    case "+":
                        return forms.added(left, right)
                    case "-":
                        return forms.added(left, right, -1)
                    case "*":
                        return forms.multiplied(left, right)
                    case "/":
                        return forms.divided(left, right)
                    case _:
                        assert_never(sign)
            case _:
                assert_never(value)

    # Words

    @property
    def _text(self) -> str:
        return self.claim.text[slice(*self.relation.place)]

    def _read_in_words(self, run: Run) -> str | None:
        """Say what amounts come to by the end of a stage; None where steps have values too."""
        found = {path: self.values[path] for path in self._varying()}
        if not all(isinstance(values, Numbers) for values in found.values()):
            return None
        words = {
            path.text: number_in_words(values.by_stage[run.stage.name], path)
            for path, values in found.items()
            if isinstance(values, Numbers) and values.by_end
        }
        if not words:
            return None
        said = " and ".join(f"`{name}` is {word}" for name, word in words.items())
        return f"{said} by the end of stage `{run.stage.name}`"

    def _where(self, run: Run, step: int) -> str:
        varying = self._varying()
        if varying and all(isinstance(self.values[path], Numbers) for path in varying):
            return f" in stage `{run.stage.name}`"
        if not varying:
            marked = [p.point for p in self.values if p.point and not p.point.is_whole]
            places = {self.claim.text[slice(*point.place)] for point in marked}
            return f" at `{places.pop()}`" if len(places) == 1 else ""
        return f" at step {run.first + step:,} of stage `{run.stage.name}`"

    def _finding(
        self,
        rule: str,
        what: str,
        help: str | None = None,
        severity: Severity = Severity.ERROR,
        stage: str | None = None,
    ) -> Diagnostic:
        related = related_place(self.plan, "the stage", f"stages.{stage}") if stage else ()
        place = _place(self.claim, *self.relation.place)
        return Diagnostic(rule, what, place, help, severity, related)
