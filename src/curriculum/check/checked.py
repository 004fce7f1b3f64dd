"""Files that were checked, and what was found in them: what every report reads"""

from collections.abc import Sequence
from dataclasses import dataclass

from curriculum.allowances import Silenced
from curriculum.errors import Diagnostic
from curriculum.findings import SEVERITIES, count_words
from curriculum.plan import Provenance


@dataclass(frozen=True, slots=True)
class Checked:
    """One file, and what was found in it; `failure` says why it could not be checked at all.

    `silenced` is what its plan allows of what the rules found, `fixed` what `--fix` mended before.
    `unknown` are the values that nobody published: they are counted, and never findings.
    """

    file: str
    findings: tuple[Diagnostic, ...] = ()
    failure: str | None = None
    silenced: tuple[Silenced, ...] = ()
    fixed: tuple[Diagnostic, ...] = ()
    unknown: tuple[Provenance, ...] = ()


def all_findings(checked: Sequence[Checked]) -> list[Diagnostic]:
    """Return the findings of all files, each once: two plans may extend the same one.

    The worst come first, in the order that their files were named in.
    """
    found = dict.fromkeys(f for one in checked for f in one.findings)
    return sorted(found, key=lambda f: -SEVERITIES.index(f.severity))


def all_silenced(checked: Sequence[Checked]) -> list[Silenced]:
    """Return what the plans allow, each once."""
    return list(dict.fromkeys(one for file in checked for one in file.silenced))


def all_unknown(checked: Sequence[Checked]) -> list[Provenance]:
    """Return the values that the plans call unknown, each place once."""
    found = {(v.span, v.path if v.span is None else ""): v for one in checked for v in one.unknown}
    return list(found.values())


def counted(checked: Sequence[Checked]) -> str:
    """Count in words what was found, what was allowed, and what nobody knows."""
    found = count_words(all_findings(checked), len(all_silenced(checked)))
    num_unknown = len(all_unknown(checked))
    values = f"; {num_unknown:,} value{'s' * (num_unknown != 1)} unknown" if num_unknown else ""
    return found + values
