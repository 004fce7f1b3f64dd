"""`curriculum plan`: compile, check, and print one screen; write and compare locks"""

import json
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from curriculum.cli.at import rope_values
from curriculum.cli.graph_json import composed_json, fate_json, outside_json, totals_json
from curriculum.cli.load import load
from curriculum.cli.modules import modules_json
from curriculum.cli.options import Format, FormatOption, Set
from curriculum.compile import Compiled
from curriculum.cost import stage_flops, without_attention
from curriculum.errors import CurriculumError, FindingsError
from curriculum.findings import finding_json, text_of
from curriculum.lock import read_lock, write_lock
from curriculum.objective import LossRule
from curriculum.paths import path_tokens
from curriculum.plan import Plan, Stage
from curriculum.screen import Figures, screen, stage_figures
from curriculum.simulate.output import write_whole

Out = Annotated[Path | None, typer.Option("-o", metavar="LOCK", help="Write the lock here.")]
Against = Annotated[
    Path | None,
    typer.Option("--against", metavar="LOCK", help="Exit 1 if the plan differs from this lock."),
]
Locked = Annotated[
    bool,
    typer.Option("--locked", help="Exit 1 if the lock beside the plan (FILE.lock.json) differs."),
]


def command(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Plans, or locks.")],
    out: Out = None,
    against: Against = None,
    locked: Locked = False,
    set_: Set = None,
    format: FormatOption = Format.TEXT,
) -> None:
    """Compile and check plans, and print each on one screen."""
    if len(files) > 1 and (out is not None or against is not None):
        raise CurriculumError("-o and --against belong to one plan; name one FILE with them")
    if out is not None:
        _require_lock_name(out)
    documents, failures, is_good = [], [], True
    for number, file in enumerate(files):
        try:
            compiled = load(file, set_)
            changed = _changes(compiled, file.with_suffix(".lock.json") if locked else against)
        except FindingsError as error:
            compiled, changed = Compiled(None, error.diagnostics), []
        except CurriculumError as error:
            if len(files) == 1:
                raise
            failures.append(str(error))
            continue
        plan = compiled.plan
        if out is not None and plan is not None and not compiled.errors:
            write_whole(out, partial(_write, text=write_lock(plan)))
        if format is Format.JSON:
            documents.append({"file": str(file), **_json(compiled, changed)})
        else:
            _print(compiled, changed, is_first=number == 0)
        is_good = is_good and plan is not None and not compiled.errors and not changed
    if format is Format.JSON:
        print(json.dumps(documents[0] if len(files) == 1 else _together(documents), indent=2))
    for failure in failures:
        print(f"curriculum: {failure}", file=sys.stderr)
    if failures or not is_good:
        raise typer.Exit(CurriculumError.exit_code if failures else FindingsError.exit_code)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _print(compiled: Compiled, changed: list[str], is_first: bool) -> None:
    if compiled.plan is not None and not compiled.errors:
        print(("" if is_first else "\n") + screen(compiled.plan), flush=True)
    if compiled.findings:
        print(text_of(compiled.findings), file=sys.stderr)
    for line in changed:
        print(line, file=sys.stderr)


def _together(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """Put the documents of several plans into one, with all their findings as its own."""
    findings = [finding for document in documents for finding in document["findings"]]
    return {"format": 1, "plans": documents, "findings": findings}


def _changes(compiled: Compiled, lock: Path | None) -> list[str]:
    if lock is None or compiled.plan is None or compiled.errors:
        return []
    return _changed(compiled.plan, lock)


def _require_lock_name(path: Path) -> None:
    """Refuse to write a lock where it would not be read as one, or over what is none."""
    if path.suffix != ".json":
        raise CurriculumError(f"{path}: a lock is a .json file; write -o {path.stem}.lock.json")
    if not path.is_file():
        return
    try:
        is_lock = '"digest"' in path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        is_lock = False
    if not is_lock:
        raise CurriculumError(f"{path}: is there and is no lock; move it away, or name another")


def _changed(plan: Plan, path: Path) -> list[str]:
    """Say what differs from a lock, by stage."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CurriculumError(
            f"{path}: no such lock; write it: curriculum plan FILE -o {path}"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text in UTF-8"
        raise CurriculumError(f"{path}: cannot be read: {reason}") from None
    old = read_lock(text, str(path))
    if old.digest == plan.digest:
        return []
    known = {stage.name: stage.digest for stage in old.all_stages}
    lines = [f"{path}: the plan has changed: digest {old.digest[:12]} -> {plan.digest[:12]}"]
    for stage in plan.all_stages:
        if stage.name not in known:
            lines.append(f"  stage {stage.name} is new")
        elif known[stage.name] != stage.digest:
            lines.append(f"  stage {stage.name} has changed, or what it starts from")
    here = {stage.name for stage in plan.all_stages}
    lines += [f"  stage {name} is gone" for name in known if name not in here]
    return lines


def _json(compiled: Compiled, changed: list[str]) -> dict[str, Any]:
    plan = compiled.plan
    findings = [finding_json(d) for d in compiled.findings]
    if plan is None:
        return {"format": 1, "plan": None, "digest": None, "stages": [], "findings": findings}
    figures = stage_figures(plan)
    paths = path_tokens(plan)
    stages = [
        {**_stage_json(plan, stage, figures[stage.name]), "path_tokens": paths[stage.name]}
        for stage in plan.stages
    ]
    stages += [
        {
            "name": u.name, "parents": list(u.parents), "steps": None, "tokens": None,
            "asked_tokens": u.asked_tokens, "seq_len": None, "batch_seqs": None, "digest": None,
            "missing": list(u.missing),
        }
        for u in plan.unknown
    ]  # fmt: skip
    kinds = ("assumed", "derived", "conflict", "default", "unknown")
    provenance: dict[str, list[dict[str, Any]]] = {kind: [] for kind in kinds}
    for entry in plan.provenance:
        place = (entry.span.file, entry.span.line) if entry.span else (None, None)
        provenance[entry.kind].append(
            {"path": entry.path, "value": entry.value, "file": place[0], "line": place[1]}
        )
    return {
        "format": 1,
        "plan": plan.name,
        "digest": plan.digest,
        "stages": stages,
        "modules": {name: _module_json(plan, name) for name in plan.modules},
        "composed": [composed_json(c, paths[c.name]) for c in plan.composed],
        "outside": [outside_json(o) for o in plan.outside],
        "totals": totals_json(plan),
        "provenance": provenance,
        "changed": changed,
        "findings": findings,
    }


def _module_json(plan: Plan, name: str) -> dict[str, Any]:
    module = plan.modules[name]
    return {
        "preset": module.preset,
        "kind": module.shape.kind,
        "params": module.shape.num_params(),
        "active_params": module.shape.num_active_params(),
        "attention_in_flops": name not in without_attention(plan),
    }


def _stage_json(plan: Plan, stage: Stage, figures: Figures) -> dict[str, Any]:
    first, last = stage.batch.pieces[0], stage.batch.piece_at(stage.steps - 1)
    return {
        "name": stage.name,
        "parents": list(stage.parents),
        "init": {
            m: None if s.stage is None else {"stage": s.stage, "step": s.step}
            for m, s in stage.init.items()
        },
        "steps": stage.steps,
        "tokens": stage.tokens,
        "asked_tokens": stage.budget.tokens,
        "seq_len": {"first": first.seq_len, "last": last.seq_len},
        "batch_seqs": {"first": first.batch_seqs, "last": last.batch_seqs},
        "tokens_per_step": {"first": first.tokens_per_step, "last": last.tokens_per_step},
        "contexts": [
            {"first_step": step, "seq_len": seq_len}
            for step, seq_len in stage.batch.contexts(stage.steps)
        ],
        "ramps": [
            {
                "first_step": laid.first_step,
                "end_step": laid.end_step,
                "batch_seqs": {"first": laid.ramp.first_seqs, "last": laid.ramp.last_seqs},
                "by_seqs": laid.ramp.by_seqs,
                "levels": laid.ramp.num_levels,
                "shape": laid.ramp.shape,
            }
            for laid in stage.batch.ramps
        ],
        "layout": None if stage.layout is None else asdict(stage.layout),
        "lr": {
            t: {"start": lr.start, "peak": lr.peak, "end": lr.end} for t, lr in figures.lr.items()
        },
        "rope": {m: rope_values(r) for m, r in stage.rope.items()},
        "target_seq_len": stage.target_seq_len,
        "train": {t: {"params": n} for t, n in figures.params.items()},
        "epochs": {name: None if x is None else float(x) for name, x in figures.epochs.items()},
        "flops": stage_flops(plan, stage),
        "count": stage.count,
        "packing": stage.packing,
        "loss": {t: asdict(stage.loss_rules.get(t, LossRule())) for t in stage.loss},
        **modules_json(plan, stage),
        **fate_json(stage),
        "digest": stage.digest,
    }
