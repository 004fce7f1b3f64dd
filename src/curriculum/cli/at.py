"""`curriculum at`: everything the plan says of one step"""

import json
import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer

from curriculum.cli.at_end import composed_at, composed_text, outside_at, outside_text
from curriculum.cli.at_point import point_of
from curriculum.cli.load import load_compiled
from curriculum.cli.modules import module_lines, modules_json
from curriculum.cli.options import File, Format, FormatOption, Set
from curriculum.cli.rope_json import rope_values, rope_words
from curriculum.composed import ComposedStage
from curriculum.errors import FindingsError
from curriculum.findings import finding_json, text_of
from curriculum.paths import path_tokens_before
from curriculum.plan import OutsideStage, Plan, Stage

Point = Annotated[
    str,
    typer.Argument(metavar="STAGE@MARK", help="joint@0.7T, joint@step 100, joint@50%, joint@end"),
]


def command(file: File, point: Point, set_: Set = None, format: FormatOption = Format.TEXT) -> None:
    """Print everything the plan says of one step.

    A mark is the first step that starts at or after it; `@end` is the boundary after the last step:
    what a stage that continues from there starts with. Of an outside checkpoint and of a stage that
    only composes there is the end alone: what is known of the one, what the other is made of. Of a
    plan with errors too, which are told behind it: exit 1.
    """
    plan, compiled = load_compiled(file, set_)
    match point_of(plan, point):
        case OutsideStage() as outside:
            now = outside_at(outside)
            text = outside_text(now)
        case ComposedStage() as composed:
            now = composed_at(plan, composed)
            text = composed_text(plan, composed, now)
        case stage, step:
            now = values_at(plan, stage, step)
            text = _text(stage, now)
    if format is Format.JSON:
        found = [finding_json(finding) for finding in compiled.findings]
        print(json.dumps({"format": 1, **now, "findings": found}, indent=2))
    else:
        print(text, flush=True)
        if compiled.errors:
            print(text_of(compiled.errors), file=sys.stderr)
    if compiled.errors:
        raise typer.Exit(FindingsError.exit_code)


def values_at(plan: Plan, stage: Stage, step: int) -> dict[str, Any]:
    """Return the answer of `at` as plain values."""
    now = stage.at(step)
    path = path_tokens_before(plan, stage.name)
    ratios = dict.fromkeys(plan.sources, 0.0) | now.ratios
    return {
        "stage": stage.name,
        "kind": "trained",
        "step": step,
        "is_end": step == stage.steps,
        "tokens_seen": {"stage": now.tokens, "ancestors": plan.tokens_before(stage.name)},
        "path_tokens": None if path is None else path + now.tokens,
        "first_sequence": now.first_sequence,
        "lr": now.lr,
        "batch_seqs": now.batch_seqs,
        "seq_len": now.seq_len,
        "tokens_per_step": now.tokens_per_step,
        "rope": {name: rope_values(rope) for name, rope in now.rope.items()},
        "target_seq_len": stage.target_seq_len,
        "shares": now.shares,
        "ratios": dict(sorted(ratios.items())),
        "loss": now.loss,
        "loss_rules": {term: asdict(rule) for term, rule in stage.loss_rules.items()},
        "set": now.settings,
        "optimizer": {
            target: {"kind": stage.optimizer[target].kind, **values}
            for target, values in now.optimizer.items()
        },
        "train": list(stage.train),
        "layout": _layout_at(stage, now.batch_seqs),
        "gate": gate_values(stage),
        "packing": stage.packing,
        **modules_json(plan, stage),
    }


def gate_values(stage: Stage) -> dict[str, Any] | None:
    """Return what a stage's end waits for, its bounds by unit; None where it waits for nothing."""
    gate = stage.gate
    if gate is None:
        return None
    bounds = {"least": gate.least, "most": gate.most}
    said = {name: b and {b.unit: int(b.value)} for name, b in bounds.items()}
    return {"when": gate.when, **said}


def _layout_at(stage: Stage, batch_seqs: int) -> dict[str, int] | None:
    """Return the ranks, and how many micro-batches each of them takes in this step."""
    layout = stage.layout
    if layout is None:
        return None
    return asdict(layout) | {"accumulation": batch_seqs // layout.unit_seqs, "ranks": layout.ranks}


def _idle(stage: Stage, now: dict[str, Any]) -> tuple[str, ...]:
    """Return the pieces of the mixture that do not run in this step: the text leaves them out."""
    pieces = (root.name for root in stage.mixture.roots if root.is_piece)
    return tuple(name for name in pieces if not now["shares"][name])


def _text(stage: Stage, now: dict[str, Any]) -> str:
    idle = _idle(stage, now)
    boundary = " (the boundary after its last step)" if now["is_end"] else ""
    lines = [f"{now['stage']} step {now['step']:,}{boundary}"]
    seen = now["tokens_seen"]
    differs = now["path_tokens"] not in (None, seen["stage"] + seen["ancestors"])
    path = f"; {now['path_tokens']:,} on its path" if differs else ""
    lines.append(
        f"  tokens seen      {seen['stage']:,} here, {seen['ancestors']:,} in ancestors{path}"
    )
    lines.append(
        f"  batch            {now['batch_seqs']:,} sequences of {now['seq_len']:,}, "
        f"{now['tokens_per_step']:,} tokens a step; first sequence {now['first_sequence']:,}"
    )
    lines.append(f"  trains           {', '.join(now['train'])}")
    if (layout := now["layout"]) is not None:
        words = ", ".join(f"{key} {layout[key]}" for key in ("dp", "micro", "accumulation"))
        lines.append(f"  layout           {words}; {layout['ranks']:,} ranks")
    if stage.gate is not None:
        lines.append(f"  gate             {stage.gate.words}")
    for key, title in (("lr", "learning rate"), ("loss", "loss"), ("set", "set")):
        for name, value in now[key].items():
            lines.append(f"  {title:<16} {name} {'unknown' if value is None else f'{value:.6g}'}")
    for term, rule in now["loss_rules"].items():
        lines.append(f"  {'loss':<16} {term} on {rule['over']}, reduce {rule['reduce']}")
    lines += module_lines(now)
    for module, rope in now["rope"].items():
        lines.append(f"  {'RoPE base':<16} {module} {rope_words(rope)}")
    if now["target_seq_len"] is not None:
        lines.append(f"  prepares for     {now['target_seq_len']:,} tokens")
    for path, share in now["shares"].items():
        if path.partition("/")[0] in idle:
            continue
        depth = path.count("/")
        lines.append(f"  {'mixture':<16} {'  ' * depth}{path.rpartition('/')[2]} {share:.6g}")
    for target, rule in now["optimizer"].items():
        said = {k: v for k, v in rule.items() if k != "kind" and v is not None}
        values = ", ".join(
            f"{k} {v:.6g}" if isinstance(v, float) else f"{k} {v}" for k, v in said.items()
        )
        lines.append(f"  {'optimizer':<16} {target} {rule['kind']}: {values}")
    return "\n".join(lines)
