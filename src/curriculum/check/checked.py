"""Files that were checked, and what was found in them: what every report reads"""

from collections.abc import Sequence
from dataclasses import dataclass

from curriculum.allowances import Silenced
from curriculum.errors import Diagnostic
from curriculum.findings import SEVERITIES, count_words


@dataclass(frozen=True, slots=True)
class Checked:
    """One file, and what was found in it; `failure` says why it could not be checked at all.

    `silenced` is what its plan allows of what the rules found, `fixed` what `--fix` mended before.
    """

    file: str
    findings: tuple[Diagnostic, ...] = ()
    failure: str | None = None
    silenced: tuple[Silenced, ...] = ()
    fixed: tuple[Diagnostic, ...] = ()


def all_findings(checked: Sequence[Checked]) -> list[Diagnostic]:
    """Return the findings of all files, each once: two plans may extend the same one.

    The worst come first, in the order that their files were named in.
    """
    found = dict.fromkeys(f for one in checked for f in one.findings)
    return sorted(found, key=lambda f: -SEVERITIES.index(f.severity))


def all_silenced(checked: Sequence[Checked]) -> list[Silenced]:
    """Return what the plans allow, each once."""
    return list(dict.fromkeys(one for file in checked for one in file.silenced))


def counted(checked: Sequence[Checked]) -> str:
    """Count in words what was found, and what was allowed."""
    return count_words(all_findings(checked), len(all_silenced(checked)))
