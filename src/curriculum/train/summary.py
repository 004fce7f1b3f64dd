"""The end of a run: what every stage cost and reached, as a value, a file and one screen

ledger.jsonl + metrics.jsonl + audit --summarise--> summary.json, one screen of 100 columns
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from curriculum.train.console import duration_words, short_float
from curriculum.units import rounded_in_words

COLUMNS = 100
SHOWN = 5  # findings of the audit
LOSS_STEPS = 20
"""The loss of a stage is the mean of its last so many steps: one step's loss is noise."""

Json = dict[str, Any]


def read_lines(path: Path) -> Iterator[Json]:
    """Read a file of JSON lines, leaving out a last line that a kill tore."""
    if not path.exists():
        return
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.endswith("\n"):
                yield json.loads(line)


def summarise(
    run: Path, plan: Mapping[str, object], machine: Mapping[str, object], audit: Json
) -> Json:
    """Collect what a run says about itself; `plan` is its name and digest, `audit` the verdict."""
    ledger: dict[str, list[Json]] = {}
    for line in read_lines(run / "ledger.jsonl"):
        if "seam" in line:
            continue
        ledger.setdefault(line["stage"], []).append(line)
    wall: dict[str, float] = {}
    evaluations: list[Json] = []
    for line in read_lines(run / "metrics.jsonl"):
        if line["event"] in ("step", "checkpoint"):
            wall[line["stage"]] = wall.get(line["stage"], 0.0) + line["wall_s"]
        elif line["event"] == "evaluation":
            evaluations.append({k: v for k, v in line.items() if k not in ("event", "step")})
    stages = [_stage(name, lines, wall.get(name, 0.0)) for name, lines in ledger.items()]
    return {
        "format": 1,
        **plan,
        "complete": bool(audit.get("complete", False)),
        "machine": dict(machine),
        "steps": sum(stage["steps"] for stage in stages),
        "tokens": sum(stage["tokens"] for stage in stages),
        "wall_s": round(sum(stage["wall_s"] for stage in stages), 3),
        "stages": stages,
        "evaluations": evaluations,
        "audit": audit,
    }


def _stage(name: str, lines: Sequence[Json], wall_s: float) -> Json:
    tokens = sum(line["tokens"] for line in lines)
    sources: dict[str, dict[str, int]] = {}
    for line in lines:
        for source, counts in line["sources"].items():
            sums = sources.setdefault(source, {})
            for what, count in counts.items():
                sums[what] = sums.get(what, 0) + count
    last = lines[-LOSS_STEPS:]
    return {
        "name": name,
        "steps": len(lines),
        "tokens": tokens,
        "wall_s": round(wall_s, 3),
        "tokens_per_s": round(tokens / wall_s, 1) if wall_s else None,
        "padding": sum(counts["pad"] for counts in sources.values()) / tokens,
        "seq_len": {"first": lines[0]["seq_len"], "last": lines[-1]["seq_len"]},
        "lr": {"first": lines[0]["lr"], "last": lines[-1]["lr"]},
        "trained": sorted({module for line in lines for module in line["trained"]}),
        "loss": {term: fmean(line["loss"][term] for line in last) for term in lines[-1]["loss"]},
        "sources": sources,
    }


def screen(summary: Json) -> str:
    """Write the summary as one screen of at most 100 columns."""
    machine = ", ".join(str(value) for value in summary["machine"].values())
    parts = [
        f"{summary['plan']}  {str(summary['digest'])[:12]}  {machine}",
        "",
        *stage_table(summary["stages"]),
        f"{rounded_in_words(summary['tokens'])} tokens in {summary['steps']:,} steps, "
        f"{duration_words(summary['wall_s'])} of training",
        "",
    ]
    if evaluations := summary["evaluations"]:
        parts.append(_evaluation_head(evaluations))
        parts += map(_evaluation_line, evaluations)
    samples = [e["samples"] for e in summary["evaluations"] if e.get("samples")]
    if samples:
        parts += ["", "what it writes for held-out images, beside the truth:"]
        parts += [f"  {s['truth'][:46]:<46}  {s['written'][:48]}".rstrip() for s in samples[-1]]
    return "\n".join(part[:COLUMNS].rstrip() for part in [*parts, "", *_verdict(summary["audit"])])


def stage_table(stages: Sequence[Json]) -> list[str]:
    """Write a line per stage under a head, aligned."""
    rows = [("stage", "steps", "tokens", "pad", "wall", "tok/s", "lr", "loss")]
    for stage in stages:
        rate = stage["tokens_per_s"]
        rows.append(
            (
                stage["name"],
                f"{stage['steps']:,}",
                f"{stage['tokens']:,}",
                f"{stage['padding']:.1%}",
                duration_words(stage["wall_s"]),
                rounded_in_words(round(rate)) if rate else "-",
                _lr_words(stage["lr"]),
                ", ".join(f"{term} {value:.3f}" for term, value in stage["loss"].items()),
            )
        )
    return aligned(rows, left=(0, 6, 7))


def aligned(rows: Sequence[Sequence[str]], left: Collection[int]) -> list[str]:
    """Align columns, those of `left` to the left.

    >>> aligned([("stage", "steps"), ("text", "166")], left=(0,))
    ['stage  steps', 'text     166']
    """
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def _lr_words(lr: Json) -> str:
    first, last = lr["first"], lr["last"]
    name = next(iter(first), None)
    if name is None:
        return "-"
    return f"{short_float(first[name])} -> {short_float(last[name])}"


def _evaluation_line(evaluation: Json) -> str:
    words = []
    if text := evaluation.get("text"):
        gain = text["unigram_entropy"] - text["loss"]
        words.append(
            f"text {text['loss']:.3f}, {gain:.3f} under unigram {text['unigram_entropy']:.3f}"
        )
    if captions := evaluation.get("captions"):
        gap = captions["other_image"] - captions["right_image"]
        words.append(f"captions {captions['right_image']:.3f}, {gap:.3f} under another's image")
    return f"  {evaluation['stage']}: {'; '.join(words)}"


def _evaluation_head(evaluations: Sequence[Json]) -> str:
    tokens = max((e["text"]["tokens"] for e in evaluations if "text" in e), default=0)
    pairs = max((e["captions"]["pairs"] for e in evaluations if "captions" in e), default=0)
    return f"held-out documents, nats/token ({tokens:,} tokens of text, {pairs} captions) after"


def _verdict(audit: Json) -> Iterator[str]:
    if audit["ok"]:
        yield "audit: ok, what ran is what was planned"
        return
    yield "audit: not ok" + ("" if audit.get("complete", True) else " (the run is not finished)")
    yield from (f"  {finding['message']}" for finding in audit["findings"][:SHOWN])
    if (more := len(audit["findings"]) - SHOWN) > 0:
        yield f"  and {more} more: curriculum audit DIR"
