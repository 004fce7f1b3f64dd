"""The mixture of every step: a tree of ratios, its exact shares, and their ideal sums

The tree is what a plan says; a segment is a run of steps in which the batch is constant and every
ratio is constant or linear, so that every share is a polynomial in the step. Shares stand as Newton
coefficients c_k over a common denominator: share at step first_step + j = sum_k c_k C(j, k).
"""

import itertools
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import lcm

from curriculum.batch import Batch
from curriculum.curve import Curve, constant
from curriculum.polynomial import Polynomial, through

ZERO, ONE = Fraction(0), Fraction(1)


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the tree: a source, or a group of nodes that share its ratio.

    `ratio` is the share of the parent's tokens. Where it is None, the node takes the part `of_rest`
    of what its siblings with a ratio leave: all of it where the plan says `rest`. A piece of a
    mixture is a node at the top whose ratio goes from 0 to 1 and back.
    """

    name: str
    ratio: Curve | None
    source: str | None = None
    children: "tuple[Node, ...]" = ()
    of_rest: Fraction = ONE
    is_piece: bool = False

    def paths(self, above: str = "") -> "Iterator[tuple[str, Node]]":
        """Go through this node and all below it with their paths (`text/short`)."""
        path = f"{above}/{self.name}" if above else self.name
        yield path, self
        for child in self.children:
            yield from child.paths(path)


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of steps in which every share is one polynomial of j = step - first_step."""

    first_step: int
    end_step: int
    batch_seqs: int
    seq_len: int
    seqs_before: dict[str, Fraction]  # ideal sequences of every source before first_step
    nodes: dict[str, Polynomial]
    sources: dict[str, Polynomial]


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

    def __post_init__(self) -> None:
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
        return {name: _ideal(segment, name, step) for name in segment.sources}

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
            if _ideal(self.segments[-1], name, self.steps) < wanted:
                return None
            low, high = step, self.steps
            while high - low > 1:
                middle = (low + high) // 2
                reached = _ideal(self.segment_at(middle), name, middle) >= wanted
                low, high = (low, middle) if reached else (middle, high)
            furthest = max(furthest, high)
        return furthest

    def ideal_tokens(self, step: int) -> dict[str, Fraction]:
        """Return the ideal number of tokens of every source before a step, exactly."""
        totals = dict.fromkeys(self.sources, ZERO)
        for segment in self.segments:
            if segment.first_step >= step:
                break
            j = min(step, segment.end_step) - segment.first_step
            per_step = segment.batch_seqs * segment.seq_len
            for name, share in segment.sources.items():
                totals[name] += per_step * share.sum_before(j)
        return totals

    def asked_tokens(self, step: int) -> dict[str, Fraction]:
        """Return `ideal_tokens` without what rounding the budget up to whole steps added."""
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

    def _cut(self) -> Iterator[Segment]:
        curves = [n.ratio for r in self.roots for _, n in r.paths() if n.ratio is not None]
        turns = {step for curve in curves for step in curve.breaks()}
        cuts = sorted(
            b for b in {0, self.steps, *turns, *self.batch.breaks()} if 0 <= b <= self.steps
        )
        before = dict.fromkeys(self.sources, ZERO)
        degree = 0
        nodes: dict[str, Polynomial] = {}
        sources: dict[str, Polynomial] = {}
        for first, end in itertools.pairwise(cuts):
            piece = self.batch.piece_at(first)
            if degree or not nodes or first in turns:
                degree = _degree(self.roots, first)
                nodes, sources = self._polynomials(first, degree)
            yield Segment(first, end, piece.batch_seqs, piece.seq_len, dict(before), nodes, sources)
            if end < self.steps:
                for name, share in sources.items():
                    before[name] += piece.batch_seqs * share.sum_before(end - first)

    def _polynomials(
        self, first: int, degree: int
    ) -> tuple[dict[str, Polynomial], dict[str, Polynomial]]:
        """Return the shares of nodes and of sources from a step on, up to the next cut."""
        tokens, per_step = self.batch.tokens_before(first), self.batch.piece_at(first)
        samples = [
            _shares(self.roots, first, tokens + j * per_step.tokens_per_step, j)
            for j in range(degree + 1)
        ]
        by_source = [self._by_source(s) for s in samples]
        return (
            {path: through([s[path] for s in samples]) for path in samples[0]},
            {name: through([s[name] for s in by_source]) for name in self.sources},
        )


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


def _ideal(segment: Segment, name: str, step: int) -> Fraction:
    sum_before = segment.sources[name].sum_before(step - segment.first_step)
    return segment.seqs_before[name] + segment.batch_seqs * sum_before


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
        Node(node.name, constant(ratio), node.source, _fixed(node.children, step, tokens))
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
