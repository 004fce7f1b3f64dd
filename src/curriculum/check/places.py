"""Places in a plan's text that findings point at beside their own"""

from curriculum.errors import Related, Span
from curriculum.plan import Plan, Stage


def related_place(plan: Plan, message: str, path: str) -> tuple[Related, ...]:
    """Return a second place to speak of; none where the plan has no text."""
    span = plan.place(path)
    return (Related(message, span),) if span else ()


def mixture_place(plan: Plan, stage: Stage, source: str) -> Span | None:
    """Return the place of a source in its stage's mixture, else of what is around it."""
    above = f"stages.{stage.name}.mixture"
    named = [p for p in plan.places if p.startswith(f"{above}.") and p.endswith(f".{source}")]
    return plan.place(named[0] if named else above)
