"""The batch of a stage in a lock: a row for each piece, and one for all levels of a ramp"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from curriculum.batch import MOST_LEVELS, Batch, Entry, Ramp, lay_out

Row = list[int] | dict[str, Any]


def batch_json(batch: Batch) -> list[Row]:
    """Write the pieces of a batch as rows; the levels of a ramp are one, laid out when read."""
    rows: list[Row] = []
    at = 0
    for laid in batch.ramps:
        before = bisect_left(batch.breaks(), laid.first_step)
        rows += [[p.first_step, p.batch_seqs, p.seq_len] for p in batch.pieces[at:before]]
        rows.append({**asdict(laid.ramp), "end_tokens": batch.tokens_before(laid.end_step)})
        at = bisect_left(batch.breaks(), laid.end_step)
    return rows + [[p.first_step, p.batch_seqs, p.seq_len] for p in batch.pieces[at:]]


def read_batch(rows: Sequence[Any]) -> Batch:
    """Read what `batch_json` wrote."""
    entries: list[Entry | Ramp] = []
    tokens = levels = 0
    for row, after in zip(rows, [*rows[1:], None], strict=True):
        if isinstance(row, dict):
            ramp = Ramp(**{key: value for key, value in row.items() if key != "end_tokens"})
            levels += ramp.num_levels
            if levels > MOST_LEVELS:
                raise ValueError("more levels than the ramps of a plan may have")
            entries.append(ramp)
            tokens = row["end_tokens"]
            continue
        first_step, batch_seqs, seq_len = row
        if isinstance(after, dict):
            tokens = after["from_tokens"]
        elif after is not None:
            tokens += (after[0] - first_step) * batch_seqs * seq_len
        entries.append((batch_seqs, seq_len, None if after is None else tokens))
    return lay_out(entries)
