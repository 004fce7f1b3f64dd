"""The compiled plan as a file: deterministic, no times, no machine

A lock holds pieces, not steps; `digest.py` says what its digests cover.
"""

import json
from dataclasses import asdict

from curriculum.digest import ORDER, prefix_digest, with_digests
from curriculum.errors import CurriculumError, Diagnostic, FindingsError, Span
from curriculum.lock_json import (
    claim_json,
    composed_json,
    facts_json,
    module_json,
    outside_json,
    read_allowed,
    read_claim,
    read_composed,
    read_module,
    read_outside,
    read_source,
    read_stage,
    read_unknown,
    source_json,
    stage_json,
)
from curriculum.plan import Plan

FORMAT = 1


def write_lock(plan: Plan) -> str:
    """Write a plan as a lock: the same bytes for the same plan on any machine."""
    lock = {
        "format": FORMAT,
        "plan": plan.name,
        "digest": plan.digest,
        "order": ORDER,
        "seed": plan.seed,
        "modules": {n: module_json(m) for n, m in plan.modules.items()},
        "sources": {n: source_json(s) for n, s in plan.sources.items()},
        "outside": {
            o.name: {
                **outside_json(plan, o),
                **facts_json(o),
                "path": o.checkpoint.path,
                "digest": o.digest,
            }
            for o in plan.outside
        },
        "unknown": [asdict(u) for u in plan.unknown],
        "stages": [{**stage_json(s), "digest": s.digest} for s in plan.stages],
    }
    if plan.claims:
        lock["require"] = [claim_json(c) for c in plan.claims]
    if plan.composed:
        lock["composed"] = [{**composed_json(c), "digest": c.digest} for c in plan.composed]
    if plan.allowed:  # no mathematics, so in no digest
        lock["allowed"] = [allowed._asdict() for allowed in plan.allowed]
    return json.dumps(lock, indent=1, sort_keys=True, ensure_ascii=True) + "\n"


def read_lock(text: str, file: str) -> Plan:
    """Read a lock back; raises `FindingsError` when it is no lock or was edited."""
    if (line := _conflict_line(text)) is not None:
        why = "it holds conflict markers: two versions of it were merged"
        raise _refused(file, line, 1, why)
    try:
        lock = json.loads(text)
        if lock["format"] != FORMAT:
            raise CurriculumError(f"{file}: a lock of format {lock['format']}, this reads {FORMAT}")
        if lock["order"] != ORDER:
            raise CurriculumError(
                f"{file}: made for data order {lock['order']}, this program draws by {ORDER}"
            )
        plan = Plan(
            name=lock["plan"],
            seed=lock["seed"],
            modules={n: read_module(n, m) for n, m in lock["modules"].items()},
            sources={n: read_source(n, s) for n, s in lock["sources"].items()},
            stages=tuple(read_stage(s) for s in lock["stages"]),
            outside=tuple(read_outside(n, o) for n, o in lock["outside"].items()),
            unknown=tuple(read_unknown(u) for u in lock["unknown"]),
            composed=tuple(read_composed(c) for c in lock.get("composed", ())),
            claims=tuple(read_claim(c) for c in lock.get("require", ())),
            allowed=tuple(read_allowed(a) for a in lock.get("allowed", ())),
        )
        plan, said = with_digests(plan), lock["digest"]
    except json.JSONDecodeError as error:
        raise _refused(file, error.lineno, error.colno, f"not JSON: {error.msg}") from None
    except _NO_LOCK as error:
        lacks = f", it has no {error}" if isinstance(error, KeyError) else ""
        raise _refused(file, 1, 1, f"not a lock of this program{lacks}") from None
    if plan.digest != said:
        why = (
            "its digest is not that of what it holds: it was edited by hand, or merged line by line"
        )
        raise _refused(file, 1, 1, why)
    return plan


_NO_LOCK = (
    LookupError, TypeError, ValueError, AttributeError, AssertionError, ArithmeticError,
    RecursionError,
)  # fmt: skip
"""What reading a JSON that is no lock may stumble over."""


def _conflict_line(text: str) -> int | None:
    """Return the number of the first line that a merge left as a conflict's beginning."""
    if "\n<<<<<<< " not in text and not text.startswith("<<<<<<< "):
        return None
    lines = enumerate(text.splitlines(), 1)
    return next(number for number, line in lines if line.startswith("<<<<<<< "))


def _refused(file: str, line: int, column: int, why: str) -> FindingsError:
    span = Span(file, line, column, line, column + 1)
    help = "regenerate: curriculum plan FILE -o LOCK"
    return FindingsError(
        (Diagnostic("broken-lock", f"the lock cannot be read: {why}", span, help),)
    )


__all__ = ["FORMAT", "ORDER", "prefix_digest", "read_lock", "with_digests", "write_lock"]
