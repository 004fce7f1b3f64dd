"""The fuzzer: no file ends in a traceback, takes more than 10 s of CPU, or more than 1 GiB

    FUZZ_SEED=1 FUZZ_SECONDS=60 pytest -m slow tests/fuzz/test_fuzz.py -s

It goes on for FUZZ_SECONDS (15 minutes), and where these are not said, for 20,000 examples at
least. Whatever fails is written to `found/`, where `test_found.py` holds it from then on: mend it,
and give the file a name that says what was wrong.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from fuzz.corpus import FOUND, PLANS, ROOT
from fuzz.examples import Example, example
from fuzz.trial import MOST_CPU_S, TooLong, bounded, hold

SECONDS = 15 * 60
LEAST_EXAMPLES = 20_000
IN_A_ROW = 500  # examples of one process


def fuzzed(seed: int, first: int, count: int, folder: Path) -> tuple[Counter[str], list[Any]]:
    """Try examples in a process of their own; return what came out, and what failed."""
    folder.mkdir()
    for plan in PLANS:
        shutil.copy(plan, folder)
    code = [sys.executable, "-m", "fuzz.child", *map(str, (seed, first, count)), str(folder)]
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "0"}
    ran = subprocess.run(code, env=environment, capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    counts = Counter[str]()
    failures = [line for line in lines if "what" in line]
    for line in lines:
        counts.update(line.get("counts", {}))
    if ran.returncode:
        what = f"ended by {ran.returncode}"
        failures.append({"number": "in-hand", "what": what, "words": ran.stderr[-2000:]})
    return counts, failures


@pytest.mark.slow
def test_no_file_ends_in_a_traceback(tmp_path: Path) -> None:
    seed = int(os.environ.get("FUZZ_SEED") or random.SystemRandom().randrange(2**32))
    seconds = float(os.environ.get("FUZZ_SECONDS") or SECONDS)
    least = 0 if os.environ.get("FUZZ_SECONDS") else LEAST_EXAMPLES
    print(f"\nFUZZ_SEED={seed} FUZZ_SECONDS={seconds:g}", flush=True)
    started, first = time.monotonic(), 0
    counts, kept = Counter[str](), dict[str, str]()
    while time.monotonic() - started < seconds or first < least:
        folder = tmp_path / str(first)
        came, failures = fuzzed(seed, first, IN_A_ROW, folder)
        counts += came
        for failure in failures:
            if failure["what"] not in kept:
                name = f"{seed}-{first}-{failure['number']}"
                FOUND.mkdir(exist_ok=True)
                Example.read(folder / f"{failure['number']}.yaml").write(FOUND / f"{name}.yaml")
                kept[failure["what"]] = f"{name}: {failure['what']}\n{failure['words']}"
                print(kept[failure["what"]], flush=True)
        first += IN_A_ROW
        shutil.rmtree(folder)
    print(f"{first:,} examples in {time.monotonic() - started:.0f} s: {dict(counts)}", flush=True)
    assert not kept, "\n".join(kept.values())
    assert counts["plan"] > counts.total() / 20, "hardly any example is a plan at all"


def test_the_fuzzer_makes_the_same_examples_again() -> None:
    made = [example(7, number) for number in range(40)]
    assert made == [example(7, number) for number in range(40)]
    assert len(set(made)) > 38


def test_forty_examples_hold(tmp_path: Path) -> None:
    for plan in PLANS:
        shutil.copy(plan, tmp_path)
    came = Counter(hold(example(0, n), tmp_path, is_thorough=n % 4 == 0) for n in range(40))
    assert came.total() == 40
    assert set(came) == {"plan", "refused"}


def test_a_process_that_needs_too_much_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts, failures = fuzzed(0, 0, 2, tmp_path / "a")
    assert (counts.total(), failures) == (2, [])
    monkeypatch.setattr(sys, "executable", "/bin/false")
    counts, failures = fuzzed(0, 0, 2, tmp_path / "b")
    assert counts.total() == 0
    assert failures == [{"number": "in-hand", "what": "ended by 1", "words": ""}]


def test_whatever_takes_too_long_is_stopped() -> None:
    assert MOST_CPU_S == 10
    with pytest.raises(TooLong, match=r"more than 0.05 s"):
        _for_ever()


def _for_ever() -> None:
    with bounded(0.05):
        while True:
            pass
