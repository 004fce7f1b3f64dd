"""What a run says where a stage with a gate ends: people decide, the trainer does not"""

from curriculum.plan import Plan, Stage


def gate_line(plan: Plan, stage: Stage) -> str | None:
    """Return the gate of a stage with what waits for it; None where it has none."""
    if stage.gate is None:
        return None
    waiting = [f"`{other.name}`" for other in plan.all_stages if stage.name in other.parents]
    begin = "begins" if len(waiting) == 1 else "begin"
    before = f"decide before {' and '.join(waiting)} {begin}" if waiting else "decide what is next"
    return (
        f"gate of stage `{stage.name}`: {stage.gate.words}; {before} "
        f"(--stop-at {stage.name}@end stops there)"
    )
