"""The page of all rules, docs/rules.md: made from what `curriculum explain` tells"""

from collections.abc import Iterator, Sequence
from textwrap import wrap

from curriculum.check.explained import Explanation
from curriculum.cli.explain import EXAMPLE, example_findings, example_text, mended_command

WIDTH = 120

_HEAD = (
    "`curriculum check` holds a plan to these, and `curriculum explain RULE` tells each. "
    "`curriculum plan` and `train` hold it to them too, but for the advice. This page is made by "
    "`make docs` from what `explain` reads."
)
_PROPERTIES = (
    "Proved of every step over the pieces of the compiled plan where that can be done (steps, "
    "marks, shares), tested at many steps where it cannot. Where one fails, the program is wrong, "
    "not the plan."
)
_CODES = (
    "What the compiler, the claims and the audit of a run refuse. The sentence says what holds "
    "where they are silent; `curriculum explain CODE` has a plan that breaks it where one file can."
)


def rulebook(known: Sequence[Explanation]) -> str:
    """Write the page of these codes."""
    return "\n".join([*_page(known), ""])


def _page(known: Sequence[Explanation]) -> Iterator[str]:
    rules = [one for one in known if one.entry is not None]
    yield from ("# Rules", "", *_lines(_HEAD), "")
    if rules:
        yield from ("| rule | severity | what holds |", "| --- | --- | --- |")
        for one in rules:
            yield f"| [`{one.code}`](#{one.code}) | {_severity(one)} | {one.sentence} |"
        yield ""
    for one in rules:
        yield from _section(one)
    properties = [one for one in known if one.kind == "property"]
    if properties:
        yield from ("## Properties", "", *_lines(_PROPERTIES), "")
        yield from ("| property | what holds |", "| --- | --- |")
        yield from (f"| `{one.code}` | {one.sentence} |" for one in properties)
    others = [one for one in known if one.kind == "code"]
    if others:
        yield from ("", "## All other codes", "", *_lines(_CODES), "")
        yield from (
            "| code | what holds | told, for example | shown |",
            "| --- | --- | --- | --- |",
        )
        for one in others:
            page = f"[{one.page}](language/{one.page}.md)" if one.page else ""
            yield f"| `{one.code}` | {one.sentence} | {_told(one)} | {page} |"


def _told(one: Explanation) -> str:
    """Say what is found in the example of a code, in a cell of a table."""
    found = example_findings(one)
    if not found:
        return ""
    words = f"{found[0].message}; {found[0].help}" if found[0].help else found[0].message
    return words.replace("|", "\\|")


def _lines(text: str) -> list[str]:
    return wrap(text, WIDTH, break_on_hyphens=False)


def _severity(one: Explanation) -> str:
    return "advice" if one.kind == "advice" else " or ".join(one.severities)


def _section(one: Explanation) -> Iterator[str]:
    said = one.entry
    assert said is not None
    yield from (f"## {one.code}", "")
    seen = "" if said.seen is None else f"*Seen:* {said.seen}"
    milder = "" if said.milder is None else f"*Severity:* {one.severity}, or {said.milder}."
    facts = (f"*Source:* {said.source}", f"*When:* {said.domain}", milder)
    texts = (one.sentence, said.why, seen, *facts)
    for text in filter(None, texts):
        yield from (*_lines(text), "")
    if said.trips is not None:
        yield from ("```yaml", said.trips.rstrip("\n"), "```", "")
        yield from ("```console", f"$ curriculum check {EXAMPLE}", example_text(one), "```", "")
        yield f"It is silent after `{mended_command(said.mend).removeprefix('curriculum ')}`."
        yield ""
