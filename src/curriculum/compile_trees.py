"""Mixtures at the step a stage is left at: what `keep` and `replay` take, and how it stays small

Trees are shared, not copied: a replay of a replay holds the very nodes of the first, so that a path
such as `replay: last/old/old/new` is there however long the chain is. What goes into the plan is
cut: a replay of more than MAX_PARTS parts or MAX_LEVELS levels is its shares by source, exactly.

    whole      new, old -> new, old -> new, old -> ...       what paths are looked up in
    compiled   new, old -> a, b                              what the plan holds
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from operator import is_
from typing import NamedTuple

from curriculum.batch import Batch
from curriculum.curve import constant
from curriculum.mixture import Node, exact_sum, ratios_of

MAX_PARTS = 256
MAX_LEVELS = 16
"""A replay up to here is in the plan as it is written; a larger one as its shares by source."""

Roots = tuple[Node, ...]


class _Settled(NamedTuple):
    """What is known of a node whose ratio, and every ratio below it, is one number."""

    node: Node  # kept alive: nodes are looked up by identity
    parts: int
    levels: int


@dataclass(slots=True)
class Trees:
    """The whole trees of all stages so far, and what is known of their nodes."""

    whole: dict[str, Roots] = field(default_factory=dict)
    _settled: dict[int, _Settled] = field(default_factory=dict)
    _replays: dict[int, Node] = field(default_factory=dict)
    _left: dict[tuple[str, int], Roots] = field(default_factory=dict)
    _shares: dict[int, Mapping[str, Fraction]] = field(default_factory=dict)

    def replaying(self, node: Node) -> Node:
        """Note that what is below a node was replayed, and return the node."""
        self._replays[id(node)] = node
        return node

    def is_replay(self, node: Node) -> bool:
        """Say whether what is below a node was replayed, and is as it was left."""
        return id(node) in self._replays

    def is_settled(self, node: Node) -> bool:
        """Say whether a node was left somewhere: its ratios are numbers, and hold."""
        return id(node) in self._settled

    def left(self, stage: str, step: int, batch: Batch, steps: int, asked_tokens: int) -> Roots:
        """Return the tree of a stage with every ratio fixed where it was left."""
        if (stage, step) not in self._left:
            tokens = batch.tokens_before(step) if step < steps else asked_tokens
            self._left[stage, step] = self.at(self.whole[stage], step, tokens)
        return self._left[stage, step]

    def at(self, roots: Roots, step: int, tokens: int) -> Roots:
        """Return a tree with every ratio fixed at a step; of pieces, what they come to there."""
        fixed = self._fixed(roots, step, tokens)
        if not any(root.is_piece for root in roots):
            return fixed
        running = [(_number(root), root.children) for root in fixed if _number(root)]
        return running[0][1] if len(running) == 1 else self._merged(running)

    def _fixed(self, siblings: Roots, step: int, tokens: int) -> Roots:
        if all(id(node) in self._settled for node in siblings):
            return siblings
        ratios = ratios_of(siblings, step, tokens)
        return tuple(
            node if id(node) in self._settled else self._settle(node, ratio, step, tokens)
            for node, ratio in zip(siblings, ratios, strict=True)
        )

    def _settle(self, node: Node, ratio: Fraction, step: int, tokens: int) -> Node:
        below = self._fixed(node.children, step, tokens)
        return self._known(
            replace(
                node, ratio=constant(ratio), children=below, of_rest=Fraction(1), is_piece=False
            ),
            self.is_replay(node),
        )

    def _known(self, node: Node, is_replay: bool) -> Node:
        below = [self._settled[id(child)] for child in node.children]
        parts = 1 + sum(child.parts for child in below)
        levels = 1 + max((child.levels for child in below), default=0)
        self._settled[id(node)] = _Settled(node, parts, levels)
        return self.replaying(node) if is_replay else node

    def _merged(self, trees: Sequence[tuple[Fraction, Roots]]) -> Roots:
        """Add up trees at a step between two pieces: by name, each group the sum of both."""
        if all(roots is trees[0][1] for _, roots in trees):
            return trees[0][1]
        small = [(weight, self._compiled_below(roots)) for weight, roots in trees]
        by_name: dict[str, list[tuple[Fraction, Node]]] = {}
        for weight, roots in small:
            for node in roots:
                by_name.setdefault(node.name, []).append((weight * _number(node), node))
        whole = exact_sum(weight for weight, _ in trees)
        merged: list[Node] = []
        for name, parts in sorted(by_name.items()):
            total = exact_sum(share for share, _ in parts)
            ratio = constant(total / whole)
            tags = parts[0][1].tags
            is_cut = any(node.is_cut or node.tags != tags for _, node in parts)
            if not any(node.children for _, node in parts):
                source = parts[0][1].source
                whole_node = Node(name, ratio, source, tags=tags, is_cut=is_cut)
                merged.append(self._known(whole_node, False))
                continue
            one = [node for _, node in parts][-1]
            inner = [(share, node.children or self.alone(node)) for share, node in parts if share]
            below = self._merged(inner) if inner else one.children or self.alone(one)
            group = Node(name, ratio, None, below, tags=tags, is_cut=is_cut)
            merged.append(self._known(group, False))
        return tuple(merged)

    def alone(self, node: Node) -> Roots:
        """Return a settled source as a tree of its own."""
        return (self._known(replace(node, ratio=constant(1)), False),)

    def tagged(self, roots: Roots, tags: tuple[str, ...]) -> Roots:
        """Return settled roots with more tags."""
        if not tags:
            return roots
        return tuple(
            self._known(
                replace(root, tags=tuple(sorted({*root.tags, *tags}))), self.is_replay(root)
            )
            for root in roots
        )

    # What goes into the plan

    def compiled(self, roots: Roots) -> Roots:
        """Return a tree with the replays in it cut to what a plan holds."""
        return tuple(self._compiled(root) for root in roots)

    def _compiled(self, node: Node) -> Node:
        if not node.children:
            return node
        if self.is_replay(node):
            below = self._compiled_below(node.children)
        else:
            below = self.compiled(node.children)
        if len(below) == len(node.children) and all(map(is_, below, node.children)):
            return node
        return replace(node, children=below)

    def _compiled_below(self, roots: Roots) -> Roots:
        known = [self._settled[id(root)] for root in roots]
        parts, levels = sum(k.parts for k in known), max(k.levels for k in known)
        if parts <= MAX_PARTS and levels <= MAX_LEVELS:
            return roots
        shares = self.shares_of(roots)
        if parts <= len(shares):
            return roots
        return tuple(
            self._known(Node(name, constant(share), name, is_cut=True), False)
            for name, share in sorted(shares.items())
        )

    def shares_of(self, roots: Roots) -> Mapping[str, Fraction]:
        """Return the share of every source in a settled tree."""
        found: dict[str, list[Fraction]] = {}
        for root in roots:
            if root.source is not None:
                found.setdefault(root.source, []).append(_number(root))
                continue
            if id(root) not in self._shares:
                self._shares[id(root)] = self.shares_of(root.children)
            for name, share in self._shares[id(root)].items():
                found.setdefault(name, []).append(_number(root) * share)
        return {name: exact_sum(parts) for name, parts in found.items()}


def _number(node: Node) -> Fraction:
    """Return the ratio of a node that has one number for it."""
    assert node.ratio is not None
    return node.ratio.pieces[0].a
