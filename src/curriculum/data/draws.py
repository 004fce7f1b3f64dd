"""How many sequences of each source a step draws: earliest-deadline-first apportionment

The shares of a stage say how much of every source step t ought to have read, Q_i(t): a fraction.
The draws say how much it has read, N_i(t): a whole number. In every step the counts sum to the
batch, and before and after every step N_i is strictly within one sequence of Q_i.

    shares (Newton coefficients) --sum--> Q_i(t) --floor--> due --earliest deadline--> N_i(t)

A source is either at floor Q_i(t) or one ahead of it, so the whole history of a stage is one bit
per source and step, and any step can be asked for without those before it.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, chain, pairwise
from math import comb, lcm
from operator import gt, mul

VERSION = "edf-1"
"""The name of this order of drawing; whoever changes the order changes the name."""

_CHUNK_STEPS = 512  # steps that are compiled at once, to bound the memory of a compilation


@dataclass(frozen=True, slots=True)
class ShareSegment:
    """Some steps of a stage, in which every share is one polynomial.

    `shares` holds, for each source in the order of the names beside it, Newton coefficients: at
    step `first_step + j` its share is `sum(c * comb(j, k) for k, c in enumerate(coefficients))`.
    """

    first_step: int
    end_step: int
    batch_seqs: int
    shares: tuple[tuple[Fraction, ...], ...]


@dataclass(frozen=True, slots=True)
class _Piece:
    """A segment in integers: Q at `first_step + j` is sum_k coefficients[k] comb(j, k) / scale."""

    first_step: int
    end_step: int
    first_row: int
    batch_seqs: int
    scale: int
    coefficients: tuple[tuple[int, ...], ...]

    def ideal(self, source: int, step: int) -> int:
        """Numerator of Q_source before `step`, over `scale`."""
        j = step - self.first_step
        return sum(c * comb(j, k) for k, c in enumerate(self.coefficients[source]))


@dataclass(frozen=True, slots=True)
class Draws:
    """The draws of a stage: how many sequences of each source, at any step."""

    names: tuple[str, ...]  # sorted; the order of the bits and of what `each` yields
    steps: int
    _pieces: tuple[_Piece, ...]
    _bits: bytes  # bit `step * len(names) + i`: source i is ahead of the floor before `step`

    def before(self, step: int) -> dict[str, int]:
        """Sequences of each source read before `step`, from 0 to `steps` inclusive."""
        return dict(zip(self.names, self._before(step), strict=True))

    def counts(self, step: int) -> dict[str, int]:
        """Sequences of each source that `step` reads, zeros included."""
        if not 0 <= step < self.steps:
            raise IndexError(f"step {step} is outside this stage of {self.steps} steps")
        after, before = self._before(step + 1), self._before(step)
        return {name: b - a for name, a, b in zip(self.names, before, after, strict=True)}

    def each(self, first_step: int, end_step: int) -> Iterator[tuple[int, ...]]:
        """The counts of a range of steps, in the order of `names`; faster than one by one."""
        if not 0 <= first_step <= end_step <= self.steps:
            raise IndexError(
                f"steps {first_step} to {end_step} are outside this stage of {self.steps} steps"
            )
        size, last = len(self.names), self._before(first_step)
        for piece in self._pieces:
            for start, end in _chunks(
                max(piece.first_step, first_step), min(piece.end_step, end_step)
            ):
                floors = [
                    [q // piece.scale for q in _values(piece, i, start + 1, end + 1)]
                    for i in range(size)
                ]
                for step, row in enumerate(zip(*floors, strict=True), start + 1):
                    ahead = self._ahead(step)
                    now = [n + (ahead >> i & 1) for i, n in enumerate(row)]
                    yield tuple(b - a for a, b in zip(last, now, strict=True))
                    last = now

    def _before(self, step: int) -> list[int]:
        if not 0 <= step <= self.steps:
            raise IndexError(f"step {step} is outside this stage of {self.steps} steps")
        index = bisect_right(self._pieces, step, key=lambda piece: piece.first_step) - 1
        piece, ahead = self._pieces[index], self._ahead(step)
        # As `ideal` of each source, with the binomials that all of them share made once.
        j = step - piece.first_step
        binomials = [comb(j, k) for k in range(max(map(len, piece.coefficients)))]
        return [
            sum(map(mul, row, binomials)) // piece.scale + (ahead >> i & 1)
            for i, row in enumerate(piece.coefficients)
        ]

    def _ahead(self, step: int) -> int:
        first, size = step * len(self.names), len(self.names)
        window = int.from_bytes(self._bits[first // 8 : (first + size + 7) // 8], "little")
        return window >> first % 8 & (1 << size) - 1


def ideal_before(segments: Sequence[ShareSegment], source: int, step: int) -> Fraction:
    """Q: the sequences of a source that the shares ask for before `step`, exactly.

    Each coefficient is summed in closed form: sum_{u<j} comb(u, k) = comb(j, k + 1).

    >>> half_to_full = ShareSegment(0, 3, 8, ((Fraction(1, 2), Fraction(1, 4)),))
    >>> [str(ideal_before([half_to_full], 0, step)) for step in range(4)]
    ['0', '4', '10', '18']
    """
    total = Fraction(0)
    for segment in segments:
        j = min(step, segment.end_step) - segment.first_step
        if j > 0:
            shares = enumerate(segment.shares[source], 1)
            total += segment.batch_seqs * sum(c * comb(j, k) for k, c in shares)
    return total


def compile_draws(names: Sequence[str], segments: Sequence[ShareSegment]) -> Draws:
    """Turn the shares of a stage into whole sequences, by earliest deadline first.

    The m-th sequence of a source may be drawn once Q exceeds m - 1 and must be drawn when Q reaches
    m. Every step draws what is due, then fills its batch with what may be drawn and is due soonest;
    ties go by name. Such a schedule exists for any shares, so earliest deadline first finds it.

    Source: Tijdeman 1980, "The chairman assignment problem"; Baruah et al. 1996, "Proportionate
    progress", where the shares are constant.

    >>> thirds = tuple((Fraction(1, 3),) for _ in range(3))
    >>> draws = compile_draws(["c", "a", "b"], [ShareSegment(0, 2, 4, thirds)])
    >>> draws.counts(0), draws.counts(1), draws.before(2)
    ({'a': 2, 'b': 1, 'c': 1}, {'a': 1, 'b': 2, 'c': 1}, {'a': 3, 'b': 3, 'c': 2})
    """
    _require_whole(names, segments)
    order = sorted(range(len(names)), key=names.__getitem__)
    pieces = _integers(order, segments)
    return Draws(
        names=tuple(names[i] for i in order),
        steps=pieces[-1].end_step,
        _pieces=pieces,
        _bits=_joined(_ahead_masks(pieces, len(order)), len(order)),
    )


def order(counts: Mapping[str, int]) -> list[str]:
    """The sources of one step's sequences, evenly interleaved; ties by name.

    The j-th of x sequences of a source stands at (2j + 1) / (2x) of the step.

    >>> order({"code": 1, "web": 4})
    ['web', 'web', 'code', 'web', 'web']
    """
    drawn = {name: count for name, count in counts.items() if count}
    scale = lcm(*drawn.values())
    places = [
        ((2 * j + 1) * (scale // count), name)
        for name, count in drawn.items()
        for j in range(count)
    ]
    return [name for _, name in sorted(places)]


def _require_whole(names: Sequence[str], segments: Sequence[ShareSegment]) -> None:
    if not names or len(set(names)) != len(names):
        raise ValueError(f"sources need names that differ, not {list(names)}")
    if not segments or segments[0].first_step != 0:
        raise ValueError("the segments of a stage begin at step 0")
    for one, next_one in pairwise(segments):
        if one.end_step != next_one.first_step:
            raise ValueError(f"no segment begins at step {one.end_step}, where one ends")
    for segment in segments:
        place = f"steps {segment.first_step} to {segment.end_step}"
        if segment.end_step <= segment.first_step or segment.batch_seqs < 1:
            raise ValueError(f"{place}: a segment has at least one step and one sequence")
        if len(segment.shares) != len(names):
            raise ValueError(f"{place}: {len(segment.shares)} shares for {len(names)} sources")
        length = max(len(share) for share in segment.shares)
        sums = [sum(c[k] for c in segment.shares if k < len(c)) for k in range(length)]
        if sums[:1] != [1] or any(sums[1:]):
            raise ValueError(f"{place}: the shares do not sum to 1 at every step")


def _joined(masks: Iterable[int], size: int) -> bytes:
    """Masks of `size` bits one behind the other, behind an empty one for the start of step 0."""
    joined, held, held_bits = bytearray(), 0, size
    for mask in masks:
        held |= mask << held_bits
        held_bits += size
        if held_bits >= 512:
            joined += (held & (1 << 512) - 1).to_bytes(64, "little")
            held, held_bits = held >> 512, held_bits - 512
    return bytes(joined + held.to_bytes((held_bits + 7) // 8, "little"))


def _integers(order: Sequence[int], segments: Sequence[ShareSegment]) -> tuple[_Piece, ...]:
    """The segments as numerators over one denominator each, sources in the given order."""
    pieces, first_row = [], 0
    so_far = [Fraction(0)] * len(order)
    for segment in segments:
        rows = [
            (before, *(segment.batch_seqs * c for c in segment.shares[i]))
            for i, before in zip(order, so_far, strict=True)
        ]
        scale = lcm(*(c.denominator for row in rows for c in row))
        piece = _Piece(
            first_step=segment.first_step,
            end_step=segment.end_step,
            first_row=first_row,
            batch_seqs=segment.batch_seqs,
            scale=scale,
            coefficients=tuple(tuple(int(c * scale) for c in row) for row in rows),
        )
        pieces.append(piece)
        so_far = [Fraction(piece.ideal(i, segment.end_step), scale) for i in range(len(order))]
        first_row += segment.batch_seqs * (segment.end_step - segment.first_step)
    return tuple(pieces)


def _chunks(first_step: int, end_step: int) -> Iterator[tuple[int, int]]:
    for start in range(first_step, end_step, _CHUNK_STEPS):
        yield start, min(start + _CHUNK_STEPS, end_step)


def _values(piece: _Piece, source: int, start: int, end: int) -> Sequence[int]:
    """Numerators of Q before each step in [start, end), by adding finite differences."""
    coefficients = piece.coefficients[source]
    j = start - piece.first_step
    # The k-th difference at j is again a sum of binomials: D^k Q(j) = sum_m c_{k+m} comb(j, m).
    heads = [
        sum(c * comb(j, m) for m, c in enumerate(coefficients[k:]))
        for k in range(len(coefficients))
    ]
    while len(heads) > 1 and heads[-1] == 0:
        heads.pop()
    column: Sequence[int] = [heads.pop()] * (end - start)
    while heads:
        column = list(accumulate(chain(heads[-1:], column[: end - start - 1])))
        heads.pop()
    return column


def _ahead_masks(pieces: Sequence[_Piece], size: int) -> Iterator[int]:
    """After each step, who is ahead of the floor of Q: bit i for source i."""
    ahead = 0
    last: tuple[int, ...] = (0,) * size
    never = size * (pieces[-1].end_step + 2)
    for number, piece in enumerate(pieces):
        for start, end in _chunks(piece.first_step, piece.end_step):
            keys, floors = [], []
            for i in range(size):
                values = _values(piece, i, start + 1, end + 1)
                if values[0] < piece.ideal(i, start) or any(map(gt, values, values[1:])):
                    raise ValueError(f"steps {start} to {end}: a share falls below 0")
                floor = [value // piece.scale for value in values]
                due = _deadlines(pieces, number, i, end, floor)
                # A source whose Q is whole has nothing that may be drawn early.
                keys.append(
                    [
                        step * size + i if f * piece.scale != value else never + i
                        for step, f, value in zip(due, floor, values, strict=True)
                    ]
                )
                floors.append(floor)
            rows_before = piece.first_row + piece.batch_seqs * (start - piece.first_step)
            totals = range(rows_before + piece.batch_seqs, 1 << 200, piece.batch_seqs)
            bit = [1 << i for i in range(size)]
            for total, now, key in zip(
                totals, zip(*floors, strict=True), zip(*keys, strict=True), strict=False
            ):
                for i, (a, b) in enumerate(zip(last, now, strict=True)) if ahead else ():
                    if a != b:
                        ahead &= ~bit[i]
                early = total - sum(now) - ahead.bit_count()
                if early:
                    waiting = (
                        sorted(key)
                        if not ahead
                        else sorted([k for k in key if not ahead & bit[k % size]])
                    )
                    for k in waiting[:early]:
                        ahead |= bit[k % size]
                last = now
                yield ahead


def _deadlines(
    pieces: Sequence[_Piece], number: int, source: int, end: int, floor: Sequence[int]
) -> list[int]:
    """For each step of a chunk, the first later one by which Q reaches the next whole number."""
    step = _reaches(pieces, number, source, end, floor[-1] + 1)
    due = [step]
    at = end
    for later, here in zip(reversed(floor), reversed(floor[:-1]), strict=False):
        if later != here:
            step = at
        due.append(step)
        at -= 1
    due.reverse()
    return due


def _reaches(pieces: Sequence[_Piece], number: int, source: int, step: int, rows: int) -> int:
    """The first step after `step` with Q >= rows, or one past the end of the stage."""
    for index in range(number, len(pieces)):  # no slice: a ramp has as many pieces as levels
        piece = pieces[index]
        target, low = rows * piece.scale, max(step, piece.first_step)
        if low == piece.end_step or piece.ideal(source, piece.end_step) < target:
            continue
        width = 1
        while piece.ideal(source, min(low + width, piece.end_step)) < target:
            low, width = low + width, width * 2
        high = min(low + width, piece.end_step)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if piece.ideal(source, middle) >= target else (middle, high)
        return high
    return pieces[-1].end_step + 1
