"""What every code means that a finding can carry: rules, properties, and what the compiler refuses

A rule's sentence and severity stand in its code; `handbook/CODE.yaml` says why there is the rule,
with a plan that trips it. A rule whose breach no text can bring about (a check of the compiler
itself) has no example. Codes that are no rules have a sentence each in `codes.yaml`, and most of
them an example: what to change in a plan of `codes_plans.yaml` to bring them about.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

from curriculum.check.advice import ADVICE
from curriculum.check.proofs import PROVED
from curriculum.check.rules import RULES, Rule
from curriculum.check.step_properties import CHAIN, STEP
from curriculum.errors import Severity

HANDBOOK = Path(__file__).parent / "handbook"
CODES = Path(__file__).parent / "codes.yaml"
PLANS = Path(__file__).parent / "codes_plans.yaml"

Kind = Literal["rule", "advice", "property", "code"]


@dataclass(frozen=True, slots=True)
class Entry:
    """What the handbook says of a rule.

    `why` is what goes wrong where the rule is broken, `seen` where that was really done, `source`
    the paper or formula behind it, `domain` when it applies and what it cannot see. `milder` is the
    severity of its other findings, and where: "info up to 4 epochs". `trips` is a whole plan that
    breaks the rule, `mend` the `--set` edits after which it does not.
    """

    why: str
    source: str
    domain: str
    seen: str | None = None
    milder: str | None = None
    trips: str | None = None
    mend: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """A code, the sentence that holds where it is not found, and what else is known of it.

    `severity` is that of its worst finding, None where it depends. `page` is the page of
    docs/language that shows it. `breaks` are the changes of the plan `of` (old text, new text)
    that bring a code about which is no rule.
    """

    code: str
    kind: Kind
    sentence: str
    severity: Severity | None = None
    entry: Entry | None = None
    page: str | None = None
    of: str = "text"
    breaks: tuple[tuple[str, str], ...] = ()

    @property
    def example(self) -> str | None:
        """A whole plan in which the code is found; None without one."""
        if self.entry is not None:
            return self.entry.trips
        if (text := self.sound) is None:
            return None
        for old, new in self.breaks:
            text = text.replace(old, new, 1)
        return text

    @property
    def sound(self) -> str | None:
        """The plan of an example that is no rule's, before it was broken."""
        return _plans()[self.of] if self.breaks else None

    @property
    def severities(self) -> tuple[str, ...]:
        """Words of the severities of its findings, the worst first; () where that depends."""
        milder = self.entry and self.entry.milder
        words = (str(self.severity),) if self.severity else ()
        return (*words, milder.split()[0]) if milder else words


def handbook() -> tuple[str, ...]:
    """Return the codes of all rules that the handbook has a file for, in order."""
    return tuple(sorted(path.stem for path in HANDBOOK.glob("*.yaml")))


def entry(code: str) -> Entry:
    """Return what the handbook says of a rule; raises KeyError where it has no file for it.

    >>> entry("rates-are-not-negative").source
    'arithmetic'
    """
    path = HANDBOOK / f"{code}.yaml"
    if not path.is_file():
        raise KeyError(code)
    said: dict[str, Any] = _read(path)
    mend = tuple(said.pop("mend", ()))
    return Entry(**said, mend=mend)


@cache
def explanations() -> Mapping[str, Explanation]:
    """Return what every code means: rules in their order, advice, properties, then the others.

    >>> explanations()["siblings-sum"].sentence
    'The shares of siblings sum to 1, exactly.'
    """
    rules = [*(_of_rule(rule, "rule") for rule in RULES), *(_of_rule(r, "advice") for r in ADVICE)]
    properties = [
        Explanation(prop.__name__.replace("_", "-"), "property", _sentence(prop), Severity.ERROR)
        for prop in (*PROVED, *STEP, *CHAIN)
    ]
    others = [
        Explanation(
            code,
            "code",
            said["says"],
            page=said.get("page"),
            of=said.get("in", "text"),
            breaks=tuple(said.get("breaks", {}).items()),
        )
        for code, said in _read(CODES).items()
    ]
    return {one.code: one for one in (*rules, *properties, *others)}


def _of_rule(rule: Rule, kind: Kind) -> Explanation:
    return Explanation(rule.code, kind, rule.sentence, rule.severity, entry(rule.code))


def _sentence(prop: Any) -> str:
    assert prop.__doc__
    return " ".join(prop.__doc__.split("\n\n")[0].split())


@cache
def _plans() -> Mapping[str, str]:
    return _read(PLANS)


def _read(path: Path) -> dict[str, Any]:
    said: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return said
