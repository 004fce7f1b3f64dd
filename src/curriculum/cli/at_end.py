"""What `at` says where there are no steps: of an outside checkpoint, of a stage that composes"""

from typing import Any

from curriculum.cli.graph_json import composed_json, outside_json
from curriculum.cli.rope_json import rope_words
from curriculum.composed import ComposedStage, Share
from curriculum.paths import path_tokens
from curriculum.plan import OutsideStage, Plan, Start
from curriculum.units import decimal_words

UNSAID = "not said"
TITLE = 16  # columns of what a line is about


def outside_at(outside: OutsideStage) -> dict[str, Any]:
    """Return what is declared of an outside checkpoint; null where nobody says."""
    said = outside_json(outside)
    return {
        "stage": said.pop("name"),
        "kind": "outside",
        "step": None,
        "is_end": True,
        "path_tokens": outside.checkpoint.tokens,
        **said,
        "path": outside.checkpoint.path,
        "stand_in": outside.checkpoint.stand_in,
    }


def outside_text(now: dict[str, Any]) -> str:
    """Write what `outside_at` returns; facts that nobody declares are named, not left out."""
    read = UNSAID if now["tokens"] is None else f"{now['tokens']:,} before this plan begins"
    seq_len = UNSAID if now["seq_len"] is None else f"{now['seq_len']:,} tokens"
    lines = [
        f"{now['stage']}, an outside checkpoint (over before this plan begins)",
        _line("gives", ", ".join(now["gives"])),
        _line("tokens seen", read),
        *_lines("learning rate", [f"{name} {lr:.6g}" for name, lr in now["lr"].items()]),
        *_lines("RoPE base", [f"{name} {rope_words(rope)}" for name, rope in now["rope"].items()]),
        _line("context", seq_len),
        _line("optimizer state", f"of {', '.join(now['state'])}" if now["state"] else "none"),
    ]
    if now["path"] is not None:
        lines.append(_line("weights in", f"{now['path']}, in the folder of the data"))
    if now["stand_in"]:
        lines.append(_line("weights", "none: fresh ones stand in for them, on purpose"))
    return "\n".join(lines)


def composed_at(plan: Plan, composed: ComposedStage) -> dict[str, Any]:
    """Return what a stage composes: of every module the parents, their marks and weights."""
    said = composed_json(composed, path_tokens(plan)[composed.name])
    averages = {
        module: [
            {**parent, **_left(plan, share)}
            for parent, share in zip(said["averages"][module], shares, strict=True)
        ]
        for module, shares in composed.averages.items()
    }
    return {
        "stage": said.pop("name"),
        "kind": "composed",
        "step": None,
        "is_end": True,
        "tokens_seen": {"stage": 0, "ancestors": plan.tokens_before(composed.name)},
        **said,
        "averages": averages,
    }


def composed_text(plan: Plan, composed: ComposedStage, now: dict[str, Any]) -> str:
    """Write what `composed_at` returns: a line for each parent of each module."""
    path = now["path_tokens"]
    on_path = "unknown" if path is None else f"{path:,}"
    seen = f"{now['tokens_seen']['ancestors']:,} in ancestors; {on_path} on its path"
    lines = [
        f"{composed.name}, composed of what others left (no steps, no optimizer state)",
        _line("tokens seen", seen),
    ]
    if composed.status != "main":
        lines.append(_line("status", composed.status))
    alike: dict[tuple[str, ...], list[str]] = {}
    for module, shares in composed.averages.items():
        words = _share_words(plan, shares, composed.among.get(module, ()))
        alike.setdefault(words, []).append(module)
    for words, modules in alike.items():
        title = ", ".join(modules)
        if len(title) > TITLE:
            lines.append(f"  {title}")
            title = ""
        lines += [_line(title if i == 0 else "", line) for i, line in enumerate(words)]
    return "\n".join(lines)


def _share_words(
    plan: Plan, shares: tuple[Share, ...], among: tuple[Start, ...]
) -> tuple[str, ...]:
    """Say what a module is made of, in lines, and among which candidates it was selected."""
    selected = [f"selected among {_point(plan, start)}" for start in among[:1]]
    selected += [f"               {_point(plan, start)}" for start in among[1:]]
    if len(shares) == 1:
        return (f"as {_point(plan, shares[0].start)} left it", *selected)
    weights = [decimal_words(share.weight) for share in shares]
    wide = max(len(weight) for weight in weights)
    parents = [
        f"{weight:>{wide}}  {_point(plan, share.start)}"
        for weight, share in zip(weights, shares, strict=True)
    ]
    return (f"average of {len(shares)}, by weight", *parents, *selected)


def _left(plan: Plan, share: Share) -> dict[str, Any]:
    """Return where a parent was left: whether at its end, and the tokens it had read by itself."""
    name = share.start.stage
    if name is None or not plan.has_stage(name):
        return {"is_end": True, "tokens": None}
    stage = plan.stage(name)
    step = share.start.step
    return {"is_end": step == stage.steps, "tokens": stage.batch.tokens_before(step)}


def _point(plan: Plan, start: Start) -> str:
    assert start.stage is not None
    if not plan.has_stage(start.stage):
        return f"{start.stage}@end"
    stage = plan.stage(start.stage)
    tokens = f"{stage.batch.tokens_before(start.step):,} tokens"
    if start.step == stage.steps:
        return f"{stage.name}@end (step {start.step:,}, {tokens})"
    return f"{stage.name}@step {start.step:,} (of {stage.steps:,}, {tokens})"


def _lines(title: str, words: list[str]) -> list[str]:
    return [_line(title, word) for word in words] or [_line(title, UNSAID)]


def _line(title: str, words: str) -> str:
    return f"  {title:<{TITLE}} {words}"
