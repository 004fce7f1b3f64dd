"""Claims of `require`: read for their grammar; `check/` proves them"""

from curriculum.claims import AMOUNTS, paths_of
from curriculum.claims_text import parse_claim
from curriculum.compile_state import State
from curriculum.errors import ClaimProblem, Diagnostic, Severity
from curriculum.plan import Claim
from curriculum.spec import ClaimSpec


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
