"""How compiling a plan grows: with tokens (it does not), stages, sources, and replays of replays

Every plan is made here, compiled in this process, and its time told as a ratio to the smallest plan
and to `import torch` in a fresh process of the same run.
"""

import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

from curriculum.compile import compile_text

HEAD = """\
plan: made
modules: {llm: {preset: moonlight-16b-a3b}}
optimizers: {adam: {kind: adamw, weight_decay: .1}}
schedules: {main: [{shape: linear, from: 0, to: 1e-3, for: 10 steps}, {shape: constant}]}
"""
FIRST = """\
    init: {llm: new}
    train: [llm]
    optimizer: adam
    loss: {next_token: 1}
    lr: main
    seq_len: 8192
    batch: {seqs: 1024}
    packing: best-fit
    rope: {llm: {base: 50_000}}
"""


def sources(count: int) -> str:
    lines = (f"  s{i}: {{modality: text, tokens: {1 + i % 97}T}}\n" for i in range(count))
    return f"sources:\n{''.join(lines)}"


def one_stage(tokens: str) -> str:
    """A stage of so many tokens, with a window in it."""
    window = "[{of: {s0: .75, s1: .25}, until: 80%}, {of: {s0: .5, s1: .5}}]"
    stage = f"stages:\n  t0:\n    tokens: {tokens}\n{FIRST}    mixture: {window}\n"
    return f"{HEAD}{sources(2)}{stage}"


def wide(count: int) -> str:
    """A stage of so many sources."""
    ratios = "".join(f"      s{i}: 1/{count}\n" for i in range(count))
    stage = f"stages:\n  t0:\n    tokens: 10T\n{FIRST}    mixture:\n{ratios}"
    return f"{HEAD}{sources(count)}{stage}"


def follower(number: int, mixture: str) -> str:
    before = f"t{number - 1}"
    return (
        f"  t{number}:\n    init: {before}\n    keep: {before}\n    carry: all\n    tokens: 100B\n"
        f"    mixture: {mixture}\n"
    )


def chained(stages: int, num_sources: int, mixture: Callable[[int], str]) -> str:
    """So many stages, each after the one before."""
    first = ", ".join(f"s{i}: 1/{num_sources}" for i in range(num_sources))
    text = f"stages:\n  t0:\n    tokens: 1T\n{FIRST}    mixture: {{{first}}}\n"
    rest = "".join(follower(number, mixture(number)) for number in range(1, stages))
    return f"{HEAD}{sources(num_sources)}{text}{rest}"


def ten_sources(number: int) -> str:
    parts = ", ".join(f"s{i}: {'.1' if i else 'rest'}" for i in range(10))
    return f"{{{parts}}}"


def a_quarter_new(number: int) -> str:
    new = f"{{ratio: 25%, of: {{s{number % 2}: 1}}}}"
    return f"{{new: {new}, old: {{ratio: rest, of: {{replay: t{number - 1}}}}}}}"


def twice_replayed(number: int) -> str:
    old = f"{{replay: t{number - 1}}}"
    return f"{{x: {{ratio: .5, of: {old}}}, y: {{ratio: .5, of: {old}}}}}"


PLANS: dict[str, Callable[[], str]] = {
    "one stage, 1e9 tokens": lambda: one_stage("1B"),
    "one stage, 1e12 tokens": lambda: one_stage("1T"),
    "one stage, 1e16 tokens": lambda: one_stage("10_000T"),
    "one stage of 5,000 sources": lambda: wide(5_000),
    "2,000 stages of 10 sources": lambda: chained(2_000, 10, ten_sources),
    "a chain of 500 replays": lambda: chained(500, 2, a_quarter_new),
    "500 replays, each taken twice": lambda: chained(500, 2, twice_replayed),
}


def compile_s(text: str) -> float:
    """Compile a plan once and return the wall time in seconds."""
    start = time.perf_counter()
    compiled = compile_text(text)
    spent_s = time.perf_counter() - start
    assert compiled.plan is not None, [str(finding) for finding in compiled.findings[:3]]
    return spent_s


def import_torch_s() -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    return time.perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="compilations of each plan")
    asked = parser.parse_args()
    texts = {name: make() for name, make in PLANS.items()}
    smallest, *_ = texts
    import_torch_s()
    seconds: dict[str, list[float]] = {name: [] for name in (*texts, "import torch")}
    # In turns, so that a slow moment of the machine hits all of them; the first is a warm-up.
    for turn in range(asked.rounds + 1):
        for name, text in texts.items():
            spent_s = compile_s(text)
            if turn:
                seconds[name].append(spent_s)
        if turn:
            seconds["import torch"].append(import_torch_s())
    small, torch = median(seconds[smallest]), median(seconds["import torch"])
    print(f"Python {platform.python_version()}, {os.cpu_count()} CPUs, {asked.rounds} rounds each")
    print(f"{'':<32}{'KiB':>7}{'median':>10}{'/ smallest':>12}{'/ import torch':>16}")
    for name, spent in seconds.items():
        middle = median(spent)
        size = f"{len(texts[name]) / 1024:.0f}" if name in texts else "-"
        print(f"{name:<32}{size:>7}{middle:>9.4f}s{middle / small:>11.1f}x{middle / torch:>15.4f}x")
    return 0


if __name__ == "__main__":
    sys.exit(main())
