"""Claims of `require`: read for their grammar; `check/` proves them

What a name of a claim means only the compiled plan knows. Where there is none, as something else is
wrong with it, names that stand nowhere in its text are told beside the other errors.
"""

import re
from collections.abc import Iterator

from curriculum.claims import AMOUNTS, Path, paths_of
from curriculum.claims_text import parse_claim
from curriculum.compile_state import State
from curriculum.errors import ClaimProblem, Diagnostic, Severity, did_you_mean
from curriculum.nodes import Map, Scalar, walk
from curriculum.plan import Claim
from curriculum.spec import ClaimSpec

_WORD = re.compile(r"[A-Za-z0-9_-]+")
_TEXT_LOST = ("dotted-key", "duplicate-key", "replaces-all")  # what was meant there is not known
_OF_MODULES = ("lr", "rope", "optimizer", "set")
_OF_MIXTURES = {
    "mix": "no node, tag, source or modality is called",
    "epochs": "no source, tag or modality is called",
}


def compile_claims(state: State) -> tuple[Claim, ...]:
    """Return the claims that can be read; a proxy is not held to the amounts of the plan below."""
    return tuple(
        Claim(spec.text, spec.because, spec.span)
        for spec in state.spec.claims
        if _is_one(state, spec)
    )


def _is_one(state: State, spec: ClaimSpec) -> bool:
    try:
        relations = parse_claim(spec.text)
    except ClaimProblem as problem:
        place = spec.span.part(spec.text, problem.start, problem.end)
        state.report("claim-syntax", str(problem), place, problem.help)
        return False
    if not spec.is_scaled:
        return True
    amounts = {p.text for r in relations for p in paths_of(r) if p.names[0] in AMOUNTS}
    if amounts:
        state.problems.append(
            Diagnostic(
                "claim-of-a-proxy",
                f"`{spec.text}` speaks of amounts ({', '.join(sorted(amounts))}), which `scale` "
                "changes: it is not asked of this proxy",
                spec.span,
                "say in the overlay what the proxy requires",
                Severity.INFO,
            )
        )
    return not amounts


def names_nowhere(state: State, claims: tuple[Claim, ...]) -> Iterator[Diagnostic]:
    """Tell of names in claims that no key and no word of the plan is: they can mean nothing.

    Stages and modules must be keys of their sections. For a plan that is refused anyway: of one
    that compiles, `claims_hold` tells what every name means.
    """
    if any(problem.rule in _TEXT_LOST for problem in state.problems):
        return
    root = state.spec.root
    stages, modules = (_keys(root, section) for section in ("stages", "modules"))
    words = _words(root)
    for claim in claims:
        told: set[tuple[int, int]] = set()
        for path in (p for r in parse_claim(claim.text) for p in paths_of(r)):
            for what, known, name, place in _unknown(path, stages, modules, words):
                if claim.place is not None and place not in told:
                    told.add(place)
                    span = claim.place.part(claim.text, *place)
                    message = f"{what}, in the claim `{claim.text}`"
                    help = did_you_mean(name, sorted(known))
                    yield Diagnostic("claim-path", message, span, help)


def _unknown(
    path: Path, stages: set[str], modules: set[str], words: set[str]
) -> Iterator[tuple[str, set[str], str, tuple[int, int]]]:
    """Yield what cannot be there, what could, the name as it is written, and its place."""
    point, head = path.point, path.names[0]
    if point is not None and stages and point.stage not in stages:
        yield f"there is no stage `{point.stage}`", stages, point.stage, point.place
    if head in _OF_MODULES and modules:
        module = path.names[1].partition("/")[0]
        if module not in modules:
            yield f"no stage {_lacks(head, module, path.text)}", modules, module, path.place
    elif head in _OF_MIXTURES and not words.issuperset(_WORD.findall(path.names[-1])):
        name = path.names[-1]
        yield f"{_OF_MIXTURES[head]} `{name}`", words, name, path.place


def _lacks(head: str, module: str, path: str) -> str:
    match head:
        case "rope":
            return f"gives `{module}` a RoPE"
        case "optimizer":
            return f"trains `{module}` with an optimizer"
        case _:
            return f"has a value `{path}`"


def _keys(root: Map, section: str) -> set[str]:
    node = root.get(section)
    return {key.text for key, _ in node.entries} if isinstance(node, Map) else set()


def _words(root: Map) -> set[str]:
    """Return every word of the plan, of keys and of values, but for those of the claims."""
    found: set[str] = set()
    for path, node in walk(root):
        if path.startswith("require"):
            continue
        if isinstance(node, Map):
            for key, _ in node.entries:
                found.update(_WORD.findall(key.text))
        elif isinstance(node, Scalar):
            found.update(_WORD.findall(node.text))
    return found
