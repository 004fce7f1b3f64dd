"""Where values come from, on the screen: counts, then those of each kind"""

from collections import Counter

from curriculum.plan import Provenance
from curriculum.text_table import WIDTH, wrapped

MOST_OF_A_TREE = 40  # columns of a mapping or a list: of a longer one its values are counted
INDENT = 11
MOST_LINES = {"unknown": 12, "conflict": 12, "assumed": 12, "default": 6, "scaled": 6, "kept": 6}
"""Lines of each kind; what nobody knows, or two sources dispute, is rarely cut."""


def value_lines(entries: tuple[Provenance, ...]) -> list[str]:
    """Return what is told of all values that are not simply stated or chosen."""
    if not entries:
        return []
    counts = Counter(entry.kind for entry in entries)
    kinds = ("assumed", "derived", "conflict", "default", "unknown", "scaled", "kept")
    lines = ["values: " + ", ".join(f"{counts[kind]} {kind}" for kind in kinds if counts[kind])]
    by_kind = {kind: [e for e in entries if e.kind == kind] for kind in kinds}
    kept = {entry.path for entry in by_kind["kept"]}
    by_kind["default"] = [e for e in by_kind["default"] if e.path not in kept]
    by_kind["kept"] = [e for e in by_kind["kept"] if _goes_with_steps(e)]
    for kind in ("unknown", "conflict", "assumed", "default", "scaled", "kept"):
        lines += _listed(kind, [_words(entry) for entry in by_kind[kind]])
    return lines


def _words(entry: Provenance) -> str:
    words = f"{_name(entry)} {value_words(entry)}"
    return f"{words} ({entry.below})" if entry.kind == "scaled" else words


def _name(entry: Provenance) -> str:
    return entry.path.removeprefix("stages.")


def _goes_with_steps(entry: Provenance) -> bool:
    """Say whether a value acts once a step: a proxy with fewer steps may want another one.

    >>> _goes_with_steps(Provenance("kept", "optimizers.muon.beta2", ".95", None))
    True
    >>> _goes_with_steps(Provenance("kept", "stages.text.mixture.web", ".6", None))
    False
    """
    section, *keys = entry.path.split(".")
    return section in ("optimizers", "schedules") or bool({"lr", "set", "ema"} & {*keys[1:2]})


def value_words(entry: Provenance) -> str:
    """Write a value; of a long tree only how many values it holds.

    >>> value_words(Provenance("assumed", "sft.mixture", "{" + "a: 1, " * 56 + "z: 1}", None))
    '(57 values)'
    >>> value_words(Provenance("assumed", "joint.carry", "[llm]", None))
    '[llm]'
    """
    text = entry.value
    if text[:1] not in ("{", "[") or len(text) <= MOST_OF_A_TREE:
        return text
    depth, ends = 0, 0  # of a conflict the alternatives are counted, else all that is no tree
    for sign in text:
        depth += (sign in "{[") - (sign in "}]")
        ends += sign == "," and (depth == 1 or entry.kind != "conflict")
    return f"({ends + 1} values)"


def _listed(title: str, words: list[str]) -> list[str]:
    """Lay out entries under a title, none of them broken that fits a line; of many the first."""
    lines: list[str] = []
    line = ""
    for index, word in enumerate(words):
        text = word if index == len(words) - 1 else f"{word}, "
        if line and len(line) + len(text.rstrip()) > WIDTH - INDENT:
            lines.append(line)
            line = ""
            if len(lines) == MOST_LINES[title] and index < len(words) - 1:
                more = len(words) - index
                lines.append(f"and {more:,} more (`plan --format json` lists all)")
                break
        line += text
    if line:
        lines.append(line)
    found: list[str] = []
    for i, text in enumerate(lines):
        found += wrapped(text, INDENT, f"  {title}" if i == 0 else "")
    return found
