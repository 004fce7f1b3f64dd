"""The mixture of every step: a tree of ratios, its exact shares, and their ideal sums

The tree is what a plan says; a segment is a run of steps in which every share is a polynomial in
the step: all ratios are constant, or they are linear too and the batch is constant. Shares stand as
Newton coefficients c_k over a common denominator: share at first_step + j = sum_k c_k C(j, k).
"""

import itertools
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from curriculum.batch import Batch
from curriculum.curve import Curve, constant
from curriculum.polynomial import Polynomial, newton


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the tree: a source, or a group of nodes that share its ratio.

    `ratio` is the share of the parent's tokens, None where the plan says `rest`.
    """

    name: str
    ratio: Curve | None
    source: str | None = None
    children: "tuple[Node, ...]" = ()

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
    segments: tuple[Segment, ...] = field(init=False, repr=False, compare=False)
    _first_steps: tuple[int, ...] = field(init=False, repr=False, compare=False)
    _seq_len: int | None = field(init=False, repr=False, compare=False)  # None: it changes

    def __post_init__(self) -> None:
        contexts = self.batch.contexts(self.steps)
        object.__setattr__(self, "_seq_len", contexts[0][1] if len(contexts) == 1 else None)
        object.__setattr__(self, "segments", tuple(self._cut()))
        object.__setattr__(self, "_first_steps", tuple(s.first_step for s in self.segments))

    @property
    def sources(self) -> tuple[str, ...]:
        """The names of all sources in the tree, sorted."""
        names = {n.source for r in self.roots for _, n in r.paths() if n.source is not None}
        return tuple(sorted(names))

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
        """Return the tree with every ratio fixed at its end: what a replay reads."""
        return tuple(_fixed(root, self.roots, self.steps, self.end_tokens) for root in self.roots)

    def roots_at(self, step: int, tokens: int) -> tuple[Node, ...]:
        """Return the tree with every ratio fixed at one step."""
        return tuple(_fixed(root, self.roots, step, tokens) for root in self.roots)

    def ideal_seqs(self, step: int) -> dict[str, Fraction]:
        """Return the ideal number of sequences of every source before a step, exactly."""
        segment = self.segment_at(min(step, self.steps - 1))
        seqs = self.batch.seqs_before(step) - self.batch.seqs_before(segment.first_step)
        steps = step - segment.first_step
        return {
            name: segment.seqs_before[name] + share.part(steps, seqs)
            for name, share in segment.sources.items()
        }

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
            if self.ideal_seqs(self.steps)[name] < wanted:
                return None
            low, high = step, self.steps
            while high - low > 1:
                middle = (low + high) // 2
                reached = self.ideal_seqs(middle)[name] >= wanted
                low, high = (low, middle) if reached else (middle, high)
            furthest = max(furthest, high)
        return furthest

    def ideal_tokens(self, step: int) -> dict[str, Fraction]:
        """Return the ideal number of tokens of every source before a step, exactly."""
        if self._seq_len is not None:
            return {name: seqs * self._seq_len for name, seqs in self.ideal_seqs(step).items()}
        totals = dict.fromkeys(self.sources, Fraction(0))
        for segment in self.segments:
            if segment.first_step >= step:
                break
            for name, share in segment.sources.items():
                totals[name] += self.part_of(segment, share, step)
        return totals

    def _by_source(self, shares: dict[str, Fraction]) -> dict[str, Fraction]:
        totals = dict.fromkeys(self.sources, Fraction(0))
        for root in self.roots:
            for path, node in root.paths():
                if node.source is not None:
                    totals[node.source] += shares[path]
        return totals

    def _cut(self) -> Iterator[Segment]:
        before = dict.fromkeys(self.sources, Fraction(0))
        for first, end, nodes, sources in self._runs():
            yield Segment(first, end, dict(before), nodes, sources)
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
            for j in range(_degree(self.roots) + 1)
        ]
        by_source = [self._by_source(sample) for sample in samples]
        nodes = {path: newton([s[path] for s in samples]) for path in samples[0]}
        return nodes, {name: newton([s[name] for s in by_source]) for name in self.sources}


def _moved(shares: Shares, way: tuple[int, int, int]) -> Shares:
    return {name: share.moved(*way) for name, share in shares.items()}


def rest_of(siblings: Sequence[Node], step: int, tokens: int, j: int = 0) -> Fraction:
    """Return what the siblings with a ratio leave to the one that says `rest`."""
    return 1 - sum((_ratio(n.ratio, step, tokens, j) for n in siblings if n.ratio), Fraction(0))


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
        rest = rest_of(siblings, step, tokens, j)
        for node in siblings:
            path = f"{above}/{node.name}" if above else node.name
            own = share * (rest if node.ratio is None else _ratio(node.ratio, step, tokens, j))
            shares[path] = own
            descend(node.children, path, own)

    descend(roots, "", Fraction(1))
    return shares


def _fixed(node: Node, siblings: Sequence[Node], step: int, tokens: int) -> Node:
    if node.ratio is None:
        ratio = rest_of(siblings, step, tokens)
    else:
        ratio = _ratio(node.ratio, step, tokens, 0)
    children = tuple(_fixed(child, node.children, step, tokens) for child in node.children)
    return Node(node.name, constant(ratio), node.source, children)


def _degree(siblings: Sequence[Node]) -> int:
    """Return the degree that shares below these siblings can reach."""
    if not siblings:
        return 0
    moving = any(n.ratio is not None and not n.ratio.is_constant() for n in siblings)
    return int(moving) + max(_degree(n.children) for n in siblings)
