"""What differs between a plan and a lock: for `plan --against` and `plan --locked`"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curriculum.diff.as_json import diff_json
from curriculum.diff.compare import PlanDiff, compare
from curriculum.diff.words import told
from curriculum.errors import CurriculumError
from curriculum.lock import read_lock
from curriculum.plan import Plan


@dataclass(frozen=True, slots=True)
class Against:
    """A lock that is not the plan's, compared with it."""

    path: Path
    diff: PlanDiff

    @property
    def lines(self) -> list[str]:
        """The comparison as lines, the stale lock named first."""
        return [self._head, *told(self.diff)]

    @property
    def sentences(self) -> list[str]:
        """The stages that differ, a sentence each."""
        old, new = self.diff.a, self.diff.b
        known = {stage.name: stage.digest for stage in old.all_stages}
        lines = [self._head]
        for stage in new.all_stages:
            if stage.name not in known:
                lines.append(f"  stage {stage.name} is new")
            elif known[stage.name] != stage.digest:
                lines.append(f"  stage {stage.name} has changed, or what it starts from")
        here = {stage.name for stage in new.all_stages}
        return lines + [f"  stage {name} is gone" for name in known if name not in here]

    def as_json(self) -> dict[str, Any]:
        """Return the comparison as the values that JSON has: the lock is `a`, the plan `b`."""
        return diff_json(self.diff)

    @property
    def _head(self) -> str:
        old, new = self.diff.a.digest[:12], self.diff.b.digest[:12]
        return f"{self.path}: the plan has changed: digest {old} -> {new}"


def against(plan: Plan, path: Path) -> Against | None:
    """Compare a plan with a lock; None where their digests are equal.

    Raises `CurriculumError` where there is no lock, `FindingsError` where it is none.
    """
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
    return None if old.digest == plan.digest else Against(path, compare(old, plan))
