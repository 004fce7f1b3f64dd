"""What the head of a picture says: the plan in one line, and what the bands alone do not tell"""

from collections.abc import Sequence
from textwrap import wrap

from curriculum.plan import Plan
from curriculum.screen_lines import composed_lines
from curriculum.simulate.bands import Band, side_by_side
from curriculum.units import rounded_in_words

WIDTH, LINES = 200, 4  # characters and lines of the notes


def title_of(plan: Plan) -> str:
    """Name the plan, and say how much it reads in how many stages and steps."""
    tokens = rounded_in_words(sum(stage.tokens for stage in plan.stages))
    steps = sum(stage.steps for stage in plan.stages)
    stages = "1 stage" if len(plan.stages) == 1 else f"{len(plan.stages)} stages"
    return f"{plan.name}: {tokens} tokens, {stages}, {steps:,} steps"


def notes_of(plan: Plan, axis: Sequence[Band], has_lr: bool) -> list[str]:
    """Return the lines below the title."""
    notes = [*_order(plan, axis)]
    if plan.outside:
        notes.append("outside checkpoints: " + ", ".join(o.name for o in plan.outside))
    if plan.composed:
        words = [f"{c.name} ({'; '.join(composed_lines(plan, c))})" for c in plan.composed]
        notes.append("composed, without steps: " + ", ".join(words))
    if any(stage.gate is not None for stage in plan.stages):
        notes.append("a diamond: the stage goes on until a check is met (gate)")
    if not has_lr:
        notes.append("no learning rate is known")
    if plan.unknown:
        notes.append("unknown and not drawn: " + ", ".join(s.name for s in plan.unknown))
    text = "; ".join(notes) or "each stage starts where the one before it ended"
    return wrap(text, WIDTH, max_lines=LINES, placeholder=" ...", break_on_hyphens=False)


def _order(plan: Plan, axis: Sequence[Band]) -> list[str]:
    """Say that the bands are not one path, where they are not."""
    pairs = side_by_side(plan)
    follows = all(band.follows for band in axis)
    found: list[str] = []
    if len(pairs) > 2:
        beside = len({name for pair in pairs for name in pair})
        found.append(
            f"not one path: {beside} stages run beside others, and are drawn one after the other, "
            "as in the plan"
        )
    elif pairs:
        who = "; ".join(f"{one} and {other}" for one, other in pairs)
        found.append(f"{who} run side by side: drawn one after the other, as in the plan")
    elif not follows:
        found.append("drawn one after the other, as in the plan")
    if not follows:
        found.append("`from` in a band: it does not go on where the band before it ends")
    return found
