"""The mixture of every step: a tree of ratios, its exact shares, and their ideal sums

The tree is what a plan says; a segment is a run of steps in which the batch is constant and every
ratio is constant or linear, so that every share is a polynomial in the step. Shares stand as Newton
coefficients c_k over a common denominator: share at step first_step + j = sum_k c_k C(j, k).
"""

import itertools
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import lcm

from curriculum.batch import Batch
from curriculum.curve import Curve, constant
from curriculum.polynomial import Polynomial, newton

ZERO, ONE = Fraction(0), Fraction(1)


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the tree: a source, or a group of nodes that share its ratio.

    `ratio` is the share of the parent's tokens. Where it is None, the node takes the part `of_rest`
    of what its siblings with a ratio leave: all of it where the plan says `rest`. A piece of a
    mixture is a node at the top whose ratio goes from 0 to 1 and back. `tags` (sorted) are no
    mathematics; a source that `is_cut` stands for all of it in a tree that was too large to keep,
    and the names and tags of the groups there are gone.
    """

    name: str
    ratio: Curve | None
    source: str | None = None
    children: "tuple[Node, ...]" = ()
    of_rest: Fraction = ONE
    is_piece: bool = False
    tags: tuple[str, ...] = ()
    is_cut: bool = False

    def paths(self, above: str = "") -> "Iterator[tuple[str, Node]]":
        """Go through this node and all below it with their paths (`text/short`)."""
        path = f"{above}/{self.name}" if above else self.name
        yield path, self
        for child in self.children:
            yield from child.paths(path)


Shares = dict[str, Polynomial]
"""Shares by the path of a node, or by the name of a source."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of steps in which every share is one polynomial of j = step - first_step.

    The batch may change in it where all shares are constant.
    """

    first_step: int
    end_step: int
    seqs_before: dict[str, Fraction]  # ideal sequences of every source before first_step
    nodes: Shares
    sources: Shares


@dataclass(frozen=True, slots=True)
class Mixture:
    """The tree of one stage and its segments; `end_tokens` is where its curves end (asked)."""

    roots: tuple[Node, ...]
    batch: Batch
    steps: int
    end_tokens: int
    sources: tuple[str, ...] = field(init=False, repr=False, compare=False)  # sorted names
    segments: tuple[Segment, ...] = field(init=False, repr=False, compare=False)
    _leaves: dict[str, str] = field(init=False, repr=False, compare=False)
    _first_steps: tuple[int, ...] = field(init=False, repr=False, compare=False)
    _seq_len: int | None = field(init=False, repr=False, compare=False)  # None: it changes

    def __post_init__(self) -> None:
        contexts = self.batch.contexts(self.steps)
        object.__setattr__(self, "_seq_len", contexts[0][1] if len(contexts) == 1 else None)
        paths = (found for root in self.roots for found in root.paths())
        leaves = {path: node.source for path, node in paths if node.source is not None}
        object.__setattr__(self, "_leaves", leaves)
        object.__setattr__(self, "sources", tuple(sorted(set(leaves.values()))))
        object.__setattr__(self, "segments", tuple(self._cut()))
        object.__setattr__(self, "_first_steps", tuple(s.first_step for s in self.segments))

    def segment_at(self, step: int) -> Segment:
        """Return the segment of a step of the stage."""
        return self.segments[bisect_right(self._first_steps, step) - 1]

    def shares(self, step: int) -> dict[str, float]:
        """Return the share of every node of the tree, of all tokens of the step."""
        if step >= self.steps:
            return {path: float(x) for path, x in self.end_shares().items()}
        segment = self.segment_at(step)
        j = step - segment.first_step
        return {path: share.value(j) for path, share in segment.nodes.items()}

    def ratios(self, step: int) -> dict[str, float]:
        """Return the share of every source of the tree, summed over where it stands."""
        if step >= self.steps:
            return {name: float(x) for name, x in self.end_ratios().items()}
        segment = self.segment_at(step)
        j = step - segment.first_step
        return {name: share.value(j) for name, share in segment.sources.items()}

    def end_shares(self) -> dict[str, Fraction]:
        """Return the exact share of every node at the boundary after the last step."""
        return _shares(self.roots, self.steps, self.end_tokens)

    def end_ratios(self) -> dict[str, Fraction]:
        """Return the exact share of every source at the boundary after the last step."""
        return self._by_source(self.end_shares())

    def end_roots(self) -> tuple[Node, ...]:
        """Return the tree with every ratio fixed at its end."""
        return _fixed(self.roots, self.steps, self.end_tokens)

    def roots_at(self, step: int, tokens: int) -> tuple[Node, ...]:
        """Return the tree with every ratio fixed at one step."""
        return _fixed(self.roots, step, tokens)

    def ideal_seqs(self, step: int) -> dict[str, Fraction]:
        """Return the ideal number of sequences of every source before a step, exactly."""
        segment = self.segment_at(min(step, self.steps - 1))
        return {name: self._ideal(segment, name, step) for name in segment.sources}

    def ideal_of(self, name: str, step: int) -> Fraction:
        """Return the ideal number of sequences of one source before a step, exactly."""
        return self._ideal(self.segment_at(min(step, self.steps - 1)), name, step)

    @property
    def is_constant(self) -> bool:
        """Say whether every share is the same at every step."""
        return len(self.segments) == 1 and not _degree(self.roots, 0)

    def part_of(self, segment: Segment, share: Polynomial, step: int | None = None) -> Fraction:
        """Return the exact tokens of a share in a segment, all of them or before a step."""
        end = segment.end_step if step is None else min(step, segment.end_step)
        tokens = self.batch.tokens_before(end) - self.batch.tokens_before(segment.first_step)
        return share.part(end - segment.first_step, tokens)

    def decided_by(self, step: int) -> int | None:
        """Return the step whose shares are the last to decide what is drawn before `step`.

        Who is drawn early goes by who is due soonest, and a source is due when its ideal reaches
        the next whole sequence: the draws look that far ahead. None: as far as the stage's end.
        """
        furthest = step
        for name, ideal in self.ideal_seqs(step).items():
            wanted = ideal.numerator // ideal.denominator + 1
            if ideal.denominator == 1:
                continue  # nothing of it may be drawn early
            if self._ideal(self.segments[-1], name, self.steps) < wanted:
                return None
            low, high = step, self.steps
            while high - low > 1:
                middle = (low + high) // 2
                reached = self._ideal(self.segment_at(middle), name, middle) >= wanted
                low, high = (low, middle) if reached else (middle, high)
            furthest = max(furthest, high)
        return furthest

    def ideal_tokens(self, step: int) -> dict[str, Fraction]:
        """Return the ideal number of tokens of every source before a step, exactly."""
        if len(self.segments) == 1:
            only = self.segments[0]
            return {name: self.part_of(only, share, step) for name, share in only.sources.items()}
        if self._seq_len is not None:
            return {name: seqs * self._seq_len for name, seqs in self.ideal_seqs(step).items()}
        totals = dict.fromkeys(self.sources, ZERO)
        for segment in self.segments:
            if segment.first_step >= step:
                break
            for name, share in segment.sources.items():
                totals[name] += self.part_of(segment, share, step)
        return totals

    def asked_tokens(self, step: int) -> dict[str, Fraction]:
        """Return `ideal_tokens` without what rounding the budget up to whole steps added."""
        if step >= self.steps and self.is_constant:
            read = min(self.end_tokens, self.batch.tokens_before(self.steps))
            return {name: x.part(1, read) for name, x in self.segments[0].sources.items()}
        totals = self.ideal_tokens(step)
        over = self.batch.tokens_before(self.steps) - self.end_tokens
        if step >= self.steps and over > 0:
            last = self.segments[-1]
            j = self.steps - 1 - last.first_step
            return {name: n - over * last.sources[name].exact(j) for name, n in totals.items()}
        return totals

    def _by_source(self, shares: dict[str, Fraction]) -> dict[str, Fraction]:
        if len(self._leaves) == len(self.sources):
            found = {source: shares[path] for path, source in self._leaves.items()}
            return {name: found[name] for name in self.sources}
        parts: dict[str, list[Fraction]] = {name: [] for name in self.sources}
        for path, source in self._leaves.items():
            parts[source].append(shares[path])
        return {name: exact_sum(found) for name, found in parts.items()}

    def _ideal(self, segment: Segment, name: str, step: int) -> Fraction:
        seqs = self.batch.seqs_before(step) - self.batch.seqs_before(segment.first_step)
        part = segment.sources[name].part(step - segment.first_step, seqs)
        return segment.seqs_before[name] + part if segment.first_step else part

    def _cut(self) -> Iterator[Segment]:
        before = dict.fromkeys(self.sources, ZERO)
        for first, end, nodes, sources in self._runs():
            yield Segment(first, end, dict(before), nodes, sources)
            if end < self.steps:
                seqs = self.batch.seqs_before(end) - self.batch.seqs_before(first)
                for name, share in sources.items():
                    before[name] += share.part(end - first, seqs)

    def _runs(self) -> Iterator[tuple[int, int, Shares, Shares]]:
        """Yield the steps of each segment, and its shares of nodes and of sources.

        Cut where a ratio changes its piece, and where one moves, at every change of the batch too.
        """
        curves = [n.ratio for r in self.roots for _, n in r.paths() if n.ratio is not None]
        breaks = {0, self.steps}.union(*(curve.breaks() for curve in curves))
        for first, end in itertools.pairwise(sorted(b for b in breaks if 0 <= b <= self.steps)):
            nodes, sources = self._polynomials(first)
            moving = [p for c in curves if (p := c.piece_at(first)).shape != "constant"]
            if not moving:
                yield first, end, nodes, sources
                continue
            units = {piece.unit for piece in moving}
            per_step = self.batch.piece_at(first).tokens_per_step
            for low, high, piece in self.batch.runs(first, end):
                if len(units) > 1:
                    yield low, high, *self._polynomials(low)
                    continue
                # Shares follow the tokens or the steps alone: the same polynomial, read on.
                way = (low - first, 1, 1)
                if "tokens" in units:
                    seen = piece.tokens_before - self.batch.tokens_before(first)
                    way = (max(seen, 0), piece.tokens_per_step, per_step)
                yield low, high, _moved(nodes, way), _moved(sources, way)

    def _polynomials(self, first: int) -> tuple[Shares, Shares]:
        """Return the shares of nodes and of sources from a step on, in steps from there."""
        tokens = self.batch.tokens_before(first)
        per_step = self.batch.piece_at(first).tokens_per_step
        samples = [
            _shares(self.roots, first, tokens + j * per_step, j)
            for j in range(_degree(self.roots, first) + 1)
        ]
        by_source = [self._by_source(sample) for sample in samples]
        nodes = {path: newton([s[path] for s in samples]) for path in samples[0]}
        return nodes, {name: newton([s[name] for s in by_source]) for name in self.sources}


def _moved(shares: Shares, way: tuple[int, int, int]) -> Shares:
    return {name: share.moved(*way) for name, share in shares.items()}


def exact_sum(parts: Iterable[Fraction]) -> Fraction:
    """Return the sum over one common denominator: of many parts, much faster than one by one.

    >>> exact_sum([Fraction(1, 6), Fraction(1, 3)])
    Fraction(1, 2)
    """
    known = list(parts)
    denominator = lcm(*(x.denominator for x in known))
    return Fraction(sum(x.numerator * (denominator // x.denominator) for x in known), denominator)


def rest_of(siblings: Sequence[Node], step: int, tokens: int, j: int = 0) -> Fraction:
    """Return what the siblings with a ratio leave to those that have none."""
    return 1 - exact_sum(_ratio(n.ratio, step, tokens, j) for n in siblings if n.ratio)


def ratios_of(siblings: Sequence[Node], step: int, tokens: int, j: int = 0) -> list[Fraction]:
    """Return the share that each sibling has of what holds them all."""
    said = [None if n.ratio is None else _ratio(n.ratio, step, tokens, j) for n in siblings]
    known = [x for x in said if x is not None]
    if len(known) == len(said):
        return known
    rest = 1 - exact_sum(known)
    return [
        ratio if ratio is not None else rest * node.of_rest
        for node, ratio in zip(siblings, said, strict=True)
    ]


def _ratio(curve: Curve, step: int, tokens: int, j: int) -> Fraction:
    piece = curve.piece_at(step)
    if piece.shape == "constant":
        return piece.a
    assert piece.shape == "linear"
    assert piece.end is not None
    x = tokens if piece.unit == "tokens" else step + j
    if j == 0:
        return piece.exact(x)
    # Sampled on the line of the first step's piece, also past its end: the polynomial counts.
    return piece.a + (piece.b - piece.a) * Fraction(x - piece.start, piece.end - piece.start)


def _shares(roots: Sequence[Node], step: int, tokens: int, j: int = 0) -> dict[str, Fraction]:
    shares: dict[str, Fraction] = {}

    def descend(siblings: Sequence[Node], above: str, share: Fraction) -> None:
        # Of nothing all have nothing: pieces that do not run cost no arithmetic.
        ratios = ratios_of(siblings, step, tokens, j) if share else [ZERO] * len(siblings)
        for node, ratio in zip(siblings, ratios, strict=True):
            path = f"{above}/{node.name}" if above else node.name
            shares[path] = own = ratio if share == 1 or not share else share * ratio
            if node.children:
                descend(node.children, path, own)

    descend(roots, "", ONE)
    return shares


def _fixed(siblings: Sequence[Node], step: int, tokens: int) -> tuple[Node, ...]:
    ratios = ratios_of(siblings, step, tokens)
    return tuple(
        replace(
            node,
            ratio=constant(ratio),
            children=_fixed(node.children, step, tokens),
            of_rest=ONE,
            is_piece=False,
        )
        for node, ratio in zip(siblings, ratios, strict=True)
    )


def _degree(siblings: Sequence[Node], step: int) -> int:
    """Return the degree that shares below these siblings can reach in the segment of a step."""
    if not siblings:
        return 0
    moving = any(
        n.ratio is not None and n.ratio.piece_at(step).shape != "constant" for n in siblings
    )
    return int(moving) + max(_degree(n.children, step) for n in siblings)
