"""Whether a run may go on: the lock and the data given against those that it began with

Only digests and fingerprints count: comments, tags, paths and the machine may change.
"""

import json
from collections.abc import Mapping
from typing import Any

from curriculum.errors import RunError


def lock_difference(began: str, given: str) -> str | None:
    """Say how two locks differ, naming the first stage whose digest does; None if they do not."""
    if began == given:
        return None
    old, new = _digests(began), _digests(given)
    if old.pop("", None) == new.pop("", None):
        return None
    for name in old:
        if name not in new:
            return f"stage `{name}` is not in the lock that was given"
        if old[name] != new[name]:
            return f"stage `{name}` has digest {old[name][:12]}, the lock given {new[name][:12]}"
    added = [name for name in new if name not in old]
    if added:
        return f"the lock given has a stage `{added[0]}` more"
    return "the digests of the plans differ, though those of all stages are equal"


def data_difference(kept: Mapping[str, Any], given: Mapping[str, Any]) -> str | None:
    """Say how the `sources` of two manifests differ (fingerprints by name); None if they do not."""
    old, new = kept.get("sources", {}), given.get("sources", {})
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            return f"source `{name}` is missing"
        if name not in old:
            return f"source `{name}` is new"
        if old[name] != new[name]:
            return (
                f"source `{name}` has fingerprint {str(new[name])[:12]}, "
                f"it had {str(old[name])[:12]}"
            )
    return None


def _digests(text: str) -> dict[str, str]:
    """Digest of every stage in the lock's order, and of the plan under the empty name."""
    try:
        lock = json.loads(text)
        stages = [*lock["stages"], *lock.get("composed", [])]
        return {s["name"]: s["digest"] for s in stages} | {"": lock["digest"]}
    except (ValueError, KeyError, TypeError):
        raise RunError("a lock is damaged: it holds no stages with digests") from None
