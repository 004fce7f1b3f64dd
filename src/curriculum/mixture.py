"""The mixture of every step: a tree of ratios, its exact shares, and their ideal sums

The tree is what a plan says; a segment is a run of steps in which the batch is constant and every
ratio is constant or linear, so that every share is a polynomial in the step. Shares stand as Newton
coefficients c_k over a common denominator: share at step first_step + j = sum_k c_k C(j, k).
"""

import itertools
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import comb, lcm

from curriculum.batch import Batch
from curriculum.curve import Curve, constant


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


@dataclass(frozen=True, slots=True)
class Polynomial:
    """An exact polynomial in j, as integer Newton coefficients over one denominator."""

    numerators: tuple[int, ...]
    denominator: int

    def value(self, j: int) -> float:
        """Return the value at j, correctly rounded.

        >>> Polynomial((1, 2), 10).value(3)
        0.7
        """
        numerators = self.numerators
        if len(numerators) == 1:
            return numerators[0] / self.denominator
        total = numerators[0] + numerators[1] * j
        for k in range(2, len(numerators)):
            total += numerators[k] * comb(j, k)
        return total / self.denominator

    def sum_before(self, j: int) -> Fraction:
        """Return the exact sum over 0 <= u < j.

        >>> Polynomial((1, 2), 10).sum_before(3)
        Fraction(9, 10)
        """
        total = sum(c * comb(j, k + 1) for k, c in enumerate(self.numerators))
        return Fraction(total, self.denominator)

    def coefficients(self) -> tuple[Fraction, ...]:
        """Return the Newton coefficients as fractions."""
        return tuple(Fraction(c, self.denominator) for c in self.numerators)


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
    segments: tuple[Segment, ...] = field(init=False, repr=False, compare=False)
    _first_steps: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
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
        j = step - segment.first_step
        return {
            name: segment.seqs_before[name] + segment.batch_seqs * share.sum_before(j)
            for name, share in segment.sources.items()
        }

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
        totals = dict.fromkeys(self.sources, Fraction(0))
        for segment in self.segments:
            if segment.first_step >= step:
                break
            j = min(step, segment.end_step) - segment.first_step
            per_step = segment.batch_seqs * segment.seq_len
            for name, share in segment.sources.items():
                totals[name] += per_step * share.sum_before(j)
        return totals

    def _by_source(self, shares: dict[str, Fraction]) -> dict[str, Fraction]:
        totals = dict.fromkeys(self.sources, Fraction(0))
        for root in self.roots:
            for path, node in root.paths():
                if node.source is not None:
                    totals[node.source] += shares[path]
        return totals

    def _cut(self) -> Iterator[Segment]:
        curves = [n.ratio for r in self.roots for _, n in r.paths() if n.ratio is not None]
        breaks = {0, self.steps}.union(self.batch.breaks(), *(c.breaks() for c in curves))
        cuts = sorted(b for b in breaks if 0 <= b <= self.steps)
        degree = _degree(self.roots)
        before = dict.fromkeys(self.sources, Fraction(0))
        for first, end in itertools.pairwise(cuts):
            piece = self.batch.piece_at(first)
            first_tokens = self.batch.tokens_before(first)
            samples = [
                _shares(self.roots, first, first_tokens + j * piece.tokens_per_step, j)
                for j in range(degree + 1)
            ]
            nodes = {path: _newton([s[path] for s in samples]) for path in samples[0]}
            by_source = [self._by_source(s) for s in samples]
            sources = {name: _newton([s[name] for s in by_source]) for name in self.sources}
            yield Segment(first, end, piece.batch_seqs, piece.seq_len, dict(before), nodes, sources)
            for name, share in sources.items():
                before[name] += piece.batch_seqs * share.sum_before(end - first)


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


def _newton(samples: Sequence[Fraction]) -> Polynomial:
    coefficients: list[Fraction] = []
    row = list(samples)
    while row:
        coefficients.append(row[0])
        row = [right - left for left, right in itertools.pairwise(row)]
    while len(coefficients) > 1 and coefficients[-1] == 0:
        coefficients.pop()
    denominator = lcm(*(c.denominator for c in coefficients))
    return Polynomial(tuple(int(c * denominator) for c in coefficients), denominator)
