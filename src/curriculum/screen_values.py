"""Where values come from, on the screen: counts, then what is unknown, disputed and assumed"""

from collections import Counter

from curriculum.plan import Provenance
from curriculum.text_table import WIDTH, wrapped

MOST_OF_A_TREE = 40  # columns of a mapping or a list: of a longer one its values are counted
INDENT = 11


def value_lines(entries: tuple[Provenance, ...]) -> list[str]:
    """Return what is told of all values that are not simply stated or chosen."""
    if not entries:
        return []
    counts = Counter(entry.kind for entry in entries)
    kinds = ("assumed", "derived", "conflict", "default", "unknown", "scaled", "kept")
    lines = ["values: " + ", ".join(f"{counts[kind]} {kind}" for kind in kinds if counts[kind])]
    for kind in ("unknown", "conflict", "assumed"):
        words = [f"{_name(e)} {value_words(e)}" for e in entries if e.kind == kind]
        lines += _listed(kind, words)
    scaled = [f"{_name(e)} {value_words(e)} ({e.below})" for e in entries if e.kind == "scaled"]
    steady = [e for e in entries if e.kind == "kept" and _goes_with_steps(e)]
    lines += _listed("scaled", scaled)
    return lines + _listed("kept", [f"{_name(e)} {value_words(e)}" for e in steady])


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
    """Lay out entries under a title, none of them broken that fits a line."""
    lines: list[str] = []
    line = ""
    for index, word in enumerate(words):
        text = word if index == len(words) - 1 else f"{word}, "
        if line and len(line) + len(text.rstrip()) > WIDTH - INDENT:
            lines.append(line)
            line = ""
        line += text
    if line:
        lines.append(line)
    found: list[str] = []
    for i, text in enumerate(lines):
        found += wrapped(text, INDENT, f"  {title}" if i == 0 else "")
    return found
