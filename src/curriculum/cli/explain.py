"""`curriculum explain`: what a rule, or any code of a finding, means, with a plan that breaks it"""

import json
import shlex
from collections.abc import Iterator
from enum import StrEnum
from textwrap import indent, wrap
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curriculum.errors import CurriculumError, Diagnostic, nearest

if TYPE_CHECKING:
    from curriculum.check.explained import Explanation

EXAMPLE = "example.yaml"
WIDTH = 100
MOST_NEAR = 4  # rules that are named where a word is none
REFERENCE = "docs/reference.md"


class Format(StrEnum):
    """How it is told."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"


def command(
    rule: Annotated[
        str | None, typer.Argument(metavar="RULE", help="A rule, or any code of a finding.")
    ] = None,
    format: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TEXT,
) -> None:
    """Say what a rule means, why there is one, and how a plan that breaks it is mended.

    Without RULE: all rules, a line each.
    """
    from curriculum.check.explained import explanations

    known = explanations()
    if rule is not None and rule not in known:
        raise CurriculumError(f"there is no rule `{rule}`; {_way_out(rule, list(known))}")
    asked = list(known.values()) if rule is None else [known[rule]]
    if format is Format.MARKDOWN:
        from curriculum.cli.rulebook import rulebook

        print(rulebook(asked), end="")
    elif format is Format.JSON and rule is not None:
        print(json.dumps({"format": 1, **_json(known[rule])}, indent=2))
    elif format is Format.JSON:
        print(json.dumps({"format": 1, "rules": [_short_json(one) for one in asked]}, indent=2))
    else:
        print("\n".join(_listed(asked) if rule is None else _told(known[rule])))


def example_findings(explained: "Explanation") -> tuple[Diagnostic, ...]:
    """Return what is found under this code in its example, as `check` tells it; () without one."""
    from curriculum.check.advice import every_rule
    from curriculum.cli.load import judged
    from curriculum.compile import compile_text

    if explained.example is None:
        return ()
    compiled = compile_text(explained.example, EXAMPLE)
    if explained.kind == "code":
        return tuple(one for one in judged(compiled).findings if one.rule == explained.code)
    rule = next(rule for rule in every_rule() if rule.code == explained.code)
    return () if compiled.plan is None else tuple(rule.check(compiled.plan))


def example_text(explained: "Explanation") -> str:
    """Return the findings of the example as `check` prints them, without a line break at the end"""
    from curriculum.findings import text_of

    known = {EXAMPLE: explained.example or ""}
    return text_of(example_findings(explained), known=known).rstrip("\n")


def mended_lines(explained: "Explanation") -> list[str]:
    """Return the lines of the example that are written differently in the plan it was made from"""
    from difflib import ndiff

    broken, sound = (explained.example or "").splitlines(), (explained.sound or "").splitlines()
    return [line.rstrip() for line in ndiff(broken, sound) if line[0] in "-+"]


def mended_command(mend: tuple[str, ...]) -> str:
    """Write the command that checks the mended example."""
    edits = " ".join(f"--set {shlex.quote(edit)}" for edit in mend)
    return f"curriculum check {EXAMPLE} {edits}"


def _way_out(word: str, known: list[str]) -> str:
    """Say which rule was meant, or which there are about it, and where other words are told."""
    if near := nearest(word, known):
        return f"did you mean `{near[0]}`?"
    about = [f"`{code}`" for code in known if len(word) > 2 and word in code][:MOST_NEAR]
    there = f"there are {', '.join(about)}; " if about else ""
    return there + "`curriculum explain` lists all rules; words of a plan stand in " + REFERENCE


def _listed(known: "list[Explanation]") -> Iterator[str]:
    rules = [one for one in known if one.kind in ("rule", "advice")]
    width = max(len(one.code) for one in rules)
    worst = {one.code: " or ".join(one.severities) for one in rules}
    column = max(map(len, worst.values()))
    yield from (f"{o.code:<{width}}  {worst[o.code]:<{column}}  {o.sentence}" for o in rules)
    yield ""
    others = len(known) - len(rules)
    yield f"and {others} codes of what the compiler refuses and what `check` tests: explain CODE"


def _told(explained: "Explanation") -> Iterator[str]:
    kind = f"  {explained.severity}" if explained.severity else ""
    if explained.entry is not None and explained.entry.milder is not None:
        kind += f", or {explained.entry.milder}"
    yield f"{explained.code}{kind}"
    yield from wrap(explained.sentence, WIDTH, break_on_hyphens=False)
    if explained.page is not None:
        yield ""
        yield f"shown on the page docs/language/{explained.page}.md"
    if explained.kind == "property":
        yield ""
        yield "tested on every plan; where it fails, the program is wrong, not the plan"
    said = explained.entry
    if said is not None:
        parts = {"why": said.why, "seen": said.seen, "source": said.source, "when": said.domain}
        for head, text in parts.items():
            if text is not None:
                yield ""
                yield from wrap(
                    f"{head:<8}{text}", WIDTH, subsequent_indent=" " * 8, break_on_hyphens=False
                )
    if explained.example is None:
        return
    yield from ("", "a plan that breaks it:", "", indent(explained.example.rstrip("\n"), "    "))
    yield from ("", f"    $ curriculum check {EXAMPLE}", indent(example_text(explained), "    "))
    if said is not None:
        yield from ("", "and one that keeps it:", "", f"    $ {mended_command(said.mend)}")
    else:
        yield from ("", "and what keeps it:", "")
        yield from (f"    {line}" for line in mended_lines(explained))


def _short_json(explained: "Explanation") -> dict[str, Any]:
    return {
        "rule": explained.code,
        "kind": explained.kind,
        "severity": explained.severity and str(explained.severity),
        "milder": explained.entry and explained.entry.milder,
        "sentence": explained.sentence,
        "page": explained.page and f"docs/language/{explained.page}.md",
    }


def _json(explained: "Explanation") -> dict[str, Any]:
    from curriculum.findings import finding_json

    said = explained.entry
    return {
        **_short_json(explained),
        "why": said and said.why,
        "seen": said and said.seen,
        "source": said and said.source,
        "domain": said and said.domain,
        "example": explained.example,
        "findings": [finding_json(finding) for finding in example_findings(explained)],
        "mend": list(said.mend) if said is not None else [],
        "mended": explained.sound,
    }
