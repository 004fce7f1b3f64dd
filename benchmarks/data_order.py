"""Order and packing of data: time, bytes and random access, against an index built per sample

The peer of the draws is what published trainers build, written here in numpy: for each sample its
source (2 bytes) and its number in that source (8 bytes), read by slicing. It is built for the first
`--peer-samples` of the same ramp and scaled to all of them, in proportion: its sort grows a little
faster than that, which is in its favour. The peer of packing is tokens cut wherever a row is full.
"""

import argparse
import multiprocessing
import platform
import random
import sys
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from curriculum.data.draws import Draws, ShareSegment, compile_draws, ideal_before
from curriculum.data.store import About, Source, Specials
from curriculum.data.stream import TextStream, open_stream

SOURCES = 16
STAGES = ((100_000, 10_000), (1_000_000, 1_000))  # steps, sequences of each
AIM_S, AIM_BYTES, AIM_US = 2.5, 1_000_000, 20  # of the first stage
AIM_DOCS_PER_S = 300_000
PACKED = (("short", 60, 1.0, 2048), ("web", 400, 1.2, 8192), ("web", 400, 1.2, 32_768))


def ramp(steps: int, batch_seqs: int) -> list[ShareSegment]:
    """Return shares of no round numbers that move in three fifths of a stage, then stay."""
    dealt = random.Random(0)
    one, two = ([dealt.randrange(1, 1_000_000) for _ in range(SOURCES)] for _ in range(2))
    begin, end = ([Fraction(w, sum(weights)) for w in weights] for weights in (one, two))
    flat = steps * 3 // 5 - 1
    moving = tuple((a, (b - a) / flat) for a, b in zip(begin, end, strict=True))
    return [
        ShareSegment(0, flat, batch_seqs, moving),
        ShareSegment(flat, steps, batch_seqs, tuple((b,) for b in end)),
    ]


@dataclass(frozen=True, slots=True)
class SampleIndex:
    """The source of every sample, and its number in that source; N samples."""

    source: NDArray[np.int16]  # [N]
    number: NDArray[np.int64]  # [N]
    batch_seqs: int

    def counts(self, step: int) -> NDArray[np.int64]:
        """Sequences of each source that `step` reads, [SOURCES]."""
        drawn = self.source[step * self.batch_seqs : (step + 1) * self.batch_seqs]
        return np.bincount(drawn, minlength=SOURCES)


def sample_index(segments: list[ShareSegment], samples: int) -> SampleIndex:
    """Build the index of the first samples of a stage: each sample where its share is half due."""
    batch_seqs = segments[0].batch_seqs
    steps = np.arange(samples // batch_seqs + 1)
    places, sources, numbers = [], [], []
    for i, share in enumerate(segments[0].shares):
        first, slope = float(share[0]), float(share[1])
        ideal = batch_seqs * (first * steps + slope * steps * (steps - 1) / 2)
        size = round(float(ideal[-1]))
        places.append(np.interp(np.arange(size) + 0.5, ideal, steps))
        sources.append(np.full(size, i, dtype=np.int16))
        numbers.append(np.arange(size, dtype=np.int64))
    # The one stable kind: others sort differently on other processors.
    by_place = np.argsort(np.concatenate(places), kind="stable")
    return SampleIndex(
        np.concatenate(sources)[by_place], np.concatenate(numbers)[by_place], batch_seqs
    )


def microseconds(ask: Callable[[int], object], steps: list[int]) -> float:
    """Return the microseconds of one question, the best of 5 rounds."""
    rounds = []
    for _ in range(5):
        begin = time.perf_counter()
        for step in steps:
            ask(step)
        rounds.append((time.perf_counter() - begin) / len(steps) * 1e6)
    return min(rounds)


def compiled(segments: list[ShareSegment]) -> tuple[Draws, float]:
    """Return the draws and the seconds that compiling them took."""
    names = [f"source-{i:02d}" for i in range(SOURCES)]
    begin = time.perf_counter()
    draws = compile_draws(names, segments)
    return draws, time.perf_counter() - begin


def measure_draws(
    steps: int, batch_seqs: int, peer_samples: int
) -> tuple[float, int, float, float]:
    """Print one stage beside its peer; return seconds, bytes, us of `before` and of `counts`."""
    segments = ramp(steps, batch_seqs)
    draws, wall_s = compiled(segments)
    size = len(draws._bits)
    total = draws.before(steps)
    assert sum(total.values()) == steps * batch_seqs
    for i, name in enumerate(draws.names):
        assert abs(total[name] - ideal_before(segments, i, steps)) < 1
    dealt = random.Random(1)
    asked = [dealt.randrange(steps) for _ in range(3000)]
    before_us, counts_us = microseconds(draws.before, asked), microseconds(draws.counts, asked)

    samples = min(peer_samples, segments[0].end_step * batch_seqs) // batch_seqs * batch_seqs
    begin = time.perf_counter()
    peer = sample_index(segments, samples)
    scale = steps * batch_seqs / samples
    peer_s = (time.perf_counter() - begin) * scale
    peer_bytes = round((peer.source.nbytes + peer.number.nbytes) * scale)
    peer_us = microseconds(peer.counts, [step % (samples // batch_seqs) for step in asked])

    print(f"\n{steps:,} steps of {batch_seqs:,}, {SOURCES} sources, a ramp: 1e9 sequences")
    print(f"{'':<22}{'draws':>12}{'index':>12}   index / draws")
    for what, ours, other, unit in (
        ("compile", wall_s, peer_s, "s"),
        ("kept", size / 1e6, peer_bytes / 1e6, "MB"),
        ("before(step)", before_us, None, "us"),
        ("counts(step)", counts_us, peer_us, "us"),
    ):
        beside = f"{other:>9.2f} {unit:<2}   {other / ours:,.2f}" if other is not None else ""
        print(f"{what:<22}{ours:>9.2f} {unit:<2}{beside}")
    print(f"(index built for {samples:,} samples, times {scale:,.0f})")
    return wall_s, size, before_us, counts_us


def peak_bytes(segments: list[ShareSegment]) -> int:
    """Return the most memory that compiling holds at once, what is kept included."""
    tracemalloc.start()
    compiled(segments)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def source_of(lengths: NDArray[np.int64]) -> Source:
    """Return a text source of documents of these lengths; packing reads nothing else of it."""
    ids = Specials(pad=0, begin=1, end=2, image=3, image_end=4, image_position=5)
    about = About("made", "text", "CC0", "made up", "none", ids, patch_px=4, merge=2)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    none = np.zeros(len(offsets), dtype=np.int64)
    return Source(
        about=about,
        fingerprint="",
        tokens=np.broadcast_to(np.uint16(0), (int(offsets[-1]),)),
        offsets=offsets,
        doc_hashes=np.zeros((len(lengths), 32), dtype=np.uint8),
        image_offsets=none,
        image_px=np.zeros((0, 2), dtype=np.int32),
        pixel_offsets=none[:1],
        pixels=np.zeros(0, dtype=np.uint8),
    )


def lengths_of(docs: int, median: int, spread: float) -> NDArray[np.int64]:
    """Return log-normal lengths in tokens, [docs]."""
    normal = np.random.default_rng(0).standard_normal(docs)
    lengths: NDArray[np.int64] = np.maximum(1, median * np.exp(spread * normal)).astype(np.int64)
    return lengths


def opened(lengths: NDArray[np.int64], seq_len: int) -> TextStream:
    stream = open_stream(source_of(lengths), [], 0, seq_len, "llm")
    assert isinstance(stream, TextStream)
    return stream


@dataclass(frozen=True, slots=True)
class Share:
    """Rows [first, end) of a source, for one worker."""

    docs: int
    median: int
    spread: float
    seq_len: int
    first: int
    end: int


def pack_share(share: Share) -> tuple[float, float]:
    """Read rows as a step does, one by one; return wall and CPU seconds, opening included."""
    lengths = lengths_of(share.docs, share.median, share.spread)
    begin, cpu_begin = time.perf_counter(), time.process_time()
    stream = opened(lengths, share.seq_len)
    for k in range(share.first, share.end):
        stream.row(k)
    return time.perf_counter() - begin, time.process_time() - cpu_begin


def fill_and_cut(lengths: NDArray[np.int64], seq_len: int) -> tuple[float, float, float]:
    """Return the fill of the rows, the share of documents cut that fit a row, and the peer's."""
    stream, rows = opened(lengths, seq_len), int(lengths.sum()) // seq_len
    pieces = np.zeros(len(lengths), dtype=np.int64)
    filled = 0
    for k in range(rows):
        for doc, start, end in stream.row(k).spans:
            pieces[doc] += 1
            filled += end - start
    fits = lengths <= seq_len
    ends = np.cumsum(lengths)
    chunked = (ends - 1) // seq_len != (ends - lengths) // seq_len
    return filled / (rows * seq_len), float((pieces[fits] > 1).mean()), float(chunked[fits].mean())


def chunk_s(lengths: NDArray[np.int64], seq_len: int) -> float:
    """Return the seconds of the peer: shuffle, and for each row its first document and token."""
    begin = time.perf_counter()
    order = np.random.default_rng(0).permutation(len(lengths))
    ends = np.cumsum(lengths[order])
    starts = np.arange(0, int(ends[-1]), seq_len)
    first = np.searchsorted(ends, starts, side="right")
    np.stack([order[first], starts - (ends - lengths[order])[first]])
    return time.perf_counter() - begin


def measure_packing(docs: int) -> float:
    """Print packing in 1 and 2 worker processes; return the fewest documents per second of one."""
    print(f"\npacking {docs:,} documents of log-normal length, rows read one by one in processes")
    print(
        f"{'':<8}{'median':>7}{'seq_len':>9}{'docs/s: 1':>12}{'2 workers':>12}"
        f"{'per CPU s':>12}{'fill':>9}{'cut':>8}{'chunked cut':>13}"
        f"{'chunked docs/s':>16}   cut of chunked"
    )
    slowest = float("inf")
    spawn = multiprocessing.get_context("spawn")
    for name, median, spread, seq_len in PACKED:
        lengths = lengths_of(docs, median, spread)
        rows = int(lengths.sum()) // seq_len
        rates = []
        for workers in (1, 2):
            bounds = [rows * w // workers for w in range(workers + 1)]
            shares = [
                Share(docs, median, spread, seq_len, bounds[w], bounds[w + 1])
                for w in range(workers)
            ]
            with spawn.Pool(workers) as pool:
                walls_s, cpus_s = zip(*pool.map(pack_share, shares), strict=True)
            rates.append(docs / max(walls_s))
        slowest = min(slowest, rates[0])
        fill, cut, chunked = fill_and_cut(lengths, seq_len)
        print(
            f"{name:<8}{median:>7}{seq_len:>9,}{rates[0]:>12,.0f}{rates[1]:>12,.0f}"
            f"{docs / sum(cpus_s):>12,.0f}{fill:>9.2%}{cut:>8.2%}{chunked:>13.2%}"
            f"{docs / chunk_s(lengths, seq_len):>16,.0f}   {cut / chunked:.3f}"
        )
    return slowest


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--peer-samples", type=int, default=10_000_000)
    parser.add_argument("--docs", type=int, default=1_000_000, help="documents that are packed")
    args = parser.parse_args()
    print(f"Python {platform.python_version()}, numpy {np.__version__}, {platform.machine()}")
    found = [measure_draws(steps, seqs, args.peer_samples) for steps, seqs in STAGES]
    peak = peak_bytes(ramp(*STAGES[0])) / 1e6
    rate = measure_packing(args.docs)
    wall_s, size, before_us, counts_us = found[0]
    aims = (
        (f"compile {wall_s:.2f} s", AIM_S, wall_s <= AIM_S),
        (f"kept {size:,} bytes ({peak:.1f} MB while it compiles)", AIM_BYTES, size <= AIM_BYTES),
        (f"before(step) {before_us:.1f} us", AIM_US, before_us <= AIM_US),
        (f"counts(step) {counts_us:.1f} us", AIM_US, counts_us <= AIM_US),
        (f"packing {rate:,.0f} documents/s and worker", AIM_DOCS_PER_S, rate >= AIM_DOCS_PER_S),
    )
    print()
    for what, aim, met in aims:
        print(f"{what} (aim {aim:,}: {'met' if met else 'missed'})")
    return 0 if all(met for *_, met in aims) else 1


if __name__ == "__main__":
    sys.exit(main())
