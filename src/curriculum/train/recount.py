"""Counts and hashes of a step made anew from the data, for the audit"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from curriculum.errors import RunError
from curriculum.models.batch import to_torch
from curriculum.plan import Plan, Stage
from curriculum.train.compare import Recounted
from curriculum.train.consumed import batch_hash
from curriculum.train.feed import draw, open_data, open_reader
from curriculum.train.ledger import LedgerLine, count_sources, merge_counts

Recount = Callable[[Stage, int], Recounted]
"""What the data give for one step of a stage."""


def recount_from(
    plan: Plan, lines: Iterable[LedgerLine], data: Path, manifest: Mapping[str, Any]
) -> Recount:
    """Open the data of the stages that ran; RunError where they are not those that the run had."""
    ran = {line.stage for line in lines}
    stages = [stage for stage in plan.stages if stage.name in ran]
    sources = open_data(plan, stages, data)
    kept = manifest.get("sources", {})
    for name, source in sources.items():
        if name in kept and kept[name] != source.fingerprint:
            raise RunError(
                f"{data}: source `{name}` is not what the run was trained on (fingerprint "
                f"{source.fingerprint[:12]}, it had {str(kept[name])[:12]})"
            )
    readers = {stage.name: open_reader(plan, stage, sources) for stage in stages}

    def recount(stage: Stage, step: int) -> Recounted:
        drawn = draw(readers[stage.name], step, stage.at(step).batch_seqs)
        counts = merge_counts(map(count_sources, drawn.micro_batches))
        batches = [to_torch(packed) for packed in drawn.micro_batches]
        return Recounted(counts, drawn.drawn_hash, batch_hash(batches))

    return recount
