import threading
import time
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from curriculum.data.draws import ShareSegment, compile_draws
from curriculum.data.loader import StageData, StageReader, open_sources, prefetched
from curriculum.data.store import DataError, Unit, write_source
from curriculum.data.stream import Reads
from data.made import about, image_document, image_source, text_source

STEPS, BATCH = 12, 8
SOURCES = {
    "words": text_source([3 + i % 40 for i in range(300)], "words"),
    "rare": text_source([5, 7], "rare"),
    "pictures": image_source([[(1 + i % 2, 2), 1 + i % 9] for i in range(90)], "pictures"),
}
NAMES = ("pictures", "rare", "words")


def stage(
    seq_len: int = 32, steps: int = STEPS, seed: int = 0, **history: list[Reads]
) -> StageData:
    ramp = Fraction(1, 2 * steps)
    rare = Fraction(1, 100)
    shares = ((Fraction(0), ramp), (rare,), (1 - rare, -ramp))
    segments = [ShareSegment(0, steps, BATCH, shares)]
    return StageData(
        draws=compile_draws(NAMES, segments),
        seed=seed,
        seq_len=seq_len,
        unit="llm",
        history=history,
        holdout={"words": Fraction(1, 10)},
    )


def test_a_step_is_the_same_whoever_asks_and_whatever_was_asked_before() -> None:
    one, other = StageReader(stage(), SOURCES), StageReader(stage(), SOURCES)
    steps = [one.rows(step) for step in range(STEPS)]
    for step in (7, 3, 11, 0, 3):
        assert other.rows(step) == steps[step]
        assert other.drawn_hash(other.rows(step)) == one.drawn_hash(steps[step])
    packed, again = one.pack(steps[7]), other.pack(other.rows(7))
    assert packed.tokens.tobytes() == again.tokens.tobytes()
    assert packed.patches.tobytes() == again.patches.tobytes()
    assert [row.source for row in steps[-1]].count("pictures") in (3, 4)


@pytest.mark.parametrize("ranks", [1, 2, 3, 5, 8])
def test_contiguous_slices_are_the_step(ranks: int) -> None:
    reader = StageReader(stage(), SOURCES)
    for step in (0, 9):
        cuts = [rank * BATCH // ranks for rank in range(ranks + 1)]
        parts = [row for a, b in pairwise(cuts) for row in reader.rows(step, a, b)]
        assert parts == reader.rows(step)


def test_the_steps_of_a_stage_read_each_row_of_a_source_once_and_in_its_order() -> None:
    reader = StageReader(stage(), SOURCES)
    drawn = [row for step in range(STEPS) for row in reader.rows(step)]
    for name, count in stage().draws.before(STEPS).items():
        stream = reader._windows[0].streams[name]
        assert [row for row in drawn if row.source == name] == [stream.row(k) for k in range(count)]


def test_a_stage_after_others_reads_on() -> None:
    """Two stages of 6 steps see what one of 12 constant steps sees."""
    both = ((Fraction(1, 4),), (Fraction(1, 4),), (Fraction(1, 2),))

    def constant(steps: int, **history: list[Reads]) -> StageData:
        draws = compile_draws(NAMES, [ShareSegment(0, steps, BATCH, both)])
        return StageData(draws, 0, 32, "llm", history, {})

    whole = StageReader(constant(12), SOURCES)
    first = constant(6)
    read = {name: [Reads(32, rows)] for name, rows in first.draws.before(6).items()}
    second = StageReader(constant(6, **read), SOURCES)
    for step in range(6):
        assert second.rows(step) == whole.rows(6 + step)


def test_the_data_order_of_today_is_that_of_tomorrow() -> None:
    """Golden: whoever changes the order changes the VERSION of draws.py or stream.py with it."""
    reader = StageReader(stage(pictures=[Reads(16, 11)], words=[Reads(48, 9)]), SOURCES)
    rows = [row for step in range(STEPS) for row in reader.rows(step)]
    assert reader.drawn_hash(rows)[:16] == "928ca4fde0f4d533"


def test_another_seed_is_another_order() -> None:
    assert StageReader(stage(seed=1), SOURCES).rows(3) != StageReader(stage(), SOURCES).rows(3)


def test_sources_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no data for the sources rare"):
        StageReader(stage(), {name: SOURCES[name] for name in ("words", "pictures")})
    with pytest.raises(DataError, match="prepare source `words` first"):
        open_sources(tmp_path, ["words"])


def test_a_source_that_is_never_drawn_need_not_fit(tmp_path: Path) -> None:
    write_source(tmp_path / "big", about("big", "image-text"), [image_document(0, [(5, 5)])])
    write_source(tmp_path / "words", about("words"), [image_document(1, [9])])
    sources = open_sources(tmp_path, ["big", "words"])
    zero = [ShareSegment(0, 2, 4, ((Fraction(0),), (Fraction(1),)))]
    half = [ShareSegment(0, 2, 4, ((Fraction(1, 2),), (Fraction(1, 2),)))]

    def reader(segments: list[ShareSegment], unit: Unit = "llm") -> StageReader:
        draws = compile_draws(["big", "words"], segments)
        return StageReader(StageData(draws, 0, 8, unit, {}, {}), sources)

    assert {row.source for row in reader(zero).rows(1)} == {"words"}
    with pytest.raises(ValueError, match="`big` has an image of 27 positions"):
        reader(half)


def test_what_is_prefetched_is_what_is_made() -> None:
    reader = StageReader(stage(), SOURCES)
    plain = [reader.pack(reader.rows(step)).tokens for step in range(3, STEPS)]
    fresh = StageReader(stage(), SOURCES)
    with prefetched(lambda step: fresh.pack(fresh.rows(step)).tokens, range(3, STEPS)) as items:
        for tokens, expected in zip(items, plain, strict=True):
            assert np.array_equal(tokens, expected)


def test_prefetching_overlaps() -> None:
    made: list[int] = []
    with prefetched(lambda step: made.append(step) or step, range(5)) as items:  # type: ignore[func-returns-value]
        assert next(items) == 0
        deadline = time.monotonic() + 5
        while len(made) < 2 and time.monotonic() < deadline:
            time.sleep(0.001)
        assert made == [0, 1]


def test_an_exception_arrives_at_its_step_and_no_thread_stays() -> None:
    def make(step: int) -> int:
        if step == 2:
            raise ValueError("step 2 is broken")
        return step

    threads = threading.active_count()
    with prefetched(make, range(5)) as items:
        assert [next(items), next(items)] == [0, 1]
        with pytest.raises(ValueError, match="step 2 is broken"):
            next(items)

    def interrupted() -> None:
        with prefetched(make, range(5)) as items:
            next(items)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with prefetched(make, range(0)) as items:
        assert list(items) == []
    assert threading.active_count() == threads


def test_concurrent_readers_of_one_stage_agree() -> None:
    """The prefetching thread and the trainer may ask the same reader at once."""
    expected = [StageReader(stage(), SOURCES).rows(step) for step in range(STEPS)]
    shared, found = StageReader(stage(), SOURCES), {}

    def ask(first: int) -> None:
        for step in range(first, STEPS, 2):
            found[step] = shared.rows(step)

    threads = [threading.Thread(target=ask, args=(first,)) for first in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[step] for step in range(STEPS)] == expected
