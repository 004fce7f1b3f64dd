"""The fuzzer's process: examples in a row, below limits of memory and CPU that the system holds

    python -m fuzz.child SEED FIRST COUNT FOLDER

Failures are printed as lines of JSON. The example in hand lies in FOLDER, so that whoever started
this process has it where the system ended it.
"""

import json
import resource
import sys
import traceback
from pathlib import Path

from fuzz.examples import Example, example
from fuzz.trial import MOST_CPU_S, TooLong, hold

MOST_BYTES = 1 << 30
"""The address space of the process: with the interpreter and the corpus in it, below 200 MiB."""

THOROUGH = 4  # every so many examples are shown, laid out and tested in full
MOST_TRIES = 150  # of making a failure smaller


def main(seed: int, first: int, count: int, folder: Path) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    counts: dict[str, int] = {}
    for number in range(first, first + count):
        made = example(seed, number)
        made.write(folder / "in-hand.yaml")
        came, words = tried(made, folder, number % THOROUGH == 0)
        counts[came] = counts.get(came, 0) + 1
        if words:
            small = smaller(made, folder, number % THOROUGH == 0, came)
            small.write(folder / f"{number}.yaml")
            _say({"number": number, "what": came, "words": words})
    _say({"counts": counts, "peak_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss})


def tried(made: Example, folder: Path, is_thorough: bool) -> tuple[str, str]:
    """Return what came out of an example, and the traceback or "" where nothing is wrong.

    Of failures the first word is where they come from: two with the same one are the same mistake.
    """
    # Where a signal is not heeded, inside one call of C, the system ends the process.
    used = resource.getrusage(resource.RUSAGE_SELF)
    end = int(used.ru_utime + used.ru_stime) + 8 * MOST_CPU_S  # 7 things are done with a file
    resource.setrlimit(resource.RLIMIT_CPU, (end, resource.RLIM_INFINITY))
    try:
        return hold(made, folder, is_thorough), ""
    except (Exception, TooLong) as error:
        frames = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in frames if "/curriculum/" in frame.filename] or frames
        place = "" if isinstance(error, TooLong) else f" {ours[-1].lineno}"
        what = f"{type(error).__name__} in {Path(ours[-1].filename).name} {ours[-1].name}{place}"
        if isinstance(error, AssertionError):
            what += f": {str(error).replace(str(folder), '')[:40]}"
        return what, "".join(traceback.format_exception(error))[-3000:]


def smaller(made: Example, folder: Path, is_thorough: bool, what: str) -> Example:
    """Leave out lines, and settings, as long as the same goes wrong."""
    tries = 0
    lines = made.data.split(b"\n")
    size = max(1, len(lines) // 2)
    while tries < MOST_TRIES and not what.startswith("TooLong"):
        at = 0
        while at < len(lines) and tries < MOST_TRIES:
            tries += 1
            fewer = made._replace(data=b"\n".join(lines[:at] + lines[at + size :]))
            if tried(fewer, folder, is_thorough)[0] == what:
                made, lines = fewer, fewer.data.split(b"\n")
            else:
                at += size
        if size == 1:
            break
        size //= 2
    for setting in made.settings:
        fewer = made._replace(settings=tuple(s for s in made.settings if s != setting))
        if tried(fewer, folder, is_thorough)[0] == what:
            made = fewer
    return made


def _say(what: dict[str, object]) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
