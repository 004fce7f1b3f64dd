"""The tables of gpu.py: a line for each preset and context, peers below it, and attention's"""

from collections.abc import Mapping, Sequence
from typing import Any

AIM = 1.2  # times transformers

HEAD = (
    f"{'preset and context':<34}{'tok/s':>10}{'img/s':>8}{'MFU':>7}{'ceiling':>9}{'GB':>7}"
    f"{'waiting':>9}  aim"
)


def row_lines(row: Mapping[str, Any], ceiling: float, peak: float | None) -> list[str]:
    """Write a row, and the peers below it."""
    name = f"{row['world']}, {row['stage']}"
    if row["status"] != "ok":
        return [f"{name:<34}{row['status']}: {row['words']}"]
    mfu = row["flops_per_s"] / peak if peak else None
    memory = row["memory_bytes"]
    cells = (
        f"{row['tokens_per_s']:>10,.0f}",
        f"{row['images_per_s']:>8,.0f}" if row["images_per_s"] else f"{'-':>8}",
        f"{mfu:>7.1%}" if mfu is not None else f"{'-':>7}",
        f"{row['flops_per_s'] / ceiling:>9.1%}",
        f"{memory / 1e9:>7.1f}" if memory is not None else f"{'-':>7}",
        f"{row['waiting_share']:>9.1%}",
    )
    lines = [f"{name:<34}{''.join(cells)}  {aim(mfu, row['target_mfu'])}; {row['words']}"]
    for peer in row["peers"]:
        said = f"  beside {peer['variant']}"
        if "words" in peer:
            lines.append(f"{said:<34}{peer['words']}")
        else:
            times = f"ours {peer['ratio']:.2f} times as quick"
            lines.append(f"{said:<34}{peer['tokens_per_s']:>10,.0f}  {times}")
    if best := min((p["ratio"] for p in row["peers"] if "ratio" in p), default=None):
        word = "no aim at this size" if peak is None else "met" if best >= AIM else "missed"
        lines.append(f"  {best:.2f} times the quickest of them (aim {AIM}: {word})")
    return lines


def aim(mfu: float | None, target: Sequence[float] | None) -> str:
    """Say what MFU was aimed at, and whether it was met.

    >>> aim(0.5, (0.48, 0.52)), aim(0.3, (0.48, 0.52)), aim(None, (0.48, 0.52)), aim(0.3, None)
    ('48-52 %: met', '48-52 %: missed', '48-52 %: not measured', 'no aim')
    """
    if target is None:
        return "no aim"
    said = f"{target[0] * 100:.0f}-{target[1] * 100:.0f} %: "
    return said + ("not measured" if mfu is None else "met" if mfu >= target[0] else "missed")


def attention_table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Write a line for each case, with its backends beside each other."""
    cases: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        heads = "{} x {}/{}".format(*row["heads"])
        said = f"{row['backend']} {row['words']}"
        if "s" in row:
            rate = f"{row['flops_per_s'] / 1e12:.1f} TFLOP/s"
            star = " (chosen)" if row["words"] else ""
            said = f"{row['backend']} {row['s'] * 1e3:.2f} ms, {rate}{star}"
        cases.setdefault((heads, row["lengths"]), []).append(said)
    return [f"  {heads:<14}{what:<12}{'; '.join(said)}" for (heads, what), said in cases.items()]
